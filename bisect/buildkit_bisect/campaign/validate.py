"""Does a patch fix it, what else does it change, and where does it apply."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from buildkit_bisect import gochecks
from buildkit_bisect.campaign import compose, matrix, search_steps, verify
from buildkit_bisect.campaign import validate_judge as judge
from buildkit_bisect.campaign.setup import Setup, open_lab
from buildkit_bisect.errors import BadInput, BisectError, NoAnswer
from buildkit_bisect.events import Events, Planned, Said
from buildkit_bisect.lab.base_images import ImageRef
from buildkit_bisect.lab.cell import Cell, merge
from buildkit_bisect.lab.lab import Lab
from buildkit_bisect.model import Axes, Build, NoBuild, PatchRef, Variant, Verdict
from buildkit_bisect.options.choices import Checks
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Validate
from buildkit_bisect.patch import backports
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.result import (
    BackportInfo,
    CampaignKind,
    CellChange,
    CellEffect,
    CellInfo,
    FitState,
    Result,
    SubsetInfo,
    ValidationInfo,
    ValidationStatus,
)
from buildkit_bisect.result.sentence import verdict
from buildkit_bisect.scenario import Action, Scenario
from buildkit_bisect.source import GitSource

#: A cell whose trials disagree is tried up to so many times as often.
PATIENCE = 4

#: Cells that a refusal names.
_NAMED = 6


@dataclass(kw_only=True)
class _Seen:
    """What the campaign has seen so far."""

    cells: list[CellInfo] = field(default_factory=list)
    before: dict[tuple[str, Axes], CellInfo] = field(default_factory=dict)
    changes: list[CellChange] = field(default_factory=list)
    trials: int = 0
    reused: int = 0
    resumed: int = 0
    notes: list[str] = field(default_factory=list)
    reverts: list[PatchRef] = field(default_factory=list)


class Validation:
    """One candidate, a patch or a series, on one base."""

    def __init__(self, setup: Setup, request: Validate, chosen: Sequence[Patch]) -> None:
        """Look up everything; nothing is built.

        Raises `BadInput` where the patches do not apply to the base, `NoAnswer` where they are
        there already.
        """
        if not chosen:
            raise BadInput(
                "which patches?",
                hint=f"{inv('validate', patches='NAME')}; {inv('patch-list')}",
            )
        if not isinstance(setup.source, GitSource):
            raise BadInput(
                "patches need a git source, and there is none", hint=words(Validate, repo="PATH")
            )
        self._source = setup.source
        self._setup = setup
        self._request = request
        self._chosen = tuple(chosen)
        self._tested = tuple(_tested(setup))
        base = request.base or backports.main_line(self._source)
        self._base = Variant(revision=self._source.resolve(base))
        self._patched = replace(self._base, patches=tuple(p.ref for p in chosen))
        self._check_fit()
        self._seen = _Seen()
        self._culprit = self._find_culprit()
        self._trials = request.trials or matrix.TRIALS
        self._folder = Path()

    def planned(self) -> Planned:
        """What will be built and run, as far as that is known before."""
        some: list[Variant] = []
        if self._request.checks is not Checks.NONE:
            some = [self._subset(names) for names in self._subsets()]
        variants = [self._base, self._patched, *some]
        planned = matrix.planned(self._setup, variants, self._trials, CampaignKind.VALIDATE)
        return replace(planned, only_bad_of={v.label: self._base.label for v in some})

    @property
    def also(self) -> tuple[str, ...]:
        """What is done beside the cells, for a plan."""
        checks = self._request.checks
        packages = gochecks.packages(f for p in self._chosen for f in p.files)
        said = []
        if checks is not Checks.NONE:
            if self._culprit:
                said.append(f"revert {self._culprit[:12]} on {self._base.revision.ref}, as a row")
            said.append("where the patches apply, on every release branch since v0.20")
        if checks is Checks.ALL:
            said.append(f"go test and go vet, before and after: {' '.join(packages) or 'none'}")
            said += [f"cross build, before and after: {name}" for name in gochecks.subjects()]
        return tuple(said)

    def run(self, events: Events, campaign: str, folder: Path) -> Result:
        """Cells first, alternating; then what explains them. Evidence is kept below *folder*."""
        self._setup = replace(self._setup, events=events)
        self._folder = folder
        started, created = time.monotonic(), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        events.emit(self.planned())
        with open_lab(self._setup, campaign) as (lab, refs):
            info = self._cells(lab)
            seconds = {"builds": lab.build_seconds, "trials": lab.trial_seconds}
            self._engine = lab.engine_facts()
        if info.status != ValidationStatus.REFUSED:
            info = self._judged(self._around(info))
        info = replace(info, notes=tuple(self._seen.notes))
        info = replace(info, verdict=verdict(info))
        seconds["total"] = time.monotonic() - started
        return self._document(info, campaign, created, refs, seconds)

    def _cells(self, lab: Lab) -> ValidationInfo:
        revision = self._base.revision
        info = ValidationInfo(
            status=ValidationStatus.INCONCLUSIVE.value,
            verdict="",
            base=revision.ref,
            sha=revision.sha,
            patches=tuple(p.name for p in self._chosen),
        )
        refused = self._gate(lab)
        if refused:
            return replace(
                info,
                status=ValidationStatus.REFUSED.value,
                reason=refused,
                hint=f"{words(Validate, base='R')}, {words(Validate, scenario=True)}",
            )
        self._note_equal_binaries(lab)
        for scenario in self._setup.scenarios:
            for axes in matrix.ordered(scenario, self._setup.cells(scenario)):
                self._pair(lab, scenario, axes)
        info = replace(
            info,
            cells=tuple(self._seen.changes),
            trials=self._seen.trials,
            reused=self._seen.reused,
            resumed=self._seen.resumed,
        )
        if self._request.checks is Checks.NONE:
            return info
        tried = [self._try_subset(lab, names) for names in self._subsets()]
        fixed = judge.count(info.cells)[CellEffect.FIXED]
        few = judge.enough(fixed, tried)
        if few:
            self._seen.notes.append(f"{' + '.join(few)} alone mends as much as the whole")
        return replace(
            info,
            subsets=tuple(tried),
            needed=judge.needed(info.patches, fixed, tried),
            culprit=self._culprit,
            reverted=self._revert(lab) if self._culprit else "",
        )

    def _gate(self, lab: Lab) -> str:
        """Why there is nothing to validate; "" as soon as some cell of the base is bad."""
        seen: list[Cell] = []
        for trials in sorted({1, self._trials}):
            seen = []
            for scenario, axes in self._tested:
                cell = lab.cell(self._base, scenario, axes, trials)
                if judge.side(compose.cell_info(cell, self._folder)) is Verdict.BAD:
                    return ""
                seen.append(cell)
        for cell in seen:
            self._setup.events.emit(search_steps.cell_done(cell))
        self._seen.cells = [compose.cell_info(c, self._folder) for c in seen]
        unsure = [c for c in self._seen.cells if judge.side(c) is not Verdict.GOOD]
        told = [f"{_where(c)} {judge.shown(c)}" for c in unsure or self._seen.cells]
        more = f" and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
        because = f": {'; '.join(dict.fromkeys(c.reason for c in unsure))}" if unsure else ""
        return (
            f"no tested cell is bad on {self._base.revision.ref} without the patches"
            f" ({', '.join(told[:_NAMED])}{more}){because}"
        )

    def _pair(self, lab: Lab, scenario: Scenario, axes: Axes) -> None:
        """One cell without and with the patches, a trial each in turn."""
        sides = (self._base, self._patched)
        of = lab.together(sides, scenario, axes)
        parts: tuple[list[Cell], list[Cell]] = ([], [])
        for number in range(self._trials * PATIENCE):
            if number >= self._trials and not judge.by_luck(*map(_verdicts, parts)):
                break
            for variant, seen in zip(sides, parts, strict=True):
                if not seen or isinstance(seen[0].build, Build):
                    seen.append(lab.cell(variant, scenario, axes, 1, after=number, of=of))
        infos = []
        for seen in parts:
            whole = merge(seen)
            self._setup.events.emit(search_steps.cell_done(whole))
            infos.append(compose.cell_info(whole, self._folder))
            self._seen.trials += len(whole.trials)
            self._seen.resumed += sum(t.resumed for t in whole.trials)
            self._seen.reused += sum(t.reused and not t.resumed for t in whole.trials)
        before, after = infos
        self._seen.cells += infos
        self._seen.before[scenario.name, axes] = before
        self._seen.changes.append(
            judge.classify(before, after, snapshotter=_snapshotter(scenario, axes))
        )

    def _subsets(self) -> list[tuple[str, ...]]:
        return judge.subsets([p.name for p in self._chosen])

    def _subset(self, names: Sequence[str]) -> Variant:
        return replace(self._base, patches=tuple(p.ref for p in self._chosen if p.name in names))

    def _try_subset(self, lab: Lab, names: tuple[str, ...]) -> SubsetInfo:
        variant = self._subset(names)
        broken = self._on(lab, variant, Verdict.BAD)
        fine = self._on(lab, variant, Verdict.GOOD)
        untested = [c.reason for c in broken if c.change == CellEffect.UNTESTED]
        return SubsetInfo(
            patches=names,
            fixed=sum(c.change == CellEffect.FIXED for c in broken),
            of=len(broken),
            reason=untested[0] if broken and len(untested) == len(broken) else "",
            regressed=sum(c.change == CellEffect.REGRESSED for c in fine),
            untested=len(untested),
            unbuilt=isinstance(lab.build(variant), NoBuild),
        )

    def _on(self, lab: Lab, variant: Variant, side: Verdict) -> list[CellChange]:
        """What *variant* makes of the tested cells that are *side* without patches."""
        changes = []
        for scenario, axes in self._tested:
            before = self._seen.before[scenario.name, axes]
            if judge.side(before) is not side:
                continue
            # As many as the base has: where those were needed to tell, fewer do not.
            trials = max(self._trials, len(before.trials))
            cell = lab.cell(variant, scenario, axes, trials)
            self._setup.events.emit(search_steps.cell_done(cell))
            after = compose.cell_info(cell, self._folder)
            self._seen.cells.append(after)
            changes.append(judge.classify(before, after))
        return changes

    def _revert(self, lab: Lab) -> str:
        """What the base shows without the culprit, in words."""
        tip = self._base.revision
        made = verify.revert(self._source, self._culprit, tip, self._folder)
        if isinstance(made, str):
            return f"not possible on {tip.ref}: {made}"
        lab.add_patch(made)
        self._seen.reverts.append(made.ref)
        changes = self._on(lab, replace(self._base, patches=(made.ref,)), Verdict.BAD)
        fixed = sum(c.change == CellEffect.FIXED for c in changes)
        told = dict.fromkeys(c.after for c in changes)
        return f"{fixed} of {len(changes)} broken cells are fixed by that ({'; '.join(told)})"

    def _around(self, info: ValidationInfo) -> ValidationInfo:
        """With what needs no trials: upstream's tests, cross builds, and where it applies."""

        def say(text: str) -> None:
            self._setup.events.emit(Said(text=text))

        checks = self._request.checks
        if checks is Checks.NONE:
            return info
        found = backports.table(self._source, backports.lines(self._source), self._chosen)
        info = replace(info, backports=tuple(map(_backport, found)))
        if checks is Checks.CELLS:
            return info
        tests = gochecks.check(
            self._source,
            self._base.revision,
            self._chosen,
            say=say,
            deadlines=self._setup.builder.deadlines,
        )
        builds = gochecks.cross(self._setup.builder, self._base, self._patched, say=say)
        return replace(info, checks=(*tests, *builds))

    def _judged(self, info: ValidationInfo) -> ValidationInfo:
        status = judge.status(info.cells, info.checks)
        reason = judge.undecided(info.cells) if status is ValidationStatus.INCONCLUSIVE else ""
        return replace(info, status=str(status), reason=reason)

    def _check_fit(self) -> None:
        revision = self._base.revision
        fit = backports.fit(self._source, revision, self._chosen)
        names = " + ".join(p.name for p in self._chosen)
        if fit.state is FitState.THERE:
            raise NoAnswer(
                f"{names} is already in {revision.ref}: there is nothing to validate",
                hint=f"{words(Validate, base='R')}, an older one",
            )
        if fit.state is FitState.PARTLY:
            raise BadInput(
                f"{fit.detail} in {revision.ref} already",
                hint=f"{words(Validate, patches=True)} without it",
            )
        if fit.state is FitState.CONFLICTS:
            found = backports.table(self._source, backports.lines(self._source), self._chosen)
            hint = backports.hint(
                found, lambda ref: f"{words(Validate, base=ref)}, where it applies"
            )
            raise BadInput(f"on {revision.ref}, {fit.detail}", hint=hint)

    def _find_culprit(self) -> str:
        asked, revision = self._request.culprit, self._base.revision
        named = {p.meta.introduced_by for p in self._chosen if p.meta.introduced_by}
        if asked:
            sha = self._source.resolve(asked).sha
            if not self._source.is_ancestor(sha, revision.sha):
                raise BadInput(
                    f"{words(Validate, culprit=asked)} is not in {revision.ref}",
                    hint="a commit that the base contains",
                )
            return sha
        if len(named) == 1:
            with suppress(BisectError):
                sha = self._source.resolve(named.pop()).sha
                if self._source.is_ancestor(sha, revision.sha):
                    return sha
        return ""

    def _note_equal_binaries(self, lab: Lab) -> None:
        made = [lab.build(v) for v in (self._base, self._patched)]
        sums = {(b.buildkitd_sha256, b.buildctl_sha256) for b in made if isinstance(b, Build)}
        if len(sums) == 1 and not any(isinstance(b, NoBuild) for b in made):
            self._seen.notes.append("the binaries are the same, byte for byte, with the patches")

    def _document(
        self,
        info: ValidationInfo,
        campaign: str,
        created: str,
        refs: Mapping[str, Mapping[str, ImageRef]],
        seconds: Mapping[str, float],
    ) -> Result:
        revisions = [self._base.revision]
        if self._culprit:
            revisions.append(self._source.revision(self._culprit))
        return compose.result(
            self._setup,
            kind=CampaignKind.VALIDATE,
            campaign=campaign,
            created=created,
            refs=refs,
            revisions=revisions,
            patches=[*(p.ref for p in self._chosen), *self._seen.reverts],
            cells=self._seen.cells,
            seconds=seconds,
            engine=self._engine,
            validation=info,
        )


