"""What is announced while something runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from buildkit_bisect.events import Event, Working
from buildkit_bisect.system import announce


class Announced:
    """Receives events; *texts* is the work that was announced, in order and once each."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event, /) -> None:
        """Keep *event*."""
        self.events.append(event)

    @property
    def texts(self) -> list[str]:
        """Return ``cloning X`` for all work that began."""
        return list(dict.fromkeys(e.what for e in self.events if isinstance(e, Working)))


@contextmanager
def announced(patience: float = 0.0) -> Iterator[Announced]:
    """Collect what is announced during the block, after *patience* seconds instead of two."""
    found = Announced()
    with patch.object(announce, "PATIENCE", patience), announce.announcing(found):
        yield found
