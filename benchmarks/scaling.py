"""What 1, 10, 100 and 1,000 workers make of recorded builds and trials, in simulation.

    .venv/bin/python benchmarks/scaling.py --write docs/scaling.md

Reads `results/`; builds nothing and runs nothing. `benchmarks/scheduler_costs.py` and
`benchmarks/home_costs.py` measured the seconds of the scheduler and of the process at home.
`--price X` adds a column: machine-hours times X.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from statistics import fmean

import recorded_times
import section
from many_workers import Build, Cluster, Outcome, Place, simulate

from buildkit_bisect import result as results
from buildkit_bisect.render.text import duration
from buildkit_bisect.result import Result
from buildkit_bisect.system.checkout import PROJECT

WORKERS = (1, 10, 100, 1000)

#: results/issue-6893/README.md says so; their builds took longer than they do on a quiet machine.
BUSY = ("bisect-overlay", "bisect-same-bases", "bisect-refused")

SCENARIOS, COMMITS, TRIALS = 1000, 500, 3

_GIGABIT = 125e6  # bytes/s

#: What results do not say; docs/scaling.md says where each number is from.
CLUSTER = Cluster(
    workers=1,
    place=Place.ANY,
    build_bytes=22e6,
    store=_GIGABIT,
    link=_GIGABIT,
    task=0.002,
    evidence=47e3,
    home=_GIGABIT,
    keep=0.005,
)
REPORT_CELL = 0.0096


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """Something to simulate."""

    name: str
    builds: Sequence[Build]
    cells: int  # of the report

    def on(self, cluster: Cluster) -> Outcome:
        """Simulate it, with its report."""
        return simulate(self.builds, replace(cluster, report=self.cells * REPORT_CELL))

    def outcomes(self) -> dict[int, Outcome]:
        """Simulate it with every number of workers."""
        return {workers: self.on(replace(CLUSTER, workers=workers)) for workers in WORKERS}


@dataclass(frozen=True, kw_only=True)
class Published:
    """The results in the checkout, by the name of their folder."""

    issue: dict[str, Result]
    library: dict[str, Result]

    @classmethod
    def read(cls, folder: Path = PROJECT / "results") -> Published:
        """Read all of them."""

        def of(name: str) -> dict[str, Result]:
            files = sorted((folder / name).glob("*/result.json"))
            return {file.parent.name: results.read(file.parent) for file in files}

        return cls(issue=of("issue-6893"), library=of("library"))

    @property
    def times(self) -> recorded_times.Times:
        """Builds of the issue's campaigns on a quiet machine, and the trials of every scenario."""
        quiet = [one for name, one in self.issue.items() if name not in BUSY]
        return recorded_times.times(quiet, [*self.issue.values(), *self.library.values()])

    @property
    def distinct(self) -> tuple[int, int]:
        """Distinct builds among commits, on the first-parent line that `boundaries` searched."""
        found = self.issue["boundaries"].bisect
        assert found
        commits = max(step.position or 0 for step in found.steps) + 1
        return found.steps[0].left, commits


def works(published: Published, seed: int) -> list[Work]:
    """Return the published matrices, and 1,000 scenarios at 500 commits."""
    known = published.times
    distinct, commits = published.distinct
    made = recorded_times.built(published.issue["boundaries"].cells).values()
    goes = Counter(sorted(recorded_times.minor(build.go) for build in made))
    count = round(COMMITS * distinct / commits)
    return [
        *(
            Work(
                name=name,
                builds=recorded_times.campaign(one, known),
                cells=len(one.cells),
            )
            for name, one in published.issue.items()
            if name in ("matrix", "matrix-whole")
        ),
        Work(
            name=f"{SCENARIOS:,} scenarios x {COMMITS} commits x {TRIALS} trials",
            builds=recorded_times.drawn(
                known,
                goes=goes,
                builds=count,
                scenarios=SCENARIOS,
                trials=TRIALS,
                rng=random.Random(seed),  # noqa: S311 - not for secrets
            ),
            cells=SCENARIOS * COMMITS,
        ),
    ]


# --- tables -----------------------------------------------------------------------------------


