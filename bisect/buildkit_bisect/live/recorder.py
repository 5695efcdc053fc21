"""Events as JSON lines in a file, so that another terminal can follow a campaign."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import cattrs

from buildkit_bisect import events as ev
from buildkit_bisect.events import Event
from buildkit_bisect.live.progress import Progress
from buildkit_bisect.system import strictjson

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Event)}


class Recorder:
    """Appends each event to *path* with the time; at most one line of progress per second."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")
        self._lock = threading.Lock()
        self._progress = 0.0

    def emit(self, event: Event, /) -> None:
        """Write *event*; if the disk is full, the line is lost but the campaign goes on."""
        now = time.time()
        with self._lock:
            if isinstance(event, ev.BuildProgress) or (
                isinstance(event, ev.Working) and event.done
            ):
                if now - self._progress < 1:
                    return
                self._progress = now
            try:
                self._file.write(line(event, now))
                self._file.flush()
            except (OSError, ValueError):
                return

    def close(self) -> None:
        """Close the file; later events are dropped."""
        with self._lock, contextlib.suppress(OSError):  # a full disk: unwritten lines are lost
            self._file.close()


def line(event: Event, now: float) -> str:
    """*event* as a line of the file."""
    body = {"t": round(now, 3), "event": type(event).__name__, **_fields(event)}
    return f"{_encoded(body)}\n"


def _fields(value: Any) -> dict[str, Any]:
    # `dataclasses.asdict` copies all that is below, which takes longer than to write it.
    return {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}


_encoded = json.JSONEncoder(ensure_ascii=False, default=_fields).encode


def parse(text: str) -> tuple[Event, float] | None:
    """The event and time of a line; None if it is torn or unknown, or a number is not finite."""
    try:
        body = strictjson.loads(text)
        now = float(body.pop("t"))
        event: Event = cattrs.structure(body, _KINDS[body.pop("event")])
    except (
        ArithmeticError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        cattrs.BaseValidationError,
    ):
        return None
    return None if strictjson.problem((event, now)) else (event, now)


def replay(path: Path) -> Progress:
    """The progress that *path* records. Raises OSError if it cannot be read."""
    progress = Progress()
    for event, now in events(path):
        progress.take(event, now)
    return progress


def events(path: Path) -> Iterator[tuple[Event, float]]:
    """Every complete event in *path*, in order."""
    with path.open(errors="replace") as file:  # a line may be torn within a character
        for text in file:
            parsed = parse(text)
            if parsed:
                yield parsed
