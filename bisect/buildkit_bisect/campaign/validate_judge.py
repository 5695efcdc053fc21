"""What became of each cell, and what that says of the patches. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import combinations

from buildkit_bisect.model import Verdict
from buildkit_bisect.result import CellChange, CellInfo, CheckInfo, SubsetInfo

#: Parts of a series up to which every subset is tried; beyond, only what one part is missing from.
ALL_SUBSETS = 4

#: A flaky failure that is gone may be luck; below this chance it is not.
LUCK = 0.05


class Change(StrEnum):
    """What became of a cell."""

    FIXED = "fixed"
    REGRESSED = "regressed"
    STILL_BAD = "still-bad"
    STILL_GOOD = "still-good"
    UNTESTED = "untested"


class Status(StrEnum):
    """The answer of a validation."""

    FIXES = "fixes"
    PARTLY = "partly"
    NO = "no"
    REGRESSES = "regresses"
    INCONCLUSIVE = "inconclusive"
    REFUSED = "refused"


def side(cell: CellInfo) -> Verdict:
    """BAD where any trial was bad, GOOD where all were good, else SKIP."""
    told = {t.verdict for t in cell.trials if t.verdict != Verdict.INFRA}
    if cell.verdict in (Verdict.SKIP, Verdict.INFRA) or not told:
        return Verdict.SKIP
    if Verdict.BAD in told:
        return Verdict.BAD
    return Verdict.GOOD if told == {Verdict.GOOD} else Verdict.SKIP


def luck(failing: Sequence[str], fine: Sequence[str]) -> float:
    """The chance that *fine* shows no failure though it fails as often as *failing* does.

    Both are the verdicts of trials; those that infrastructure spoiled do not count.
    """
    told = [v for v in failing if v != Verdict.INFRA]
    tried = [v for v in fine if v != Verdict.INFRA]
    share = sum(v == Verdict.BAD for v in told) / len(told) if told else 0.0
    return float((1 - share) ** len(tried))


def by_luck(before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether bad on one side and good on the other may be luck: more trials are needed."""
    bad = [Verdict.BAD in told for told in (before, after)]
    if bad[0] == bad[1]:
        return False
    return luck(*((before, after) if bad[0] else (after, before))) >= LUCK


def classify(before: CellInfo, after: CellInfo, *, snapshotter: str = "") -> CellChange:
    """What became of one cell, from its trials without and with the patches."""
    old, new = side(before), side(after)
    reason = ""
    match (old, new):
        case (Verdict.BAD, Verdict.GOOD) | (Verdict.GOOD, Verdict.BAD):
            change = Change.FIXED if old is Verdict.BAD else Change.REGRESSED
            if by_luck(*([t.verdict for t in cell.trials] for cell in (before, after))):
                change = Change.UNTESTED
                reason = f"too rare to tell: {shown(before)} before, {shown(after)} after"
        case (Verdict.BAD, Verdict.BAD):
            change = Change.STILL_BAD
        case (Verdict.GOOD, Verdict.GOOD):
            change = Change.STILL_GOOD
        case _:
            change = Change.UNTESTED
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


def count(changes: Iterable[CellChange], *, control: bool = False) -> Mapping[Change, int]:
    """How many cells did what; of the controls, or of all others."""
    found = Counter(Change(c.change) for c in changes if c.control == control)
    return {change: found[change] for change in Change}


def status(changes: Sequence[CellChange], checks: Sequence[CheckInfo] = ()) -> Status:
    """The answer that all cells together give; `REFUSED` is decided elsewhere.

    Nothing is called fixed while a cell could not be tested, or a control is not what it was.
    """
    tested, controls = count(changes), count(changes, control=True)
    if (
        tested[Change.REGRESSED]
        or controls[Change.REGRESSED]
        or any(c.change == "worse" for c in checks)
    ):
        return Status.REGRESSES
    broken = tested[Change.FIXED] + tested[Change.STILL_BAD]
    if not broken:
        return Status.INCONCLUSIVE
    if not tested[Change.FIXED]:
        return Status.NO
    if tested[Change.STILL_BAD]:
        return Status.PARTLY
    unsure = tested[Change.UNTESTED] + controls[Change.UNTESTED] + controls[Change.STILL_BAD]
    return Status.INCONCLUSIVE if unsure else Status.FIXES


def undecided(changes: Sequence[CellChange]) -> str:
    """Why the cells do not decide: the reasons, each once."""
    reasons = dict.fromkeys(c.reason for c in changes if c.change == Change.UNTESTED)
    return "; ".join(filter(None, reasons)) or "no cell that was broken could be tested"


def subsets(parts: Sequence[str]) -> list[tuple[str, ...]]:
    """The proper subsets of a series to try, in order of size; none for a single patch."""
    if len(parts) <= 1:
        return []
    sizes = range(1, len(parts)) if len(parts) <= ALL_SUBSETS else [len(parts) - 1]
    return [chosen for size in sizes for chosen in combinations(parts, size)]


def needed(parts: Sequence[str], fixed: int, tried: Collection[SubsetInfo]) -> tuple[str, ...]:
    """The parts without which fewer than *fixed* cells are mended, or nothing builds."""
    without = {s.patches: s for s in tried}
    found = []
    for part in parts:
        rest = tuple(p for p in parts if p != part)
        other = without.get(rest)
        if fixed and other and (other.reason or other.fixed < fixed):
            found.append(part)
    return tuple(found)


def enough(fixed: int, tried: Iterable[SubsetInfo]) -> tuple[str, ...]:
    """The smallest subset that mends as much as the whole; () where none does."""
    good = [s for s in tried if not s.reason and s.fixed >= fixed]
    return min(good, key=lambda s: len(s.patches)).patches if fixed and good else ()
