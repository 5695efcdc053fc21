"""Which commit to test next where tests do not lie: most information for its cost.

With equal costs that is git's midpoint, argmax min(a, N - a), where a counts the candidates
that a commit contains, by their weights. Commits near one that could not be tested are
likely to fail too, so they count for less the nearer they are: the search jumps away, finds
where the stretch ends on both sides, and does not walk through it one by one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from buildkit_bisect.search.history import Mask
from buildkit_bisect.search.state import State


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A commit to test, and what either answer would leave."""

    commit: str
    if_new: int  # candidates that would remain
    if_old: int
    midpoint: bool  # no other commit splits the candidates more evenly
    build_seconds: float
    share: float | None = None  # of the weight, in what it contains; None without weights

    @property
    def worst(self) -> int:
        """Candidates that remain whatever the answer."""
        return max(self.if_new, self.if_old)


def entropy(p: float) -> float:
    """Bits of a yes/no answer."""
    if p <= 0 or p >= 1:
        return 0.0
    return -p * math.log2(p) - (1 - p) * math.log2(1 - p)


def choose(state: State, pool: Mask, viable: Mask) -> Choice | None:
    """The best untested commit of *pool* to split the candidates *viable*; None: none does."""
    history = state.history
    weigh = state.weights.of
    total = weigh(viable)
    best: tuple[float, float] | None = None
    best_commit = ""
    best_inside = 0
    most_even = 0.0
    for sha, likely in state.untested(pool):
        inside = history.ancestors(sha) & viable
        if inside in {0, viable}:
            continue
        even = min(weigh(inside), total - weigh(inside))
        most_even = max(most_even, even)
        score = (entropy(even / total) * likely / state.cost_of(sha, state.runs), even)
        if best is None or score > best:
            best, best_commit, best_inside = score, sha, inside
    if best is None:
        return None
    count = best_inside.bit_count()
    return Choice(
        commit=best_commit,
        if_new=count,
        if_old=viable.bit_count() - count,
        midpoint=best[1] == most_even,
        build_seconds=state.cost.left_seconds(best_commit),
        share=None if state.weights.even else weigh(best_inside) / total,
    )
