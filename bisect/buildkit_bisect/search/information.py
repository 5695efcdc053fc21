"""Bits that n trials of a commit are worth, where trials can lie at rates known only roughly.

Each cell of candidates has its own idea of the two rates, from the trials it puts on either
side. So trials of an end, whose side is no question, can still tell the cells apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

#: Below this rate of false alarms, one alarm settles a commit.
ONE_SIDED = 0.02


@dataclass(frozen=True, slots=True)
class Rates:
    """How often a trial shows the new behaviour, with the culprit and without, on average."""

    with_it: float
    without: float

    @property
    def one_sided(self) -> bool:
        """Whether commits without the culprit (almost) never show it."""
        return self.without < ONE_SIDED

    def expected_trials(self, trials: int, p: float) -> float:
        """Trials up to the first alarm where one settles it, else all; *p*: has the culprit."""
        if not self.one_sided:
            return trials
        return p * _until(self.with_it, trials) + (1 - p) * _until(self.without, trials)


@lru_cache(maxsize=4096)
def alarms(a: float, b: float, trials: int, *, any_only: bool) -> tuple[float, ...]:
    """Probability of each number of alarms in *trials*, their rate being Beta(a, b).

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
