"""How far a campaign has come: a fold over its events. Pure; times come with the events."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from buildkit_bisect import events as ev
from buildkit_bisect.events import Column, Event
from buildkit_bisect.forecast import Forecast, forecast
from buildkit_bisect.model import Verdict
from buildkit_bisect.phrases import plural

#: Builds that the plan's expectation counts as, beside those made here.
_PLANNED = 2

#: Seconds of builds and trials after which it shows how much of the time they are.
_STARTING = 60.0


@dataclass(slots=True)
class WorkState:
    """Work beside builds of rows and trials."""

    since: float
    done: int = 0
    expected: int = 0


class Making(StrEnum):
    """How far a row's binaries are."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    SKIPPED = "skipped"


@dataclass(slots=True)
class BuildState:
    """The build of one row."""

    state: Making = Making.WAITING
    done: int = 0
    expected: int = 0
    since: float = 0.0
    seconds: float = 0.0
    reused: bool = False
    reason: str = ""


@dataclass(slots=True)
class CellState:
    """One cell: the outcomes of its trials so far."""

    counts: dict[str, int] = field(default_factory=dict)
    verdict: Verdict | None = None
    outcome: str = ""
    running: int = 0  # number of the running trial, 0 if none
    of: int = 0
    since: float = 0.0
    finished: bool = False
    bad: bool = False  # whether some trial was
    known: dict[str, int] = field(default_factory=dict)  # all known trials, if they are more


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """The time left, and what the estimate is based on."""

    left: Forecast
    basis: tuple[str, ...]