def _tested(setup: Setup) -> Iterator[tuple[Scenario, Axes]]:
    """Every cell that is no control. Raises `BadInput` where only controls are left."""
    found = [(s, a) for s in setup.scenarios for a in setup.cells(s) if not s.is_control(a)]
    if not found:
        raise BadInput(
            "only controls are left, and they must be good everywhere",
            hint=f"another {words(Validate, axis='KEY=VALUE')}",
        )
    return iter(found)


def _backport(fit: backports.Fit) -> BackportInfo:
    return BackportInfo(ref=fit.ref, sha=fit.sha, state=str(fit.state), detail=fit.detail)


def _verdicts(parts: Sequence[Cell]) -> list[str]:
    return [str(told.verdict) for cell in parts for told in cell.judged]


def _where(cell: CellInfo) -> str:
    return " ".join([cell.scenario, *(f"{k} {v}" for k, v in cell.axes.items())])


def _snapshotter(scenario: Scenario, axes: Axes) -> str:
    """The snapshotter of a cell's daemon; "" where the steps are a user's own."""
    if any(step.action is Action.SCRIPT for step in scenario.steps):
        return ""
    values = dict(axes)
    named = scenario.daemon.snapshotter
    return re.sub(r"\$\{axis\.([\w-]+)\}", lambda m: values.get(m[1], ""), named)
