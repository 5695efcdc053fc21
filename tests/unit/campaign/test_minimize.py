"""Which hunks are needed: what counts as a change, roles, limits, and where nothing is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest

from buildkit_bisect.campaign import minimize
from buildkit_bisect.campaign.driver import Work
from buildkit_bisect.campaign.minimize import Minimization, Place, Question
from buildkit_bisect.campaign.minimize_judge import judged, numbered, sides
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.events import Event, Said, Silent
from buildkit_bisect.lab.cell import Cell, Origin, Trial
from buildkit_bisect.lab.lab import Lab
from buildkit_bisect.model import (
    Axes,
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
from buildkit_bisect.patch import patches
from buildkit_bisect.patch.hunk_files import Change
from buildkit_bisect.patch.hunks import FileChange, Hunk, hunks
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.result import MinimizeInfo
from buildkit_bisect.scenario import Action, Scenario, Step, outcome
from buildkit_bisect.search.minimize import Seen

SCENARIO = Scenario(
    name="s",
    title="t",
    issue="",
    steps=(Step(id="go", action=Action.PRUNE),),
    outcomes=(),
)
BASE = Variant(revision=Revision(ref="v1", sha="a" * 40))
FINE = Outcome(name="fine", verdict=Verdict.GOOD)
BROKEN = Outcome(name="broken", verdict=Verdict.BAD)
OTHER = Outcome(name="other", verdict=Verdict.BAD)
ODD = ToolOutcome.UNCLASSIFIED.because("no rule")
GOOD, BAD, WEAK = Verdict.GOOD, Verdict.BAD, Verdict.WEAK

#: What a set of hunks shows, by their numbers from 1: outcomes of its trials, or a failed build.
Shows = Callable[[frozenset[int]], Sequence[Outcome] | NoBuild]

NO_BUILD = NoBuild(stage=Stage.BUILD, reason="undefined: x")


@dataclass
class FakeLab:
    """Reads from a variant's patch which hunks it has: hunk N adds a line ``new N``."""

    shows: Shows
    patches: dict[str, Patch] = field(default_factory=dict)
    built: list[frozenset[int]] = field(default_factory=list)
    trials: int = 0

    def add_patch(self, patch: Patch) -> None:
        self.patches[patch.digest] = patch

    def _hunks(self, variant: Variant) -> frozenset[int]:
        texts = [d.text for ref in variant.patches for d in self.patches[ref.digest].diffs]
        lines = [line for text in texts for line in text.splitlines()]
        return frozenset(int(line.split()[1]) for line in lines if line.startswith("+new"))

    def build(self, variant: Variant) -> Build | NoBuild:
        some = self._hunks(variant)
        self.built.append(some)
        shown = self.shows(some)
        if isinstance(shown, NoBuild):
            return shown
        return Build(
            key=variant.label, go="1.25.5", source="git", directory="/b", seconds=1.0,
            buildkitd_sha256=variant.label, buildctl_sha256="c",
        )  # fmt: skip

    def cell(
        self, variant: Variant, scenario: Scenario, axes: Axes, trials: int, *, after: int = 0
    ) -> Cell:
        build, known = self.build(variant), self.shows(self._hunks(variant))
        self.trials += trials
        assert not isinstance(known, NoBuild)
        seen = tuple(known[min(n, len(known) - 1)] for n in range(after, after + trials))
        combined, counts = outcome.combine(seen)
        trial = Trial(observation=Observation(steps=(), seconds=1.0), origin=Origin.NOW)
        return Cell(
            variant=variant, scenario=scenario, axes=axes, build=build, outcome=combined,
            counts=counts, judged=seen, trials=(trial,) * trials,
        )  # fmt: skip


@dataclass
class Hearing:
    said: list[str] | None

    def emit(self, event: Event, /) -> None:
        if self.said is not None and isinstance(event, Said):
            self.said.append(event.text)


def a_change(count: int) -> Change:
    before = "".join(f"old {n}\nsame\n" for n in range(1, count + 1))
    file = FileChange(path="a.go", before=before, after=before.replace("old", "new"))
    headers = "".join(f"@@ -{2 * n + 1} +{2 * n + 1} @@\n" for n in range(count))
    test = Hunk(path="a_test.go", at=0, removed=(), added=("x\n",), creates=True)
    return Change(files=(file,), hunks=hunks(file, headers), left_out=(test,))


