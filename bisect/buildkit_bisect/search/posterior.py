"""How likely each candidate is, given every trial, when neither rate is known for sure.

The probability of all trials, if the change is at c, is an integral over both rates: of the
trials at commits that contain c, at one rate, times that of all others, at the other rate.
Trials of the ends and of the proof count like any other. A skip is no observation. One more
hypothesis is that nothing changed, and all trials have one rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from buildkit_bisect.search.cells import Cells
from buildkit_bisect.search.information import Outlook, Rates
from buildkit_bisect.search.prior import Weights
from buildkit_bisect.search.rates import (
    FIX,
    FIXED_FIX,
    FIXED_REGRESSION,
    NO_CHANGE,
    REGRESSION,
    Floats,
    RatePrior,
    Results,
)
from buildkit_bisect.search.state import State
from buildkit_bisect.search.vocabulary import Candidate, SearchOptions

_TINY = 1e-300

#: A search stops when the posterior's doubt is the user's divided by this, and it reports its
#: doubt times this. The prior cannot be right for every pair of rates; docs/search.md shows what
#: this margin makes of it.
MARGIN = 1.6

#: The nearer the two rates are, the longer chance makes a wrong commit look right. Below this
#: distance the margin grows by this power, at most to this many times itself. It grows for the one
#: reason or the other, not for both.
_APART = 0.15
_APART_POWER = 0.8
_APART_MOST = 4.0

#: Small doubts depend most on what the prior says of rare noise: below this one the margin grows
#: by this power, to 4 at a doubt of 1 %.
_SMALL = 0.05
_GROWS = 0.57


def prior_of(options: SearchOptions) -> RatePrior:
    """What the search takes for granted: with ``find_fix``, *new* is good."""
    if options.trials is None:
        return FIX if options.find_fix else REGRESSION
    return FIXED_FIX if options.find_fix else FIXED_REGRESSION


@dataclass(frozen=True, slots=True)
class Likelihoods:
    """What trials say of rates: of each cell's, and of the one rate if nothing changed."""

    log: Floats  # [cell], of all trials
    with_it: Floats  # [cell, rate], sums to 1
    without: Floats
    log_alike: float
    alike: Floats  # [rate], sums to 1


def likelihoods(prior: RatePrior, inside: Floats, new: Floats, old: Floats) -> Likelihoods:
    """Of tests with *new* and *old* trials; *inside* is [cell, test], 1 where it contains it."""
    new_in, old_in = inside @ new, inside @ old
    in_, top_in = prior.scaled(new_in, old_in)
    out, top_out = prior.scaled(new.sum() - new_in, old.sum() - old_in)
    beside = in_ @ prior.pairs
    each = np.maximum((beside * out).sum(axis=1), _TINY)
    one, top_one = prior.scaled(new.sum(keepdims=True), old.sum(keepdims=True))
    alike = one[0] * prior.alike
    total = max(float(alike.sum()), _TINY)
    return Likelihoods(
        log=np.log(each) + top_in + top_out,
        with_it=in_ * (out @ prior.pairs.T) / each[:, None],
        without=beside * out / each[:, None],
        log_alike=float(np.log(total) + top_one[0]),
        alike=alike / total,
    )


