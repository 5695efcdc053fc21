"""The work of a validation: cells before and after, subsets, the revert, upstream's own checks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from buildkit_bisect import gochecks
from buildkit_bisect.campaign import compose, matrix, search_steps, verify
from buildkit_bisect.campaign import validate_judge as judge
from buildkit_bisect.campaign.compose import Findings
from buildkit_bisect.campaign.driver import Work
from buildkit_bisect.campaign.setup import Setup
from buildkit_bisect.events import Said
from buildkit_bisect.lab.cell import Cell, merge
from buildkit_bisect.model import Axes, Build, NoBuild, PatchRef, Variant, Verdict
from buildkit_bisect.options.choices import Checks
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Validate
from buildkit_bisect.patch import backports
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.result import (
    BackportInfo,
    CellChange,
    CellEffect,
    CellInfo,
    SubsetInfo,
    ValidationInfo,
    ValidationStatus,
)
from buildkit_bisect.result.sentence import verdict
from buildkit_bisect.scenario import Action, Scenario
from buildkit_bisect.source import GitSource

#: A cell whose trials disagree gets at most this many times the usual trials.
PATIENCE = 4

#: How many cells a refusal names.
_NAMED = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A patch or a series on a base, and how it is validated."""

    setup: Setup
    source: GitSource
    patches: tuple[Patch, ...]
    base: Variant
    tested: tuple[tuple[Scenario, Axes], ...]  # every cell that is not a control
    subsets: tuple[tuple[str, ...], ...]  # names of the parts of a series that are tried apart
    trials: int  # of each cell, more if they disagree
    checks: Checks
    culprit: str  # commit to revert for comparison; "" if none

    @property
    def patched(self) -> Variant:
        """The base with all patches."""
        return self.with_patches([p.name for p in self.patches])

    def with_patches(self, names: Sequence[str]) -> Variant:
        """Return the base with those patches, in the order of the series."""
        refs = tuple(p.ref for p in self.patches if p.name in names)
        return replace(self.base, patches=refs)


@dataclass(kw_only=True, slots=True)
class _Seen:
    """What the run has seen so far."""

    cells: list[CellInfo] = field(default_factory=list)
    before: dict[tuple[str, Axes], CellInfo] = field(default_factory=dict)
    changes: list[CellChange] = field(default_factory=list)
    trials: int = 0
    reused: int = 0
    resumed: int = 0
    notes: list[str] = field(default_factory=list)
    reverts: list[PatchRef] = field(default_factory=list)


