"""What a rerun reads and starts where every build and trial is stored, whatever its size.

Seconds are measured by `benchmarks/warm_reruns.py`. Nothing is compiled here and nothing runs.
"""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import small_scenario
from buildkit_bisect.builds import store
from buildkit_bisect.campaign import known
from buildkit_bisect.campaign.driver import Work
from buildkit_bisect.campaign.matrix import MatrixCampaign
from buildkit_bisect.events import Silent
from buildkit_bisect.lab import journal as journals
from buildkit_bisect.lab.executors import Inline
from buildkit_bisect.lab.lab import Lab
from buildkit_bisect.model import Observation, StepResult, Variant
from buildkit_bisect.result import CampaignKind
from buildkit_bisect.scenario import outcome
from buildkit_bisect.system import machine, process
from buildkit_bisect.system.checkout import PROJECT

pytestmark = pytest.mark.local

TRIALS = 3

AXES = """
[axes.size]
values = ["small", "large"]

"""


@pytest.fixture(scope="module")
def stored() -> ModuleType:
    path = PROJECT / "benchmarks" / "stored_machine.py"
    spec = importlib.util.spec_from_file_location("stored_machine", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["stored_machine"] = module
    spec.loader.exec_module(module)
    return module


def counting(
    monkeypatch: pytest.MonkeyPatch, counts: Counter[str], module: object, name: str
) -> None:
    original: Callable[..., Any] = getattr(module, name)

    def counted(*given: Any, **more: Any) -> Any:
        counts[name] += 1
        return original(*given, **more)

    monkeypatch.setattr(module, name, counted)


def rerun(
    stored: ModuleType, root: Path, releases: int, monkeypatch: pytest.MonkeyPatch
) -> Counter[str]:
    """Return how often a matrix of *releases* starts, reads and judges something."""
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(root / "cache"))
    repo = root / "repo.git"
    scenario = small_scenario.written(root / "small", AXES) / "scenario.toml"
    tags = stored.repository(repo, releases)
    seen = Observation(steps=(StepResult(id="build", exit=0, seconds=1.0),), seconds=2.0)
    filled = stored.fill(repo, tags, [str(scenario)], lambda *_: [seen] * TRIALS)
    assert filled == releases * 2 * TRIALS
    setup = stored.setup_of(repo, tags[0], [str(scenario)])
    machine.facts()
    counts: Counter[str] = Counter()
    for module, name in (
        (process, "start"), (journals, "_observation"), (store, "load"), (outcome, "judge"),
    ):  # fmt: skip
        counting(monkeypatch, counts, module, name)
    variants = [Variant(revision=found) for found in setup.source.resolve_all(tags)]
    with closing(journals.Journal()) as journal:
        lab = Lab(
            builder=setup.builder,
            images={each.name: {} for each in setup.scenarios},
            registry="",
            journal=journal,
            executor=Inline(),
            events=Silent(),
            campaign="20260102-000000-matrix",
        )
        campaign = MatrixCampaign(setup, variants, CampaignKind.MATRIX)
        assert campaign.plan().stored == dict.fromkeys(tags, (TRIALS, TRIALS))
        found = campaign.run(Work(lab=lab, events=Silent(), folder=root / "results"))
        found = known.add(found, lab, Silent())
    trials = [trial for cell in found.cells for trial in cell.trials]
    assert len(trials) == filled
    assert all(trial.reused and trial.outcome == "built" for trial in trials)
    monkeypatch.undo()
    return counts


def test_a_rerun_reads_each_build_and_trial_once_and_starts_no_more_for_more(
    stored: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = rerun(stored, tmp_path / "few", 2, monkeypatch)
    many = rerun(stored, tmp_path / "many", 8, monkeypatch)
    assert few["start"] == many["start"] == 3, "git resolves all releases at once"
    for releases, counts in ((2, few), (8, many)):
        assert counts["load"] == releases
        assert counts["_observation"] == releases * 2 * TRIALS
        # Once for the line of a trial, once for the cell; the latter is all that is known of it.
        assert counts["judge"] <= 2 * releases * 2 * TRIALS
