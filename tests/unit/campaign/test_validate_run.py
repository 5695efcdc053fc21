"""How a validation runs its cells: the gate, pairs in turns, and parts of a series."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn, cast

import pytest

import labs
from buildkit_bisect.builds import Builder
from buildkit_bisect.campaign import validate_run
from buildkit_bisect.campaign.compose import Findings
from buildkit_bisect.campaign.driver import Work
from buildkit_bisect.campaign.setup import Setup
from buildkit_bisect.campaign.validate_run import Candidate, ValidationRun
from buildkit_bisect.errors import BadInput, BisectError, InfraFailed, Missing
from buildkit_bisect.events import Silent
from buildkit_bisect.lab import runner
from buildkit_bisect.lab.ahead import AtOnce, Wanted
from buildkit_bisect.lab.cell import Cell, Origin, Trial
from buildkit_bisect.lab.journal import Journal
from buildkit_bisect.lab.lab import Lab
from buildkit_bisect.lab.trial import TrialJob
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
from buildkit_bisect.options.choices import Checks
from buildkit_bisect.options.requests import Validate
from buildkit_bisect.patch.hunk_files import Change
from buildkit_bisect.patch.hunks import FileChange, hunks
from buildkit_bisect.patch.patches import Metadata, Patch
from buildkit_bisect.result import ValidationInfo
from buildkit_bisect.scenario import Action, Axis, Scenario, Step, outcome
from buildkit_bisect.source import GitSource, ModuleSource, Source

EAGER: Axes = (("at", "eager"),)
LAZY: Axes = (("at", "lazy"),)
SCENARIO = Scenario(
    name="s",
    title="t",
    issue="https://example.org/1",
    steps=(Step(id="go", action=Action.PRUNE),),
    outcomes=(),
    axes={"at": Axis(values=("lazy", "eager"), controls=("eager",))},
)
BASE = Variant(revision=Revision(ref="master", sha="a" * 40))
ONE, TWO = (
    Patch(name=name, folder="", meta=Metadata(title=name), diffs=()) for name in ("one", "two")
)
FINE = Outcome(name="fine", verdict=Verdict.GOOD, reason="it works")
BROKEN = Outcome(name="broken", verdict=Verdict.BAD, reason="it does not")
GONE = ToolOutcome.INFRA.because("the registry is gone")


@dataclass
class FakeLab:
    """Gives the trials of each row in the lazy cell; a row repeats its last one. Eager is good."""

    shows: Mapping[str, Sequence[Outcome]]
    equal: bool = False  # whether all binaries are
    unbuilt: Collection[str] = ()  # rows
    infra: bool = False  # whether they are not built because of this machine
    added: list[str] = field(default_factory=list)  # names of patches
    ran: list[tuple[str, str, int, int]] = field(default_factory=list)  # row, at, after, trials
    counted: list[Mapping[str, int] | None] = field(default_factory=list)  # as *of*
    at_once: int = 1
    asked: list[list[tuple[str, str, int]]] = field(default_factory=list)  # row, at, trials
    workers: Mapping[str, str] = field(default_factory=dict)  # who runs the trials of a row

    @property
    def crew(self) -> AtOnce:
        return AtOnce(cells=self.at_once)

    def ahead(self, wanted: Sequence[Wanted]) -> Sequence[Wanted]:
        """Those of several workers end in another order than they began."""
        self.asked.append([(w.variant.label, dict(w.axes)["at"], w.trials) for w in wanted])
        return wanted if self.at_once == 1 else sorted(wanted, key=lambda w: w.variant.label)

    def build(self, variant: Variant) -> Build | NoBuild:
        if variant.label in self.unbuilt:
            return NoBuild(stage=Stage.BUILD, reason="undefined: foo", infra=self.infra)
        sha = "same" if self.equal else variant.label
        return Build(
            key=variant.label, go="1.25.5", source="git", directory="/b", seconds=1.0,
            buildkitd_sha256=sha, buildctl_sha256="c",
        )  # fmt: skip

    def add_patch(self, patch: Patch) -> None:
        self.added.append(patch.name)

    def together(
        self, variants: Sequence[Variant], scenario: Scenario, axes: Axes
    ) -> Mapping[str, int]:
        return {"an earlier campaign": 3}

    def cell(
        self,
        variant: Variant,
        scenario: Scenario,
        axes: Axes,
        trials: int,
        *,
        after: int = 0,
        of: Mapping[str, int] | None = None,
    ) -> Cell:
        row, at = variant.label, dict(axes)["at"]
        self.ran.append((row, at, after, trials))
        self.counted.append(of)
        build = self.build(variant)
        kind = ToolOutcome.INFRA if self.infra else ToolOutcome.NO_BUILD
        because = kind.because("build: undefined: foo")
        empty = Cell(variant=variant, scenario=scenario, axes=axes, build=build, outcome=because)
        if isinstance(build, NoBuild):
            return empty
        known = self.shows[row] if at == "lazy" else [FINE]
        judged = tuple(known[min(n, len(known) - 1)] for n in range(after, after + trials))
        combined, counts = outcome.combine(judged)
        facts = {"worker": self.workers[row]} if row in self.workers else {}
        seen = Observation(steps=(), seconds=1.0, facts=facts)
        trial = Trial(observation=seen, origin=Origin.NOW)
        return replace(
            empty, outcome=combined, counts=counts, judged=judged, trials=(trial,) * trials
        )

    def trials(self, at: str = "lazy") -> Counter[str]:
        """Return how many trials of each row were asked for."""
        asked: Counter[str] = Counter()
        for row, where, _, trials in self.ran:
            asked[row] += trials if where == at else 0
        return asked


def validate(
    lab: FakeLab | Lab,
    folder: Path,
    *patches: Patch,
    checks: Checks = Checks.NONE,
    trials: int = 3,
    source: Source | None = None,
    scenario: Scenario = SCENARIO,
) -> ValidationInfo:
    found = findings(
        lab, folder, *patches, checks=checks, trials=trials, source=source, scenario=scenario
    ).validation
    assert found is not None
    return found


def findings(
    lab: FakeLab | Lab,
    folder: Path,
    *patches: Patch,
    checks: Checks = Checks.NONE,
    trials: int = 3,
    source: Source | None = None,
    scenario: Scenario = SCENARIO,
    change: Change | None = None,
    kept: tuple[str, ...] = (),
) -> Findings:
    setup = Setup(
        source=source or cast(GitSource, SimpleNamespace()),
        builder=cast(Builder, SimpleNamespace()),
        events=Silent(),
        request=Validate(out=folder),
        scenarios=(scenario,),
    )
    names = [p.name for p in patches]
    candidate = Candidate(
        setup=setup,
        source=setup.source,
        patches=patches,
        base=BASE,
        tested=tuple(setup.tested_cells()),
        subsets=() if len(names) == 1 else tuple((name,) for name in names),
        trials=trials,
        checks=checks,
        culprit="",
        change=change,
        kept=kept,
    )
    work = Work(lab=cast(Lab, lab), events=Silent(), folder=folder)
    return ValidationRun(candidate, work).findings()


@pytest.fixture(autouse=True)
def _no_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else is known of the patches: no release branch, so nowhere to apply."""
    nowhere = SimpleNamespace(lines=lambda _: (), table=lambda *_: ())
    monkeypatch.setattr(validate_run, "backports", nowhere)


