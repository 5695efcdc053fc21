"""What the newer end without a found commit says of it, and when it says nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

import worlds
from buildkit_bisect.campaign.cell_search import CellSearch
from buildkit_bisect.campaign.driver import Work
from buildkit_bisect.campaign.without_commit import NewerEnd
from buildkit_bisect.events import Silent
from buildkit_bisect.lab.cell import Cell, Origin, Trial
from buildkit_bisect.lab.lab import Lab
from buildkit_bisect.model import (
    Build,
    NoBuild,
    Observation,
    Outcome,
    Revision,
    Stage,
    ToolOutcome,
    Variant,
    Verdict,
)
from buildkit_bisect.patch.patches import Metadata, Patch
from buildkit_bisect.scenario import Action, Scenario, Step, outcome
from buildkit_bisect.search import Ask, Found, SearchOptions, Tested
from buildkit_bisect.search.history import History
from buildkit_bisect.search.session import BisectSession

SCENARIO = Scenario(
    name="s", title="t", issue="", steps=(Step(id="go", action=Action.PRUNE),), outcomes=()
)
TIP = Variant(revision=Revision(ref="v1", sha="a" * 40))
REVERT = Patch(name="revert-b", folder="/nowhere", meta=Metadata(title="t"), diffs=())
CACHED = Outcome(name="cached", verdict=Verdict.GOOD)
DROPPED = Outcome(name="dropped", verdict=Verdict.BAD)
FIX = SearchOptions(find_fix=True)
CRASH = Outcome(name="crash", verdict=Verdict.BAD)
BUILD = Build(
    key="k", go="1.25.5", source="git", directory="/b", seconds=1.0,
    buildkitd_sha256="d", buildctl_sha256="c",
)  # fmt: skip


def cell(
    variant: Variant, judged: Sequence[Outcome] = (), *, instead: Outcome | None = None
) -> Cell:
    combined, counts = outcome.combine(judged) if judged else (CACHED, {})
    trial = Trial(observation=Observation(steps=(), seconds=1.0), origin=Origin.NOW)
    unbuilt = NoBuild(stage=Stage.BUILD, reason="undefined: x")
    return Cell(
        variant=variant, scenario=SCENARIO, axes=(), outcome=instead or combined, counts=counts,
        build=BUILD if judged else unbuilt, judged=tuple(judged), trials=(trial,) * len(judged),
    )  # fmt: skip


def search(
    options: SearchOptions | None = None,
    *,
    looked_for: frozenset[str] | None = frozenset({"dropped"}),
    bad_not_run: str = "",
) -> CellSearch:
    """Return a search that has ended, without the machine that it ran on."""
    made = CellSearch.__new__(CellSearch)
    made.options = options or SearchOptions()
    session = SimpleNamespace(looked_for=looked_for, bad_not_run=bad_not_run)
    made.session = session  # type: ignore[assignment]
    made.cells = {}
    made.scenario, made.axes = SCENARIO, ()
    return made


@dataclass
class TwoVariants:
    """A lab that knows what the end shows, and what it shows without the commit."""

    itself: Cell | None
    without: Cell | Sequence[Outcome]
    asked: list[int] = field(default_factory=list)

    def add_patch(self, patch: Patch) -> None:
        assert patch is REVERT

    def cell(
        self, variant: Variant, _scenario: Scenario, _axes: object, trials: int, *, after: int
    ) -> Cell:
        self.asked.append(trials)
        if not variant.patches:
            assert self.itself
            return self.itself
        if isinstance(self.without, Cell):
            return self.without
        several = list(self.without) * (after + trials)
        return cell(variant, several[after : after + trials])


def found(*, bad_without: tuple[int, int] = (0, 60), bad_with: tuple[int, int] = (60, 60)) -> Found:
    return Found(
        first_bad="b" * 40, merge=None, parents_tested=(), confidence=0.96, credible_set=(),
        bad_without=bad_without, bad_with=bad_with,
    )  # fmt: skip


def said(lab: TwoVariants, of: CellSearch, answer: Found | None = None) -> tuple[str, str]:
    """Return why nothing can be confirmed, and what is said; without noise if no *answer*."""
    fix = {"bad_without": (60, 60), "bad_with": (0, 60)} if of.options.find_fix else {}
    work = Work(lab=cast(Lab, lab), events=Silent(), folder=Path("/nowhere"))
    newer = NewerEnd(work, of, TIP)
    return newer.not_new(), newer.without(REVERT, answer or found(**fix))


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        ([CACHED], "confirmed: v1 without this commit is cached 3 of 3"),
        ([DROPPED], "NOT confirmed: v1 without this commit is dropped 3 of 3"),
        ([CACHED, CACHED, DROPPED],
         ("NOT confirmed: v1 without this commit is cached 2 of 3, dropped 1 of 3;"
         " 60 of 60 trials with it are bad, and 0 of 60 before it")),
        ([CRASH],
         "not decided, as this is another outcome: v1 without this commit is crash 3 of 3"),
        (cell(TIP, instead=ToolOutcome.NO_BUILD.because("build: undefined: x")),
         "not tested: v1 without this commit is no-build: build: undefined: x"),
        (cell(TIP, [CACHED] * 3, instead=ToolOutcome.CONTROL_FAILED.because("the control is bad")),
         "not tested: v1 without this commit is control-failed: the control is bad"),
        (cell(TIP, [ToolOutcome.NO_DAEMON.because("exit 1")] * 3),
         "not tested: v1 without this commit is no-daemon: exit 1"),
        (cell(TIP, [ToolOutcome.INFRA.because("disk full")] * 3),
         "not tried: disk full"),
    ],
)  # fmt: skip
def test_what_was_not_tested_is_neither_confirmed_nor_refuted(
    shown: Sequence[Outcome] | Cell, text: str
) -> None:
    of = search()
    of.cells = {TIP.revision.sha: [cell(TIP, [DROPPED])]}
    lab = TwoVariants(None, shown)
    assert said(lab, of) == ("", text)
    assert lab.asked == [3]


def test_an_end_that_is_bad_at_times_is_bad_and_the_revert_runs_until_chance_is_excluded() -> None:
    lab = TwoVariants(cell(TIP, [DROPPED, CACHED, DROPPED]), [CACHED])
    flaky = found(bad_with=(0, 0))  # the search has not run the end
    not_new, text = said(lab, search(bad_not_run="v1"), flaky)
    assert not not_new
    assert text == (
        "confirmed: v1 without this commit is cached 6 of 6; v1 itself is dropped 2 of 3,"
        " cached 1 of 3; 2 of 3 trials with it are bad, and 0 of 60 before it"
    )
    assert lab.asked == [3, 3, 3]
    fixed = search(SearchOptions(trials=3))
    assert said(TwoVariants(None, [CACHED]), fixed, found(bad_with=(2, 3)))[1] == (
        "not decided, as this may be chance: v1 without this commit is"
        " cached 3 of 3; 2 of 3 trials with it are bad, and 0 of 60 before it"
    )


def test_three_good_trials_do_not_say_that_a_flaky_bug_was_not_fixed_by_the_commit() -> None:
    flaky = found(bad_without=(3, 10), bad_with=(0, 8))
    lab = TwoVariants(None, [CACHED])
    assert said(lab, search(FIX), flaky)[1] == (
        "NOT confirmed: v1 without this commit is cached 9 of 9;"
        " 0 of 8 trials with it are bad, and 3 of 10 before it"
    )
    surer = TwoVariants(None, [CACHED])
    assert said(surer, search(replace(FIX, confidence=0.99)), flaky)[1].startswith("NOT confirmed")
    assert len(surer.asked) > len(lab.asked)
    three = search(replace(FIX, trials=3))
    assert said(TwoVariants(None, [CACHED]), three, flaky)[1].split(":")[0] == (
        "not decided, as this may be chance"
    )
    half = TwoVariants(None, [CACHED, DROPPED] * 15)
    both = found(bad_without=(7, 8), bad_with=(1, 8))
    assert said(half, search(FIX), both)[1].startswith("not decided")
    assert half.asked == [3] * 10


def test_a_bad_trial_of_the_revert_may_be_one_that_both_sides_have_at_times() -> None:
    """A fix after which the bug is rare, and a regression of a bug that was rare before it."""
    once, rare, usual = [DROPPED, CACHED, CACHED, CACHED], (1, 8), (9, 10)
    fix = found(bad_without=usual, bad_with=rare)
    assert said(TwoVariants(None, once), search(FIX), fix)[1].startswith("NOT confirmed")
    assert said(TwoVariants(None, [DROPPED]), search(FIX), fix)[1].startswith("confirmed")
    regression = found(bad_without=rare, bad_with=usual)
    assert said(TwoVariants(None, once), search(), regression)[1].startswith("confirmed")
    assert said(TwoVariants(None, [DROPPED]), search(), regression)[1].startswith("NOT")


@pytest.mark.parametrize(
    ("before", "after"), [(0.35, 0.0), (0.0, 0.5), (0.6, 0.05), (0.2, 0.95)], ids=str
)
def test_what_is_said_of_a_flaky_bug_is_right_as_often_as_the_search_promises(
    before: float, after: float
) -> None:
    dice, history, fix = worlds.dice(1), History(worlds.linear(30)), before > after
    options = SearchOptions(find_fix=fix)
    good, bad = ("c30", "c0") if fix else ("c0", "c30")
    said_of: dict[float, Counter[str]] = {before: Counter(), after: Counter()}

    def answer(ask: Ask) -> Tested:
        rate = after if int(ask.commit[1:]) >= 17 else before
        shows = sum(dice.random() < rate for _ in range(ask.trials))
        return worlds.seen(dropped=shows, cached=ask.trials - shows)

    for _ in range(20):
        of_search, _ = worlds.drive(
            BisectSession(history, good=good, bad=bad, options=options), answer
        )
        if not isinstance(of_search, Found) or of_search.first_bad != "c17":
            continue
        for rate, counts in said_of.items():
            drawn = [DROPPED if dice.random() < rate else CACHED for _ in range(30)]
            text = said(TwoVariants(None, drawn), search(options), of_search)[1]
            counts[text.split(":")[0].split(",")[0]] += 1
    undone, kept = said_of.values()
    assert undone.total() >= 18
    assert undone["confirmed"] >= 0.8 * undone.total()
    assert kept["NOT confirmed"] >= 0.8 * kept.total()
    assert undone["NOT confirmed"] + kept["confirmed"] <= 2  # one of 20 on average


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        ([CACHED] * 3, "v1 itself is cached 3 of 3"),
        ([CRASH] * 3, "v1 itself is crash 3 of 3"),
        ([ToolOutcome.UNCLASSIFIED.because("no rule")] * 3, "v1 itself is unclassified 3 of 3"),
    ],
)
def test_an_end_that_does_not_show_what_was_looked_for(shown: Sequence[Outcome], text: str) -> None:
    lab = TwoVariants(cell(TIP, shown), [CACHED])
    work = Work(lab=cast(Lab, lab), events=Silent(), folder=Path("/nowhere"))
    newer = NewerEnd(work, search(bad_not_run="v1"), TIP)
    assert (newer.ran, newer.not_bad) == (False, "")
    assert newer.not_new() == newer.not_new() == text
    assert (newer.ran, newer.not_bad) == (True, text.removeprefix("v1 itself is "))
    assert lab.asked == [3]  # once


@pytest.mark.parametrize(
    ("shown", "answer"),
    [
        ([DROPPED], "confirmed"),
        ([CACHED, DROPPED, CACHED], "confirmed"),  # what was fixed showed at times
        ([CACHED], "NOT confirmed"),
        # Another failure is not what the fix has fixed.
        ([CRASH], "not decided, as this is another outcome"),
    ],
)
def test_without_a_fix_the_old_failure_is_back(shown: Sequence[Outcome], answer: str) -> None:
    of = search(FIX)
    of.cells = {TIP.revision.sha: [cell(TIP, [CACHED])]}
    assert said(TwoVariants(None, shown), of)[1].split(":")[0] == answer


@pytest.mark.parametrize(
    ("options", "looked_for", "new", "old"),
    [
        (SearchOptions(), {"dropped"}, {"dropped"}, {"cached"}),
        (SearchOptions(), None, {"dropped", "crash"}, {"cached"}),
        (FIX, {"dropped"}, {"cached"}, {"dropped"}),
        (SearchOptions(bad_when=frozenset({"cached"})), {"cached"}, {"cached"}, set()),
        (SearchOptions(good_when=frozenset({"crash"})), {"dropped"}, {"dropped"}, {"crash"}),
    ],
)
def test_the_sides_are_those_of_the_search(
    options: SearchOptions, looked_for: set[str] | None, new: set[str], old: set[str]
) -> None:
    of = search(options, looked_for=None if looked_for is None else frozenset(looked_for))
    every: Mapping[str, Outcome] = {o.name: o for o in (CACHED, DROPPED, CRASH)}
    assert {name for name, o in every.items() if of.is_new(o)} == new
    assert {name for name, o in every.items() if of.is_old(o)} == old
