"""Bits that trials of a commit are worth, where trials can err at rates known only roughly.

Each cell of candidates has its own idea of the two rates, from the trials it puts on either
side. So trials of an end, whose side is no question, can still tell the cells apart.
"""

from __future__ import annotations

from dataclasses import dataclass

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
        return f"bad in {self.bad_side:.2f} and {self.good_side:.2f} of the trials on either side"


class Outlook:
    """What one number of trials may show: the probability of each result, by hypothesis.

    *with_it* and *without* are [cell, result], *alike* is [result].
    """

    def __init__(self, with_it: Floats, without: Floats, alike: Floats) -> None:
        self._without, self._alike = without, alike
        self._more = with_it - without
        self._known, self._known_alike = entropy(without), float(entropy(alike))
        self._known_more = entropy(with_it) - self._known

    def bits(self, mass: Floats, inside: Floats, no_change: float) -> Floats:
        """Expected bits about which hypothesis is true, of each row.

        *inside* is [row, cell]: the probability of each cell's candidates that the row's
        commit contains; *mass* is that of the whole cells.
        """
        mixed = mass @ self._without + no_change * self._alike + inside @ self._more
        known = float(mass @ self._known) + no_change * self._known_alike
        gained: Floats = entropy(mixed) - known - inside @ self._known_more
        return gained