def test_the_gate_refuses_a_base_without_the_failure(tmp_path: Path) -> None:
    lab = FakeLab({"master": [FINE]})
    info = validate(lab, tmp_path, ONE)
    assert info.status == "refused"
    assert info.reason == (
        "no tested cell is bad on master without the patches (s at lazy fine 3 of 3)"
    )
    assert "--base" in info.hint
    # Nothing was run with the patch.
    assert lab.ran == [("master", "lazy", 0, 1), ("master", "lazy", 0, 3)]


def test_the_gate_says_why_it_does_not_know(tmp_path: Path) -> None:
    info = validate(FakeLab({"master": [GONE]}), tmp_path, ONE)
    assert info.status == "refused"
    assert info.reason.endswith("): the registry is gone")


def test_the_gate_goes_on_after_one_bad_trial(tmp_path: Path) -> None:
    lab = FakeLab({"master": [BROKEN], "master + one": [FINE]})
    assert validate(lab, tmp_path, ONE).status == "fixes"
    assert lab.ran[0] == ("master", "lazy", 0, 1)
    assert lab.ran[1][:2] == ("master", "eager")


def test_a_pair_alternates_its_sides_after_the_control(tmp_path: Path) -> None:
    lab = FakeLab({"master": [BROKEN], "master + one": [FINE]})
    info = validate(lab, tmp_path, ONE)
    assert lab.ran[1:] == [
        (row, at, after, 1)
        for at in ("eager", "lazy")
        for after in range(3)
        for row in ("master", "master + one")
    ]
    # Both sides are from the same earlier campaign, or from this one.
    assert lab.counted == [None, *[{"an earlier campaign": 3}] * 12]
    assert info.trials == 12
    assert [(c.control, c.change) for c in info.cells] == [(True, "still-good"), (False, "fixed")]


