"""What predicts the seconds of a build best: commits, or Go directories, since what was built.

    benchmarks/build_distance.py --repo ~/src/buildkit --write docs/search.md

Every build that a published campaign compiled itself is predicted from those that were there. The
distance to them is counted in

- commits that only one of the two contains, to the nearest one;
- directories that buildkitd imports and whose sources differ, to the one with fewest;
- packages that are compiled again: their sources, or those of one that they import, are in none.

Only builds with the same Go version count. The seconds are warm + (far - warm) * (1 - exp(-distance
/ scale)), the three numbers fitted to all campaigns but the one that is predicted. *With the pace*:
as in a search, the builds before it on the same machine correct a prediction by one factor. The
errors are logarithms of measured by predicted.

Left out are builds with patches, those of Go modules, which no commit names, and the first build of
a Go version. *Alone*: no other published campaign ran on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import product
from pathlib import Path
from statistics import mean, median

import numpy as np
import section
from numpy.typing import NDArray

from buildkit_bisect import result as results
from buildkit_bisect.campaign.estimate import minor
from buildkit_bisect.result import BuildInfo, CellInfo, Result
from buildkit_bisect.search.cost import Pace
from buildkit_bisect.search.history import History
from buildkit_bisect.source import GitSource
from buildkit_bisect.source.closure import is_source
from buildkit_bisect.system.gitcmd import git, lines

#: The distances.
KINDS = ("commits", "directories", "packages")

#: What is tried for the numbers of a fit: seconds, seconds, and distances.
_WARM = (6.0, 8.0, 10.0, 13.0, 17.0, 22.0)
_FAR = (30.0, 45.0, 60.0, 80.0, 110.0, 150.0, 200.0)
_SCALES = (2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1280.0)

Shape = tuple[float, float, float]  # warm, far, scale


@dataclass(frozen=True, kw_only=True, slots=True)
class Compiled:
    """A build that a campaign compiled (*own*), or found."""

    campaign: str
    machine: str
    key: str
    sha: str
    go: str
    patched: bool
    module: bool
    own: bool
    at: float  # seconds since 1970, when it began
    seconds: float
    beside: bool = False  # another campaign ran on the machine

    @property
    def end(self) -> float:
        """When it was there."""
        return self.at + (self.seconds if self.own else 0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A build to predict."""

    build: Compiled
    away: Mapping[str, float]  # by kind


def compiled(name: str, result: Result) -> list[Compiled]:
    """Return the builds of a campaign in their order, each once."""
    info, began = result.bisect, datetime.fromisoformat(result.created).timestamp()
    seconds: dict[str, float] = {}  # of a commit: when its first step began
    now = began
    for step in (*info.gate, *info.steps) if info else ():
        seconds.setdefault(step.sha, now)
        now += 0.0 if step.reused else step.seconds
    own = {c.build.key for c in result.cells if c.build and not c.build.reused}
    found: dict[str, Compiled] = {}
    for cell in result.cells:
        build = cell.build
        if build and build.key not in found:
            asked = not cell.patches and cell.revision in seconds
            at = seconds[cell.revision] if asked else now
            found[build.key] = replace(_one(name, result, build, cell), at=at, own=build.key in own)
            if not asked and build.key in own:
                now += build.seconds
        if cell.revision not in seconds:
            now += sum(t.seconds for t in cell.trials if not t.reused)
    return sorted(found.values(), key=lambda one: one.at)


def _one(name: str, result: Result, build: BuildInfo, cell: CellInfo) -> Compiled:
    return Compiled(
        campaign=name,
        machine=f"{result.host.get('kernel', '')} {result.host.get('cpus', '')}",
        key=build.key,
        sha=cell.revision,
        go=minor(build.go),
        patched=bool(cell.patches),
        module=build.source != "git",
        own=not build.reused,
        at=0.0,
        seconds=build.seconds,
    )


def all_compiled(folders: Sequence[Path]) -> list[Compiled]:
    """Return the builds of all campaigns, in order of time; each is compiled once on a machine."""
    spans: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
    found: list[Compiled] = []
    for folder in folders:
        result = results.read(folder)
        name = f"{folder.parent.name}/{folder.name}"
        those = compiled(name, result)
        found += those
        if any(one.own for one in those):
            began = datetime.fromisoformat(result.created).timestamp()
            span = (name, began, began + result.seconds.get("total", 0.0))
            spans[those[0].machine].append(span)
    return sorted((_beside(one, spans[one.machine]) for one in found), key=lambda one: one.at)


def _beside(one: Compiled, spans: Sequence[tuple[str, float, float]]) -> Compiled:
    others = (a < one.end and one.at < b for name, a, b in spans if name != one.campaign)
    return replace(one, beside=any(others))


# --- distances --------------------------------------------------------------------------------


