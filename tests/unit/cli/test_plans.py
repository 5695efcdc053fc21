from __future__ import annotations

import pytest

from buildkit_bisect.cli.plans import show_plan
from buildkit_bisect.events import Column, Planned
from buildkit_bisect.options.requests import Matrix


@pytest.mark.parametrize(("trials", "shown"), [(1, "1 trial per row"), (3, "3 trials per row")])
def test_a_plan_counts_trials(trials: int, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    column = Column(scenario="cross-stage-lazy", axes=(("snapshotter", "native"),))
    show_plan(Matrix(), Planned(kind="matrix", rows=("v1",), columns=(column,), trials=trials))
    line = f"cell   cross-stage-lazy snapshotter=native: {shown}\n"
    assert line in capsys.readouterr().out
