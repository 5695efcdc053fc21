"""What is known of the rates before the first trial, and how trials change it.

A trial shows the new behaviour at one rate in commits that have the change, and at another in
commits that do not. Neither is known, so both are integrated out over a grid of pairs. The grid is
dense near 0 and 1, where most bugs are, and has 0 and 1 themselves.

The prior is a mixture of what reproducers are like: no noise at all; a bug that shows only
sometimes, and never without the change; a bug that always shows, and sometimes by mistake;
trials that err equally often both ways; and, with most of the weight, any two rates. Pairs
closer than `LEAST_DIFFERENCE` are no change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Two rates closer than this are called equal.
LEAST_DIFFERENCE = 0.15

#: Probability, before any trial, that there is no change at all between the ends.
NO_CHANGE = 0.5

#: Weights of the kinds of reproducers. A user who sets the number of trials expects no noise; one
#: build that answers both ways rules that out.
_CLEAN, _CLEAN_IF_FIXED = 0.10, 0.90
_ONLY_SOMETIMES = 0.05  # never bad on the good side
_ALWAYS = 0.02  # never good on the bad side
_SYMMETRIC = 0.20  # errs equally often both ways, and seldom
_ANY = 0.63

#: Points of the grid strictly between 0 and 1.
_POINTS = 20

#: Weight of each of the rates 0 and 1 where there is no change.
_CONSTANT = 0.1

_TINY = 1e-300
_NEVER = -230.0


@dataclass(frozen=True, slots=True, eq=False)
class RatePrior:
    """Weights over pairs of rates of *new* trials (with the change, without), and over one rate."""

    rates: Floats
    pairs: Floats  # [with, without], sums to 1
    alike: Floats  # of one rate, where there is no change; sums to 1
    log_new: Floats
    log_old: Floats

    def log_likelihood(self, new: Floats, old: Floats) -> Floats:
        """Log probability of each row's counts at every rate of the grid."""
        # An impossible outcome that was not seen weighs nothing: 0 * -inf must be 0.
        likely: Floats = np.multiply.outer(new, self.log_new) + np.multiply.outer(old, self.log_old)
        return likely

    def scaled(self, new: Floats, old: Floats) -> tuple[Floats, Floats]:
        """Likelihoods, scaled to a largest of 1 in each row, and the log of the scale."""
        log = self.log_likelihood(new, old)
        top = log.max(axis=1)
        log -= top[:, None]
        log[log < _NEVER] = -np.inf  # numbers too small for the processor's fast path
        return np.exp(log), top

    @lru_cache(maxsize=256)  # noqa: B019 - the priors live as long as the program
    def results(self, batches: tuple[int, ...], ends: bool | None) -> Results:
        """What each number of trials may show.

        *ends*: a new trial (True) or an old one (False) ends them; None: nothing does.
        """
        tables, runs = [], []
        for n in batches:
            if ends is None or n == 1:
                tables.append(self._counts(n))
                runs.append(np.full(len(self.rates), float(n)))
            else:
                alarm = self.rates if ends else 1 - self.rates
                quiet = (1 - alarm)[:, None] ** np.arange(n)
                tables.append(np.hstack([quiet * alarm[:, None], (1 - alarm)[:, None] ** n]))
                runs.append(quiet.sum(axis=1))
        widths = [t.shape[1] for t in tables]
        return Results(
            np.hstack(tables), np.stack(runs, axis=1), np.cumsum([0, *widths[:-1]], dtype=np.intp)
        )

    def _counts(self, trials: int) -> Floats:
        ways = np.array([math.comb(trials, k) for k in range(trials + 1)], dtype=np.float64)
        k = np.arange(trials + 1)
        rate = self.rates[:, None]
        table: Floats = ways * rate**k * (1 - rate) ** (trials - k)
        return table


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """What several numbers of trials may show, side by side."""

    table: Floats  # [rate, result]: the probability of each result
    runs: Floats  # [rate, batch]: how many trials are expected to be made
    starts: NDArray[np.intp]  # the first result of each batch


def _regression(clean: float) -> RatePrior:
    angle = (np.arange(_POINTS) + 0.5) / _POINTS * np.pi / 2
    inner = np.sin(angle) ** 2
    rates = np.concatenate([[0.0], inner, [1.0]])
    size = len(rates)
    between = slice(1, size - 1)
    jeffreys = np.full(_POINTS, 1 / _POINTS)  # in the angle, that is
    flat = np.sin(2 * angle)
    seldom = np.cos(angle) ** 5  # of errors: Beta(1/2, 3)
    rare = np.cos(angle) ** 2  # Beta(1/2, 1): false alarms are rarer than missed ones
    far = rates[:, None] - rates[None, :] >= LEAST_DIFFERENCE - 1e-9

    kinds: list[tuple[float, Floats]] = []
    for weight, rows, columns, density in (
        (clean, -1, 0, 1.0),
        (_ONLY_SOMETIMES, between, 0, jeffreys),
        (_ALWAYS, -1, between, jeffreys),
        (_SYMMETRIC, np.arange(size - 2, 0, -1), np.arange(1, size - 1), seldom),
        (_ANY, between, between, np.outer(flat, rare)),
    ):
        kind = np.zeros((size, size))
        kind[rows, columns] = density
        kinds.append((weight, kind * far))
    # A larger weight of one kind leaves the others in proportion.
    kinds[1:] = [(weight * (1 - clean) / (1 - _CLEAN), kind) for weight, kind in kinds[1:]]
    pairs = sum((weight * kind / kind.sum() for weight, kind in kinds), np.zeros((size, size)))
    alike = np.full(size, (1 - 2 * _CONSTANT) / _POINTS)
    alike[[0, -1]] = _CONSTANT
    return _prior(rates, pairs / pairs.sum(), alike)


def _prior(rates: Floats, pairs: Floats, alike: Floats) -> RatePrior:
    # Finite stand-ins for log 0: one impossible trial is enough to rule a rate out.
    log_new = np.log(np.maximum(rates, _TINY))
    log_old = np.log(np.maximum(1 - rates, _TINY))
    return RatePrior(rates, pairs, alike, log_new, log_old)


def _fix(regression: RatePrior) -> RatePrior:
    # The sides are swapped: new is good, and what is rare on the good side is old.
    pairs = regression.pairs[::-1, ::-1].T.copy()
    return _prior(regression.rates, pairs, regression.alike)


#: Of bad trials, on the bad side and on the good side.
REGRESSION = _regression(_CLEAN)
FIX = _fix(REGRESSION)

#: The same where the number of trials of each commit is fixed.
FIXED_REGRESSION = _regression(_CLEAN_IF_FIXED)
FIXED_FIX = _fix(FIXED_REGRESSION)


def entropy(shares: Floats, starts: NDArray[np.intp]) -> Floats:
    """Bits of probabilities along the last axis, each stretch that starts there by itself."""
    logs: Floats = shares * np.log2(np.maximum(shares, _TINY))
    bits: Floats = -np.add.reduceat(logs, starts, axis=-1)
    return bits


def bits_of(p: Floats) -> Floats:
    """Bits of yes/no questions with these probabilities."""
    q = 1 - p
    bits: Floats = -(p * np.log2(np.maximum(p, _TINY)) + q * np.log2(np.maximum(q, _TINY)))
    return bits


def as_floats(counts: Sequence[int]) -> Floats:
    """Counts of trials for arithmetic."""
    return np.array(counts, dtype=np.float64)
