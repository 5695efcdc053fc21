"""Whole campaigns of a flaky cell, with the real lab and journal; only builds and trials are not.

The trials of one binary are good but for the fourth. The second campaign runs anew; the third asks
for as many trials as the first one stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from buildkit_bisect import render, result
from buildkit_bisect.builds import Builder
from buildkit_bisect.campaign import driver
from buildkit_bisect.campaign.driver import drive
from buildkit_bisect.campaign.matrix import MatrixCampaign
from buildkit_bisect.campaign.setup import Setup
from buildkit_bisect.events import CellDone, Event, Events
from buildkit_bisect.lab import runner
from buildkit_bisect.lab.base_images import ImageRef
from buildkit_bisect.lab.executors import Inline
from buildkit_bisect.lab.journal import Journal
from buildkit_bisect.lab.lab import Lab
from buildkit_bisect.lab.trial import TrialJob
from buildkit_bisect.live.lines import cell as line
from buildkit_bisect.model import Build, Observation, Revision, StepResult, Variant, Verdict
from buildkit_bisect.options.requests import Matrix
from buildkit_bisect.render import compare
from buildkit_bisect.result import CampaignKind, KnownInfo, Result
from buildkit_bisect.scenario import Action, Axis, Condition, Rule, Scenario, Step
from buildkit_bisect.source import Source

SCENARIO = Scenario(
    name="s",
    title="t",
    issue="https://example.org/1",
    steps=(Step(id="go", action=Action.PRUNE),),
    outcomes=(
        Rule(name="cached", verdict=Verdict.GOOD, means="m", all=(Condition(step="go", exit="0"),)),
        Rule(name="ran", verdict=Verdict.BAD, means="m", all=(Condition(step="go", exit="1"),)),
    ),
    axes={"at": Axis(values=("eager", "lazy"), controls=("eager",))},
    run_digest="r",
)
VARIANTS = tuple(
    Variant(revision=Revision(ref=ref, sha=ref[-1] * 40)) for ref in ("v0.24.0", "v0.24.1")
)


class Shown(list[Event]):
    def emit(self, event: Event, /) -> None:
        self.append(event)


class FakeBuilder:
    """Each revision has binaries of its own."""

    def cached(self, variant: Variant) -> Build:
        return Build(
            key=variant.label, go="1.25.5", source="git", directory="/b", seconds=1.0,
            buildkitd_sha256=variant.label, buildctl_sha256="c",
        )  # fmt: skip

    def in_store(self, _: object) -> frozenset[str]:
        return frozenset()

    def refused(self, _: Variant) -> str:
        return ""


class Machine:
    """The fourth trial of v0.24.0's lazy cell is bad."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, str]] = []

    def __call__(self, job: TrialJob) -> Observation:
        self.ran.append((job.of.label, job.column.label))
        bad = self.ran[-1] == ("v0.24.0", "lazy") and self.ran.count(self.ran[-1]) == 4
        return Observation(steps=(StepResult(id="go", exit=int(bad), seconds=1.0),), seconds=1.0)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(runner, "run_trial", made)
    monkeypatch.setattr("buildkit_bisect.system.machine.facts", lambda: {"arch": "x86_64"})
    return made


def campaign(out: Path, monkeypatch: pytest.MonkeyPatch, *, fresh: bool) -> tuple[Result, Shown]:
    """Run a matrix of both revisions, three trials each, into *out*."""
    shown = Shown()

    @contextmanager
    def opened(setup: Setup, name: str) -> Iterator[tuple[Lab, dict[str, dict[str, ImageRef]]]]:
        with closing(Journal()) as journal:
            yield (
                Lab(
                    builder=cast(Builder, FakeBuilder()), images={"s": {}}, registry="",
                    journal=journal, executor=Inline(), events=setup.events,
                    campaign=str(out), fresh=fresh,
                ),
                {"s": {}},
            )  # fmt: skip

    def publish(_document: Result, _folder: Path, _events: Events) -> str:
        return ""

    monkeypatch.setattr(driver, "open_lab", opened)
    setup = Setup(
        source=cast(Source, SimpleNamespace(kind="git", note="")),
        builder=cast(Builder, FakeBuilder()),
        events=shown,
        request=Matrix(out=out, command="./inv matrix", trials=3),
        scenarios=(SCENARIO,),
    )
    made = drive(MatrixCampaign(setup, VARIANTS, CampaignKind.MATRIX), setup, publish)
    (folder,) = out.iterdir()
    assert result.read(folder) == made, "it is a valid document"
    return made, shown


def test_every_campaign_says_what_all_have_seen(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, shown = campaign(tmp_path / "1", monkeypatch, fresh=False)
    lazy = first.cells[1]
    assert lazy.axes == {"at": "lazy"}
    assert lazy.counts == {"cached": 3}
    assert lazy.known == KnownInfo(counts={"cached": 3}, verdicts={"good": 3})
    assert len([e for e in shown if isinstance(e, CellDone)]) == 4
    assert "known" not in render.markdown(first)

    second, _ = campaign(tmp_path / "2", monkeypatch, fresh=True)
    assert second.cells[1].outcome == "flaky"

    third, shown = campaign(tmp_path / "3", monkeypatch, fresh=False)
    lazy, other = third.cells[1], third.cells[3]
    assert (lazy.verdict, lazy.counts) == ("good", {"cached": 3})
    assert lazy.known == KnownInfo(counts={"cached": 5, "ran": 1}, verdicts={"good": 5, "bad": 1})
    assert other.known == KnownInfo(counts={"cached": 6}, verdicts={"good": 6})
    assert len(machine.ran) == 2 * 2 * 6, "the third ran nothing"
    lines = [f"{e.row} {line(e)}" for e in shown if isinstance(e, CellDone) and e.known]
    assert "v0.24.0 good, cached 3 of 3 (flaky: 5 of 6 known on this machine)" in lines
    assert "v0.24.1 good, cached 3 of 3 (6 of 6 known on this machine)" in lines
    assert re.search(r"⚠️ cached<br><sub>3 of 3 &#40;flaky: 5 of 6 known", render.markdown(third))
    assert render.finding(third) == (
        "Nothing is broken: both tested cells are good."
        " 1 cell is flaky; both control cells are good."
    )


def test_campaigns_that_disagree_about_one_binary_differ_by_chance(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = campaign(tmp_path / "1", monkeypatch, fresh=False)
    second, _ = campaign(tmp_path / "2", monkeypatch, fresh=True)
    found = compare.compare(first, second)
    assert not found.worse
    assert "(may be chance: p = 0.5, the same binary)" in compare.text(found)
