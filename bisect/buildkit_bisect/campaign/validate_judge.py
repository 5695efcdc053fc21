"""Compares cells without and with patches, and judges the patches by that. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations

from buildkit_bisect.campaign import apart
from buildkit_bisect.model import Verdict
from buildkit_bisect.phrases import plural
from buildkit_bisect.result import (
    CellChange,
    CellEffect,
    CellInfo,
    CheckEffect,
    CheckInfo,
    SubsetInfo,
    ValidationStatus,
)
from buildkit_bisect.result.chance import may_be_chance

#: Longest series of which every subset is tried; of longer ones, only those without one part.
ALL_SUBSETS = 4


def side(cell: CellInfo) -> Verdict:
    """Return BAD if any trial was bad, GOOD if all were good, else SKIP."""
    verdicts = {t.verdict for t in cell.trials if t.verdict != Verdict.INFRA}
    if cell.verdict in (Verdict.SKIP, Verdict.INFRA) or not verdicts:
        return Verdict.SKIP
    if Verdict.BAD in verdicts:
        return Verdict.BAD
    return Verdict.GOOD if verdicts == {Verdict.GOOD} else Verdict.SKIP


def classify(before: CellInfo, after: CellInfo, *, snapshotter: str = "") -> CellChange:
    """Return how one cell changed, from its trials without and with the patches."""
    old, new = side(before), side(after)
    reason = ""
    match (old, new):
        case (Verdict.BAD, Verdict.GOOD) | (Verdict.GOOD, Verdict.BAD):
            change = CellEffect.FIXED if old is Verdict.BAD else CellEffect.REGRESSED
            if may_be_chance(*([t.verdict for t in cell.trials] for cell in (before, after))):
                change = CellEffect.UNTESTED
                reason = f"too few trials to decide: {shown(before)} before, {shown(after)} after"
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
    """Return ``layers-dropped 3 of 3``, with each outcome of a flaky cell; a name if untested."""
    total = sum(cell.counts.values())
    if not total:
        return cell.outcome
    counts = ", ".join(f"{name} {n} of {total}" for name, n in cell.counts.items())
    return f"{cell.outcome} ({counts})" if cell.verdict == Verdict.SKIP else counts


def count(changes: Iterable[CellChange], *, control: bool = False) -> Mapping[CellEffect, int]:
    """Return the number of cells with each effect, of the controls or of all others."""
    found = Counter(CellEffect(c.change) for c in changes if c.control == control)
    return {change: found[change] for change in CellEffect}


def status(changes: Sequence[CellChange], checks: Sequence[CheckInfo] = ()) -> ValidationStatus:
    """Return the status of the whole validation; `validate_run` decides `REFUSED`.

    If a control is not good on both sides, only a regression can be reported. If a cell could
    not be tested, the status is never `FIXES`.
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


def why_undecided(changes: Sequence[CellChange]) -> str:
    """Return why the cells do not decide: each reason once."""
    reasons = dict.fromkeys(c.reason for c in changes if c.change == CellEffect.UNTESTED)
    controls = [
        c for c in changes if c.control and c.change in (CellEffect.FIXED, CellEffect.STILL_BAD)
    ]
    found = [*filter(None, reasons)]
    if controls:
        found.append(f"controls that are bad without the patches: {len(controls)}")
    return "; ".join(found) or "no broken cell could be tested"


def on_other_workers(cells: Sequence[CellInfo]) -> list[str]:
    """Return a note if the sides of a cell have no worker in common, as then machines differ too.

    *cells* are pairs, without and with the patches. A trial runs where its build is, so without a
    store each side may have a worker of its own.
    """
    pairs = list(zip(cells[::2], cells[1::2], strict=True))
    count = sum(apart.ran_apart([old], [new]) for old, new in pairs)
    if not count:
        return []
    what = f"both without and with the patches in {count} of {plural(len(pairs), 'cell')}"
    return [apart.note(what)]


def subsets(parts: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the proper subsets of a series to try, in order of size; none for a single patch."""
    if len(parts) <= 1:
        return []
    sizes = range(1, len(parts)) if len(parts) <= ALL_SUBSETS else [len(parts) - 1]
    return [chosen for size in sizes for chosen in combinations(parts, size)]


def fixes_as_much(subset: SubsetInfo, fixed: int) -> bool:
    """Whether a subset fixes as many cells as the whole series, and breaks none."""
    return not subset.reason and subset.fixed >= fixed and not subset.regressed


def falls_short(subset: SubsetInfo, fixed: int) -> bool:
    """Whether a subset certainly does less than the whole; untested cells may be fixed."""
    return bool(subset.unbuilt or subset.regressed) or subset.fixed + subset.untested < fixed


def needed(parts: Sequence[str], fixed: int, tried: Collection[SubsetInfo]) -> tuple[str, ...]:
    """Return the parts without which fewer than *fixed* cells are fixed, or some break.

    Also those without which the series does not build. Untested cells do not make a part needed.
    """
    without = {s.patches: s for s in tried}
    rests = {part: without.get(tuple(p for p in parts if p != part)) for part in parts}
    return tuple(p for p, rest in rests.items() if fixed and rest and falls_short(rest, fixed))


def enough(fixed: int, tried: Iterable[SubsetInfo]) -> tuple[str, ...]:
    """Return the smallest subset that `fixes_as_much` as the whole; () if there is none."""
    good = [s for s in tried if fixes_as_much(s, fixed)]
    return min(good, key=lambda s: len(s.patches)).patches if fixed and good else ()
