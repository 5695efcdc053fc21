"""The rank test of Mann and Whitney, one-sided. Pure.

Times and sizes of builds have no usual distribution, and a trial may be slow for many reasons:
ranks need no assumption about either.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby

#: A difference as large as the one seen has at most this chance if there is none.
ALPHA = 0.05

#: Values of both samples together up to which every arrangement is counted.
_EXACT = 40


def larger(xs: Sequence[float], ys: Sequence[float]) -> float:
    """The chance that *xs* rank as high above *ys* as they do, or higher, if both are alike.

    Both must have values. Equal values share their ranks; the chance is exact for few values.
    """
    ranks = _doubled_ranks([*xs, *ys])
    seen = sum(ranks[: len(xs)])
    if len(ranks) <= _EXACT:
        return _exact(ranks, len(xs), seen)
    return _normal(ranks, len(xs), seen)


def not_smaller(xs: Sequence[float], ys: Sequence[float]) -> float:
    """The same for *xs* that are as high as *ys* or higher: equal values rank in their favour.

    Of numbers that are the same in every trial, `larger` could never say anything.
    """
    order = sorted([(y, 0) for y in ys] + [(x, 1) for x in xs])
    places = {key: float(place) for place, key in enumerate(dict.fromkeys(order))}
    return larger([places[x, 1] for x in xs], [places[y, 0] for y in ys])


def smallest(here: int, there: int) -> float:
    """The smallest chance that `larger` can return for so many values."""
    return 1 / math.comb(here + there, here)


def enough() -> int:
    """How many values each sample needs at least for a chance of `ALPHA`."""
    number = 1
    while smallest(number, number) > ALPHA:
        number += 1
    return number


def _doubled_ranks(values: Sequence[float]) -> list[int]:
    """The ranks of *values* in their order, doubled: ties share the mean of theirs."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0] * len(values)
    first = 0
    for _, group in groupby(order, key=values.__getitem__):
        members = list(group)
        for index in members:
            ranks[index] = 2 * first + len(members) + 1
        first += len(members)
    return ranks


def _exact(ranks: Sequence[int], size: int, seen: int) -> float:
    """The share of all choices of *size* ranks whose sum is *seen* or more."""
    ways: list[dict[int, int]] = [defaultdict(int) for _ in range(size + 1)]
    ways[0][0] = 1
    for rank in ranks:
        for count in range(size, 0, -1):
            for total, number in ways[count - 1].items():
                ways[count][total + rank] += number
    return sum(n for total, n in ways[size].items() if total >= seen) / math.comb(len(ranks), size)


def _normal(ranks: Sequence[int], size: int, seen: int) -> float:
    """The same by the normal distribution, with a correction for ties and for continuity."""
    total = len(ranks)
    mean = size * (total + 1)
    other = size * (total - size) / (total * (total - 1))
    variance = other * sum((rank - total - 1) ** 2 for rank in ranks)
    if variance == 0:
        return 1.0
    return 0.5 * math.erfc((seen - mean - 1) / math.sqrt(2 * variance))
