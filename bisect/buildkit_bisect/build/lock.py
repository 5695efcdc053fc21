"""Who may load this machine: one compile, or one trial, at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from buildkit_bisect import paths

#: Seconds of waiting before the caller is told that somebody else works.
PATIENCE = 2.0


@contextmanager
def machine_lock(on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the machine for a compile or a trial, across processes; the holder's death frees it.

    A compile beside a trial changes what lazy cells answer, so both take this. Not reentrant.
    *on_wait* is called once when another holder keeps us waiting.
    """
    lock = FileLock(paths.cache("locks") / "machine.lock", thread_local=False)
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        on_wait()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
