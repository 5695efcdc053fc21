"""Which commit to run next, and how often, where trials can lie: most bits for its cost.

A commit that is built already costs only its runs, so flakiness costs trials and not builds.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from buildkit_bisect.search.history import Mask
from buildkit_bisect.search.information import alarms, bits_told
from buildkit_bisect.search.posterior import WITH, WITHOUT, Belief
from buildkit_bisect.search.state import State
from buildkit_bisect.search.steps import Phase

#: Trials that one ask may be worth, in automatic mode.
_BATCHES = (1, 2, 3, 4, 6, 8, 12)

#: Commits not run yet: looked at first, then around how many of those, and how many of what is
#: found there are weighed with every number of trials.
_SAMPLE = 300
_BLOCKS = 3
_SHORTLIST = 12

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
    fresh = _Fresh([] if gave_up else state.untested(pool))
    scale = _Scale(state, now)
    places = scale.best(fresh.sample(state), batches[:1], _BLOCKS)
    short = scale.best(fresh.near(places), batches[:1], _SHORTLIST)
    again = [(c, 1.0) for c in state.evidence.told() if _can_run_again(state, c)]
    found = scale.best([*again, *fresh.named(short)], batches, 1)
    return found[0] if found else None


class _Fresh:
    """Commits not run yet, in blocks, so that a long history is looked at coarsely first."""

    def __init__(self, commits: list[tuple[str, float]]) -> None:
        self._commits = commits
        self._place = {sha: at for at, (sha, _) in enumerate(commits)}
        self._block = -(-len(commits) // _SAMPLE) or 1

    def sample(self, state: State) -> list[tuple[str, float]]:
        """The commit of each block that is cheapest to build."""
        starts = range(0, len(self._commits), self._block)
        blocks = (self._commits[at : at + self._block] for at in starts)
        if self._block == 1:
            return self._commits
        return [min(b, key=lambda c: state.cost.build_seconds(c[0])) for b in blocks]

    def near(self, places: list[Weighed]) -> list[tuple[str, float]]:
        """All commits of the blocks of *places*."""
        if self._block == 1:
            return self.named(places)
        blocks = sorted({self._place[w.commit] // self._block for w in places})
        starts = (b * self._block for b in blocks)
        return [c for at in starts for c in self._commits[at : at + self._block]]

    def named(self, chosen: list[Weighed]) -> list[tuple[str, float]]:
        """The entries of *chosen*."""
        return [self._commits[self._place[w.commit]] for w in chosen]


class _Scale:
    """Bits and seconds of an ask, given what is believed now."""

    def __init__(self, state: State, now: Belief) -> None:
        self._state = state
        self._rates = now.rates
        self._live = [
            (cell, cell.members.bit_count(), mass) for cell, mass in now.cells if mass > _NEGLIGIBLE
        ]

    def best(
        self, commits: list[tuple[str, float]], batches: tuple[int, ...], count: int
    ) -> list[Weighed]:
        """The *count* asks with most bits a second, one for each commit, best first."""
        asks = (self._ask(sha, likely, batches) for sha, likely in commits)
        return heapq.nlargest(count, (a for a in asks if a), key=lambda a: a.rate)

    def _ask(self, sha: str, likely: float, batches: tuple[int, ...]) -> Weighed | None:
        sides = self._sides(self._state.history.ancestors(sha))
        p = min(1.0, sum(w for w, _, inside in sides if inside))
        build = self._state.cost.build_seconds(sha)
        trial = self._state.cost.trial_seconds(sha)
        any_only = self._rates.one_sided
        best = None
        for n in batches:
            told = bits_told([(w, alarms(*beta, n, any_only=any_only)) for w, beta, _ in sides])
            gain = likely * told
            rate = gain / (build + trial * self._rates.expected_trials(n, p))
            if gain > _NOTHING and (best is None or rate > best.rate):
                best = Weighed(commit=sha, trials=n, gain=gain, rate=rate, p=p)
        return best

    def _sides(self, contained: Mask) -> list[tuple[float, tuple[float, float], bool]]:
        """Each cell's parts inside and outside a commit: probability, rate as a Beta, inside."""
        sides = []
        for cell, size, mass in self._live:
            within = (cell.members & contained).bit_count()
            if within:
                beta = (WITH[0] + cell.new_in, WITH[1] + cell.old_in)
                sides.append((mass * within / size, beta, True))
            if within < size:
                beta = (WITHOUT[0] + cell.new_out, WITHOUT[1] + cell.old_out)
                sides.append((mass * (size - within) / size, beta, False))
        return sides


def _can_run_again(state: State, commit: str) -> bool:
    return commit in state.history and state.evidence.tally(commit).decided > 0
