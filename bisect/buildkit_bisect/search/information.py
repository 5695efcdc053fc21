"""Bits that n trials of a commit are worth, where trials can lie."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from buildkit_bisect.search.midpoint import entropy

#: Below this rate of false alarms, one alarm settles a commit.
ONE_SIDED = 0.02

_GRID = 200


@dataclass(frozen=True, slots=True)
class Rates:
    """How often a trial shows the new behaviour, with the culprit and without."""

    with_it: float
    without: float

    @property
    def one_sided(self) -> bool:
        """Whether commits without the culprit (almost) never show it."""
        return self.without < ONE_SIDED


def information(rates: Rates, trials: int, p: float) -> float:
    """Expected bits of *trials* trials of a commit that has the culprit with probability *p*."""
    return _table(rates, trials)[round(p * _GRID)]


def expected_trials(rates: Rates, trials: int, p: float) -> float:
    """Trials until the first alarm or the last: what a one-sided ask costs on average."""
    if not rates.one_sided:
        return trials
    return p * _until(rates.with_it, trials) + (1 - p) * _until(rates.without, trials)


def _until(rate: float, trials: int) -> float:
    return float(trials) if rate <= 0 else (1 - (1 - rate) ** trials) / rate


@lru_cache(maxsize=64)
def _table(rates: Rates, trials: int) -> tuple[float, ...]:
    if rates.one_sided:
        alarm = [1 - (1 - r) ** trials for r in (rates.with_it, rates.without)]
        with_it, without = ([a, 1 - a] for a in alarm)
    else:
        with_it, without = (
            [math.comb(trials, k) * r**k * (1 - r) ** (trials - k) for k in range(trials + 1)]
            for r in (rates.with_it, rates.without)
        )
    return tuple(_mutual(with_it, without, i / _GRID) for i in range(_GRID + 1))


def _mutual(with_it: list[float], without: list[float], p: float) -> float:
    bits = entropy(p)
    for a, b in zip(with_it, without, strict=True):
        seen = p * a + (1 - p) * b
        if seen > 0:
            bits -= seen * entropy(p * a / seen)
    return max(0.0, bits)
