"""Whether two cells differ beyond chance, by the trials that are known of each. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import ceil, comb, floor

from buildkit_bisect.model import Verdict
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.result.document import CellInfo

#: Largest p-value at which a difference between two sides counts.
SIGNIFICANCE = 0.05

#: Largest number of trials of each side that is worth naming.
_MOST = 200

#: Trials of a side that are computed with; a document may claim any number.
_CAP = 5000

#: Best first. Cells that were not tested have no rank.
RANK: Mapping[str, int] = {Verdict.GOOD: 0, Verdict.WEAK: 1, Verdict.BAD: 2}

#: Trials of which nothing follows.
_UNTESTED = (Verdict.INFRA, Verdict.SKIP)

#: (k, n): k of n trials.
Share = tuple[int, int]


def fisher(fewer: Share, more: Share) -> float:
    """Return the probability that *fewer* has as few or fewer if both sides have the same rate.

    Fisher's exact test, one-sided. Three of three against none of three give 0.05: fewer trials
    cannot decide. Without trials on a side the result is 1. A side of more than `_CAP` trials
    counts as one of that size and share.
    """
    (few, size), (many, rest) = map(_capped, (fewer, more))
    hits, misses = few + many, size - few + rest - many
    least = max(0, size - misses)
    ways = term = comb(hits, least) * comb(misses, size - least)
    for k in range(least, few):  # each term from the one before: many trials take no time
        term = term * (hits - k) * (size - k) // ((k + 1) * (misses - size + k + 1))
        ways += term
    return ways / comb(hits + misses, size)


def _capped(share: Share) -> Share:
    k, n = share
    return share if n <= _CAP else (k * _CAP // n, _CAP)


def p_value(failing: Sequence[str], passing: Sequence[str]) -> float:
    """Return the probability of as few failures in *passing* if both sides fail equally often.

    The arguments are verdicts of trials; INFRA is ignored.
    """
    more, fewer = (
        (sum(v == Verdict.BAD for v in side), sum(v != Verdict.INFRA for v in side))
        for side in (failing, passing)
    )
    return fisher(fewer, more)


def may_be_chance(before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether only one side has failures, but too few trials to exclude chance."""
    bad = [Verdict.BAD in verdicts for verdicts in (before, after)]
    if bad[0] == bad[1]:
        return False
    return p_value(*((before, after) if bad[0] else (after, before))) > SIGNIFICANCE


class Kind(StrEnum):
    """How two cells differ."""

    WORSE = "worse"
    BETTER = "better"
    CHANGED = "changed"  # another outcome, neither better nor worse
    CHANCE = "chance"  # too few trials to exclude chance
    SAME = "same"


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """The difference between two cells."""

    kind: Kind
    p: float  # probability of such a difference if nothing changed
    same_binary: bool = False
    trials: int = 0  # of each side that would decide at these rates; 0: none up to `_MOST`

    @property
    def sure(self) -> bool:
        """Whether chance is excluded."""
        return self.kind in (Kind.WORSE, Kind.BETTER, Kind.CHANGED)

    @property
    def shown(self) -> str:
        """``p = 0.25, --trials 9 would decide at these rates``."""
        said = f"p = {self.p:.2g}"
        if self.same_binary:
            said += ", the same binary"
        if self.trials:
            said += f", {words(Campaign, trials=self.trials)} would decide at these rates"
        return said


def difference(before: CellInfo, after: CellInfo) -> Difference:
    """Return how two tested cells differ; it is a change only beyond chance.

    All known trials of each count. If both cells ran the same binary, only the trials of each
    campaign do, since the known ones are those of both.
    """
    found = _difference(before, after)
    # More trials of one binary would be those of both sides.
    return replace(found, same_binary=True, trials=0) if _same_binary(before, after) else found


def _same_binary(before: CellInfo, after: CellInfo) -> bool:
    sums = [cell.build.binary_sha256 if cell.build else "" for cell in (before, after)]
    return bool(sums[0]) and sums[0] == sums[1]


def _difference(before: CellInfo, after: CellInfo) -> Difference:
    old, new = RANK[before.verdict], RANK[after.verdict]
    if old != new:
        rising = new > old
        # More bad trials, or fewer good ones where no side is bad.
        which = Verdict.BAD if Verdict.BAD in (before.verdict, after.verdict) else Verdict.GOOD
        few, many = (before, after) if rising == (which is Verdict.BAD) else (after, before)
        fewer, more = (_verdicts(cell, which, before, after) for cell in (few, many))
        p = fisher(fewer, more)
        if p <= SIGNIFICANCE:
            return Difference(kind=Kind.WORSE if rising else Kind.BETTER, p=p)
        by_outcome = _outcomes(before, after)
        return (
            by_outcome
            if by_outcome.sure
            else Difference(kind=Kind.CHANCE, p=p, trials=enough(fewer, more))
        )
    if before.outcome != after.outcome:
        return _outcomes(before, after)
    return _rates(before, after)


def _outcomes(before: CellInfo, after: CellInfo) -> Difference:
    """Compare how often both sides showed what the older one showed most."""
    name = max(before.counts, key=lambda outcome: before.counts[outcome], default="")
    more, fewer = (
        (counts.get(name, 0), sum(counts.values()))
        for counts in (_counts(cell, before, after)[0] for cell in (before, after))
    )
    p = fisher(fewer, more)
    if p <= SIGNIFICANCE:
        return Difference(kind=Kind.CHANGED, p=p)
    return Difference(kind=Kind.CHANCE, p=p, trials=enough(fewer, more))


def _rates(before: CellInfo, after: CellInfo) -> Difference:
    """Compare how often two cells of the same outcome are bad: both may be flaky."""
    old, new = (_verdicts(cell, Verdict.BAD, before, after) for cell in (before, after))
    for kind, p in ((Kind.WORSE, fisher(old, new)), (Kind.BETTER, fisher(new, old))):
        if p <= SIGNIFICANCE:
            return Difference(kind=kind, p=p)
    return Difference(kind=Kind.SAME, p=1.0)


def _verdicts(cell: CellInfo, which: Verdict, before: CellInfo, after: CellInfo) -> Share:
    verdicts = _counts(cell, before, after)[1]
    return verdicts.get(which, 0), sum(n for v, n in verdicts.items() if v not in _UNTESTED)


def _counts(
    cell: CellInfo, before: CellInfo, after: CellInfo
) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Return the trials of *cell* by outcome and by verdict: all known, or the campaign's own."""
    if cell.known and not _same_binary(before, after):
        return cell.known.counts, cell.known.verdicts
    own = [t for t in cell.trials if t.verdict != Verdict.INFRA]
    return Counter(t.outcome for t in own), Counter(t.verdict for t in own)


def enough(fewer: Share, more: Share) -> int:
    """Return how many trials of each side would exclude chance if the rates stay the same.

    0 if the rates do not differ, or if more than `_MOST` are needed.
    """
    (few, size), (many, rest) = fewer, more
    if not size or not rest or few * rest >= many * size:
        return 0
    for n in range(1, _MOST + 1):
        if fisher((ceil(few * n / size), n), (floor(many * n / rest), n)) <= SIGNIFICANCE:
            return n
    return 0
