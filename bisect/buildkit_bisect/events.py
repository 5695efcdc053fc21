"""What a campaign tells while it works: plain values to anything that has `Events.emit`.

The campaign depends on this module alone. A display, a log of lines and the journal that
``status`` follows are receivers of the same events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from buildkit_bisect.model import Axes, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column of the matrix: a scenario and a value for each of its axes."""

    scenario: str
    axes: Axes
    control: bool = False

    @property
    def label(self) -> str:
        """Axis values alone: ``different stargz``, in the order of axis names."""
        return " ".join(value for _, value in self.axes)


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """What is going to be done; sent again when it grows. Rows are `Variant.label`."""

    kind: str  # run, matrix, bisect, boundaries, validate
    rows: tuple[str, ...]
    columns: tuple[Column, ...]
    trials: int  # of each cell
    build_seconds: Mapping[str, float] = field(default_factory=dict)  # row -> expected; 0: built
    trial_seconds: float = 0.0  # expected of one
    basis: str = ""  # how both were estimated: "the last 12 builds on this machine"
    only_bad_of: Mapping[str, str] = field(default_factory=dict)  # row -> whose bad cells it runs

    def columns_of(self, row: str) -> tuple[Column, ...]:
        """The cells that *row* may run: all, or where it runs those bad elsewhere, no controls."""
        if row not in self.only_bad_of:
            return self.columns
        return tuple(column for column in self.columns if not column.control)

    @property
    def cells(self) -> int:
        """Cells of all rows, at most."""
        return sum(len(self.columns_of(row)) for row in self.rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildStarted:
    """A variant's compile begins."""

    row: str
    expected: int = 0  # Go packages to compile; 0 where nobody knows


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildProgress:
    """Packages compiled so far; may come often."""

    row: str
    done: int
    expected: int


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildDone:
    """The binaries are there."""

    row: str
    seconds: float  # what compiling cost now, or when it was compiled
    reused: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildSkipped:
    """There will be no binaries: a verdict skip for the whole row."""

    row: str
    stage: str  # `NoBuild.stage`
    reason: str  # one line


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialStarted:
    """Trial *number* (from 1) of *of* begins."""

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
    """A cell has all the trials that it is going to have."""

    row: str
    column: Column
    outcome: str
    verdict: Verdict
    counts: Mapping[str, int] = field(default_factory=dict)  # outcome -> trials
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepAsked:
    """A search says what it tests next, and why."""

    number: int
    row: str
    why: str
    left: int  # candidates
    expected_steps: int  # still to come, this one included
    expected_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class StepDone:
    """What a search saw there."""

    number: int
    row: str
    verdict: Verdict
    shown: str  # "layers-dropped 3 of 3", "skip: build: undefined: foo"


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """A line for a person."""

    text: str
    warning: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """The campaign is over."""

    status: str  # done, interrupted, failed
    finding: str = ""  # one sentence
    folder: str = ""  # where its results are


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
    | Finished
)


class Events(Protocol):
    """A receiver. Called from one thread at a time or several: an implementation locks."""

    def emit(self, event: Event, /) -> None:
        """Take in *event*; never raises for what it cannot show."""
        ...


class Silent:
    """Receives everything, shows nothing."""

    def emit(self, event: Event, /) -> None:
        """Drop *event*."""


class Several:
    """Passes each event on to every receiver, in order."""

    def __init__(self, *receivers: Events) -> None:
        self._receivers = receivers

    def emit(self, event: Event, /) -> None:
        """Pass *event* on."""
        for receiver in self._receivers:
            receiver.emit(event)