def run(
    shows: Shows,
    folder: Path,
    *,
    count: int = 4,
    to: Verdict = Verdict.GOOD,
    old: Callable[[Outcome], bool] | None = None,
    new: Callable[[Outcome], bool] | None = None,
    said: list[str] | None = None,
    refused: int = 0,
) -> tuple[MinimizeInfo, FakeLab]:
    lab = FakeLab(shows)
    change = a_change(count)
    question = Question(
        of="my-fix",
        change=replace(change, refused=a_change(refused).hunks),
        without=BASE,
        whole=None,
        places=(Place(scenario=SCENARIO, axes=(), to=to),),
        trials=3,
        old=old,
        new=new,
    )
    work = Work(lab=cast(Lab, lab), events=Hearing(said), folder=folder)
    return Minimization(work, question).info(), lab


def needing(*needed: int) -> Shows:
    return lambda some: [FINE] if set(needed) <= some else [BROKEN]


def roles(info: MinimizeInfo) -> list[str]:
    return [hunk.role for hunk in info.hunks]


def test_the_hunk_that_is_needed(tmp_path: Path) -> None:
    info, _ = run(needing(3), tmp_path)
    assert (info.status, info.reason) == ("minimal", "")
    assert roles(info) == ["not-needed", "not-needed", "outcome", "not-needed", "test"]
    assert info.hunks[2].without == "broken 5 of 5"
    assert (info.before, info.after) == ("broken 5 of 5", "fine 3 of 3")
    assert info.needed == "fine 5 of 5"  # confirmed by two more trials of both sides
    assert [t.hunks for t in info.tried][:3] == [(1, 2, 3, 4), (1, 2), (3, 4)]


def test_why_each_is_needed(tmp_path: Path) -> None:
    def shows(some: frozenset[int]) -> Sequence[Outcome] | NoBuild:
        if (1 in some) != (2 in some):
            return NO_BUILD
        if 3 not in some or 1 not in some:
            return [BROKEN]
        return [FINE] if 4 in some else [ODD]

    info, _ = run(shows, tmp_path)
    assert info.status == "minimal"
    assert roles(info) == ["build", "build", "outcome", "other", "test"]
    assert [h.without for h in info.hunks[:4]] == [
        "build: undefined: x", "build: undefined: x", "broken 3 of 3", "unclassified 3 of 3",
    ]  # fmt: skip


def test_what_cannot_be_tested_drops_nothing(tmp_path: Path) -> None:
    def shows(some: frozenset[int]) -> Sequence[Outcome] | NoBuild:
        return [BROKEN] if not some else [FINE] if len(some) == 4 else NO_BUILD

    info, lab = run(shows, tmp_path)
    assert roles(info)[:4] == ["build"] * 4
    assert lab.trials == 10  # of all and of none


def test_a_flaky_set_counts_as_without(tmp_path: Path) -> None:
    # Hunk 1 alone is good in two of three trials.
    def shows(some: frozenset[int]) -> Sequence[Outcome]:
        if {1, 2} <= some:
            return [FINE]
        return [FINE, FINE, BROKEN] if 1 in some else [BROKEN]

    info, _ = run(shows, tmp_path, count=2)
    assert roles(info)[:2] == ["outcome", "outcome"]
    assert info.hunks[1].without == "fine 2 of 3, broken 1 of 3"


def test_what_turns_out_flaky_is_not_confirmed(tmp_path: Path) -> None:
    def shows(some: frozenset[int]) -> Sequence[Outcome]:
        if some == {1}:
            return [FINE, FINE, FINE, BROKEN]
        return [FINE] if 1 in some else [BROKEN]

    info, _ = run(shows, tmp_path, count=2)
    assert (info.status, info.reason) == (
        "unconfirmed", "not confirmed: run again, hunk 1 shows fine 3 of 5, broken 2 of 5",
    )  # fmt: skip
    assert roles(info)[:2] == ["kept", "kept"]


def test_it_runs_until_chance_is_excluded(tmp_path: Path) -> None:
    # Without the change it fails in one of three trials.
    def shows(some: frozenset[int]) -> Sequence[Outcome]:
        return [FINE] if 2 in some else [BROKEN, FINE, FINE, BROKEN, FINE, BROKEN, FINE, BROKEN]

    info, _ = run(shows, tmp_path, count=2)
    assert info.status == "minimal"
    assert info.hunks[1].role == "outcome"
    assert info.after == "fine 9 of 9"


