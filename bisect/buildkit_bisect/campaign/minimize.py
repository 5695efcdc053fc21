"""Finds which hunks of a patch or a revert are needed for its change of outcome."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from buildkit_bisect.campaign.driver import Work
from buildkit_bisect.campaign.minimize_judge import judged, numbered, sides
from buildkit_bisect.campaign.search_steps import cell_done, counted, refuse_infra, refuse_machine
from buildkit_bisect.events import Said
from buildkit_bisect.lab.cell import Cell, merge
from buildkit_bisect.model import (
    Axes,
    NoBuild,
    Outcome,
    PatchRef,
    ToolOutcome,
    Variant,
    Verdict,
)
from buildkit_bisect.patch.hunk_files import Change
from buildkit_bisect.patch.hunks import Hunk
from buildkit_bisect.phrases import plural
from buildkit_bisect.result import HunkInfo, HunkRole, HunksTried, MinimizeInfo, MinimizeStatus
from buildkit_bisect.result.chance import may_be_chance
from buildkit_bisect.scenario import Scenario
from buildkit_bisect.search.minimize import Minimal, Minimizer, Seen, Subset

#: Most sets of hunks that are built for one change.
MOST = 100

#: Trials of each side in a cell, unless the request asks for more: fewer may be chance.
TRIALS = 3

#: More trials of each side that confirm the answer.
_AGAIN = 2

#: A cell gets at most this many times the usual trials, until chance is excluded.
_MAX_FACTOR = 4

#: Longest name of a set of hunks.
_LONGEST = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A cell whose outcome the change turns to the verdict *to*, good or bad."""

    scenario: Scenario
    axes: Axes
    to: Verdict

    @property
    def name(self) -> str:
        """``cross-stage-lazy bases different snapshotter stargz``."""
        return " ".join([self.scenario.name, *(f"{k} {v}" for k, v in self.axes)])


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A change to one variant, and where its effect is looked for.

    *old* and *new* say which outcomes are those of the sides of a search; without, verdicts do.
    """

    of: str  # what the change is called
    change: Change
    without: Variant
    whole: Variant | None  # with all of the change, if there is such a build; else it is composed
    places: tuple[Place, ...]
    trials: int
    old: Callable[[Outcome], bool] | None = None
    new: Callable[[Outcome], bool] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shown:
    seen: Seen
    text: str
    unbuilt: bool = False
    unsure: bool = False  # the trials do not exclude chance


class Minimization:
    """One search for the needed hunks of a change."""

    def __init__(self, work: Work, question: Question) -> None:
        self._work = work
        self._question = question
        self._cells: dict[tuple[str, str], list[Cell]] = {}  # by variant and place
        self._variants: dict[Subset, Variant] = {}
        self._shown: dict[Subset, _Shown] = {}
        self._count = len(question.change.hunks)
        self._home = work.folder / "hunks" / question.without.revision.short

    def info(self) -> MinimizeInfo:
        """Build and run sets of hunks until none of the remaining ones can be left out.

        Raises `InfraFailed` if this machine fails.
        """
        question, everything = self._question, tuple(range(self._count))
        info = MinimizeInfo(
            status=MinimizeStatus.NOTHING.value,
            of=question.of,
            on=question.without.label,
            cells=tuple(place.name for place in question.places),
            hunks=self._hunks((), {}),
        )
        if not everything:
            is_so = "applies" if question.change.refused else "is in a program"
            return replace(info, reason=f"no hunk of {question.of} {is_so}")
        whole = self._ask(everything)
        info = replace(info, before=self._text(question.without), after=whole.text)
        if whole.unsure:
            both = f"{info.before} without {question.of}, {whole.text} with it"
            return replace(info, reason=f"this may be chance: {both}")
        if whole.seen is not Seen.CHANGED:
            return replace(info, reason=f"{question.of} does not change the outcome: {whole.text}")
        minimizer = Minimizer(self._count, most=MOST)
        while isinstance(step := minimizer.next(), tuple):
            minimizer.tell(self._ask(step).seen)
        needed = self._shown[step.parts].text
        status, reason = MinimizeStatus.MINIMAL, ""
        if not isinstance(step, Minimal):
            status = MinimizeStatus.STOPPED
            reason = f"stopped after {MOST} builds: fewer hunks may be enough"
        else:
            again = self._again(step.parts)
            needed = again.text
            if again.seen is not Seen.CHANGED:
                status, who = MinimizeStatus.UNCONFIRMED, numbered(step.parts)
                shows = "shows" if len(step.parts) == 1 else "show"
                reason = f"not confirmed: run again, {who} {shows} {again.text}"
            elif any(self._shown[rest].unsure for rest in self._rests(step.parts)):
                status = MinimizeStatus.STOPPED
                reason = "the trials do not exclude chance: fewer hunks may be enough"
        if len(step.parts) < self._count and status is not MinimizeStatus.UNCONFIRMED:
            home = self._home / self._variants[step.parts].patches[-1].name
            self._say(f"{numbered(step.parts)} of {self._count} alone, as a patch: {home}")
        # What was dropped by trials that turned out to be chance may be needed.
        kept = everything if status is MinimizeStatus.UNCONFIRMED else step.parts
        return replace(
            info,
            status=status.value,
            reason=reason,
            before=self._text(question.without),
            needed=needed,
            hunks=self._hunks(kept, self._roles(kept, status)),
            tried=tuple(
                HunksTried(hunks=tuple(n + 1 for n in some), seen=str(shown.seen), shown=shown.text)
                for some, shown in self._shown.items()
            ),
        )

    def differs(self) -> bool:
        """Whether all of the change turns every cell of the question."""
        return self._compared(tuple(range(self._count))).seen is Seen.CHANGED

    def _roles(self, parts: Subset, status: MinimizeStatus) -> dict[int, tuple[HunkRole, str]]:
        """Return what each needed hunk is to the outcome, and what is seen without it."""
        found = {}
        for number in parts:
            rest = tuple(p for p in parts if p != number)
            if status is not MinimizeStatus.MINIMAL:
                found[number] = (HunkRole.KEPT, "")
            elif not rest:
                found[number] = (HunkRole.OUTCOME, self._text(self._question.without))
            else:
                shown = self._shown[rest]
                role = HunkRole.BUILD if shown.unbuilt else HunkRole.OTHER
                role = HunkRole.OUTCOME if shown.seen is Seen.UNCHANGED else role
                found[number] = (role, shown.text)
        return found

    def _rests(self, parts: Subset) -> list[Subset]:
        """Return what is left of *parts* without each of them, where that is something."""
        rests = (tuple(p for p in parts if p != number) for number in parts)
        return [rest for rest in rests if rest]

    def _hunks(self, parts: Subset, roles: dict[int, tuple[HunkRole, str]]) -> tuple[HunkInfo, ...]:
        change = self._question.change
        found = []
        for number, hunk in enumerate(change.hunks):
            role = HunkRole.NOT_NEEDED if parts else HunkRole.KEPT
            role, without = roles.get(number, (role, ""))
            found.append(_info(hunk, role, without))
        found += [_info(hunk, HunkRole.TEST) for hunk in change.left_out]
        return (*found, *(_info(hunk, HunkRole.REFUSED) for hunk in change.refused))

    def _variant(self, some: Subset) -> Variant:
        """Return the variant with these hunks; its patch is stored in the campaign's folder."""
        question = self._question
        if question.whole and len(some) == self._count:
            return question.whole
        if not some:
            return question.without
        if some not in self._variants:
            name = "hunks-" + "-".join(str(n + 1) for n in some)
            if len(name) > _LONGEST:
                left = [n for n in range(self._count) if n not in some]
                name = "hunks-all-but-" + "-".join(str(n + 1) for n in left)
            if len(name) > _LONGEST:
                name = f"hunks-{len(some)}-of-{self._count}-try-{len(self._variants) + 1}"
            patch = question.change.patch(
                some,
                self._home,
                name=name,
                title=f"{numbered(some)} of {self._count} of {question.of}",
            )
            self._work.lab.add_patch(patch)
            ref: PatchRef = patch.ref
            self._variants[some] = replace(
                question.without, patches=(*question.without.patches, ref)
            )
        return self._variants[some]

    def _ask(self, some: Subset) -> _Shown:
        if some not in self._shown:
            self._shown[some] = shown = self._compared(some)
            what = numbered(some) if len(some) < self._count else "all hunks"
            self._say(f"{what} of {self._count}: {shown.seen} ({shown.text})")
        return self._shown[some]

    def _say(self, text: str) -> None:
        self._work.events.emit(Said(text=text))

    def _again(self, some: Subset) -> _Shown:
        """Run both sides more often, in turns; return what all trials show."""
        variant = self._variant(some)
        for place in self._question.places:
            for _ in range(_AGAIN):
                for side in (self._question.without, variant):
                    self._more(side, place, 1)
        return self._compared(some)

    def _compared(self, some: Subset) -> _Shown:
        """Return what some hunks show: changed only if every cell is."""
        variant = self._variant(some)
        build = self._work.lab.build(variant)
        if isinstance(build, NoBuild):
            refuse_machine(build)
            return _Shown(seen=Seen.UNTESTABLE, text=f"{build.stage}: {build.reason}", unbuilt=True)
        each: set[Seen | None] = set()
        for place in self._question.places:
            each.add(self._in_cell(variant, place))
            if Seen.UNCHANGED in each:
                break
        text = self._text(variant)
        for seen in (Seen.UNCHANGED, Seen.UNTESTABLE):
            if seen in each:
                return _Shown(seen=seen, text=text)
        unsure = None in each
        return _Shown(seen=Seen.UNTESTABLE if unsure else Seen.CHANGED, text=text, unsure=unsure)

    def _in_cell(self, variant: Variant, place: Place) -> Seen | None:
        """Compare *variant* with the one without the change, by enough trials of both.

        None if these are too few to exclude chance.
        """
        both = (self._question.without, variant)
        for factor in range(1, _MAX_FACTOR + 1):
            for side in both:
                have = len(self._merged(side, place).judged) if self._ran(side, place) else 0
                if have < self._question.trials * factor:
                    self._more(side, place, self._question.trials * factor - have)
            before, after = (self._merged(side, place) for side in both)
            if ToolOutcome.CONTROL_FAILED in (before.outcome.name, after.outcome.name):
                return Seen.UNTESTABLE
            seen = self._verdicts(after, place)
            found = judged(self._verdicts(before, place), seen, place.to)
            if found is Seen.UNCHANGED and self._may_break(variant, place, seen):
                continue
            if found is not None:
                return found
        return None

    def _may_break(self, variant: Variant, place: Place, seen: Sequence[Verdict]) -> bool:
        """Whether good trials may be chance, since all of the change breaks a cell at times."""
        whole = self._variant(tuple(range(self._count)))
        if place.to is not Verdict.BAD or variant == whole:
            return False
        return may_be_chance(self._verdicts(self._merged(whole, place), place), seen)

    def _verdicts(self, cell: Cell, place: Place) -> list[Verdict]:
        """Return how each trial counts."""
        old, new = self._question.old, self._question.new
        judged = [o for o in cell.judged if o.verdict is not Verdict.INFRA]  # no evidence
        if old is None or new is None:
            return [o.verdict for o in judged]
        return [sides(old=old(o), new=new(o), to=place.to) for o in judged]

    def _ran(self, variant: Variant, place: Place) -> bool:
        return (variant.label, place.name) in self._cells

    def _more(self, variant: Variant, place: Place, trials: int) -> None:
        parts = self._cells.setdefault((variant.label, place.name), [])
        after = sum(len(part.judged) for part in parts)
        cell = self._work.lab.cell(variant, place.scenario, place.axes, trials, after=after)
        refuse_infra(cell)
        parts.append(cell)
        self._work.events.emit(cell_done(merge(parts)))

    def _merged(self, variant: Variant, place: Place) -> Cell:
        return merge(self._cells[variant.label, place.name])

    def _text(self, variant: Variant) -> str:
        """Return what a variant showed in the cells that ran, equal ones once."""
        found: dict[str, int] = {}
        for place in self._question.places:
            if self._ran(variant, place):
                cell = self._merged(variant, place)
                shown = counted(cell.counts) or f"{cell.outcome.name}: {cell.outcome.reason}"
                found[shown] = found.get(shown, 0) + 1
        if len(self._question.places) == 1:
            return next(iter(found), "not run")
        return "; ".join(f"{shown} in {plural(n, 'cell')}" for shown, n in found.items())


def _info(hunk: Hunk, role: HunkRole, without: str = "") -> HunkInfo:
    return HunkInfo(
        file=hunk.path, lines=hunk.lines, role=str(role), heading=hunk.heading, without=without
    )


def places_of(work: Work, question: Question, cells: Sequence[tuple[Scenario, Axes]]) -> Question:
    """Return *question* with those of *cells* that the whole change fixes; else that it breaks."""
    found: list[Place] = []
    for scenario, axes in cells:
        for to in (Verdict.GOOD, Verdict.BAD):
            place = Place(scenario=scenario, axes=axes, to=to)
            if Minimization(work, replace(question, places=(place,))).differs():
                found.append(place)
    fixed = tuple(place for place in found if place.to is Verdict.GOOD)
    return replace(question, places=fixed or tuple(found))
