"""Which commit to run next, and how often, where trials can lie: most bits for its cost.

A commit that is built already costs only its runs, so flakiness costs trials and not builds.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from buildkit_bisect.search.history import Mask
from buildkit_bisect.search.information import alarms, bits_told
from buildkit_bisect.search.midpoint import entropy
from buildkit_bisect.search.posterior import Belief, priors
from buildkit_bisect.search.state import State
from buildkit_bisect.search.vocabulary import Phase

#: Trials that one ask may be worth, in automatic mode.
_BATCHES = (1, 2, 3, 4, 6, 8, 12)

#: Commits not run yet that are weighed with every number of trials.
_SHORTLIST = 12

#: Probability of a cell below which it does not decide what is on the shortlist.
_ROUGH = 2e-3

#: Bits below which no trial is worth asking for.
_NOTHING = 1e-4

#: Probability of a cell below which it does not steer the search.
_NEGLIGIBLE = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class Weighed:
    """A commit, a number of trials, and what they are expected to tell."""

    commit: str
    trials: int
    gain: float  # bits
    rate: float  # bits a second
    p: float  # probability that the commit contains the culprit


def weigh(state: State, now: Belief, pool: Mask, phase: Phase) -> Weighed | None:
    """The best ask among the commits of *pool* and those that were run; None: none tells more."""
    batches = (state.options.trials,) if state.options.trials else _BATCHES
    gave_up = state.evidence.skips[phase] >= state.options.max_skips
    fresh = [] if gave_up else _shortlist(state, now, state.untested(pool))
    again = [(c, 1.0) for c in state.evidence.told() if _can_run_again(state, c)]
    return _Scale(state, now).best([*again, *fresh], batches)


def _shortlist(
    state: State, now: Belief, commits: list[tuple[str, float]]
) -> list[tuple[str, float]]:
    """The commits that would tell most for their cost if a trial never lied."""
    live = [(c.members, mass / c.members.bit_count()) for c, mass in now.cells if mass > _ROUGH]

    def worth(one: tuple[str, float]) -> float:
        sha, likely = one
        inside = state.history.ancestors(sha)
        p = sum((members & inside).bit_count() * each for members, each in live)
        return likely * entropy(p) / state.cost_of(sha, 1)

    return heapq.nlargest(_SHORTLIST, commits, key=worth)


class _Scale:
    """Bits and seconds of an ask, given what is believed now."""

    def __init__(self, state: State, now: Belief) -> None:
        self._state = state
        self._rates = now.rates
        self._prior = priors(state)
        self._live = [
            (cell, cell.members.bit_count(), mass) for cell, mass in now.cells if mass > _NEGLIGIBLE
        ]

    def best(self, commits: list[tuple[str, float]], batches: tuple[int, ...]) -> Weighed | None:
        """The ask with most bits a second."""
        asks = (self._ask(sha, likely, batches) for sha, likely in commits)
        return max((a for a in asks if a), key=lambda a: a.rate, default=None)

    def _ask(self, sha: str, likely: float, batches: tuple[int, ...]) -> Weighed | None:
        sides = self._sides(self._state.history.ancestors(sha))
        p = min(1.0, sum(w for w, _, inside in sides if inside))
        build = self._state.cost.build_seconds(sha)
        trial = self._state.cost.trial_seconds(sha)
        on_bad_side = 1 - p if self._state.options.find_fix else p
        any_only = self._rates.one_sided
        best = None
        for n in batches:
            told = bits_told([(w, alarms(*beta, n, any_only=any_only)) for w, beta, _ in sides])
            gain = likely * told
            rate = gain / (build + trial * self._rates.expected_trials(n, on_bad_side))
            if gain > _NOTHING and (best is None or rate > best.rate):
                best = Weighed(commit=sha, trials=n, gain=gain, rate=rate, p=p)
        return best

    def _sides(self, contained: Mask) -> list[tuple[float, tuple[float, float], bool]]:
        """Each cell's parts in and outside a commit: probability, rate of bad as a Beta, inside."""
        sides = []
        for cell, size, mass in self._live:
            within = (cell.members & contained).bit_count()
            if within:
                sides.append((mass * within / size, self._bad(cell.with_it(self._prior)), True))
            if within < size:
                outside = mass * (size - within) / size
                sides.append((outside, self._bad(cell.without(self._prior)), False))
        return sides

    def _bad(self, beta: tuple[float, float]) -> tuple[float, float]:
        """A rate of new trials as one of bad trials."""
        return (beta[1], beta[0]) if self._state.options.find_fix else beta


def _can_run_again(state: State, commit: str) -> bool:
    return commit in state.history and state.evidence.tally(commit).decided > 0
