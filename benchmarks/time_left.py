"""Replays recorded campaigns: how often the time that was left lies in the range printed.

    benchmarks/time_left.py --repo ~/src/buildkit --write docs/search.md \
        results/issue-6893/*/ results/library/*/

A campaign is a folder with ``result.json``. Its steps, builds and trials are given to the search
and to the progress of today's code one by one, with the seconds that they took; nothing is built
or run. Counted are the steps after the second build that the campaign made. Campaigns of one day
are taken as of one machine, and replayed in order of time: each knows the builds of earlier ones.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import section

from buildkit_bisect import events as ev
from buildkit_bisect import result as results
from buildkit_bisect.campaign import candidates, estimate
from buildkit_bisect.campaign.search_costs import SearchCosts
from buildkit_bisect.campaign.time_left import TimeLeft
from buildkit_bisect.forecast import Forecast
from buildkit_bisect.live.progress import Progress
from buildkit_bisect.model import Axes, Verdict
from buildkit_bisect.patch import patches as patch_folders
from buildkit_bisect.result import BisectStep, BuildInfo, CellInfo, Result, TrialInfo
from buildkit_bisect.search import Ask, SearchOptions, Skip, SkipKind, Tested
from buildkit_bisect.search.boundary_search import BoundarySearch
from buildkit_bisect.search.session import BisectSession
from buildkit_bisect.source import open_source

#: Seconds of a step beside its trials and its build, by seconds of trials: starts of daemons. What
#: a step took beyond that is taken for the work tree of its build.
_AROUND = 0.15

#: Builds that a campaign has made before its steps count.
BUILDS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One moment of a campaign: what would be printed, and what it took."""

    campaign: str
    step: str
    forecast: Forecast
    actual: float  # seconds
    builds: int  # made so far

    @property
    def inside(self) -> bool:
        """Whether the range as printed, rounded outwards, contains the actual time."""
        return self.forecast.least <= self.actual <= self.forecast.most


@dataclass(kw_only=True)
class Machine:
    """What a machine has recorded: all that predictions may know."""

    builds: dict[str, BuildInfo] = field(default_factory=dict)  # by key, oldest first
    trials: list[float] = field(default_factory=list)

    def take(self, result: Result) -> None:
        """Take in a campaign that has ended."""
        for cell in result.cells:
            if cell.build:
                self.builds.setdefault(cell.build.key, cell.build)
            self.trials += [t.seconds for t in cell.trials]

    def trial(self) -> float:
        """Expected seconds of a trial."""
        last = self.trials[-50:]
        return sum(last) / len(last) if last else estimate.TRIAL


def made(result: Result) -> dict[str, BuildInfo]:
    """Return the builds that a campaign found in the cache, by key."""
    found = (c.build for c in result.cells if c.build and c.build.reused)
    return {build.key: build for build in found}


# --- searches ---------------------------------------------------------------------------------


def of_search(name: str, result: Result, machine: Machine, repo: str) -> Iterator[Point]:
    """Yield a point for each step of a bisection or of `boundaries`."""
    info = result.bisect
    assert info
    source = open_source("git", repo)
    overlay = patch_folders.load_many(",".join(info.patches)) if info.patches else []
    line = candidates.load(source, info.good, info.bad, overlay, releases=False)
    cells: dict[str, list[CellInfo]] = defaultdict(list)
    for cell in result.cells:
        if not any(p.startswith("revert-") for p in cell.patches):
            cells[cell.revision].append(cell)
    known = {**machine.builds, **made(result)}
    recorded = [
        estimate.Recorded(go=estimate.minor(b.go), seconds=b.seconds) for b in known.values()
    ]
    pace = estimate.pace(recorded)
    costs = SearchCosts(
        built=tuple(
            sha
            for sha, those in cells.items()
            if sha in line.history and those[0].build and those[0].build.key in known
        ),
        known_go=tuple({r.go for r in recorded}),
        pace=pace.mean,
        recorded=pace.count,
        trial=machine.trial(),
    )
    model = candidates.cost(line, costs, None)
    reverts = [c for c in result.cells if any(p.startswith("revert-") for p in c.patches)]
    left = TimeLeft(
        model,
        newer=line.bad if reverts else "",
        trials=sum(len(c.trials) for c in reverts),
    )
    search: BisectSession | BoundarySearch
    if result.kind == "bisect":
        search = BisectSession(
            line.history,
            good=line.good,
            bad=line.bad,
            options=SearchOptions(find_fix=info.find_fix, trials=_trials(result)),
            cost=model,
            same_build=line.same_build,
        )
    else:
        commits, _ = candidates.whole_line(line)
        search = BoundarySearch(
            commits,
            history=line.history,
            must_test=candidates.releases_on(source, commits),
            resolution=64,
            trials=3 * len({(c.scenario, tuple(c.axes.items())) for c in result.cells}),
            cost=model,
            same_build=line.same_build,
        )
    verify = sum(_seconds(c.trials) * 1.5 + _compile(c) for c in reverts)
    steps = [*info.gate, *info.steps]
    count = 0
    for at, step in enumerate(steps):
        ask = search.next()
        actual = sum(s.seconds for s in steps[at:]) + verify
        if not isinstance(ask, Ask):
            return  # the search of today has its answer here
        if not step.reused:
            yield Point(
                campaign=name,
                step=f"{step.number} {step.phase}",
                forecast=left.at(ask),
                actual=actual,
                builds=count,
            )
        here = cells[step.sha]
        first = all(s.sha != step.sha for s in steps[:at])
        build = here[0].build if here else None
        compiled = build.seconds if first and build and not build.reused else 0.0
        count += bool(compiled)
        ran = _tell(search, step, here, build)
        beside = max(0.0, step.seconds - compiled - ran)
        around = max(0.0, beside - _AROUND * ran) if compiled else None
        left.learn(ran, ran + beside - (around or 0.0), checkout=around)