def test_a_pair_goes_on_while_the_difference_may_be_chance(tmp_path: Path) -> None:
    """Every other trial without the patch fails: p exceeds 0.05 until the seventh."""
    lab = FakeLab({"master": [BROKEN, FINE] * 6, "master + one": [FINE]})
    info = validate(lab, tmp_path, ONE)
    assert info.status == "fixes"
    assert lab.trials() == {"master": 7 + 1, "master + one": 7}  # and one of the gate
    assert lab.trials("eager") == {"master": 3, "master + one": 3}
    assert info.cells[1].before == "broken 4 of 7, fine 3 of 7"


def test_several_workers_are_asked_for_all_cells_at_once(tmp_path: Path) -> None:
    both = "master + one + two"
    lab = FakeLab(
        {"master": [BROKEN, FINE] * 6, both: [FINE], "master + one": [FINE],
         "master + two": [BROKEN]},
        at_once=8,
    )  # fmt: skip
    info = validate(lab, tmp_path, ONE, TWO, checks=Checks.CELLS)
    gate, builds, usual, *further, parts = lab.asked
    assert gate == [("master", "lazy", 1)]
    assert builds == [(row, "lazy", 0) for row in (both, "master + one", "master + two")]
    pair = [("master", 1), (both, 1)]
    assert usual == [(row, at, n) for at in ("eager", "lazy") for _ in range(3) for row, n in pair]
    assert further == [[(row, "lazy", n) for row, n in pair]] * 4, "until it is not chance"
    assert parts == [("master + one", "lazy", 7), ("master + two", "lazy", 7)]
    # What is found is the same as of one worker.
    lab.at_once = 1
    assert info == validate(lab, tmp_path, ONE, TWO, checks=Checks.CELLS)


def test_sides_that_ran_on_different_machines_are_noted(tmp_path: Path) -> None:
    shows = {"master": [BROKEN], "master + one": [FINE]}
    apart = FakeLab(shows, workers={"master": "a", "master + one": "b"}, at_once=2)
    (note,) = validate(apart, tmp_path, ONE).notes
    assert note.startswith(
        "no worker ran trials both without and with the patches in 2 of 2 cells, so a difference"
        " may be one between machines; with a store that the workers push to (--store-push)"
    )
    for same in ({"master": "a", "master + one": "a"}, {"master": "a"}, {}):
        assert validate(FakeLab(shows, workers=same), tmp_path, ONE).notes == ()


class EachItsOwn:
    """A builder with another build for each row."""

    def cached(self, variant: Variant) -> Build | NoBuild:
        return FakeLab({}).build(variant)