@pytest.mark.parametrize(
    ("shows", "reason"),
    [
        (lambda _: [BROKEN], "my-fix does not change the outcome: broken 3 of 3"),
        (lambda s: NO_BUILD if s else [BROKEN],
         "my-fix does not change the outcome: build: undefined: x"),
        (lambda _: [FINE], "my-fix does not change the outcome: fine 3 of 3"),
    ],
)  # fmt: skip
def test_without_a_change_there_is_nothing(shows: Shows, reason: str, tmp_path: Path) -> None:
    info, _ = run(shows, tmp_path)
    assert (info.status, info.reason) == ("nothing", reason)


def test_one_hunk_is_minimal_already(tmp_path: Path) -> None:
    info, lab = run(needing(1), tmp_path, count=1)
    assert (info.status, roles(info)) == ("minimal", ["outcome", "test"])
    assert set(lab.built) == {frozenset(), frozenset({1})}


def test_no_hunk_in_a_program(tmp_path: Path) -> None:
    info, lab = run(needing(), tmp_path, count=0)
    assert (info.status, info.reason) == ("nothing", "no hunk of my-fix is in a program")
    assert lab.built == []


def test_no_hunk_applies(tmp_path: Path) -> None:
    info, lab = run(needing(), tmp_path, count=0, refused=2)
    assert (info.status, info.reason) == ("nothing", "no hunk of my-fix applies")
    assert lab.built == []


def test_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minimize, "MOST", 2)
    info, _ = run(needing(1, 4), tmp_path)
    assert (info.status, info.reason) == (
        "stopped", "stopped after 2 builds: fewer hunks may be enough",
    )  # fmt: skip
    assert roles(info)[:4] == ["kept"] * 4


def test_a_machine_that_fails_is_not_the_hunks_fault(tmp_path: Path) -> None:
    failed = NoBuild(stage=Stage.BUILD, reason="disk full", infra=True)
    with pytest.raises(InfraFailed, match="disk full"):
        run(lambda some: failed if some == {1, 2} else needing(3)(some), tmp_path)


def test_a_trial_that_the_machine_failed_is_no_evidence(tmp_path: Path) -> None:
    failed = ToolOutcome.INFRA.because("disk full")
    info, _ = run(lambda some: [failed, FINE] if 2 in some else [BROKEN], tmp_path, count=2)
    assert (info.status, roles(info)[:2]) == ("minimal", ["not-needed", "outcome"])
    assert info.after == "fine 5 of 5"


def test_a_revert_brings_the_older_outcome_back(tmp_path: Path) -> None:
    # Without hunk 4, it fails in another way: neither side of the search.
    def shows(some: frozenset[int]) -> Sequence[Outcome]:
        if 2 not in some:
            return [BROKEN]
        return [FINE] if 4 in some else [OTHER]

    old, new = (lambda o: o.verdict is Verdict.GOOD), (lambda o: o.name == "broken")
    info, _ = run(shows, tmp_path, old=old, new=new)
    assert roles(info)[:4] == ["not-needed", "outcome", "not-needed", "other"]
    by_verdict, _ = run(shows, tmp_path / "x")
    assert roles(by_verdict)[:4] == ["not-needed", "outcome", "not-needed", "outcome"]


def test_where_neither_side_of_the_search_is_seen_no_hunk_is_needed(tmp_path: Path) -> None:
    old, new = (lambda o: o.verdict is Verdict.GOOD), (lambda o: o.name == "broken")
    for odd in ([ODD], [OTHER]):

        def shows(some: frozenset[int], odd: Sequence[Outcome] = odd) -> Sequence[Outcome]:
            return [FINE] if some else odd

        info, _ = run(shows, tmp_path, old=old, new=new)
        assert (info.status, info.tried) == ("nothing", ())


def test_the_revert_of_a_fix_breaks(tmp_path: Path) -> None:
    def shows(some: frozenset[int]) -> Sequence[Outcome]:
        return [BROKEN] if {1, 2} <= some else [FINE]

    old, new = (lambda o: o.verdict is Verdict.BAD), (lambda o: o.verdict is Verdict.GOOD)
    info, _ = run(shows, tmp_path, to=Verdict.BAD, old=old, new=new)
    assert roles(info)[:4] == ["outcome", "outcome", "not-needed", "not-needed"]
    assert (info.before, info.needed) == ("fine 5 of 5", "broken 5 of 5")


def in_turn(*numbers: int, of: int = 40) -> list[Outcome]:
    """Return trials of which those with these numbers, repeated every ten, are bad."""
    return [BROKEN if n % 10 in numbers else FINE for n in range(of)]


