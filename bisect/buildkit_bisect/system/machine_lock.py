"""A lock for the machine's CPU and disk: one compile or one trial at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from filelock import FileLock, Timeout

from buildkit_bisect.system import paths

#: Seconds of waiting before `on_wait` is called.
PATIENCE = 2.0


@contextmanager
def machine_lock(on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Lock the machine for a compile or a trial; released when the holding process dies.

    A compile beside a trial changes the outcomes of lazy cells, so both take the lock. Not
    reentrant. *on_wait* is called once if another process holds the lock.
    """
    # Waiting processes hold the turnstile, so a campaign that releases the lock and takes it
    # again queues behind them: each waits for at most one compile or trial of each campaign.
    turnstile, machine = (
        FileLock(paths.cache("locks") / name, thread_local=False)
        for name in ("turnstile.lock", "machine.lock")
    )
    with ExitStack() as held:
        with ExitStack() as waiting:
            notified = _take(turnstile, waiting, on_wait, notified=False)
            _take(machine, held, on_wait, notified=notified)
        yield


def _take(lock: FileLock, until: ExitStack, on_wait: Callable[[], None], *, notified: bool) -> bool:
    """Hold *lock* until the end of *until*; return whether *on_wait* has been called by now."""
    try:
        until.enter_context(lock.acquire(timeout=-1 if notified else PATIENCE))
    except Timeout:
        on_wait()
        until.enter_context(lock.acquire())
        return True
    return notified
