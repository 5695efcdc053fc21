"""Shows the progress of a campaign, on stderr."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from buildkit_bisect import events as ev
from buildkit_bisect.events import Event
from buildkit_bisect.live.lines import Lines, cell, finished_line, plan_line, unsure, with_path
from buildkit_bisect.live.progress import Progress
from buildkit_bisect.live.recorder import Recorder, events, replay
from buildkit_bisect.live.screen import screen
from buildkit_bisect.options.command import resume
from buildkit_bisect.render.text import duration, one_line, shorten
from buildkit_bisect.system.announce import announcing

__all__ = ["Display", "Progress", "Recorder", "follow", "replay"]

#: Seconds between two drawings of the screen.
_REFRESH = 0.25

_Clock = Callable[[], float]


class Display:
    """An `events.Events` that displays: a live screen on a terminal, plain lines elsewhere.

    A context manager, which also displays what is announced, and restores the terminal however
    it ends. rich respects NO_COLOR and TERM=dumb.
    """

    def __init__(self, stream: TextIO | None = None, *, clock: _Clock = time.monotonic) -> None:
        self._stream = stream or sys.stderr
        self._console = Console(file=self._stream, highlight=False, markup=False, emoji=False)
        self._clock = clock
        self._lock = threading.RLock()
        self._progress = Progress()
        self._width = 0
        self._lines = Lines(self._stream)
        self._live: Live | None = None
        self._refreshing: threading.Thread | None = None
        self._over = threading.Event()
        self._planned: tuple[object, ...] = ()
        self._announcing = announcing(self)

    def __enter__(self) -> Self:
        self._announcing.__enter__()
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live = Live(
                get_renderable=self._screen,
                console=self._console,
                # Its own thread would write between the parts of what another one prints.
                auto_refresh=False,
                redirect_stdout=False,
                redirect_stderr=False,
                vertical_overflow="crop",
            )
            self._live.start(refresh=True)
            self._refreshing = threading.Thread(target=self._refresh, daemon=True)
            self._refreshing.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._announcing.__exit__(kind, error, trace)
        self._over.set()
        if self._refreshing:
            self._refreshing.join()
        with self._lock:
            live, self._live = self._live, None
            if live:
                live.stop()

    def _refresh(self) -> None:
        while not self._over.wait(_REFRESH):
            with self._lock:
                if self._live:
                    self._live.refresh()

    def emit(self, event: Event, /) -> None:
        """Show *event*, which happens now."""
        self.take(event, self._clock())

    def take(self, event: Event, at: float) -> None:
        """Show *event*, which happened at the time *at* of the display's clock."""
        with self._lock:
            self._progress.take(event, at)
            if self._live:
                self._above(event, self._live.console)
            else:
                self._lines.emit(event)

    def _above(self, event: Event, console: Console) -> None:
        """Print the line of *event* above the screen, if it has one."""
        what = (event.kind, event.search) if isinstance(event, ev.Planned) else ()
        match event:
            case ev.Planned() if what != self._planned:  # a matrix's later plan differs in numbers
                self._planned = what
                for line in (plan_line(event), *event.known):
                    console.print(Text(one_line(line)))
            case ev.Said():
                style = "yellow" if event.warning else ""
                console.print(Text(with_path(one_line(event.text), event.path), style=style))
            case ev.CellDone() if reason := unsure(event):
                line = f"{event.row}, {event.column.name}: {cell(event)}: {reason}"
                console.print(Text(shorten(one_line(line), 400), style="yellow"))
            case ev.BuildSkipped():
                how = "not built" if event.infra else "skipped"
                line = f"{event.row}: {how} ({event.stage}): {event.reason}"
                console.print(Text(one_line(line), style="yellow"))
            case ev.StepDone():
                line = f"step {event.number}: {event.row} is {event.verdict}: {event.shown}"
                console.print(Text(one_line(line)))
            case ev.Worked():
                line = f"{event.what}: took {duration(event.seconds)}"
                console.print(Text(one_line(line), style="dim"))
            case ev.Finished():
                console.print(Text(one_line(finished_line(event)), style="bold"))
            case _:
                pass

    def _screen(self) -> RenderableType:
        size = self._console.size
        with self._lock:
            if size.width < self._width:
                # The terminal has wrapped the lines of the last screen: clear it.
                self._console.clear()
            self._width = size.width
            return screen(self._progress, now=self._clock(), width=size.width, height=size.height)


def follow(
    path: Path,
    stream: TextIO | None = None,
    *,
    watch: bool = False,
    alive: Callable[[], bool] = lambda: True,
) -> Progress:
    """Show the campaign that *path* (a `Recorder`'s file) records; with *watch*, until it ends.

    *alive* returns whether its process still runs: a killed one records no end. Returns its
    progress. Raises OSError if the file cannot be read.
    """
    if watch:
        return _watch(path, stream, alive)
    progress = replay(path)
    console = Console(file=stream or sys.stderr, highlight=False, markup=False, emoji=False)
    over = progress.finished is not None or not alive()
    now = progress.last if over else time.time()
    console.print(screen(progress, now=now, width=console.size.width, height=10_000))
    if progress.finished:
        console.print(Text(one_line(finished_line(progress.finished))))
    elif over:
        console.print(Text(_stopped(path)))
    return progress


def _stopped(path: Path) -> str:
    return f"stopped before it finished: {resume(path.parent)}"


def _watch(path: Path, stream: TextIO | None, alive: Callable[[], bool]) -> Progress:
    progress = Progress()
    shown = 0
    with Display(stream, clock=time.time) as display:
        while progress.finished is None:
            living = alive()  # before reading, so that its last events are seen
            recorded = list(events(path))
            for event, at in recorded[shown:]:
                progress.take(event, at)
                display.take(event, at)
            shown = len(recorded)
            if not living and progress.finished is None:
                display.take(ev.Said(text=_stopped(path), warning=True), progress.last)
                break
            time.sleep(0.5)
    return progress