def _tell(
    search: BisectSession | BoundarySearch,
    step: BisectStep,
    here: Sequence[CellInfo],
    build: BuildInfo | None,
) -> float:
    """Tell *search* what a step showed; return the seconds of its trials that ran."""
    seconds = build.seconds if build else None
    if isinstance(search, BoundarySearch):
        shown: dict[Hashable, str | None] = {
            (c.scenario, _axes(c)): c.outcome if c.verdict in ("good", "bad") else None
            for c in here
            if not c.control
        }
        trials = [t for c in here for t in c.trials]
        each = _seconds(trials) / len(trials) if trials else None
        skip = None if build else Skip(kind=SkipKind.BUILD, reason=step.shown)
        search.tell(step.sha, shown, skip=skip, build_seconds=seconds, trial_seconds=each)
        return _seconds([t for t in trials if not t.reused])
    if step.verdict == "skip" or not step.counts:
        search.tell(step.sha, Tested(skip=Skip(kind=SkipKind.OTHER, reason=step.shown)))
        return 0.0
    wanted = Counter(step.counts)
    trials = []
    for trial in (t for c in here for t in c.trials):
        if wanted[trial.outcome] > 0 and id(trial) not in _used:
            wanted[trial.outcome] -= 1
            _used.add(id(trial))
            trials.append(trial)
    verdicts = {t.outcome: Verdict(t.verdict) for c in here for t in c.trials}
    search.tell(
        step.sha,
        Tested(
            counts=step.counts,
            verdicts={name: verdicts[name] for name in step.counts},
            binary=build.binary_sha256 if build else "",
            build_seconds=seconds,
            trial_seconds=_seconds(trials) / len(trials) if trials else None,
        ),
    )
    return 0.0 if step.reused else _seconds(trials)


_used: set[int] = set()  # trials that a step has shown


def _trials(result: Result) -> int | None:
    found = re.search(r"--trials[ =](\d+)", result.command)
    return int(found[1]) if found else None


def _axes(cell: CellInfo) -> Axes:
    return tuple(cell.axes.items())


def _seconds(trials: Sequence[TrialInfo]) -> float:
    return sum(t.seconds for t in trials)


def _compile(cell: CellInfo) -> float:
    return cell.build.seconds if cell.build and not cell.build.reused else 0.0


# --- matrices ---------------------------------------------------------------------------------


def of_matrix(name: str, result: Result, machine: Machine) -> Iterator[Point]:
    """Yield a point before each row of a matrix, and one after each of its builds."""
    rows: dict[tuple[str, tuple[str, ...]], list[CellInfo]] = defaultdict(list)
    for cell in result.cells:
        rows[cell.ref, cell.patches].append(cell)
    told = _matrix_events(rows, {**machine.builds, **made(result)}, machine)
    # What the campaign did beside builds and trials is spread over them.
    work = told[-1][0]
    slower = result.seconds.get("total", work) / work if work else 1.0
    progress, count = Progress(), 0
    for now, event in told:
        at = now * slower
        progress.take(event, at)
        if isinstance(event, ev.BuildDone):
            count += not event.reused
            estimated = progress.estimate(at)
            if estimated:
                yield Point(
                    campaign=name,
                    step=f"after build {count}",
                    forecast=estimated.left,
                    actual=(work - now) * slower,
                    builds=count,
                )


