"""Events that a campaign emits while it runs: plain values, sent to any `Events.emit`.

The campaign depends on this module alone. The screen, the line log and the record that
``status`` follows receive the same events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from buildkit_bisect.forecast import Forecast, forecast
from buildkit_bisect.model import Axes, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column of the matrix: a scenario and a value for each of its axes."""

    scenario: str
    axes: Axes
    control: bool = False

    @property
    def label(self) -> str:
        """Axis values without names, in the order of axis names: ``different stargz``."""
        return " ".join(value for _, value in self.axes)

    @property
    def name(self) -> str:
        """The scenario, and its axis values if any: ``cross-stage-lazy different stargz``."""
        return " ".join([self.scenario, *(value for _, value in self.axes)])


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """What a search expects; its plan has no rows, as it chooses them one by one."""

    what: str  # "12 candidates between v0.24.0 and v0.26.0, with 5 different build inputs"
    steps: int
    builds: int  # among them the ends
    spared: tuple[str, ...] = ()  # ends, if commits between them may be run in their place
    at_once: int = 1  # commits that it may ask for at once
    compiles: int = 1  # how many of these may need a compile


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """The plan; sent again when it grows. Rows are `Variant.label`."""

    kind: str  # run, matrix, bisect, boundaries, validate
    rows: tuple[str, ...]
    columns: tuple[Column, ...]
    trials: int  # of each cell
    build_seconds: Mapping[str, float] = field(default_factory=dict)  # row -> expected; 0: built
    trial_seconds: float = 0.0  # expected for one trial
    basis: str = ""  # of both estimates: "the last 12 builds on this machine"
    only_bad_of: Mapping[str, str] = field(default_factory=dict)  # row -> row with its bad cells
    also: tuple[str, ...] = ()  # what is done besides builds and cells, a line each
    before: Mapping[str, float] = field(default_factory=dict)  # what is made first -> seconds
    search: Search | None = None
    known: tuple[str, ...] = ()  # what earlier campaigns showed of it, a line each
    recorded: int = 0  # builds that the expected times rest on
    skipped: Mapping[str, str] = field(default_factory=dict)  # row -> why nothing will run
    stored: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # row -> trials, by column
    least: float = 0.0  # seconds of a search, with `before`; nine times in ten it takes from this
    most: float = 0.0  # to this; 0: builds and cells say how long
    tried_at: tuple[str, ...] = ()  # ends that run in every column; the search is in one of them
    shard: str = ""  # "2 of 5, with 3 of 14 rows", if it is a part of a matrix

    def columns_of(self, row: str) -> tuple[Column, ...]:
        """Return the cells that *row* may run; without controls if it is in `only_bad_of`."""
        if row in self.skipped:
            return ()
        if row not in self.only_bad_of:
            return self.columns
        return tuple(column for column in self.columns if not column.control)

    @property
    def cells(self) -> int:
        """Largest possible number of cells in all rows."""
        return sum(len(self.columns_of(row)) for row in self.rows)

    @property
    def expected(self) -> Forecast:
        """How long all of it should take."""
        if self.most:
            seconds = sum(self.build_seconds.values())
            return Forecast(seconds=seconds, least=self.least, most=self.most)
        trials = sum(
            self.trials_of(row, at)
            for row in self.rows
            for at, column in enumerate(self.columns)
            if column in self.columns_of(row)
        )
        builds = (*self.before.values(), *self.build_seconds.values())
        return forecast(builds, trials * self.trial_seconds, recorded=self.recorded)

    def trials_of(self, row: str, at: int) -> int:
        """Return how many trials of the column at this place *row* has to run."""
        stored = self.stored.get(row, ())
        return max(0, self.trials - (stored[at] if at < len(stored) else 0))


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildStarted:
    """A variant's compile starts."""

    row: str
    expected: int = 0  # Go packages to compile; 0 if unknown


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildProgress:
    """Packages compiled so far; may be frequent."""

    row: str
    done: int
    expected: int


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildDone:
    """The binaries are available."""

    row: str
    seconds: float  # how long the compile took, also if it is reused
    reused: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildSkipped:
    """The variant has no binaries: verdict skip for the whole row, or infra."""

    row: str
    stage: str  # `NoBuild.stage`
    reason: str  # one line
    infra: bool = False  # `NoBuild.infra`


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialStarted:
    """Trial *number* (from 1) of *of* starts."""

    row: str
    column: Column
    number: int
    of: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialDone:
    """One trial has an outcome."""

    row: str
    column: Column
    number: int
    of: int
    outcome: str
    verdict: Verdict
    seconds: float
    reused: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class CellDone:
    """All trials of a cell are done; sent again at the end if more are known of it."""

    row: str
    column: Column
    outcome: str
    verdict: Verdict
    counts: Mapping[str, int] = field(default_factory=dict)  # outcome -> trials
    known: Mapping[str, int] = field(default_factory=dict)  # all known trials, if they are more
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepAsked:
    """The commit that a search tests next, and why."""

    number: int
    row: str
    why: str
    left: int  # candidates
    expected_steps: int  # remaining, including this one
    expected_seconds: float
    least: float = 0.0  # seconds; nine times in ten it takes from this
    most: float = 0.0  # to this; 0: not known

    @property
    def forecast(self) -> Forecast:
        """How long this step and all after it should take."""
        if not self.most:  # recorded by an earlier version
            return forecast((self.expected_seconds,))
        return Forecast(seconds=self.expected_seconds, least=self.least, most=self.most)


@dataclass(frozen=True, kw_only=True, slots=True)
class StepDone:
    """The verdict of a search's step."""

    number: int
    row: str
    verdict: Verdict
    shown: str  # "layers-dropped 3 of 3", "skip: build: undefined: foo"


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """A message for the user. Records name their events by class, so this name stays."""

    text: str
    warning: bool = False
    path: str = ""  # after the text, as it is: only reports leave out where this machine's cache is


@dataclass(frozen=True, kw_only=True, slots=True)
class Working:
    """Work beside builds of rows and trials takes over two seconds; sent again as it gets on."""

    what: str  # "cloning https://github.com/moby/buildkit"
    done: int = 0
    expected: int = 0  # 0 if unknown
    spent: float = 0.0  # seconds since it began


@dataclass(frozen=True, kw_only=True, slots=True)
class Worked:
    """The end of `Working`, also if it failed."""

    what: str
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """The campaign has ended."""

    status: str  # done, interrupted, failed
    finding: str = ""  # one sentence
    folder: str = ""  # of its results


Event = (
    Planned
    | BuildStarted
    | BuildProgress
    | BuildDone
    | BuildSkipped
    | TrialStarted
    | TrialDone
    | CellDone
    | StepAsked
    | StepDone
    | Said
    | Working
    | Worked
    | Finished
)


class Events(Protocol):
    """A receiver of events. Several threads may call it, so implementations lock."""

    def emit(self, event: Event, /) -> None:
        """Handle *event*; never raise for an event that cannot be shown."""
        ...


def sayer(events: Events) -> Callable[[str], None]:
    """Return what emits a text to *events* as a message for the user."""
    return lambda text: events.emit(Said(text=text))


class Silent:
    """Ignores all events."""

    def emit(self, event: Event, /) -> None:
        """Ignore *event*."""


class Several:
    """Passes each event on to every receiver, in order."""

    def __init__(self, *receivers: Events) -> None:
        self._receivers = receivers

    def emit(self, event: Event, /) -> None:
        """Pass *event* on."""
        for receiver in self._receivers:
            receiver.emit(event)
