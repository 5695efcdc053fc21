from __future__ import annotations

import pytest

from buildkit_bisect.cli.plans import show_plan
from buildkit_bisect.events import Column, Planned, Search
from buildkit_bisect.options.requests import Bisect, Matrix


@pytest.mark.parametrize(("trials", "shown"), [(1, "1 trial per row"), (3, "3 trials per row")])
def test_a_plan_counts_trials(trials: int, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    column = Column(scenario="cross-stage-lazy", axes=(("snapshotter", "native"),))
    show_plan(Matrix(), Planned(kind="matrix", rows=("v1",), columns=(column,), trials=trials))
    line = f"cell   cross-stage-lazy snapshotter=native: {shown}\n"
    assert line in capsys.readouterr().out


@pytest.mark.parametrize(
    ("spared", "line"),
    [
        ((), []),
        (("v1",), ["maybe  v1, if no commit between the ends is run in its place"]),
        (("v1", "v2"), ["maybe  v1 and v2, if no commit between the ends is run in their place"]),
    ],
)
def test_a_plan_names_an_end_that_may_not_run(
    spared: tuple[str, ...], line: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    search = Search(what="3 candidates", steps=4, builds=2, spared=spared)
    column = Column(scenario="s", axes=())
    plan = Planned(kind="bisect", rows=(), columns=(column,), trials=1, search=search)
    show_plan(Bisect(), plan)
    shown = [line for line in capsys.readouterr().out.splitlines() if line.startswith("maybe")]
    assert shown == line