def _matrix_events(
    rows: Mapping[tuple[str, tuple[str, ...]], Sequence[CellInfo]],
    known: Mapping[str, BuildInfo],
    machine: Machine,
) -> list[tuple[float, ev.Event]]:
    recorded = [
        estimate.Recorded(go=estimate.minor(b.go), seconds=b.seconds) for b in known.values()
    ]
    pace = estimate.pace(recorded)
    built = {key: cells[0].build for key, cells in rows.items()}
    seconds = estimate.build_seconds(
        [
            estimate.Row(
                label=_label(key),
                revision=rows[key][0].revision,
                go=estimate.minor(build.go) if build else "",
                built=build is not None and build.reused,
                skipped=build is None,
            )
            for key, build in built.items()
        ],
        known_go={r.go for r in recorded},
        factor=pace.factor,
    )
    columns = dict.fromkeys(
        ev.Column(scenario=c.scenario, axes=_axes(c), control=c.control)
        for cells in rows.values()
        for c in cells
    )
    most = max((len(c.trials) for cells in rows.values() for c in cells), default=1)
    told: list[tuple[float, ev.Event]] = [
        (
            0.0,
            ev.Planned(
                kind="matrix",
                rows=tuple(map(_label, rows)),
                columns=tuple(columns),
                trials=most,
                build_seconds=seconds,
                trial_seconds=machine.trial(),
                recorded=pace.count,
                stored={
                    _label(key): tuple(sum(t.reused for t in c.trials) for c in cells)
                    for key, cells in rows.items()
                    if (build := built[key]) and build.reused
                },
            ),
        )
    ]
    now = 0.0
    for key, cells in rows.items():
        build, row = built[key], _label(key)
        if build is None:
            told.append((now, ev.BuildSkipped(row=row, stage="build", reason="")))
            continue
        if not build.reused:
            told.append((now, ev.BuildStarted(row=row)))
            now += build.seconds
        told.append((now, ev.BuildDone(row=row, seconds=build.seconds, reused=build.reused)))
        for cell in cells:
            column = ev.Column(scenario=cell.scenario, axes=_axes(cell), control=cell.control)
            for number, trial in enumerate(cell.trials, 1):
                now += 0.0 if trial.reused else trial.seconds
                told.append((now, _trial(row, column, trial, number, most)))
            verdict = Verdict(cell.verdict)
            counts = dict(cell.counts)
            told.append(
                (
                    now,
                    ev.CellDone(
                        row=row,
                        column=column,
                        outcome=cell.outcome,
                        verdict=verdict,
                        counts=counts,
                    ),
                )
            )
    return told


def _label(key: tuple[str, tuple[str, ...]]) -> str:
    return " + ".join((key[0], *key[1]))


def _trial(row: str, column: ev.Column, trial: TrialInfo, number: int, of: int) -> ev.TrialDone:
    return ev.TrialDone(
        row=row,
        column=column,
        number=number,
        of=of,
        outcome=trial.outcome,
        verdict=Verdict(trial.verdict),
        seconds=trial.seconds,
        reused=trial.reused,
    )


# --- the report -------------------------------------------------------------------------------


def points(folders: Sequence[Path], repo: str) -> list[Point]:
    """Return the points of all campaigns; one whose builds were all there has none that count."""
    loaded = sorted(
        ((folder, results.read(folder)) for folder in folders), key=lambda one: one[1].created
    )
    machines: dict[str, Machine] = defaultdict(Machine)
    found: list[Point] = []
    for folder, result in loaded:
        machine = machines[result.created[:10]]
        name = folder.name if not re.match(r"\d{8}-", folder.name) else folder.parent.name
        if result.bisect and _made_any(result):
            found += of_search(name, result, machine, repo)
        elif result.kind in ("matrix", "run") and _made_any(result):
            found += of_matrix(name, result, machine)
        machine.take(result)
    return found


def _made_any(result: Result) -> bool:
    return any(_compile(cell) for cell in result.cells)


def table(found: Sequence[Point]) -> str:
    """How many points of each campaign lie inside, as Markdown."""
    rows: dict[str, list[Point]] = defaultdict(list)
    for point in found:
        if point.builds >= BUILDS:
            rows[point.campaign].append(point)
    lines = ["| campaign | steps | inside the range | widest by narrowest end, median |"]
    lines.append("|---|--:|--:|--:|")
    for name, those in [*rows.items(), ("all", [p for ps in rows.values() for p in ps])]:
        inside = sum(p.inside for p in those)
        ratios = sorted(p.forecast.most / max(p.forecast.least, 1.0) for p in those)
        lines.append(
            f"| {name} | {len(those)} | {inside} ({inside / len(those):.0%}) | "
            f"{ratios[len(ratios) // 2]:.1f} |"
        )
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    """Print the table, or put it between the marks of a document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--repo", default="https://github.com/moby/buildkit")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--steps", action="store_true", help="print every step")
    options = parser.parse_args(argv)
    found = points([f for f in options.folders if (f / "result.json").is_file()], options.repo)
    if options.steps:
        for p in found:
            mark = "  " if p.inside else "! "
            sys.stdout.write(
                f"{mark}{p.campaign} {p.step} ({p.builds} builds): {p.forecast}"
                f" [{p.forecast.seconds:.0f}], took {p.actual:.0f} s\n"
            )
    section.put(options.write, "time left", table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
