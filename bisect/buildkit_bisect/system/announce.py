"""Announces work that takes over two seconds, and how long it took.

Code that may take long says what it does: ``with announce("cloning X"):``. `process.run` does so
for each child, unless the code around it has. This goes to whatever displays events now, as a log
would: a display that is passed down through every call is forgotten in one of them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from buildkit_bisect.events import Events, Silent, Worked, Working

#: Seconds of work after which it is announced.
PATIENCE = 2.0

#: What receives announcements; the last one that was added.
_receivers: list[Events] = []

#: Whether the code around this says what it does.
_told: ContextVar[bool] = ContextVar("told", default=False)


class Announcement:
    """One piece of work; its block may report how far it is."""

    def __init__(self, what: str, receiver: Events) -> None:
        self._what = what
        self._receiver = receiver
        self._began = time.monotonic()
        self._shown = self._over = False
        self._lock = threading.Lock()  # a timer's thread shows it

    @property
    def _spent(self) -> float:
        return time.monotonic() - self._began

    def progress(self, done: int, expected: int) -> None:
        """Show that *done* of *expected* are done, if the work has taken long already."""
        with self._lock:
            if self._shown:
                self._emit(done, expected)

    def show(self) -> None:
        """Show that it runs, unless it has ended."""
        with self._lock:
            if not self._over:
                self._shown = True
                self._emit()

    def end(self) -> None:
        """Show that it has ended, if it was shown."""
        with self._lock:
            self._over = True
            if self._shown:
                self._receiver.emit(Worked(what=self._what, seconds=self._spent))

    def _emit(self, done: int = 0, expected: int = 0) -> None:
        self._receiver.emit(
            Working(what=self._what, done=done, expected=expected, spent=self._spent)
        )


@contextmanager
def announcing(receiver: Events) -> Iterator[None]:
    """Send what is announced during the block to *receiver*, from any thread."""
    _receivers.append(receiver)
    try:
        yield
    finally:
        _receivers.remove(receiver)


@contextmanager
def announce(what: str) -> Iterator[Announcement]:
    """Announce *what* the block does if it takes over two seconds: ``cloning X``."""
    made = Announcement(what, _receivers[-1] if _receivers else Silent())
    timer = threading.Timer(PATIENCE, made.show)
    timer.daemon = True
    timer.start()
    try:
        with shown_otherwise():
            yield made
    finally:
        timer.cancel()
        made.end()


@contextmanager
def shown_otherwise() -> Iterator[None]:
    """Do not announce the children of the block: its work is displayed in another way."""
    before = _told.set(True)
    try:
        yield
    finally:
        _told.reset(before)


@contextmanager
def by_default(what: str) -> Iterator[None]:
    """Announce *what* the block does, unless the code around it says what it does."""
    if _told.get():
        yield
        return
    with announce(what):
        yield
