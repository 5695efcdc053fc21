"""Runs a validation: cells before and after, subsets, the revert, upstream's own checks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from buildkit_bisect import gochecks
from buildkit_bisect.campaign import compose, matrix, minimize, search_steps, verify
from buildkit_bisect.campaign import validate_judge as judge
from buildkit_bisect.campaign.compose import Findings
from buildkit_bisect.campaign.driver import Work
from buildkit_bisect.campaign.minimize import Minimization, Question
from buildkit_bisect.campaign.setup import Setup
from buildkit_bisect.campaign.validate_pairs import Pair, run
from buildkit_bisect.errors import BadInput, InfraFailed, Missing
from buildkit_bisect.events import sayer
from buildkit_bisect.lab.ahead import Wanted
from buildkit_bisect.lab.cell import Cell, merge
from buildkit_bisect.model import Axes, Build, NoBuild, PatchRef, Variant, Verdict
from buildkit_bisect.options.choices import Checks
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Validate
from buildkit_bisect.patch import backports
from buildkit_bisect.patch.hunk_files import Change
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.phrases import plural
from buildkit_bisect.result import (
    BackportInfo,
    CellChange,
    CellEffect,
    CellInfo,
    MinimizeInfo,
    MinimizeStatus,
    SubsetInfo,
    ValidationInfo,
    ValidationStatus,
)
from buildkit_bisect.result.sentence import verdict
from buildkit_bisect.scenario import Scenario
from buildkit_bisect.source import GitSource, Source

#: Number of cells that a refusal lists.
_NAMED = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A patch or a series on a base, and how it is validated."""

    setup: Setup
    source: Source
    patches: tuple[Patch, ...]
    base: Variant
    tested: tuple[tuple[Scenario, Axes], ...]  # every cell that is not a control
    subsets: tuple[tuple[str, ...], ...]  # names of the parts of a series to try
    trials: int  # of each cell, more if they disagree
    checks: Checks
    culprit: str  # commit to revert for comparison; "" if none, as without git
    change: Change | None = None  # with ``--minimize``: the hunks of the patches that are not kept
    kept: tuple[str, ...] = ()  # names of the patches that stay whole then

    @property
    def git(self) -> GitSource:
        """The source of a candidate with a culprit."""
        assert isinstance(self.source, GitSource)
        return self.source

    @property
    def patched(self) -> Variant:
        """The base with all patches."""
        return self.with_patches([p.name for p in self.patches])

    def with_patches(self, names: Sequence[str]) -> Variant:
        """Return the base with the patches *names*, in the order of the series."""
        refs = tuple(p.ref for p in self.patches if p.name in names)
        return replace(self.base, patches=refs)