class ValidationRun:
    """One run of a candidate's validation."""

    def __init__(self, candidate: Candidate, work: Work) -> None:
        self._candidate = candidate
        self._lab = work.lab
        self._events = work.events
        self._folder = work.folder
        self._seen = _Seen()

    def findings(self) -> Findings:
        """Build, run and judge everything."""
        candidate = self._candidate
        info = self._info()
        info = replace(info, notes=tuple(self._seen.notes))
        info = replace(info, verdict=verdict(info))
        revisions = [candidate.base.revision]
        if candidate.culprit:
            revisions.append(candidate.source.revision(candidate.culprit))
        return Findings(
            revisions=tuple(revisions),
            patches=(*(p.ref for p in candidate.patches), *self._seen.reverts),
            cells=tuple(self._seen.cells),
            validation=info,
        )

    def _info(self) -> ValidationInfo:
        candidate = self._candidate
        revision = candidate.base.revision
        info = ValidationInfo(
            status=ValidationStatus.INCONCLUSIVE.value,
            verdict="",
            base=revision.ref,
            sha=revision.sha,
            patches=tuple(p.name for p in candidate.patches),
        )
        if refused := self._gate():
            return replace(
                info,
                status=ValidationStatus.REFUSED.value,
                reason=refused,
                hint=f"{words(Validate, base='R')}, {words(Validate, scenario=True)}",
            )
        self._note_equal_binaries()
        for scenario in candidate.setup.scenarios:
            for axes in matrix.ordered(scenario, candidate.setup.cells(scenario)):
                self._pair(scenario, axes)
        info = replace(
            info,
            cells=tuple(self._seen.changes),
            trials=self._seen.trials,
            reused=self._seen.reused,
            resumed=self._seen.resumed,
        )
        if candidate.checks is not Checks.NONE:
            info = self._around(self._explained(info))
        status = judge.status(info.cells, info.checks)
        reason = judge.undecided(info.cells) if status is ValidationStatus.INCONCLUSIVE else ""
        return replace(info, status=str(status), reason=reason)

    def _gate(self) -> str:
        """Return why there is nothing to validate; "" as soon as a cell of the base is bad."""
        base = self._candidate.base
        seen: list[Cell] = []
        for trials in sorted({1, self._candidate.trials}):
            seen = []
            for scenario, axes in self._candidate.tested:
                cell = self._lab.cell(base, scenario, axes, trials)
                if judge.side(compose.cell_info(cell, self._folder)) is Verdict.BAD:
                    return ""
                seen.append(cell)
        self._seen.cells = [self._done(cell) for cell in seen]
        unsure = [c for c in self._seen.cells if judge.side(c) is not Verdict.GOOD]
        shown = [f"{_where(c)} {judge.shown(c)}" for c in unsure or self._seen.cells]
        more = f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else ""
        because = f": {'; '.join(dict.fromkeys(c.reason for c in unsure))}" if unsure else ""
        return (
            f"no tested cell is bad on {base.revision.ref} without the patches"
            f" ({', '.join(shown[:_NAMED])}{more}){because}"
        )

    def _note_equal_binaries(self) -> None:
        made = [self._lab.build(v) for v in (self._candidate.base, self._candidate.patched)]
        sums = {(b.buildkitd_sha256, b.buildctl_sha256) for b in made if isinstance(b, Build)}
        if len(sums) == 1 and not any(isinstance(b, NoBuild) for b in made):
            self._seen.notes.append("the binaries are the same, byte for byte, with the patches")

    def _pair(self, scenario: Scenario, axes: Axes) -> None:
        """Run one cell without and with the patches, one trial of each in turn."""
        sides = (self._candidate.base, self._candidate.patched)
        usual = self._candidate.trials
        of = self._lab.together(sides, scenario, axes)
        parts: tuple[list[Cell], list[Cell]] = ([], [])
        for number in range(usual * PATIENCE):
            if number >= usual and not judge.by_luck(*map(_verdicts, parts)):
                break
            for variant, seen in zip(sides, parts, strict=True):
                if not seen or isinstance(seen[0].build, Build):
                    seen.append(self._lab.cell(variant, scenario, axes, 1, after=number, of=of))
        merged = [merge(seen) for seen in parts]
        for cell in merged:
            self._seen.trials += len(cell.trials)
            self._seen.resumed += sum(t.resumed for t in cell.trials)
            self._seen.reused += sum(t.reused and not t.resumed for t in cell.trials)
        before, after = (self._done(cell) for cell in merged)
        self._seen.cells += [before, after]
        self._seen.before[scenario.name, axes] = before
        self._seen.changes.append(
            judge.classify(before, after, snapshotter=_snapshotter(scenario, axes))
        )

    def _explained(self, info: ValidationInfo) -> ValidationInfo:
        """Add what each part of a series is needed for, and what the culprit's revert shows."""
        tried = [self._try_subset(names) for names in self._candidate.subsets]
        fixed = judge.count(info.cells)[CellEffect.FIXED]
        if few := judge.enough(fixed, tried):
            self._seen.notes.append(f"{' + '.join(few)} alone fixes as much as the whole series")
        return replace(
            info,
            subsets=tuple(tried),
            needed=judge.needed(info.patches, fixed, tried),
            culprit=self._candidate.culprit,
            reverted=self._revert() if self._candidate.culprit else "",
        )

    def _try_subset(self, names: tuple[str, ...]) -> SubsetInfo:
        variant = self._candidate.with_patches(names)
        broken = self._on(variant, Verdict.BAD)
        fine = self._on(variant, Verdict.GOOD)
        untested = [c.reason for c in broken if c.change == CellEffect.UNTESTED]
        return SubsetInfo(
            patches=names,
            fixed=sum(c.change == CellEffect.FIXED for c in broken),
            of=len(broken),
            reason=untested[0] if broken and len(untested) == len(broken) else "",
            regressed=sum(c.change == CellEffect.REGRESSED for c in fine),
            untested=len(untested),
            unbuilt=isinstance(self._lab.build(variant), NoBuild),
        )

    def _on(self, variant: Variant, side: Verdict) -> list[CellChange]:
        """Run *variant* in the tested cells that are *side* without patches."""
        changes = []
        for scenario, axes in self._candidate.tested:
            before = self._seen.before[scenario.name, axes]
            if judge.side(before) is not side:
                continue
            # As many as the base has: if it took those to tell, fewer do not.
            trials = max(self._candidate.trials, len(before.trials))
            after = self._done(self._lab.cell(variant, scenario, axes, trials))
            self._seen.cells.append(after)
            changes.append(judge.classify(before, after))
        return changes

    def _revert(self) -> str:
        """Return what the base shows without the culprit, as a sentence."""
        candidate = self._candidate
        tip = candidate.base.revision
        made = verify.revert(candidate.source, candidate.culprit, tip, self._folder)
        if isinstance(made, str):
            return f"not possible on {tip.ref}: {made}"
        self._lab.add_patch(made)
        self._seen.reverts.append(made.ref)
        changes = self._on(replace(candidate.base, patches=(made.ref,)), Verdict.BAD)
        fixed = sum(c.change == CellEffect.FIXED for c in changes)
        shown = dict.fromkeys(c.after for c in changes)
        return f"{fixed} of {len(changes)} broken cells are fixed by that ({'; '.join(shown)})"

    def _around(self, info: ValidationInfo) -> ValidationInfo:
        """Add what needs no trials: where it applies, upstream's tests, cross builds."""
        candidate = self._candidate

        def say(text: str) -> None:
            self._events.emit(Said(text=text))

        source = candidate.source
        fits = backports.table(source, backports.lines(source), candidate.patches)
        info = replace(info, backports=tuple(map(_backport, fits)))
        if candidate.checks is Checks.CELLS:
            return info
        builder = candidate.setup.builder
        tests = gochecks.check(
            source,
            candidate.base.revision,
            candidate.patches,
            say=say,
            deadlines=builder.deadlines,
        )
        builds = gochecks.cross(builder, candidate.base, candidate.patched, say=say)
        return replace(info, checks=(*tests, *builds))

    def _done(self, cell: Cell) -> CellInfo:
        """Report *cell*, and return it as the document holds it."""
        self._events.emit(search_steps.cell_done(cell))
        return compose.cell_info(cell, self._folder)


def _backport(fit: backports.Fit) -> BackportInfo:
    return BackportInfo(ref=fit.ref, sha=fit.sha, state=str(fit.state), detail=fit.detail)


def _verdicts(parts: Sequence[Cell]) -> list[str]:
    return [str(outcome.verdict) for cell in parts for outcome in cell.judged]


def _where(cell: CellInfo) -> str:
    return " ".join([cell.scenario, *(f"{k} {v}" for k, v in cell.axes.items())])


def _snapshotter(scenario: Scenario, axes: Axes) -> str:
    """Return the snapshotter of a cell's daemon; "" if the steps are a user's script."""
    if any(step.action is Action.SCRIPT for step in scenario.steps):
        return ""
    values = dict(axes)
    named = scenario.daemon.snapshotter
    return re.sub(r"\$\{axis\.([\w-]+)\}", lambda m: values.get(m[1], ""), named)
