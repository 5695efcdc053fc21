"""Lock files between processes of this tool; waiting for one is announced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock

from buildkit_bisect.system import paths
from buildkit_bisect.system.announce import announce


@contextmanager
def locked(name: str, does: str) -> Iterator[None]:
    """Hold the lock file *name* in the cache during the block.

    *does* says what a process that holds it does: ``fetches Go 1.25``.
    """
    lock = FileLock(paths.cache("locks") / name)
    with announce(f"waiting for another process that {does}"):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