@pytest.mark.parametrize(
    "earlier",
    [
        pytest.param({"bisect": (3, 1)}, id="of a search with more without the patch"),
        pytest.param({"bisect": (1, 3)}, id="of a search with more with the patch"),
        pytest.param({"bisect": (3, 0)}, id="of a search without the patch"),
        pytest.param({"one": (2, 1), "two": (1, 1)}, id="of interrupted validations"),
    ],
)
def test_an_equal_validation_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: Mapping[str, tuple[int, int]]
) -> None:
    ran: list[str] = []

    def trial(job: TrialJob) -> Observation:
        ran.append(job.of.label)
        return labs.seen(int(job.axes == LAZY and not job.of.patches))

    monkeypatch.setattr(runner, "run_trial", trial)
    scenario, patched = labs.SCENARIO, replace(BASE, patches=(ONE.ref,))

    def lab(journal: Journal, campaign: str) -> Lab:
        return labs.lab(journal, EachItsOwn(), campaign=campaign)

    with closing(Journal()) as journal:
        for campaign, counts in earlier.items():
            here = lab(journal, campaign)
            for variant, trials in zip((BASE, patched), counts, strict=True):
                if trials:
                    here.cell(variant, scenario, LAZY, trials, of={})
        first = validate(lab(journal, "validate-1"), tmp_path / "1", ONE, scenario=scenario)
        ran.clear()
        again = validate(lab(journal, "validate-2"), tmp_path / "2", ONE, scenario=scenario)
    assert ran == []
    assert (first.status, again.status) == ("fixes", "fixes")
    assert (again.trials, again.reused) == (12, 12)
    assert [(c.before, c.after) for c in again.cells] == [(c.before, c.after) for c in first.cells]


def test_a_pair_ends_at_four_times_the_usual_trials(tmp_path: Path) -> None:
    lab = FakeLab({"master": [BROKEN, FINE], "master + one": [FINE]})
    info = validate(lab, tmp_path, ONE)
    assert lab.trials() == {"master": 12 + 1, "master + one": 12}
    assert info.status == "inconclusive"
    assert "too few trials to decide" in info.reason


def test_a_side_without_a_build_is_asked_for_once(tmp_path: Path) -> None:
    lab = FakeLab({"master": [BROKEN]}, unbuilt=["master + one"])
    info = validate(lab, tmp_path, ONE)
    assert [ran for ran in lab.ran if ran[0] == "master + one"] == [
        ("master + one", "eager", 0, 1),
        ("master + one", "lazy", 0, 1),
    ]
    assert info.status == "inconclusive"


def test_a_part_that_fixes_as_much_is_noted(tmp_path: Path) -> None:
    lab = FakeLab({
        "master": [BROKEN],
        "master + one + two": [FINE],
        "master + one": [BROKEN],
        "master + two": [FINE],
    })  # fmt: skip
    info = validate(lab, tmp_path, ONE, TWO, checks=Checks.CELLS)
    assert [(s.patches, s.fixed, s.of) for s in info.subsets] == [
        (("one",), 0, 1),
        (("two",), 1, 1),
    ]
    assert info.needed == ("two",)
    assert info.notes == ("two alone fixes as many cells as the whole series",)
    # Parts run only where the base is bad, as often as it.
    assert [ran for ran in lab.ran if ran[0] == "master + two"] == [("master + two", "lazy", 0, 3)]


def test_a_part_that_does_not_build_says_so(tmp_path: Path) -> None:
    lab = FakeLab(
        {"master": [BROKEN], "master + one + two": [FINE], "master + one": [BROKEN]},
        unbuilt=["master + two"],
    )
    one, two = validate(lab, tmp_path, ONE, TWO, checks=Checks.CELLS).subsets
    assert (one.unbuilt, one.untested, one.reason) == (False, 0, "")
    assert (two.unbuilt, two.untested, two.fixed) == (True, 1, 0)
    assert "undefined: foo" in two.reason


def test_a_part_that_this_machine_cannot_build_is_only_untested(tmp_path: Path) -> None:
    lab = FakeLab(
        {"master": [BROKEN], "master + one + two": [FINE], "master + one": [BROKEN]},
        unbuilt=["master + two"],
        infra=True,
    )
    info = validate(lab, tmp_path, ONE, TWO, checks=Checks.CELLS)
    assert (info.subsets[1].unbuilt, info.subsets[1].untested) == (False, 1)
    assert "one" not in info.needed


def test_parts_are_not_tried_without_checks(tmp_path: Path) -> None:
    lab = FakeLab({"master": [BROKEN], "master + one + two": [FINE]})
    assert validate(lab, tmp_path, ONE, TWO).subsets == ()


@pytest.mark.parametrize("equal", [True, False])
def test_equal_binaries_are_noted(tmp_path: Path, equal: bool) -> None:
    lab = FakeLab({"master": [BROKEN], "master + one": [BROKEN]}, equal=equal)
    info = validate(lab, tmp_path, ONE)
    noted = "the binaries with and without the patches are identical"
    assert info.notes == ((noted,) if equal else ())
    assert info.status == "no"


