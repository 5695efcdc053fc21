"""How likely each candidate is, given every trial, when neither end's rate is known for sure.

A commit that contains the culprit shows the new behaviour at an unknown rate p, one that does
not at an unknown rate q. With Beta priors on both, the rates integrate out:

    P(c | trials) ~ B(a1 + new_in, b1 + old_in) / B(a1, b1) * B(a0 + new_out, ...) / B(a0, b0)

where *in* counts trials of commits that contain c. A skip is no observation. Candidates that
no trial tells apart are one cell, so the work depends on what was tested, not on N.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from buildkit_bisect.search.history import Mask
from buildkit_bisect.search.information import Rates
from buildkit_bisect.search.state import State
from buildkit_bisect.search.vocabulary import Candidate

#: Beta priors (bad, good) of a trial on the bad and the good side of the change: most
#: histories are nearly free of noise, and the good side more so.
BAD_SIDE = (1.0, 0.2)
GOOD_SIDE = (0.05, 1.0)


@dataclass(frozen=True, slots=True)
class Priors:
    """The same as Beta(new, old), with the change and without it."""

    with_it: tuple[float, float]
    without: tuple[float, float]


REGRESSION = Priors(BAD_SIDE, GOOD_SIDE)
FIX = Priors((GOOD_SIDE[1], GOOD_SIDE[0]), (BAD_SIDE[1], BAD_SIDE[0]))


def priors(state: State) -> Priors:
    """What the search takes for granted: with ``find_fix``, *new* is good."""
    return FIX if state.options.find_fix else REGRESSION


@dataclass(frozen=True, slots=True)
class Cell:
    """Candidates that no trial tells apart, and the trials with and without them."""

    members: Mask
    new_in: int
    old_in: int
    new_out: int
    old_out: int

    def log_likelihood(self, prior: Priors) -> float:
        """Of all trials, if the culprit is one of the members."""
        return log_beta(prior.with_it, self.new_in, self.old_in) + log_beta(
            prior.without, self.new_out, self.old_out
        )

    def with_it(self, prior: Priors) -> tuple[float, float]:
        """The rate of *new* with the culprit, as a Beta."""
        return prior.with_it[0] + self.new_in, prior.with_it[1] + self.old_in

    def without(self, prior: Priors) -> tuple[float, float]:
        """The rate of *new* without the culprit, as a Beta."""
        return prior.without[0] + self.new_out, prior.without[1] + self.old_out


@dataclass(frozen=True, slots=True)
class Belief:
    """Cells and the probability of each; likeliest per member first."""

    cells: tuple[tuple[Cell, float], ...]
    state: State

    def of(self, commit: str) -> float:
        """Probability that the change is this very commit."""
        bit = 1 << self.state.history.number(commit)
        for cell, mass in self.cells:
            if cell.members & bit:
                return mass / cell.members.bit_count()
        return 0.0

    def credible_size(self, confidence: float) -> int:
        """How many candidates that would be."""
        size, total = 0, 0.0
        for cell, mass in self.cells:
            size += cell.members.bit_count()
            total += mass
            if total >= confidence:
                break
        return size

    def mass(self, members: Mask) -> float:
        """Probability that the change is one of *members*."""
        return sum(
            mass * (cell.members & members).bit_count() / cell.members.bit_count()
            for cell, mass in self.cells
        )

    @property
    def best(self) -> float:
        """Probability of the likeliest candidate."""
        return self.cells[0][1] / self.cells[0][0].members.bit_count()

    @property
    def entropy(self) -> float:
        """Bits that are missing to the answer."""
        return -sum(
            mass * math.log2(mass / cell.members.bit_count()) for cell, mass in self.cells if mass
        )

    @property
    def rates(self) -> Rates:
        """Expected rates of bad trials on both sides."""
        prior = priors(self.state)
        with_it = sum(mass * _mean(cell.with_it(prior)) for cell, mass in self.cells)
        without = sum(mass * _mean(cell.without(prior)) for cell, mass in self.cells)
        if self.state.options.find_fix:
            return Rates(1 - without, 1 - with_it)
        return Rates(with_it, without)

    def credible(self, state: State, confidence: float) -> tuple[Candidate, ...]:
        """The likeliest candidates that together reach *confidence*; whole cells at a time."""
        found: list[Candidate] = []
        total = 0.0
        for cell, mass in self.cells:
            each = mass / cell.members.bit_count()
            found += [state.candidate(c, each) for c in state.history.shas(cell.members)]
            total += mass
            if total >= confidence:
                break
        return tuple(found)


def belief(state: State) -> Belief:
    """The posterior over every candidate between the ends."""
    trials = []
    seen: set[str] = set()
    for commit in state.evidence.told():
        identity = state.evidence.identity(commit)
        tally = state.evidence.tally(commit)
        if identity in seen or not tally.decided or commit not in state.history:
            continue
        seen.add(identity)
        trials.append((state.history.ancestors(commit), tally.new, tally.old))
    cells = partition(state.space(), trials)
    prior = priors(state)
    weighted = [(c, c.log_likelihood(prior) + math.log(c.members.bit_count())) for c in cells]
    top = max((w for _, w in weighted), default=0.0)
    scaled = [(c, math.exp(w - top)) for c, w in weighted]
    total = sum(w for _, w in scaled)
    ranked = sorted(scaled, key=lambda cw: cw[1] / cw[0].members.bit_count(), reverse=True)
    return Belief(tuple((c, w / total) for c, w in ranked), state)


def partition(space: Mask, trials: Sequence[tuple[Mask, int, int]]) -> list[Cell]:
    """Split *space* by trials (what a commit contains, new, old) into cells."""
    cells = [Cell(space, 0, 0, 0, 0)] if space else []
    for inside, new, old in trials:
        cut = []
        for c in cells:
            if within := c.members & inside:
                cut.append(Cell(within, c.new_in + new, c.old_in + old, c.new_out, c.old_out))
            if without := c.members & ~inside:
                cut.append(Cell(without, c.new_in, c.old_in, c.new_out + new, c.old_out + old))
        cells = cut
    return cells


def _mean(beta: tuple[float, float]) -> float:
    return beta[0] / sum(beta)


def log_beta(prior: tuple[float, float], new: int, old: int) -> float:
    """Log probability of one order of *new* and *old* trials, their rate having this prior."""
    a, b = prior
    return (
        math.lgamma(a + new)
        + math.lgamma(b + old)
        - math.lgamma(a + b + new + old)
        - (math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b))
    )
