"""What became of each cell, and what that says of the patches. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations
from math import comb

from buildkit_bisect.model import Verdict
from buildkit_bisect.result import (
    CellChange,
    CellEffect,
    CellInfo,
    CheckEffect,
    CheckInfo,
    SubsetInfo,
    ValidationStatus,
)

#: Parts of a series up to which every subset is tried; beyond, only what one part is missing from.
ALL_SUBSETS = 4

#: What two sides differ in may be luck; up to this chance it is not.
LUCK = 0.05


def side(cell: CellInfo) -> Verdict:
    """BAD where any trial was bad, GOOD where all were good, else SKIP."""
    told = {t.verdict for t in cell.trials if t.verdict != Verdict.INFRA}
    if cell.verdict in (Verdict.SKIP, Verdict.INFRA) or not told:
        return Verdict.SKIP
    if Verdict.BAD in told:
        return Verdict.BAD
    return Verdict.GOOD if told == {Verdict.GOOD} else Verdict.SKIP


def luck(failing: Sequence[str], fine: Sequence[str]) -> float:
    """The chance that all failures are on the one side where both sides fail equally often.

    Fisher's exact test, one-sided: of all trials so many are bad; how often would a draw of as
    many as *fine* has hold none of them? Both are the verdicts of trials; those that
    infrastructure spoiled do not count. Three against three that agree make 0.05, and are the
    fewest that decide.
    """
    told, tried = ([v for v in side if v != Verdict.INFRA] for side in (failing, fine))
    bad, total = sum(v == Verdict.BAD for v in told), len(told) + len(tried)
    return comb(total - bad, len(tried)) / comb(total, len(tried))


def by_luck(before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether bad on one side and good on the other may be luck: more trials are needed."""
    bad = [Verdict.BAD in told for told in (before, after)]
    if bad[0] == bad[1]:
        return False
    return luck(*((before, after) if bad[0] else (after, before))) > LUCK


def classify(before: CellInfo, after: CellInfo, *, snapshotter: str = "") -> CellChange:
    """What became of one cell, from its trials without and with the patches."""
    old, new = side(before), side(after)
    reason = ""
    match (old, new):
        case (Verdict.BAD, Verdict.GOOD) | (Verdict.GOOD, Verdict.BAD):
            change = CellEffect.FIXED if old is Verdict.BAD else CellEffect.REGRESSED
            if by_luck(*([t.verdict for t in cell.trials] for cell in (before, after))):
                change = CellEffect.UNTESTED
                reason = f"too few trials to tell: {shown(before)} before, {shown(after)} after"
        case (Verdict.BAD, Verdict.BAD):
            change = CellEffect.STILL_BAD
        case (Verdict.GOOD, Verdict.GOOD):
            change = CellEffect.STILL_GOOD
        case _:
            change = CellEffect.UNTESTED
            which, cell = ("without", before) if old is Verdict.SKIP else ("with", after)
            reason = f"{which} the patches: {cell.outcome}: {cell.reason}"
    return CellChange(
        scenario=after.scenario,
        axes=after.axes,
        control=after.control,
        change=str(change),
        before=shown(before),
        after=shown(after),
        moved=before.outcome != after.outcome,
        snapshotter=snapshotter,
        reason=reason,
    )


def shown(cell: CellInfo) -> str:
    """``layers-dropped 3 of 3``; each outcome of a flaky cell; the bare name of an untested one."""
    total = sum(cell.counts.values())
    if not total:
        return cell.outcome
    told = ", ".join(f"{name} {n} of {total}" for name, n in cell.counts.items())
    return f"{cell.outcome} ({told})" if cell.verdict == Verdict.SKIP else told


def count(changes: Iterable[CellChange], *, control: bool = False) -> Mapping[CellEffect, int]:
    """How many cells did what; of the controls, or of all others."""
    found = Counter(CellEffect(c.change) for c in changes if c.control == control)
    return {change: found[change] for change in CellEffect}


def status(changes: Sequence[CellChange], checks: Sequence[CheckInfo] = ()) -> ValidationStatus:
    """The answer that all cells together give; `REFUSED` is decided elsewhere.

    A control that is not good on both sides leaves everything undecided but a regression, and
    nothing is called fixed while a cell could not be tested.
    """
    tested, controls = count(changes), count(changes, control=True)
    if (
        tested[CellEffect.REGRESSED]
        or controls[CellEffect.REGRESSED]
        or any(c.change == CheckEffect.WORSE for c in checks)
    ):
        return ValidationStatus.REGRESSES
    broken = tested[CellEffect.FIXED] + tested[CellEffect.STILL_BAD]
    unsure = sum(controls.values()) - controls[CellEffect.STILL_GOOD]
    if not broken or unsure:
        return ValidationStatus.INCONCLUSIVE
    if tested[CellEffect.STILL_BAD]:
        return ValidationStatus.PARTLY if tested[CellEffect.FIXED] else ValidationStatus.NO
    return ValidationStatus.INCONCLUSIVE if tested[CellEffect.UNTESTED] else ValidationStatus.FIXES


def undecided(changes: Sequence[CellChange]) -> str:
    """Why the cells do not decide: the reasons, each once."""
    reasons = dict.fromkeys(c.reason for c in changes if c.change == CellEffect.UNTESTED)
    controls = [
        c for c in changes if c.control and c.change in (CellEffect.FIXED, CellEffect.STILL_BAD)
    ]
    said = [*filter(None, reasons)]
    if controls:
        said.append(f"{len(controls)} of the controls are bad without the patches")
    return "; ".join(said) or "no cell that was broken could be tested"


def subsets(parts: Sequence[str]) -> list[tuple[str, ...]]:
    """The proper subsets of a series to try, in order of size; none for a single patch."""
    if len(parts) <= 1:
        return []
    sizes = range(1, len(parts)) if len(parts) <= ALL_SUBSETS else [len(parts) - 1]
    return [chosen for size in sizes for chosen in combinations(parts, size)]


def does_as_much(subset: SubsetInfo, fixed: int) -> bool:
    """Whether a subset mends as many cells as the whole, and breaks none that was good."""
    return not subset.reason and subset.fixed >= fixed and not subset.regressed


def falls_short(subset: SubsetInfo, fixed: int) -> bool:
    """Whether it is sure that a subset does less; what could not be tested may be mended."""
    return bool(subset.unbuilt or subset.regressed) or subset.fixed + subset.untested < fixed


def needed(parts: Sequence[str], fixed: int, tried: Collection[SubsetInfo]) -> tuple[str, ...]:
    """The parts without which surely fewer than *fixed* are mended, some break, or nothing builds.

    What infrastructure kept from being tested makes no part needed.
    """
    without = {s.patches: s for s in tried}
    rests = {part: without.get(tuple(p for p in parts if p != part)) for part in parts}
    return tuple(p for p, rest in rests.items() if fixed and rest and falls_short(rest, fixed))


def enough(fixed: int, tried: Iterable[SubsetInfo]) -> tuple[str, ...]:
    """The smallest subset that `does_as_much` as the whole; () where none does."""
    good = [s for s in tried if does_as_much(s, fixed)]
    return min(good, key=lambda s: len(s.patches)).patches if fixed and good else ()