def test_a_culprit_is_not_reverted_without_a_history(tmp_path: Path) -> None:
    lab = FakeLab({"master": [BROKEN], "master + one": [FINE]})
    blaming = replace(ONE, meta=Metadata(title="one", introduced_by="051818cf383e" + "0" * 28))
    note = "051818cf383e, which the patches fix, is not reverted for comparison: a module has no"
    for patch, notes in ((ONE, ()), (blaming, (f"{note} commits to revert",))):
        info = validate(lab, tmp_path, patch, checks=Checks.CELLS, source=ModuleSource())
        assert (info.status, info.culprit, info.reverted) == ("fixes", "", "")
        assert info.notes == notes


@pytest.mark.parametrize("kind", [BadInput, InfraFailed, Missing])
@pytest.mark.parametrize("of", ["lines", "table"])
def test_a_finished_validation_is_kept_if_where_it_applies_cannot_be_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[BisectError], of: str
) -> None:
    def fail(*_: object) -> NoReturn:
        raise kind("cannot list it: connection refused")

    looked_up = {"lines": lambda _: (), "table": lambda *_: (), of: fail}
    monkeypatch.setattr(validate_run, "backports", SimpleNamespace(**looked_up))
    lab = FakeLab({"master": [BROKEN], "master + one": [FINE]})
    info = validate(lab, tmp_path, ONE, checks=Checks.CELLS, source=ModuleSource())
    assert (info.status, info.backports) == ("fixes", ())
    (note,) = info.notes
    assert note == (
        "where the patches apply could not be checked: cannot list it: connection refused"
    )


def two_hunks() -> Change:
    file = FileChange(path="a.go", before="a\nb\nc\n", after="x\nb\ny\n")
    return Change(files=(file,), hunks=hunks(file, "@@ -1 +1 @@\n@@ -3 +3 @@\n"))


def test_the_hunks_of_a_patch_that_are_needed(tmp_path: Path) -> None:
    lab = FakeLab({
        "master": [BROKEN], "master + one": [FINE],
        "master + hunks-1": [BROKEN], "master + hunks-2": [FINE],
    })  # fmt: skip
    found = findings(lab, tmp_path, ONE, change=two_hunks()).minimized
    assert found
    assert (found.status, found.of, found.on) == ("minimal", "one", "master")
    assert [h.role for h in found.hunks] == ["not-needed", "outcome"]
    assert found.cells == ("s at lazy",)
    assert lab.added == ["hunks-1", "hunks-2"]  # all of them are the patch, which is built
    assert findings(lab, tmp_path / "x", ONE).minimized is None


def test_patches_that_are_kept_are_on_both_sides(tmp_path: Path) -> None:
    lab = FakeLab({
        "master": [BROKEN], "master + one": [BROKEN], "master + two": [BROKEN],
        "master + one + two": [FINE],
        "master + two + hunks-1": [BROKEN], "master + two + hunks-2": [FINE],
    })  # fmt: skip
    found = findings(lab, tmp_path, ONE, TWO, change=two_hunks(), kept=("two",)).minimized
    assert found
    assert (found.status, found.of, found.on) == ("minimal", "one", "master + two")
    assert [h.role for h in found.hunks] == ["not-needed", "outcome"]


def test_without_a_change_nothing_is_minimized(tmp_path: Path) -> None:
    lab = FakeLab({"master": [BROKEN], "master + one": [BROKEN]})
    found = findings(lab, tmp_path, ONE, change=two_hunks()).minimized
    assert found
    assert (found.status, found.reason) == (
        "nothing", "nothing to minimize: one changes the verdict of no cell",
    )  # fmt: skip
    assert lab.added == []


def test_a_base_that_is_good_has_nothing_to_minimize(tmp_path: Path) -> None:
    lab = FakeLab({"master": [FINE], "master + one": [FINE]})
    found = findings(lab, tmp_path, ONE, change=two_hunks()).minimized
    assert found
    assert found.status == "nothing"
    assert found.reason.startswith("nothing to minimize: no tested cell is bad on master")