class Progress:
    """The state after all events so far. Only `take` changes it."""

    def __init__(self) -> None:
        self.plan: ev.Planned | None = None
        self.rows: list[str] = []
        self.columns: list[Column] = []
        self.builds: dict[str, BuildState] = {}
        self.cells: dict[tuple[str, Column], CellState] = {}
        self.works: dict[str, WorkState] = {}  # what runs beside builds and trials
        self._over: set[str] = set()  # such work that has ended
        self._planned_at = 0.0
        self.step: ev.StepAsked | None = None
        self.steps_done: list[ev.StepDone] = []
        self._asked: set[str] = set()  # rows that a search chose
        self.finished: ev.Finished | None = None
        self.started: float | None = None
        self.last: float = 0.0
        self.warnings: list[str] = []
        self._step_since = 0.0
        self._trial_seconds: list[float] = []  # of trials not reused
        self._built: list[tuple[float, float]] = []  # (expected, actual) of builds not reused
        self._work = 0.0  # seconds of builds and trials that are done
        self._worked = 0.0  # seconds from the start to the end of the last of them

    def take(self, event: Event, now: float) -> None:  # noqa: C901, PLR0912, PLR0915 - one case per event
        """Apply *event*, which happened at *now* (seconds on any monotonic clock)."""
        self.started = now if self.started is None else self.started
        self.last = now
        match event:
            case ev.Planned():
                self.plan, self._planned_at = event, now
                for row in event.rows:
                    self._row(row)
                for column in event.columns:
                    self._column(column)
            case ev.BuildStarted():
                build = self._row(event.row)
                build.state, build.since, build.expected = Making.RUNNING, now, event.expected
            case ev.BuildProgress():
                build = self._row(event.row)
                build.state, build.since = Making.RUNNING, build.since or now
                build.done, build.expected = event.done, max(event.expected, event.done)
            case ev.BuildDone():
                build = self._row(event.row)
                build.state, build.seconds, build.reused = Making.DONE, event.seconds, event.reused
                expected = self.plan.build_seconds.get(event.row, 0.0) if self.plan else 0.0
                if not event.reused and expected:
                    self._built.append((expected, event.seconds))
                    self._done(event.seconds, now)
            case ev.BuildSkipped():
                build = self._row(event.row)
                build.state, build.reason = Making.SKIPPED, f"{event.stage}: {event.reason}"
            case ev.TrialStarted():
                cell = self._cell(event.row, event.column)
                cell.running, cell.of, cell.since = event.number, event.of, now
            case ev.TrialDone():
                cell = self._cell(event.row, event.column)
                cell.running, cell.of = 0, event.of
                cell.counts[event.outcome] = cell.counts.get(event.outcome, 0) + 1
                cell.verdict, cell.outcome = event.verdict, event.outcome
                cell.bad = cell.bad or event.verdict is Verdict.BAD
                if not event.reused:
                    self._trial_seconds.append(event.seconds)
                    self._done(event.seconds, now)
            case ev.CellDone():
                cell = self._cell(event.row, event.column)
                cell.counts, cell.known = dict(event.counts), dict(event.known)
                cell.running, cell.finished = 0, True
                cell.verdict, cell.outcome = event.verdict, event.outcome
                cell.bad = cell.bad or event.verdict is Verdict.BAD
            case ev.StepAsked():
                self.step, self._step_since = event, now
                self._asked.add(event.row)
                self._row(event.row)
            case ev.StepDone():
                self.steps_done.append(event)
            case ev.Working():
                work = self.works.setdefault(event.what, WorkState(now - event.spent))
                work.done, work.expected = event.done, max(event.expected, event.done)
            case ev.Worked():
                self.works.pop(event.what, None)
                self._over.add(event.what)
            case ev.Said():
                self.warnings += [event.text] if event.warning else []
            case ev.Finished():
                self.finished = event

    def _done(self, seconds: float, now: float) -> None:
        self._work += seconds
        self._worked = now - (self.started or 0.0)

    def _row(self, row: str) -> BuildState:
        if row not in self.builds:
            self.rows.append(row)
            self.builds[row] = BuildState()
        return self.builds[row]

    def _column(self, column: Column) -> None:
        if column not in self.columns:
            self.columns.append(column)

    def _cell(self, row: str, column: Column) -> CellState:
        self._row(row)
        self._column(column)
        return self.cells.setdefault((row, column), CellState())

    def columns_of(self, row: str) -> list[Column]:
        """The cells that *row* has run or will run, as far as known."""
        base = self.plan.only_bad_of.get(row) if self.plan else None
        if self.plan and base is not None:
            wanted = [c for c in self.plan.columns_of(row) if self._may_be_bad(base, c)]
        elif self.plan and (row in self.plan.rows or row in self._asked):
            if not self.plan.tried_at:
                return self.columns
            wanted = []  # the search is in one of the columns, and only some rows are in all
        else:
            wanted = []  # not planned: a revert that is run for comparison
        return [c for c in self.columns if c in wanted or (row, c) in self.cells]

    def _may_be_bad(self, row: str, column: Column) -> bool:
        cell = self.cells.get((row, column))
        return cell is None or cell.bad or not cell.finished

    @property
    def running_builds(self) -> list[tuple[str, BuildState]]:
        """Builds that are running."""
        return [(row, b) for row, b in self.builds.items() if b.state is Making.RUNNING]

    @property
    def running_cells(self) -> list[tuple[str, Column, CellState]]:
        """Cells with a running trial."""
        return [(row, column, c) for (row, column), c in self.cells.items() if c.running]

    @property
    def counted(self) -> tuple[int, int, int]:
        """Cells (done, running, left); a row that cannot be built has none left."""
        done = sum(c.finished for c in self.cells.values())
        running = sum(bool(c.running) for c in self.cells.values())
        rows = [r for r in self.rows if self.builds[r].state is not Making.SKIPPED]
        known = [(r, c) for r in rows for c in self.columns_of(r)]
        left = sum(not self._started(key) for key in known)
        partly = sum(not c.finished and not c.running and bool(c.counts)
                     for c in self.cells.values())  # fmt: skip
        return done, running, left + partly

    def _started(self, key: tuple[str, Column]) -> bool:
        cell = self.cells.get(key)
        return cell is not None and bool(cell.finished or cell.running or cell.counts)

    def estimate(self, now: float) -> Estimate | None:
        """The time left; None if nothing is known about it."""
        if self.finished or not self.plan:
            return None
        if self.step:
            return Estimate(
                left=self.step.forecast.after(now - self._step_since),
                basis=(f"{plural(self.step.expected_steps, 'step')} expected",),
            )
        if self.plan.search:
            return Estimate(
                left=self.plan.expected.after(now - self._planned_at),
                basis=(f"{plural(self.plan.search.steps, 'step')} expected",),
            )
        builds = [*self._before_left(now), *self._builds_left(now)]
        times = self._trial_seconds
        each = sum(times) / len(times) if times else self.plan.trial_seconds
        trials = self._trials_left()
        if not builds and not each:
            return None
        known = self.plan.recorded + len(self._built)
        parts = []
        if builds:
            how = f"based on {self.plan.basis}" if self.plan.basis else "a guess"
            how = f"based on {len(self._built)} made here" if self._built else how
            parts.append(
                f"{plural(len(builds), 'build')}: {forecast(builds, recorded=known)} ({how})"
            )
        if trials:
            how = f"mean of {len(times)}" if times else self.plan.basis or "a guess"
            parts.append(f"{plural(trials, 'trial')} at {each:.1f} s ({how})")
        # More than its builds and trials where others use the machine, less with several jobs.
        pace = (self._worked + _STARTING) / (self._work + _STARTING)
        left = forecast([b * pace for b in builds], trials * each * pace, recorded=known)
        return Estimate(left=left, basis=tuple(parts))

    def _before_left(self, now: float) -> list[float]:
        """Expected seconds of what is made before the first row, until a row is worked at."""
        assert self.plan
        begun = self.cells or any(b.state is not Making.WAITING for b in self.builds.values())
        return [
            max(0.0, seconds - (now - self.works[what].since if what in self.works else 0.0))
            for what, seconds in self.plan.before.items()
            if not begun and what not in self._over
        ]

    def _builds_left(self, now: float) -> list[float]:
        """Expected seconds of each build that is running or waits."""
        assert self.plan
        scale = self._scale()
        left: list[float] = []
        for row, build in self.builds.items():
            whole = self.plan.build_seconds.get(row, 0.0) * scale
            if build.state is Making.RUNNING:
                spent = now - build.since
                by_packages = (
                    spent * (build.expected - build.done) / build.done
                    if 0 < build.done <= build.expected
                    else whole - spent
                )
                # Packages differ in cost, the first ones most: take the mean of both guesses.
                left.append(max(0.0, (by_packages + max(0.0, whole - spent)) / 2))
            elif build.state is Making.WAITING and whole:
                left.append(whole)
        return left

    def _scale(self) -> float:
        """How many times longer builds take than the plan expects; one build says little of it."""
        expected = sum(e for e, _ in self._built)
        if not expected:
            return 1.0
        taken = sum(r for _, r in self._built)
        own = len(self._built) / (len(self._built) + _PLANNED)
        return float((taken / expected) ** own)

    def _trials_left(self) -> int:
        assert self.plan
        left = 0
        for row in self.rows:
            if self.builds[row].state is Making.SKIPPED or row in self.plan.skipped:
                continue
            for column in self.columns_of(row):
                cell = self.cells.get((row, column))
                if cell is None:
                    left += self.plan.trials_of(row, self.columns.index(column))
                elif not cell.finished:
                    left += max(0, self.plan.trials - sum(cell.counts.values()))
        return left
