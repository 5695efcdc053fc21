"""Bits that trials of a commit are worth, where trials can err at rates known only roughly.

Each cell of candidates has its own idea of the two rates, from the trials it puts on either
side. So trials of an end, whose side is no question, can still tell the cells apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from buildkit_bisect.search.rates import Floats, entropy


@dataclass(frozen=True, slots=True)
class Rates:
    """How often a trial is bad, on the bad side of the change and on the good one, on average."""

    bad_side: float
    good_side: float

    @property
    def one_sided(self) -> bool:
        """Whether a bad trial tells more than a good one, so that the first may end an ask."""
        return self.good_side * (1 - self.good_side) <= self.bad_side * (1 - self.bad_side)

    def __str__(self) -> str:
        return (
            f"bad in {self.bad_side:.2f} of the trials on the bad side, "
            f"{self.good_side:.2f} on the good side"
        )


class Hypotheses(Protocol):
    """What is believed: the probability of each cell, and that nothing changed."""

    mass: Floats
    no_change: float


class Outlook:
    """What several numbers of trials may show: the probability of each result, by hypothesis.

    *with_it* and *without* are [cell, result], *alike* is [result]; the results of a batch start
    at its place of *starts*.
    """

    def __init__(
        self, with_it: Floats, without: Floats, alike: Floats, starts: NDArray[np.intp]
    ) -> None:
        self._without, self._alike, self._starts = without, alike, starts
        self._more = with_it - without
        self._known, self._known_alike = entropy(without, starts), entropy(alike, starts)
        self._known_more = entropy(with_it, starts) - self._known

    def bits(self, belief: Hypotheses, contained: Floats, each: Floats) -> Floats:
        """Expected bits about which hypothesis is true, [row, batch].

        *contained* is [row, cell], how much of each cell a row's commit contains, and *each* is
        the probability of one of these units.
        """
        mass, none = belief.mass, belief.no_change
        mixed = mass @ self._without + none * self._alike + contained @ (each[:, None] * self._more)
        known = mass @ self._known + none * self._known_alike
        gained: Floats = entropy(mixed, self._starts) - known
        gained -= contained @ (each[:, None] * self._known_more)
        return gained