class Distances:
    """Distances of commits to others, from git objects."""

    def __init__(self, source: GitSource) -> None:
        self._source = source
        out = git(source.mirror.path, "rev-list", "--topo-order", "--parents", "--all").stdout
        rows = [line.split() for line in lines(out)]
        self.history = History({sha: parents for sha, *parents in rows})
        self._sources: dict[str, set[tuple[str, str]]] = {}

    def away(self, sha: str, built: Sequence[str]) -> dict[str, float]:
        """Return the distances of *sha* to what is *built*, at least one commit."""
        of, here = self.history.ancestors, self.sources(sha)
        codes = self._source.packages([sha, *built])
        packages = np.frombuffer(codes[sha], dtype=np.uint16)
        there = np.frombuffer(b"".join(codes[b] for b in built), dtype=np.uint16)
        return {
            "commits": min((of(sha) ^ of(b)).bit_count() for b in built),
            "directories": min(
                len({directory for directory, _ in here - self.sources(b)}) for b in built
            ),
            "packages": int(np.count_nonzero(~np.isin(packages, there))),
        }

    def sources(self, sha: str) -> set[tuple[str, str]]:
        """Return the directory and blob of each source file that buildkitd may be built from."""
        if sha not in self._sources:
            inside = self._source.daemon_packages(sha)
            out = git(self._source.mirror.path, "ls-tree", "-r", sha).stdout
            found = (line.split("\t", 1) for line in lines(out))
            files = ((meta.split()[2], *path.rpartition("/")[::2]) for meta, path in found)
            self._sources[sha] = {
                (d, f"{n} {b}") for b, d, n in files if d in inside and is_source(n)
            }
        return self._sources[sha]


def cases(folders: Sequence[Path], source: GitSource) -> tuple[list[Case], Counter[str]]:
    """Return the builds to predict, in order of time, and how many are left out, by reason."""
    found, left = [], Counter[str]()
    builds, distances = all_compiled(folders), Distances(source)
    for one in builds:
        if not one.own:
            continue
        before = {
            b.sha: None
            for b in builds
            if (b.machine, b.go) == (one.machine, one.go)
            and (b.end <= one.at or (b is not one and not b.own and b.at <= one.at))
            and b.key != one.key
            and b.sha in distances.history
        }
        if one.module or one.sha not in distances.history:
            left["of a Go module"] += 1
        elif one.patched:
            left["with patches"] += 1
        elif not before:
            left["the first of a Go version"] += 1
        else:
            found.append(Case(build=one, away=distances.away(one.sha, list(before))))
    return found, left


# --- predictions ------------------------------------------------------------------------------


def errors(those: Sequence[Case], kind: str, *, paced: bool) -> list[float]:
    """Return the absolute logarithmic error of each build, by numbers fitted to other campaigns."""
    shapes = list(product(_WARM, _FAR, _SCALES))
    logs = np.array([_logs(those, kind, shape) for shape in shapes])
    if paced:
        logs = np.array([_corrected(those, row) for row in logs])
    wrong: NDArray[np.float64] = np.abs(np.log([c.build.seconds for c in those]) - logs)
    total = wrong.sum(axis=1)
    of = np.array([c.build.campaign for c in those])
    found = np.zeros(len(those))
    for campaign in set(of):
        held = of == campaign
        found[held] = wrong[(total - wrong[:, held].sum(axis=1)).argmin(), held]
    return [float(one) for one in found]


def _logs(those: Sequence[Case], kind: str, shape: Shape) -> list[float]:
    warm, far, scale = shape
    return [math.log(warm + (far - warm) * (1 - math.exp(-c.away[kind] / scale))) for c in those]


def _corrected(those: Sequence[Case], logs: Sequence[float]) -> list[float]:
    paces: dict[str, Pace] = defaultdict(Pace)
    corrected = []
    for case, log in zip(those, logs, strict=True):
        pace = paces[case.build.machine]
        corrected.append(log + pace.mean)
        pace.add(case.build.seconds, math.exp(log))
    return corrected


def table(found: Sequence[Case], left: Mapping[str, int]) -> str:
    """Return the errors as a table, and what was left out."""
    rows = ["| builds | number | " + " | ".join(KINDS) + " |", f"|---|--:|{'--:|' * len(KINDS)}"]
    alone = [c for c in found if not c.build.beside]
    for what, those in (("all", found), ("alone", alone)):
        for paced in (False, True):
            wrong = [errors(those, kind, paced=paced) for kind in KINDS]
            cells = " | ".join(f"{median(w):.2f} ({mean(w):.2f})" for w in wrong)
            name = f"{what}, with the pace" if paced else what
            rows.append(f"| {name} | {len(those)} | {cells} |")
    out = ", ".join(f"{count} {why}" for why, count in left.items())
    campaigns = len({c.build.campaign for c in found})
    return "\n".join([f"{len(found)} builds of {campaigns} campaigns; left out: {out}.", "", *rows])


def main(argv: Sequence[str]) -> int:
    """Print the table, or put it between the marks of a document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repo", default="https://github.com/moby/buildkit")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--write", type=Path)
    options = parser.parse_args(argv)
    folders = sorted(p.parent for p in options.results.glob("*/*/result.json"))
    text = table(*cases(folders, GitSource.open(options.repo)))
    section.put(options.write, "build distance", text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
