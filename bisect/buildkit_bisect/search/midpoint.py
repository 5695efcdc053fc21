"""Which commit to test next where tests do not lie: most information for its cost.

With equal costs that is git's midpoint, argmax min(a, N - a), where a counts the candidates
that a commit contains. Commits near one that could not be tested are likely to fail too, so
they count for less the nearer they are: the search jumps away, finds where the stretch
ends on both sides, and does not walk through it one by one.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

from buildkit_bisect.search.evidence import Status
from buildkit_bisect.search.history import Mask, bits
from buildkit_bisect.search.state import State


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A commit to test, and what either answer would leave."""

    commit: str
    if_new: int  # candidates that would remain
    if_old: int
    midpoint: bool  # no other commit splits the candidates more evenly
    build_seconds: float

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
    history, status = state.history, state.evidence.status
    total = viable.bit_count()
    members = list(bits(pool))
    skipped = [
        at
        for at, i in enumerate(members)
        if status(history.sha(i)) in {Status.SKIPPED, Status.WEAK}
    ]
    best: tuple[float, int] | None = None
    best_commit = ""
    best_inside = most_even = 0
    for at, i in enumerate(members):
        inside = (history.ancestors_at(i) & viable).bit_count()
        even = min(inside, total - inside)
        if not even:
            continue
        sha = history.sha(i)
        if status(sha) is not Status.UNTESTED:
            continue
        most_even = max(most_even, even)
        likely = testable(at, skipped, len(members)) if skipped else 1.0
        score = (entropy(even / total) * likely / state.cost_of(sha, state.runs), even)
        if best is None or score > best:
            best, best_commit, best_inside = score, sha, inside
    if best is None:
        return None
    return Choice(
        commit=best_commit,
        if_new=best_inside,
        if_old=total - best_inside,
        midpoint=best[1] == most_even,
        build_seconds=state.cost.build_seconds(best_commit),
    )


def testable(at: int, skipped: Sequence[int], size: int) -> float:
    """How likely the commit at a place of the pool can be tested, from the skips around it.

    Outside the skips, their stretch may end anywhere before the pool does, at any order of
    magnitude alike. Between two of them it hardly ends at all, the less the more there are
    and the closer they are.
    """
    right = bisect.bisect_left(skipped, at)
    if 0 < right < len(skipped):
        below, above = at - skipped[right - 1], skipped[right] - at
        middle = 4 * below * above / (below + above)
        return middle / size / (len(skipped) + 2)
    if right:
        distance, gap = at - skipped[-1], size - skipped[-1]
    else:
        distance, gap = skipped[0] - at, skipped[0] + 1
    return math.log1p(distance) / math.log1p(gap)
