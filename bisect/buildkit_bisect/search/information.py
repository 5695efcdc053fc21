"""Bits that n trials of a commit are worth, where trials can lie at rates known only roughly.

Each cell of candidates has its own idea of the two rates, from the trials it puts on either
side. So trials of an end, whose side is no question, can still tell the cells apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

#: Below this rate of bad trials on the good side, one bad trial settles a commit.
ONE_SIDED = 0.02


@dataclass(frozen=True, slots=True)
class Rates:
    """How often a trial is bad, on the bad side of the change and on the good one, on average."""

    bad_side: float
    good_side: float

    @property
    def one_sided(self) -> bool:
        """Whether the good side is (almost) never bad, so that one bad trial settles a commit."""
        return self.good_side < ONE_SIDED

    def expected_trials(self, trials: int, p: float) -> float:
        """Trials up to the first bad one where one settles it; *p*: is on the bad side."""
        if not self.one_sided:
            return trials
        return p * _until(self.bad_side, trials) + (1 - p) * _until(self.good_side, trials)

    def __str__(self) -> str:
        return f"bad in {self.bad_side:.2f} and {self.good_side:.2f} of the trials on either side"


@lru_cache(maxsize=4096)
def alarms(a: float, b: float, trials: int, *, any_only: bool) -> tuple[float, ...]:
    """Probability of each number of bad trials in *trials*, their rate being Beta(a, b).

    With *any_only* just of none and of some.
    """
    counts = [
        math.comb(trials, k) * math.exp(_log_b(a + k, b + trials - k) - _log_b(a, b))
        for k in range(1 if any_only else trials + 1)
    ]
    return (counts[0], max(0.0, 1 - counts[0])) if any_only else tuple(counts)


def bits_told(parts: Sequence[tuple[float, tuple[float, ...]]]) -> float:
    """Expected bits about which part is true: each part's probability, and its predictions."""
    mixed = [sum(w * p[k] for w, p in parts) for k in range(len(parts[0][1]))]
    return max(0.0, _entropy(mixed) - sum(w * _entropy(p) for w, p in parts))


def _entropy(distribution: Sequence[float]) -> float:
    return -sum(p * math.log2(p) for p in distribution if p > 0)


def _until(rate: float, trials: int) -> float:
    return float(trials) if rate <= 0 else (1 - (1 - rate) ** trials) / rate


def _log_b(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