class Belief:
    """The probability of each cell, and what is known of the rates if it is the one."""

    def __init__(self, state: State, cells: Cells, given: Likelihoods) -> None:
        self.state = state
        self.cells = cells
        self.given = given
        sizes = cells.sizes
        total = max(1.0, float(sizes.sum()))
        log = given.log + np.log(np.maximum(sizes, _TINY) * ((1 - NO_CHANGE) / total))
        none = given.log_alike + np.log(NO_CHANGE)
        top = max(float(log.max()), none)
        mass, alike = np.exp(log - top), float(np.exp(none - top))
        self.mass = mass / (mass.sum() + alike)  # [cell]
        self.no_change = alike / float(mass.sum() + alike)
        self.each = self.mass / np.maximum(sizes, 1)  # of one member
        self._outlooks: dict[tuple[int, ...], Outlook] = {}

    @cached_property
    def top(self) -> int:
        """The cell whose members are likeliest."""
        return int(self.each.argmax())

    @property
    def best(self) -> float:
        """Probability of the likeliest candidate."""
        return float(self.each[self.top])

    def of(self, commit: str) -> float:
        """Probability that the change is this very commit."""
        bit = 1 << self.state.history.number(commit)
        for cell, members in enumerate(self.cells.members):
            if members & bit:
                return float(self.each[cell])
        return 0.0

    @cached_property
    def entropy(self) -> float:
        """Bits that are missing to the answer."""
        each = np.maximum(self.each, _TINY)
        none = max(self.no_change, _TINY)
        return -float(self.mass @ np.log2(each) + self.no_change * np.log2(none))

    @property
    def bits_of_change(self) -> float:
        """Bits that are missing to the commit, if there is one that changed the outcome."""
        changed = max(float(self.mass.sum()), _TINY)
        shares = self.each / changed
        return -float(self.mass @ np.log2(np.maximum(shares, _TINY))) / changed

    @cached_property
    def rates(self) -> Rates:
        """Expected rates of bad trials on both sides."""
        grid = prior_of(self.state.options).rates
        changed = max(float(self.mass.sum()), _TINY)
        with_it = float(self.mass @ (self.given.with_it @ grid)) / changed
        without = float(self.mass @ (self.given.without @ grid)) / changed
        if self.state.options.find_fix:
            return Rates(1 - without, 1 - with_it)
        return Rates(with_it, without)

    @cached_property
    def near(self) -> float:
        """How many times the margin grows because the rates are near each other; at least 1."""
        bad, good = self.rates.bad_side, self.rates.good_side
        # Squared Hellinger distance of one trial on either side: 0 for equal rates, at most 1.
        apart = 1 - math.sqrt(bad * good) - math.sqrt((1 - bad) * (1 - good))
        return min(_APART_MOST, max(1.0, math.pow(_APART / max(apart, _TINY), _APART_POWER)))

    @property
    def doubt_allowed(self) -> float:
        """The posterior's doubt at which a commit is named."""
        return cautious(1 - self.state.options.confidence, self.near)

    def stated(self, probability: float) -> float:
        """The confidence that is reported for a posterior probability."""
        return stated(probability, self.near)

    def results(self, batches: tuple[int, ...]) -> Results:
        """Where a bad trial tells more than a good one, the first ends an ask."""
        ends = not self.state.options.find_fix if self.rates.one_sided else None
        return prior_of(self.state.options).results(batches, ends)

    def bits(self, batches: tuple[int, ...], contained: Floats, each: Floats) -> Floats:
        """Expected bits of numbers of trials, [row, batch].

        *contained* is [row, cell], how much of each cell a row's commit contains, and *each* is
        the probability of one of these units.
        """
        if batches not in self._outlooks:
            given, results = self.given, self.results(batches)
            table = results.table
            self._outlooks[batches] = Outlook(
                given.with_it @ table, given.without @ table, given.alike @ table, results.starts
            )
        return self._outlooks[batches].bits(self, contained, each)

    def runs(self, batches: tuple[int, ...], contained: Floats) -> Floats:
        """How many trials of each number are expected to be made, [row, batch]."""
        given, until = self.given, self.results(batches).runs
        without = given.without @ until
        runs: Floats = (
            self.mass @ without
            + self.no_change * (given.alike @ until)
            + contained @ (self.each[:, None] * (given.with_it @ until - without))
        )
        return runs

    def _likeliest(self, confidence: float) -> Sequence[int]:
        order = np.argsort(-self.each, kind="stable")
        enough = int(np.searchsorted(np.cumsum(self.mass[order]), confidence)) + 1
        return [int(c) for c in order[:enough]]

    def credible_size(self, confidence: float) -> int:
        """How many candidates it takes to reach *confidence*."""
        return sum(self.cells.members[c].bit_count() for c in self._likeliest(confidence))

    def credible(self, confidence: float) -> tuple[Candidate, ...]:
        """The likeliest candidates that together reach *confidence*; whole cells at a time."""
        return tuple(
            self.state.candidate(commit, float(self.each[cell]))
            for cell in self._likeliest(confidence)
            for commit in self.state.history.shas(self.cells.members[cell])
        )


def belief(state: State, weights: Weights | None = None) -> Belief:
    """The posterior over every candidate between the ends.

    With *weights* it is only good for choosing what to ask: what is answered takes all candidates
    as equally likely before any trial.
    """
    cells, ran = state.cells(weights), state.ran()
    new, old = state.counts()
    # The trials of a build count once, on the side of the first of its commits that was run.
    once = np.array([first == commit for commit, first in ran.items()])
    new, old = new * once, old * once
    given = likelihoods(prior_of(state.options), cells.inside.astype(np.float64), new, old)
    if not once.all():
        # A change between two commits that are the same build changed nothing.
        firsts = [cells.tests[first] for first in ran.values()]
        split = (cells.inside != cells.inside[:, firsts]).any(axis=1)
        if not split.all():
            given = replace(given, log=np.where(split, -np.inf, given.log))
    return Belief(state, cells, given)


def cautious(doubt: float, near: float) -> float:
    """The posterior's doubt at which no more than *doubt* is stated; *near* as in `Belief.near`."""
    return doubt / MARGIN / max(near, math.pow(_SMALL / doubt, _GROWS))


def stated(probability: float, near: float) -> float:
    """The confidence that is reported for a posterior probability: `cautious` the other way."""
    doubt = MARGIN * (1 - probability)
    if doubt * near > _SMALL / math.pow(near, 1 / _GROWS):
        return max(0.0, 1 - doubt * near)
    return 1 - math.pow(doubt * math.pow(_SMALL, _GROWS), 1 / (1 + _GROWS))
