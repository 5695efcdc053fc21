"""Seconds that a search spends on builds: the greedy choice beside the best plan there is.

    benchmarks/build_planning.py --write docs/search.md

On a line, with a build the dearer the further it is from the nearest one that exists, only the
number of candidates left decides what a plan costs from there. So the best plan over
the whole tree of what may follow is found exactly, by induction over that number.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

MARKS = ("<!-- planning: begin -->", "<!-- planning: end -->")
LENGTHS = (146, 410)


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs:
    """Seconds of a build between *warm* and *cold*, by commits since the nearest build."""

    name: str
    warm: float
    cold: float
    far: float
    trial: float

    def __call__(self, away: int) -> float:
        """Of a build and one trial."""
        return self.warm + (self.cold - self.warm) * (1 - math.exp(-away / self.far)) + self.trial


COSTS = (
    Costs(name="recorded (12 to 60 s)", warm=12, cold=60, far=40, trial=5),
    Costs(name="predicted by default (6 to 90 s)", warm=6, cold=90, far=200, trial=10),
    Costs(name="the same, short trials", warm=6, cold=90, far=200, trial=2),
    Costs(name="a slow compiler (6 to 300 s)", warm=6, cold=300, far=200, trial=10),
)

Chooser = Callable[[int, Costs, Sequence[float]], int]


def midpoint(left: int, costs: Costs, after: Sequence[float]) -> int:  # noqa: ARG001
    """Git's choice."""
    return left // 2


def greedy(left: int, costs: Costs, after: Sequence[float]) -> int:  # noqa: ARG001
    """Most bits a second, as the search chooses."""

    def rate(x: int) -> tuple[float, int]:
        p = x / left
        bits = -p * math.log2(p) - (1 - p) * math.log2(1 - p)
        return bits / costs(min(x, left - x)), min(x, left - x)

    return max(range(1, left), key=rate)


def best(left: int, costs: Costs, after: Sequence[float]) -> int:
    """Fewest expected seconds to the end."""
    return min(range(1, left), key=lambda x: _then(left, x, costs, after))


def _then(left: int, x: int, costs: Costs, after: Sequence[float]) -> float:
    p = x / left
    return costs(min(x, left - x)) + p * after[x] + (1 - p) * after[left - x]


def spent(choose: Chooser, costs: Costs, most: int) -> list[float]:
    """Expected seconds from each number of candidates to the end."""
    after = [0.0, 0.0]
    for left in range(2, most + 1):
        after.append(_then(left, choose(left, costs, after), costs, after))
    return after


def table() -> str:
    """The plans beside each other, in seconds."""
    rows = []
    for costs in COSTS:
        plans = {c: spent(c, costs, max(LENGTHS)) for c in (best, greedy, midpoint)}
        for n in LENGTHS:
            least = plans[best][n]
            others = " | ".join(
                f"{plans[c][n]:.0f} ({plans[c][n] / least - 1:+.1%})" for c in (greedy, midpoint)
            )
            rows.append(f"| {costs.name} | {n} | {least:.0f} | {others} |")
    head = "| builds | candidates | best plan | greedy | git's midpoint |\n|---|--:|--:|--:|--:|"
    return "\n".join([head, *rows])


def main(argv: Sequence[str]) -> int:
    """Print the table, or put it between the marks of a document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args(argv)
    if options.write:
        begin, end = MARKS
        page = options.write.read_text()
        block = f"{begin}\n{table()}\n{end}"
        options.write.write_text(re.sub(f"{begin}.*{end}", lambda _: block, page, flags=re.DOTALL))
    else:
        sys.stdout.write(f"{table()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