def calibration(published: Published) -> str:
    """Compare one simulated worker with what campaigns took."""
    lines = [
        "| campaign | compiled | trials | simulated | recorded | ratio |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, ours in published.issue.items():
        if name in ("matrix", "matrix-whole"):
            others = [one for other, one in published.issue.items() if other != name]
            lines.append(_calibrated(name, [ours], recorded_times.times(others, []).beside))
    searches = [one for one in published.library.values() if recorded_times.compiled(one)]
    beside = recorded_times.times(searches, []).beside
    lines.append(_calibrated(f"{len(searches)} searches of the library", searches, beside))
    return "\n".join(lines)


def _calibrated(name: str, campaigns: Sequence[Result], beside: float) -> str:
    found = []
    for one in campaigns:
        builds = recorded_times.as_recorded(one)
        own = [build for build in builds if build.warm]
        stored = [replace(build, warm=-beside, cold=-beside) for build in builds if not build.warm]
        found.append(simulate([*own, *stored], Cluster(workers=1, beside=beside)))
    simulated = sum(one.wall for one in found)
    recorded = sum(one.seconds["total"] for one in campaigns)
    compiled = sum(len(recorded_times.compiled(one)) for one in campaigns)
    trials = sum(one.trials for one in found)
    seconds = f"{simulated:,.0f} s | {recorded:,.0f} s | {simulated / recorded:.2f}"
    return f"| {name} | {compiled} | {trials:,} | {seconds} |"


def table(work: Work, outcomes: Mapping[int, Outcome], price: float | None) -> str:
    """Return *work* with every number of workers. Machines are used until the last trial is kept.

    Efficiency is what one worker needs of machine-hours, divided by what these need.
    """
    trials = sum(len(build.trials) for build in work.builds)
    counts = f"{len(work.builds)} builds and {trials:,} trials for {work.cells:,} cells"
    lines = [
        f"**{work.name}**: {counts}",
        "",
        "| workers | wall time | machine-hours | speed-up | efficiency | cold builds"
        " | to and from the store | bound by |" + (" cost |" if price is not None else ""),
        "|" + " ---: |" * 7 + " --- |" + (" ---: |" if price is not None else ""),
    ]
    alone = outcomes[1]
    for workers, found in outcomes.items():
        hours = workers * (found.wall - found.bounds["report"]) / 3600
        efficiency = (alone.wall - alone.bounds["report"]) / 3600 / hours
        line = f"| {workers:,} | {took(found.wall)} | {hours:,.1f}"
        line += f" | {alone.wall / found.wall:,.1f} x | {efficiency:.1%}"
        line += f" | {found.cold} of {found.compiled} | {size(found.moved)} | {found.bound} |"
        lines.append(line + (f" {hours * price:,.2f} |" if price is not None else ""))
    return "\n".join(lines)


def variations() -> Iterator[tuple[str, Cluster]]:
    """Yield what may be different, at 1,000 workers."""
    most = replace(CLUSTER, workers=WORKERS[-1])
    yield "as above", most
    yield "a store of 10 Gbit/s", replace(most, store=10 * _GIGABIT)
    near = replace(most, place=Place.NEAR)
    yield "trials stay where their build is (*near*)", near
    yield "*near*, with a store of 10 Gbit/s", replace(near, store=10 * _GIGABIT)
    yield "*near*, every build is in the store (`./inv warm`)", replace(near, stored=True)
    yield "*near*, with filled Go caches", replace(near, warm=True)
    yield "*near*, with 100 Mbit/s to home", replace(near, home=_GIGABIT / 10)
    yield "*near*, with a scheduler ten times slower", replace(near, task=10 * near.task)
    yield "*near*, with a process at home ten times slower", replace(near, keep=10 * near.keep)
    yield "no store: trials run where their build was compiled", replace(most, place=Place.BUILDER)


def changes(work: Work) -> str:
    """Return what each of `variations` does to *work*."""
    lines = [
        "| | wall time | to and from the store | bound by |",
        "| --- | ---: | ---: | --- |",
    ]
    for name, cluster in variations():
        found = work.on(cluster)
        lines.append(f"| {name} | {took(found.wall)} | {size(found.moved)} | {found.bound} |")
    return "\n".join(lines)


def parts(outcomes: Mapping[int, Outcome]) -> str:
    """Return the seconds that each part alone makes necessary."""
    by = {workers: found.bounds for workers, found in outcomes.items()}
    lines = [
        f"| at least, with workers | {' | '.join(f'{workers:,}' for workers in by)} |",
        "| --- |" + " ---: |" * len(by),
    ]
    for name in by[1]:
        shown = (took(bounds[name]) for bounds in by.values())
        lines += [f"| {name} | {' | '.join(shown)} |"]
    return "\n".join(lines)


# --- a bisection ------------------------------------------------------------------------------


class Start(StrEnum):
    """What a bisection begins with."""

    EMPTY = "empty Go caches"
    FILLED = "filled Go caches"
    STORED = "builds in the store"


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """A bisection with several workers."""

    rounds: int
    builds: int
    wall: float  # seconds


def search(
    known: recorded_times.Times, start: Start, *, builds: int, workers: int, rng: random.Random
) -> Search:
    """Bisect a line of *builds* by rounds of as many as there are workers; a trial decides.

    The first round are the two ends. All have one Go, the one whose first build takes longest.
    """
    trials = known.trials[rng.choice(sorted(known.trials))]
    cold, pull = max(known.cold.values()), CLUSTER.build_bytes / CLUSTER.store
    low, high, culprit = -1, builds - 1, rng.randrange(builds)
    compiled = 0  # workers that have compiled something
    found = Search(rounds=0, builds=0, wall=0.0)
    asked = [low, high]
    while asked:
        each = [rng.choice(known.warm) for _ in asked]
        if start is Start.EMPTY:
            each[: max(0, workers - compiled)] = [cold] * min(len(asked), workers - compiled)
            compiled = max(compiled, min(workers, len(asked)))
        if start is Start.STORED:
            each = [pull * number for number in range(1, len(asked) + 1)]
        each = [seconds + rng.choice(trials) for seconds in each]
        found = Search(
            rounds=found.rounds + 1,
            builds=found.builds + len(asked),
            wall=found.wall + (sum(each) if workers == 1 else max(each)),
        )
        low = max([low, *(at for at in asked if at < culprit)])
        high = min([high, *(at for at in asked if at >= culprit)])
        asked = evenly(low, high, workers)
    return found


def evenly(low: int, high: int, most: int) -> list[int]:
    """Return up to *most* numbers that divide those between *low* and *high* evenly."""
    count = min(most, high - low - 1)
    return [low + (high - low) * (number + 1) // (count + 1) for number in range(count)]


def searches(known: recorded_times.Times, distinct: int, seed: int, runs: int = 500) -> str:
    """Return how long a bisection takes with several workers."""
    lines = [
        f"| workers | rounds | builds | {' | '.join(f'{start}' for start in Start)} |",
        "| ---: |" + " ---: |" * (2 + len(Start)),
    ]
    for workers in (1, 2, 3, 10, 100, 1000):
        means = {}
        for start in Start:
            rng = random.Random(seed)  # noqa: S311
            means[start] = [
                search(known, start, builds=distinct, workers=workers, rng=rng) for _ in range(runs)
            ]
        usual = means[Start.EMPTY]
        counts = f"{fmean(one.rounds for one in usual):.1f}"
        counts += f" | {fmean(one.builds for one in usual):.0f}"
        walls = (took(fmean(one.wall for one in found)) for found in means.values())
        lines.append(f"| {workers:,} | {counts} | {' | '.join(walls)} |")
    return "\n".join(lines)


# --- words ------------------------------------------------------------------------------------


def took(seconds: float) -> str:
    """Return ``45 s``, ``12 min``, ``3 h 05 min`` or ``12 days``."""
    days = seconds / 86400
    return f"{days:,.1f} days" if days >= 2 else duration(seconds)  # noqa: PLR2004


def size(count: float) -> str:
    """Return bytes as ``120 MB`` or ``4.2 TB``."""
    power = min(2, max(0, int(math.log10(max(count, 1)) / 3) - 2))
    shown = count / 10 ** (6 + 3 * power)
    return f"{shown:.{0 if shown >= 10 else 1}f} {('MB', 'GB', 'TB')[power]}"  # noqa: PLR2004


def main(words: Sequence[str] | None = None) -> int:
    """Print the tables, or put them between the marks of a document."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--price", type=float, metavar="X", help="of an hour of a machine")
    parser.add_argument("--write", type=Path, metavar="DOCUMENT")
    options = parser.parse_args(words)
    published = Published.read()
    known, (distinct, _) = published.times, published.distinct
    *matrices, large = works(published, options.seed)
    put = section.put
    put(options.write, "scaling calibration", calibration(published))
    tables = [table(work, work.outcomes(), options.price) for work in matrices]
    outcomes = large.outcomes()
    put(options.write, "scaling", "\n\n".join([*tables, table(large, outcomes, options.price)]))
    put(options.write, "scaling parts", parts(outcomes))
    put(options.write, "scaling changes", changes(large))
    put(options.write, "scaling bisection", searches(known, distinct, options.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
