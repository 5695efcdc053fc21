"""Seconds that a search spends on builds: the greedy choice beside the best plan there is.

    benchmarks/build_planning.py --repo ~/src/buildkit --write docs/search.md

On a line, with a build the dearer the further it is from the nearest one that exists, only the
number of candidates left decides what a plan costs from there. So the best plan over
the whole tree of what may follow is found exactly, by induction over that number.

What a build costs is the median of the recorded ones at the same distance: those of the published
bisections, in the order in which they were made.
"""

from __future__ import annotations

import argparse
import bisect
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import section

from buildkit_bisect import result as results
from buildkit_bisect.campaign import candidates
from buildkit_bisect.patch import patches as patch_folders
from buildkit_bisect.search import NearestBuilt
from buildkit_bisect.source import open_source

LENGTHS = (146, 410)


RESULTS = Path("results/issue-6893")
SEARCHES = ("bisect-same-bases", "boundaries", "bisect-overlay-wide")

#: Commits since the nearest build, up to which builds are pooled.
BINS = (2, 8, 32)

Costs = Callable[[int], float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Predicted:
    """Seconds of a build, as the search predicts those to come at first, and one trial."""

    slower: float = 1.0
    trial: float

    def __call__(self, away: int) -> float:
        """Of a build this many commits away from the nearest, and its trial."""
        return self.slower * NearestBuilt((), packages={"": b""}).at(away) + self.trial


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """Median seconds of recorded builds by distance, and one trial."""

    medians: Sequence[float]  # one for each of BINS, and one beyond
    trial: float

    def __call__(self, away: int) -> float:
        """Of a build this many commits away from the nearest, and its trial."""
        return self.medians[bisect.bisect_left(BINS, away)] + self.trial


def recorded(repo: str) -> list[tuple[float, float]]:
    """Return (distance, seconds) of each build of the published searches, those with one near."""
    source = open_source("git", repo)
    found: list[tuple[float, float]] = []
    for name in SEARCHES:
        result = results.read(RESULTS / name)
        info = result.bisect
        assert info
        patches = patch_folders.load_many(",".join(info.patches)) if info.patches else []
        line = candidates.load(source, info.good, info.bad, patches, releases=False)
        model = candidates.model(line, candidates.NOTHING_KNOWN)
        builds = {c.revision: c.build for c in result.cells if c.build}
        for sha in dict.fromkeys(s.sha for s in (*info.gate, *info.steps)):
            away, build = model.away(sha), builds.get(sha)
            if away is not None and build:
                found.append((max(1.0, away), build.seconds))
            model.learn(sha, build_seconds=None, trial_seconds=None)
    return found


def by_distance(builds: Sequence[tuple[float, float]]) -> list[list[float]]:
    """Return the seconds of *builds* in bins of distance."""
    bins: list[list[float]] = [[] for _ in range(len(BINS) + 1)]
    for away, seconds in builds:
        bins[bisect.bisect_left(BINS, away)].append(seconds)
    return bins


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


def table(repo: str) -> str:
    """The plans beside each other, in seconds."""
    bins = by_distance(recorded(repo))
    medians = [median(seconds) for seconds in bins]
    cases: dict[str, Costs] = {
        "recorded": Recorded(medians=medians, trial=5),
        "recorded, trials of 1 s": Recorded(medians=medians, trial=1),
        "predicted at first": Predicted(trial=5),
        "predicted, a machine five times slower": Predicted(slower=5, trial=10),
    }
    rows = []
    for name, costs in cases.items():
        plans = {c: spent(c, costs, max(LENGTHS)) for c in (best, greedy, midpoint)}
        for n in LENGTHS:
            least = plans[best][n]
            others = " | ".join(
                f"{plans[c][n]:.0f} ({plans[c][n] / least - 1:+.1%})" for c in (greedy, midpoint)
            )
            rows.append(f"| {name} | {n} | {least:.0f} | {others} |")
    head = "| builds | candidates | best plan | greedy | git's midpoint |\n|---|--:|--:|--:|--:|"
    edges = ["1", *(str(edge + 1) for edge in BINS)]
    shown = ", ".join(
        f"{median(seconds):.0f} s from {edge} ({len(seconds)})"
        for edge, seconds in zip(edges, bins, strict=True)
    )
    return "\n".join([f"Median seconds by commits away (builds): {shown}.", "", head, *rows])


def main(argv: Sequence[str]) -> int:
    """Print the table, or put it between the marks of a document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repo", default="https://github.com/moby/buildkit")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args(argv)
    section.put(options.write, "planning", table(options.repo))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
