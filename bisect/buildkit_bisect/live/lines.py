"""Progress without a terminal: one plain line per event."""

from __future__ import annotations

from typing import TextIO

from buildkit_bisect import events as ev
from buildkit_bisect.errors import printable_line
from buildkit_bisect.events import Column, Event
from buildkit_bisect.model import Verdict
from buildkit_bisect.phrases import labelled, listed, plural
from buildkit_bisect.render.symbols import known, word
from buildkit_bisect.render.text import duration, one_line, shorten


class Lines:
    """Writes events to *stream*. The progress of a build is shown in quarters."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._quarters: dict[str, int] = {}
        self._running: set[tuple[str, Column]] = set()  # cells of which a trial has run

    def emit(self, event: Event, /) -> None:
        """Write *event*, if it has a line."""
        known = event.known if isinstance(event, ev.Planned) else ()
        path = event.path if isinstance(event, ev.Said) else ""
        for line in filter(None, (self._line(event), *known)):
            self._stream.write(with_path(shorten(one_line(line), 400), path) + "\n")
            self._stream.flush()

    def _line(self, event: Event) -> str:  # noqa: C901, PLR0911, PLR0912 - one case per event
        match event:
            case ev.Planned():
                return plan_line(event)
            case ev.BuildStarted():
                count = (
                    f": {plural(event.expected, 'package')} to compile" if event.expected else ""
                )
                return f"build {event.row}{count}"
            case ev.BuildProgress():
                row = f"build {event.row}"
                progress = self._quarter(row, event.done, event.expected)
                return progress and f"{row}: {progress}"
            case ev.BuildDone():
                how = "reused" if event.reused else f"built in {duration(event.seconds)}"
                return f"build {event.row}: {how}"
            case ev.BuildSkipped():
                how = "not built" if event.infra else "skipped"
                return labelled(f"build {event.row}: {how} ({event.stage})", event.reason)
            case ev.TrialDone():
                how = "reused" if event.reused else duration(event.seconds)
                where = f"{event.row}, {event.column.name}"
                outcome = f"{event.verdict}, {word(event.outcome)} ({how})"
                return f"trial {event.number} of {event.of}: {where}: {outcome}"
            case ev.CellDone():
                line = f"cell {event.row}, {event.column.name}: {cell(event)}"
                return labelled(line, unsure(event))
            case ev.StepAsked():
                why = f" ({event.why})" if event.why else ""
                return (
                    f"step {event.number}: test {event.row}{why}; "
                    f"{plural(event.left, 'candidate')}, about "
                    f"{plural(event.expected_steps, 'step')}, {event.forecast} left"
                )
            case ev.StepDone():
                return labelled(f"step {event.number}: {event.row} is {event.verdict}", event.shown)
            case ev.Working():
                return self._work(event)
            case ev.Worked():
                self._quarters.pop(event.what, None)
                return f"{event.what}: took {duration(event.seconds)}"
            case ev.Said():
                return f"warning: {event.text}" if event.warning else event.text
            case ev.Finished():
                return finished_line(event)
            case ev.TrialStarted():
                return self._first_trial(event)

    def _first_trial(self, event: ev.TrialStarted) -> str:
        """Return a line for the first trial of a cell that runs; the others follow each other."""
        if (event.row, event.column) in self._running:
            return ""
        self._running.add((event.row, event.column))
        where = f"{event.row}, {event.column.name}"
        return f"trial {event.number} of {event.of}: {where}"

    def _work(self, event: ev.Working) -> str:
        if event.what not in self._quarters:
            self._quarters[event.what] = 0
            return event.what
        progress = self._quarter(event.what, event.done, event.expected)
        return progress and f"{event.what}: {progress}"

    def _quarter(self, what: str, done: int, expected: int) -> str:
        """Return ``200 of 800 packages`` whenever another quarter is done, otherwise ""."""
        # What was expected is the most that a build here has had; this one may have more.
        quarter = 4 * done // expected if done < expected else 0
        if not quarter or self._quarters.get(what) == quarter:
            return ""
        self._quarters[what] = quarter
        return f"{done} of {plural(expected, 'package')}"


def cell(event: ev.CellDone) -> str:
    """``bad, layers dropped 3 of 3``; for a flaky cell every outcome's count."""
    total = sum(event.counts.values())
    each = [f"{word(name)} {n} of {total}" for name, n in event.counts.items()]
    beside = f" ({known(event.outcome, event.known)})" if event.known else ""
    if len(each) > 1:
        return f"{event.verdict}, {word(event.outcome)}: " + ", ".join(each) + beside
    return f"{event.verdict}, {each[0] if each else word(event.outcome)}{beside}"


def with_path(line: str, path: str) -> str:
    """Return *line*, which is clean, with a *path* of this machine after it, if there is one."""
    return labelled(line, printable_line(path))


def unsure(event: ev.CellDone) -> str:
    """Return why a cell is weak; "" for others, and for a flaky one, which shows its counts."""
    return event.reason if event.verdict is Verdict.WEAK and len(event.counts) == 1 else ""


def plan_line(event: ev.Planned) -> str:
    """The plan in one line, with what its estimate is based on."""
    expected = event.expected
    about = f"; {expected}" if expected.most else ""
    how = f" ({event.basis})" if about and event.basis else ""
    first = f"; first {listed(event.before)}" if event.before else ""
    if event.search:
        cells = plural(len(event.columns), "cell")
        if len(event.columns) == 1:
            cells = event.columns[0].name
        if event.tried_at:
            cells = f"one of {cells}, after {listed(event.tried_at)} in each"
        steps, builds = plural(event.search.steps, "step"), plural(event.search.builds, "build")
        work = f"about {steps}, {builds} needed"
        return f"{event.kind}: {event.search.what}, in {cells}; {work}{about}{how}{first}"
    size = f"{plural(len(event.rows), 'variant')} x {plural(len(event.columns), 'cell')}"
    made = [s for s in event.build_seconds.values() if s]
    trials = plural(event.trials, "trial")
    stored = sum(map(sum, event.stored.values()))
    needed = f"{plural(len(made), 'build')} needed"
    needed += f", {plural(stored, 'trial')} stored" if stored else ""
    return f"{event.kind}: {size} x {trials}, {needed}{about}{how}{first}"


def finished_line(event: ev.Finished) -> str:
    """How the campaign ended, and where its results are."""
    where = f" Results: {event.folder}" if event.folder else ""
    return f"{event.status}: {event.finding}{where}" if event.finding else f"{event.status}.{where}"
