"""How likely a commit can be tested, from the ones around it that could not."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence


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
