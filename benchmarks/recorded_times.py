"""Seconds of builds and trials in published results, as a simulation needs them. Pure."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from many_workers import Build

from buildkit_bisect.result import BuildInfo, CellInfo, Result


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """Recorded seconds, without repetitions."""

    builds: tuple[tuple[str, str, float], ...]  # machine, Go minor version, seconds; distinct ones
    beside: float  # what a compile takes beside `go build`: the median of campaigns
    trials: Mapping[str, tuple[float, ...]]  # by scenario

    @property
    def longest(self) -> dict[tuple[str, str], float]:
        """The longest build of each Go on each machine: the first one there compiles everything."""
        found: dict[tuple[str, str], float] = {}
        for machine, go, seconds in self.builds:
            found[machine, go] = max(seconds, found.get((machine, go), 0.0))
        return found

    @property
    def cold(self) -> dict[str, float]:
        """Of each Go, the longest build of all."""
        found: dict[str, float] = {}
        for (_, go), seconds in self.longest.items():
            found[go] = max(seconds, found.get(go, 0.0))
        return found

    @property
    def warm(self) -> tuple[float, ...]:
        """All builds but those of `longest`."""
        longest = self.longest
        return tuple(s for machine, go, s in self.builds if s < longest[machine, go])


def minor(go: str) -> str:
    """Return ``1.25`` of ``1.25.5``."""
    return ".".join(go.split(".")[:2])


def times(of_builds: Sequence[Result], of_trials: Sequence[Result]) -> Times:
    """Collect the times of campaigns: builds of some, trials of others."""
    builds: dict[str, tuple[str, str, float]] = {}
    trials: dict[str, dict[tuple[str, str, float], float]] = defaultdict(dict)
    for result in of_builds:
        for build in built(result.cells).values():
            one = (machine(result), minor(build.go), build.seconds)
            builds.setdefault(build.key, one)
    for result in of_trials:
        for cell in result.cells:
            for trial in cell.trials:
                # Results share trials, which have no name of their own.
                name = (cell.build.binary_sha256 if cell.build else "", str(cell.axes))
                trials[cell.scenario][*name, trial.seconds] = trial.seconds
    return Times(
        builds=tuple(builds.values()),
        beside=median([each for one in of_builds for each in _beside(one)] or [0.0]),
        trials={name: tuple(found.values()) for name, found in trials.items()},
    )


def machine(result: Result) -> str:
    """Return what tells the machine of a campaign from others."""
    return result.host.get("kernel", "")


def built(cells: Sequence[CellInfo]) -> dict[str, BuildInfo]:
    """Return the distinct builds of *cells* by key, in their order."""
    return {cell.build.key: cell.build for cell in cells if cell.build}


def compiled(result: Result) -> list[BuildInfo]:
    """Return the builds that a campaign compiled itself."""
    return [build for build in built(result.cells).values() if not build.reused]


def _beside(result: Result) -> Iterator[float]:
    own = compiled(result)
    if own:
        yield (result.seconds["builds"] - sum(build.seconds for build in own)) / len(own)


# --- what a simulation runs -------------------------------------------------------------------


def campaign(result: Result, known: Times) -> list[Build]:
    """Return the builds and trials of a campaign, as if nothing of it were stored."""
    cold, longest, usual = known.cold, known.longest, median(known.warm)
    where = machine(result)
    trials: dict[str, list[float]] = defaultdict(list)
    for cell in result.cells:
        if cell.build:
            trials[cell.build.key] += [trial.seconds for trial in cell.trials]
    return [
        Build(
            go=minor(build.go),
            # The one that was cold when it was recorded is not always the first one here.
            warm=usual if build.seconds >= longest[where, minor(build.go)] else build.seconds,
            cold=max(cold[minor(build.go)], build.seconds),
            trials=trials[key],
        )
        for key, build in built(result.cells).items()
    ]


def as_recorded(result: Result) -> list[Build]:
    """Return only what a campaign compiled and ran itself, with the times that this took."""
    own = {build.key for build in compiled(result)}
    trials: dict[str, list[float]] = defaultdict(list)
    for cell in result.cells:
        if cell.build:
            trials[cell.build.key] += [t.seconds for t in cell.trials if not t.reused]
    return [
        Build(
            go=key,
            warm=build.seconds if key in own else 0.0,
            cold=build.seconds if key in own else 0.0,
            trials=trials[key],
        )
        for key, build in built(result.cells).items()
    ]


def drawn(
    known: Times,
    *,
    goes: Mapping[str, int],
    builds: int,
    scenarios: int,
    trials: int,
    rng: random.Random,
) -> list[Build]:
    """Return *builds* with *trials* of each of *scenarios*, drawn from what was recorded.

    *goes* counts recorded builds by Go, oldest first. A scenario is one of those recorded, the same
    at every build; each of its trials is one of that scenario's.
    """
    cold, warm = known.cold, known.warm
    names = sorted(known.trials)
    chosen = [known.trials[rng.choice(names)] for _ in range(scenarios)]
    total = sum(goes.values())
    line = [go for go, count in goes.items() for _ in range(count)]
    return [
        Build(
            go=line[number * total // builds],
            warm=rng.choice(warm),
            cold=cold[line[number * total // builds]],
            trials=[rng.choice(seconds) for seconds in chosen for _ in range(trials)],
        )
        for number in range(builds)
    ]
