from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from buildkit_bisect.events import BuildProgress, Event, Events


class _Lines:
    def emit(self, event: Event, /) -> None:
        if not isinstance(event, BuildProgress):
            print(str(event)[:200], file=sys.stderr, flush=True)


@contextmanager
def display(*, json: bool) -> Iterator[Events]:
    yield _Lines()