@dataclass(kw_only=True, slots=True)
class _Collected:
    """What the run has collected so far."""

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
        self._work = work
        self._lab = work.lab
        self._events = work.events
        self._folder = work.folder
        self._collected = _Collected()

    def findings(self) -> Findings:
        """Build and run everything, and return the findings."""
        candidate = self._candidate
        info = self._info()
        info = replace(info, notes=tuple(self._collected.notes))
        info = replace(info, verdict=verdict(info))
        revisions = [candidate.base.revision]
        if candidate.culprit:
            revisions.append(candidate.git.revision(candidate.culprit))
        minimized = self._minimized(candidate.change, info) if candidate.change else None
        return Findings(
            revisions=tuple(revisions),
            patches=(*(p.ref for p in candidate.patches), *self._collected.reverts),
            cells=tuple(self._collected.cells),
            validation=info,
            minimized=minimized,
        )

    def _minimized(self, change: Change, info: ValidationInfo) -> MinimizeInfo:
        """Return which hunks of the patches that are not kept are needed for what they change."""
        candidate = self._candidate
        of = " + ".join(p.name for p in candidate.patches if p.name not in candidate.kept)
        question = Question(
            of=of,
            change=change,
            without=candidate.with_patches(candidate.kept),
            whole=candidate.patched,
            places=(),
            trials=max(candidate.trials, minimize.TRIALS),
        )
        because = ""
        if info.status == ValidationStatus.REFUSED:
            because = info.reason
        else:
            question = minimize.places_of(self._work, question, candidate.tested)
            if not question.places:
                because = f"{of} changes the verdict of no cell"
        if because:
            return MinimizeInfo(
                status=MinimizeStatus.NOTHING.value,
                of=of,
                on=question.without.label,
                reason=f"nothing to minimize: {because}",
            )
        return Minimization(self._work, question).info()

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
        self._build()
        self._note_equal_binaries()
        self._pairs()
        self._collected.notes += judge.on_other_workers(self._collected.cells)
        info = replace(
            info,
            cells=tuple(self._collected.changes),
            trials=self._collected.trials,
            reused=self._collected.reused,
            resumed=self._collected.resumed,
        )
        if candidate.checks is not Checks.NONE:
            info = self._add_checks(self._add_explanation(info))
        status = judge.status(info.cells, info.checks)
        reason = judge.why_undecided(info.cells) if status is ValidationStatus.INCONCLUSIVE else ""
        return replace(info, status=str(status), reason=reason)

    def _gate(self) -> str:
        """Return why there is nothing to validate; "" if a cell of the base is bad."""
        base = self._candidate.base
        cells: list[Cell] = []
        for trials in sorted({1, self._candidate.trials}):
            cells = []
            self._make((base, cell, trials) for cell in self._candidate.tested)
            for scenario, axes in self._candidate.tested:
                cell = self._lab.cell(base, scenario, axes, trials)
                if judge.side(compose.cell_info(cell, self._folder)) is Verdict.BAD:
                    return ""
                cells.append(cell)
        self._collected.cells = [self._report(cell) for cell in cells]
        unsure = [c for c in self._collected.cells if judge.side(c) is not Verdict.GOOD]
        shown = [f"{_where(c)} {judge.shown(c)}" for c in unsure or self._collected.cells]
        more = f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else ""
        because = f": {'; '.join(dict.fromkeys(c.reason for c in unsure))}" if unsure else ""
        return (
            f"no tested cell is bad on {base.revision.ref} without the patches"
            f" ({', '.join(shown[:_NAMED])}{more}){because}"
        )

    def _note_equal_binaries(self) -> None:
        builds = [self._lab.build(v) for v in (self._candidate.base, self._candidate.patched)]
        sums = {(b.buildkitd_sha256, b.buildctl_sha256) for b in builds if isinstance(b, Build)}
        if len(sums) == 1 and not any(isinstance(b, NoBuild) for b in builds):
            self._collected.notes.append("the binaries with and without the patches are identical")

    def _build(self) -> None:
        """Build what is compared with the base, at once where there are several workers."""
        candidate = self._candidate
        tried = candidate.subsets if candidate.checks is not Checks.NONE else ()
        cell = candidate.tested[0]
        variants = [candidate.patched, *map(candidate.with_patches, tried)]
        self._make((variant, cell, 0) for variant in variants)

    def _make(self, asked: Iterable[tuple[Variant, tuple[Scenario, Axes], int]]) -> None:
        """Make so many trials of cells, at once where there are several workers."""
        wanted = [
            Wanted(variant=variant, scenario=scenario, axes=axes, trials=trials)
            for variant, (scenario, axes), trials in asked
        ]
        for _ in self._lab.ahead(wanted):
            pass

    def _pairs(self) -> None:
        """Compare each cell without and with the patches.

        Several workers get all cells at once, and one the cells one after the other.
        """
        sides = (self._candidate.base, self._candidate.patched)
        pairs = [
            Pair(scenario=s, axes=axes, sides=sides, of=self._lab.together(sides, s, axes))
            for s in self._candidate.setup.scenarios
            for axes in matrix.ordered(s, self._candidate.setup.cells(s))
        ]
        for group in [[pair] for pair in pairs] if self._lab.crew.cells == 1 else [pairs]:
            run(self._lab, group, self._candidate.trials)
            for pair in group:
                self._compare(pair)

    def _compare(self, pair: Pair) -> None:
        """Report both sides of a pair, and keep how the patches change it."""
        scenario, axes = pair.scenario, pair.axes
        merged = [merge(done) for done in pair.parts]
        for cell in merged:
            self._collected.trials += len(cell.trials)
            self._collected.resumed += sum(t.resumed for t in cell.trials)
            self._collected.reused += sum(t.reused and not t.resumed for t in cell.trials)
        before, after = (self._report(cell) for cell in merged)
        self._collected.cells += [before, after]
        self._collected.before[scenario.name, axes] = before
        self._collected.changes.append(
            judge.classify(before, after, snapshotter=_snapshotter(scenario, axes))
        )

    def _add_explanation(self, info: ValidationInfo) -> ValidationInfo:
        """Add which parts of a series are needed, and what reverting the culprit shows."""
        candidate = self._candidate
        revert = self._reverted() if candidate.culprit else ""
        parts = [candidate.with_patches(names) for names in candidate.subsets]
        sides = [(side, v) for v in parts for side in (Verdict.BAD, Verdict.GOOD)]
        sides += [(Verdict.BAD, revert)] if isinstance(revert, Variant) else []
        self._make((v, cell, trials) for side, v in sides for cell, trials in self._where(side))
        tried = [self._try_subset(names) for names in candidate.subsets]
        fixed = judge.count(info.cells)[CellEffect.FIXED]
        if few := judge.enough(fixed, tried):
            self._collected.notes.append(
                f"{' + '.join(few)} alone fixes as many cells as the whole series"
            )
        named = {p.meta.introduced_by[:12] for p in self._candidate.patches} - {""}
        if named and not isinstance(self._candidate.source, GitSource):
            self._collected.notes.append(
                f"{', '.join(sorted(named))}, which the patches fix, is not reverted for"
                " comparison: a module has no commits to revert"
            )
        return replace(
            info,
            subsets=tuple(tried),
            needed=judge.needed(info.patches, fixed, tried),
            culprit=self._candidate.culprit,
            reverted=revert if isinstance(revert, str) else self._try_revert(revert),
        )

    def _try_subset(self, names: tuple[str, ...]) -> SubsetInfo:
        variant = self._candidate.with_patches(names)
        made = self._lab.build(variant)
        broken = self._run_where(Verdict.BAD, variant)
        good = self._run_where(Verdict.GOOD, variant)
        untested = [c.reason for c in broken if c.change == CellEffect.UNTESTED]
        return SubsetInfo(
            patches=names,
            fixed=sum(c.change == CellEffect.FIXED for c in broken),
            of=len(broken),
            reason=untested[0] if broken and len(untested) == len(broken) else "",
            regressed=sum(c.change == CellEffect.REGRESSED for c in good),
            untested=len(untested),
            unbuilt=isinstance(made, NoBuild) and not made.infra,
        )

    def _run_where(self, side: Verdict, variant: Variant) -> list[CellChange]:
        """Run *variant* in the tested cells that are *side* without patches."""
        changes = []
        for (scenario, axes), trials in self._where(side):
            after = self._report(self._lab.cell(variant, scenario, axes, trials))
            self._collected.cells.append(after)
            changes.append(judge.classify(self._collected.before[scenario.name, axes], after))
        return changes

    def _where(self, side: Verdict) -> Iterator[tuple[tuple[Scenario, Axes], int]]:
        """Yield the tested cells that are *side* without patches, and how many trials to run."""
        for scenario, axes in self._candidate.tested:
            before = self._collected.before[scenario.name, axes]
            if judge.side(before) is side:
                # As many as the base needed: fewer would not decide.
                yield (scenario, axes), max(self._candidate.trials, len(before.trials))

    def _reverted(self) -> Variant | str:
        """Return the base with the culprit reverted, or why that is not possible."""
        candidate = self._candidate
        tip = candidate.base.revision
        revert = verify.revert(candidate.git, candidate.culprit, tip, self._folder)
        if isinstance(revert, str):
            return f"not possible on {tip.ref}: {revert}"
        self._lab.add_patch(revert)
        self._collected.reverts.append(revert.ref)
        return replace(candidate.base, patches=(revert.ref,))

    def _try_revert(self, reverted: Variant) -> str:
        """Return what the base shows with the culprit reverted, as a sentence."""
        changes = self._run_where(Verdict.BAD, reverted)
        fixed = sum(c.change == CellEffect.FIXED for c in changes)
        shown = dict.fromkeys(c.after for c in changes)
        cells = plural(len(changes), "broken cell")
        return f"fixes {fixed} of {cells} ({'; '.join(shown)})"

    def _add_checks(self, info: ValidationInfo) -> ValidationInfo:
        """Add where the patches apply, and upstream's tests and cross builds unless excluded."""
        candidate = self._candidate
        say = sayer(self._events)
        source = candidate.source
        info = replace(info, backports=self._where_they_apply())
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
        builds = gochecks.cross(builder, candidate.base, candidate.patched)
        return replace(info, checks=(*tests, *builds))

    def _where_they_apply(self) -> tuple[BackportInfo, ...]:
        source = self._candidate.source
        try:
            fits = backports.table(source, backports.lines(source), self._candidate.patches)
        except (BadInput, InfraFailed, Missing) as error:  # the cells are done: keep them
            self._collected.notes.append(
                f"where the patches apply could not be checked: {error.message}"
            )
            return ()
        return tuple(map(_backport, fits))

    def _report(self, cell: Cell) -> CellInfo:
        """Emit that *cell* is done, and return it as results describe it."""
        self._events.emit(search_steps.cell_done(cell))
        return compose.cell_info(cell, self._folder)


def _backport(fit: backports.Fit) -> BackportInfo:
    return BackportInfo(ref=fit.ref, sha=fit.sha, state=str(fit.state), detail=fit.detail)


def _where(cell: CellInfo) -> str:
    return " ".join([cell.scenario, *(f"{k} {v}" for k, v in cell.axes.items())])


def _snapshotter(scenario: Scenario, axes: Axes) -> str:
    """Return the snapshotter of a cell's daemon; "" if the steps are a user's script."""
    if scenario.files:
        return ""
    values = dict(axes)
    named = scenario.daemon.snapshotter
    return re.sub(r"\$\{axis\.([\w-]+)\}", lambda m: values.get(m[1], ""), named)
