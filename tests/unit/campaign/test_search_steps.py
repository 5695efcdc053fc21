"""What a search gets to know of a cell, and how a step is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from buildkit_bisect.campaign import boundaries
from buildkit_bisect.campaign.cell_search import seen_in
from buildkit_bisect.campaign.search_steps import (
    Step,
    as_tested,
    cell_done,
    counted,
    shown,
    skip_of,
    verdict_of,
)
from buildkit_bisect.campaign.time_left import TimeLeft
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.events import CellDone, Column, Event, StepAsked, StepDone
from buildkit_bisect.lab.cell import Cell, Origin, Trial
from buildkit_bisect.model import (
    Axes,
    Build,
    NoBuild,
    Observation,
    Outcome,
    PatchRef,
    Revision,
    Stage,
    ToolOutcome,
    Variant,
    Verdict,
)
from buildkit_bisect.scenario import Action, Axis, Scenario, outcome
from buildkit_bisect.scenario import Step as Instruction
from buildkit_bisect.search import Ask, FlatCost, Phase, Skip, SkipKind, Tested

BUILD = Build(
    key="k", go="1.25.5", source="git", directory="/b", seconds=1.0,
    buildkitd_sha256="d", buildctl_sha256="c",
)  # fmt: skip
VARIANT = Variant(
    revision=Revision(ref="master", sha="a" * 40),
    patches=(PatchRef(name="fix-it", digest="d", title="t"),),
)
SCENARIO = Scenario(
    name="s",
    title="t",
    issue="https://example.org/1",
    steps=(Instruction(id="go", action=Action.PRUNE),),
    outcomes=(),
    axes={"at": Axis(values=("eager", "lazy"), controls=("eager",))},
)
LAZY: Axes = (("at", "lazy"),)
FINE = Outcome(name="fine", verdict=Verdict.GOOD, reason="it works")
BROKEN = Outcome(name="broken", verdict=Verdict.BAD, reason="it does not")
GONE = ToolOutcome.INFRA.because("the registry is gone")
CONTROL = ToolOutcome.CONTROL_FAILED.because("the control (at=eager) is broken")
ASK = Ask(
    commit="a" * 40,
    trials=3,
    why="halves what is left",
    phase=Phase.FIRST_PARENT,
    candidates_left=8,
    expected_steps=3,
    expected_seconds=90.0,
    builds_left=(60.0,),
    trials_left=3,
)


def cell(*judged: Outcome, overruled: Outcome | None = None, axes: Axes = LAZY) -> Cell:
    """Return a cell whose trials took 1, 2, 3... seconds."""
    combined, counts = outcome.combine(judged)
    return Cell(
        variant=VARIANT,
        scenario=SCENARIO,
        axes=axes,
        build=BUILD,
        outcome=overruled or combined,
        counts=counts,
        judged=judged,
        trials=tuple(
            Trial(observation=Observation(steps=(), seconds=float(n)), origin=Origin.NOW)
            for n in range(1, len(judged) + 1)
        ),
    )


def unbuilt(stage: Stage, reason: str) -> Cell:
    build = NoBuild(stage=stage, reason=reason)
    because = ToolOutcome.NO_BUILD.because(f"{stage}: {reason}")
    return Cell(variant=VARIANT, scenario=SCENARIO, axes=LAZY, build=build, outcome=because)


def test_equal_trials_are_counted_with_their_binary_and_time() -> None:
    assert as_tested(cell(BROKEN, BROKEN, BROKEN), 61.5) == Tested(
        counts={"broken": 3},
        verdicts={"broken": Verdict.BAD},
        binary="d",
        build_seconds=61.5,
        trial_seconds=2.0,
    )


def test_a_reused_build_says_nothing_about_the_time_of_builds() -> None:
    assert as_tested(cell(FINE)).build_seconds is None


def test_trials_that_disagree_are_all_counted() -> None:
    mixed = cell(FINE, BROKEN, FINE)
    tested = as_tested(mixed)
    assert tested.counts == {"fine": 2, "broken": 1}
    assert tested.verdicts == {"fine": Verdict.GOOD, "broken": Verdict.BAD}
    assert verdict_of(mixed, tested) is Verdict.WEAK
    assert shown(tested) == "fine 2 of 3, broken 1 of 3"


def test_failures_of_the_infrastructure_are_not_counted() -> None:
    some = cell(GONE, BROKEN, BROKEN)
    tested = as_tested(some)
    assert (tested.counts, tested.skip) == ({"broken": 2}, None)
    assert tested.verdicts == {"broken": Verdict.BAD}
    assert verdict_of(some, tested) is Verdict.BAD
    assert shown(tested) == "broken 2 of 2"


def test_trials_that_no_rule_matches_are_no_skip() -> None:
    weak = cell(ToolOutcome.UNCLASSIFIED.because("no rule matched"))
    tested = as_tested(weak)
    assert (tested.counts, tested.skip) == ({"unclassified": 1}, None)
    assert verdict_of(weak, tested) is Verdict.WEAK


@pytest.mark.parametrize(
    ("untested", "kind", "text"),
    [
        (unbuilt(Stage.BUILD, "undefined: foo"), SkipKind.BUILD, "build: undefined: foo"),
        (unbuilt(Stage.TOOLCHAIN, "no Go version"), SkipKind.BUILD, "build: no Go version"),
        (unbuilt(Stage.PATCH, "does not apply"), SkipKind.PATCH, "patch: does not apply"),
        (
            cell(BROKEN, BROKEN, overruled=CONTROL),
            SkipKind.CONTROL,
            "control: the control (at=eager) is broken",
        ),
    ],
    ids=["build", "toolchain", "patch", "control-failed"],
)
def test_a_cell_that_proves_nothing_is_skipped(untested: Cell, kind: SkipKind, text: str) -> None:
    tested = as_tested(untested, 5.0)
    assert tested.skip is not None
    assert tested == Tested(skip=Skip(kind=kind, reason=text.removeprefix(f"{kind}: ")))
    assert verdict_of(untested, tested) is Verdict.SKIP
    assert shown(tested) == text


def test_a_search_stops_where_the_infrastructure_failed() -> None:
    with pytest.raises(InfraFailed, match=r"could not be tested: the registry is gone") as err:
        as_tested(cell(GONE, GONE))
    assert err.value.hint == "./inv doctor, then ./inv resume"
    spoiled_control = cell(BROKEN, overruled=GONE)
    with pytest.raises(InfraFailed):
        as_tested(spoiled_control)


def test_a_search_stops_where_this_machine_cannot_build() -> None:
    build = NoBuild(
        stage=Stage.TOOLCHAIN, reason="cannot find Go 1.99", infra=True, hint="install Go 1.99"
    )
    with pytest.raises(InfraFailed, match=r"^toolchain: cannot find Go 1.99") as err:
        skip_of(build)
    assert err.value.hint == "install Go 1.99"


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ({"broken": 3}, "broken 3 of 3"),
        ({"fine": 2, "broken": 1}, "fine 2 of 3, broken 1 of 3"),
        ({}, ""),
    ],
)
def test_counts_are_shown_in_their_order(counts: Mapping[str, int], text: str) -> None:
    assert counted(counts) == text


@pytest.mark.parametrize("at", ["eager", "lazy"])
def test_the_event_of_a_cell_has_its_outcome_and_place(at: str) -> None:
    axes = (("at", at),)
    assert cell_done(cell(FINE, FINE, axes=axes)) == CellDone(
        row="master + fix-it",
        column=Column(scenario="s", axes=axes, control=at == "eager"),
        outcome="fine",
        verdict=Verdict.GOOD,
        counts={"fine": 2},
        reason="it works",
    )


class Events(list[Event]):
    """Keeps every event."""

    def emit(self, event: Event, /) -> None:
        self.append(event)


def test_a_step_is_announced_when_it_starts_and_when_it_is_done() -> None:
    events = Events()
    left = TimeLeft(FlatCost(build=20.0, trial=10.0), newer="b" * 40, trials=3)
    expected = left.at(ASK)
    assert expected.seconds == 60 + 20 + 2 * 3 + (3 + 3) * 10 * 1.5
    step = Step(number=2, ask=ASK, variant=VARIANT, events=events, left=left, started=0.0)
    asked = StepAsked(
        number=2,
        row="master + fix-it",
        why="halves what is left",
        left=8,
        expected_steps=3,
        expected_seconds=expected.seconds,
        least=expected.least,
        most=expected.most,
    )
    assert events == [asked]
    done = step.done(Verdict.BAD, "broken 3 of 3", counts={"broken": 3}, reused=True, position=7)
    assert events[1:] == [
        StepDone(number=2, row="master + fix-it", verdict=Verdict.BAD, shown="broken 3 of 3")
    ]
    assert (done.number, done.phase, done.sha) == (2, "first-parent", "a" * 40)
    assert (done.verdict, done.shown, done.counts) == ("bad", "broken 3 of 3", {"broken": 3})
    assert (done.why, done.left, done.reused) == ("halves what is left", 8, True)
    assert (done.patches, done.position) == (("fix-it",), 7)
    assert done.seconds > 0


def test_a_step_of_boundaries_names_only_cells_that_have_axes() -> None:
    """It wrote ``: good 3 of 3``."""
    named = boundaries.shown(BUILD, [cell(BROKEN, BROKEN)])
    assert named == (Verdict.BAD, f"{' '.join(v for _, v in LAZY)}: broken 2 of 2")
    assert boundaries.shown(BUILD, [cell(BROKEN, BROKEN, axes=())]) == (
        Verdict.BAD,
        "broken 2 of 2",
    )


@pytest.mark.parametrize(("store", "learned"), [("", 61.5), ("oci://x/y", None)])
def test_the_compile_of_another_machine_tells_nothing_of_this_one(
    store: str, learned: float | None
) -> None:
    seen = cell(FINE)
    assert isinstance(seen.build, Build)
    build = replace(seen.build, seconds=61.5, pulled_from=store)
    tested = seen_in(replace(seen, build=build))
    assert tested.build_seconds == learned