def test_good_trials_of_a_revert_that_breaks_at_times_show_no_need(tmp_path: Path) -> None:
    # Reverting hunk 1 alone breaks as often as all, but not in its first trials.
    def shows(some: frozenset[int]) -> Sequence[Outcome]:
        if 1 not in some:
            return [FINE]
        return in_turn(3, 4, 6, 8, 9) if some == {1} else in_turn(0, 2, 3, 5, 7, 8)

    old, new = (lambda o: o.verdict is Verdict.BAD), (lambda o: o.verdict is Verdict.GOOD)
    info, _ = run(shows, tmp_path, count=2, to=Verdict.BAD, old=old, new=new)
    assert info.status == "minimal"
    assert roles(info)[:2] == ["outcome", "not-needed"]


def test_a_difference_that_may_be_chance_is_called_that(tmp_path: Path) -> None:
    info, _ = run(lambda some: [FINE] if some else in_turn(0), tmp_path, count=2)
    assert (info.status, info.reason) == (
        "nothing",
        "this may be chance: broken 2 of 12, fine 10 of 12 without my-fix, fine 12 of 12 with it",
    )


def test_the_same_answers_lead_to_the_same_sets(tmp_path: Path) -> None:
    one, two = (run(needing(1, 3), tmp_path / name, count=8)[0] for name in ("a", "b"))
    assert one == two


def test_the_patch_of_the_needed_hunks_is_kept_and_said(tmp_path: Path) -> None:
    said: list[str] = []
    run(needing(2), tmp_path, said=said)
    assert said[0] == "all hunks of 4: changed (fine 3 of 3)"
    assert said[1] == "hunks 1 and 2 of 4: changed (fine 3 of 3)"
    assert said[-1] == f"hunk 2 of 4 alone, as a patch: {tmp_path}/hunks/aaaaaaaaaaaa/hunks-2"
    made = patches.load(str(tmp_path / "hunks" / "aaaaaaaaaaaa" / "hunks-2"))
    assert made.meta.title == "hunk 2 of 4 of my-fix"
    assert "+new 2" in made.diffs[0].text
    assert "+new 1" not in made.diffs[0].text


def test_cells_that_the_whole_fixes_come_before_those_that_it_breaks(tmp_path: Path) -> None:
    fixed, broken, same = (replace(SCENARIO, name=name) for name in ("fixed", "broken", "same"))
    ways: Mapping[str, tuple[Outcome, Outcome]] = {
        "fixed": (BROKEN, FINE), "broken": (FINE, BROKEN), "same": (FINE, FINE),
    }  # fmt: skip

    class Several(FakeLab):
        def cell(
            self, variant: Variant, scenario: Scenario, axes: Axes, trials: int, *, after: int = 0
        ) -> Cell:
            self.shows = lambda some: [ways[scenario.name][bool(some)]]
            return super().cell(variant, scenario, axes, trials, after=after)

    question = Question(
        of="my-fix", change=a_change(2), without=BASE, whole=None, places=(), trials=3
    )
    work = Work(lab=cast(Lab, Several(needing())), events=Silent(), folder=tmp_path)
    for cells, expected in (((broken, fixed, same), fixed), ((same, broken), broken)):
        found = minimize.places_of(work, question, [(each, ()) for each in cells])
        assert [place.scenario for place in found.places] == [expected]


def test_sides_of_trials() -> None:
    assert judged([BAD] * 3, [GOOD] * 3, GOOD) is Seen.CHANGED
    assert judged([BAD] * 3, [GOOD, GOOD, BAD], GOOD) is Seen.UNCHANGED
    assert judged([BAD] * 2, [GOOD] * 2, GOOD) is None
    assert judged([BAD] * 3, [GOOD, WEAK, GOOD], GOOD) is Seen.UNTESTABLE
    assert judged([BAD] * 3, [], GOOD) is Seen.UNTESTABLE
    assert judged([GOOD] * 3, [GOOD] * 3, GOOD) is Seen.UNTESTABLE
    assert judged([GOOD] * 3, [BAD] * 3, BAD) is Seen.CHANGED
    assert sides(old=True, new=False, to=GOOD) is GOOD
    assert sides(old=False, new=True, to=GOOD) is BAD
    assert sides(old=True, new=False, to=BAD) is BAD
    assert sides(old=False, new=True, to=BAD) is GOOD
    assert sides(old=False, new=False, to=BAD) is sides(old=False, new=False, to=GOOD) is WEAK
    assert [numbered((0,)), numbered((0, 2, 3))] == ["hunk 1", "hunks 1, 3 and 4"]
