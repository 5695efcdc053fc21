"""What is thought of the candidates before any trial: a weight for each.

Weights choose what is tested next and nothing else. What counts as an answer, and how sure it
is, takes every candidate as equally likely; so weights that are wrong cost tests, and have no
part in the answer. Half of the weight is always spread evenly, so that no candidate has less than
half of its even share: whatever the weights, the culprit is about one halving further away.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

import numpy as np

from buildkit_bisect.search.ancestors import AncestorTable
from buildkit_bisect.search.history import History, Mask, bits
from buildkit_bisect.search.rates import Floats


class Weights:
    """Weights of sets of commits, each commit's at least 1.

    They are rounded to powers of two, so that a whole table of sets is weighed by counting.
    """

    def __init__(self, levels: Mapping[int, Mask] | None = None) -> None:
        self._levels: tuple[tuple[float, Mask], ...] = ((1.0, -1),)
        if levels:
            self._levels = tuple((2.0**n, mask) for n, mask in sorted(levels.items()))

    @classmethod
    def among(cls, space: Mask, history: History, given: Mapping[str, float]) -> Self:
        """Return the weights of the candidates *space*: half of what is *given*, half even.

        Other commits weigh like candidates that are given nothing: a search that moves its good
        end back comes to some. Raises `BadInput` for one that is not in *history*.
        """
        weights = {history.number(commit): weight for commit, weight in given.items()}
        total = sum(weight for number, weight in weights.items() if space >> number & 1)
        if not total:
            return cls()
        levels: dict[int, Mask] = {}
        for number in bits(space):
            share = weights.get(number, 0.0) / total * space.bit_count()
            level = round(math.log2(1 + share))
            levels[level] = levels.get(level, 0) | 1 << number
        if len(levels) == 1:  # all alike is no preference
            return cls()
        levels[0] = levels.get(0, 0) | ~space
        return cls(levels)

    @property
    def even(self) -> bool:
        """Whether every candidate has the same weight."""
        return len(self._levels) == 1

    def of(self, members: Mask) -> float:
        """The weight of a set of commits."""
        return sum(weight * (members & mask).bit_count() for weight, mask in self._levels)

    def within(self, table: AncestorTable, members: Mask) -> Floats:
        """What each commit of a table contains of a set, by weight."""
        total = np.zeros(len(table.rows))
        for weight, mask in self._levels:
            if members & mask:
                total += weight * table.count(members & mask)
        return total


def combined(candidates: Iterable[str], sources: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """One weight for each candidate from several sources of weights, each with an equal share.

    A source that gives every candidate the same, or nothing at all, is left out.
    """
    found = dict.fromkeys(candidates, 0.0)
    for source in sources:
        each = {commit: source.get(commit, 0.0) for commit in found}
        total = sum(each.values())
        if total > 0 and len(set(each.values())) > 1:
            for commit, weight in each.items():
                found[commit] += weight / total
    return found
