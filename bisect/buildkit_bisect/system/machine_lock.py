"""Who may load this machine: one compile, or one trial, at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from filelock import FileLock, Timeout

from buildkit_bisect.system import paths

#: Seconds of waiting before the caller is told that somebody else works.
PATIENCE = 2.0


@contextmanager
def machine_lock(on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the machine for a compile or a trial, across processes; the holder's death frees it.

    A compile beside a trial changes what lazy cells answer, so both take this. Not reentrant.
    *on_wait* is called once when another holder keeps us waiting.
    """
    # Whoever waits stands in the turnstile, so a campaign that lets go and comes back at once
    # goes behind it: nobody waits longer than one compile or trial of each other campaign.
    turnstile, machine = (
        FileLock(paths.cache("locks") / name, thread_local=False)
        for name in ("turnstile.lock", "machine.lock")
    )
    with ExitStack() as held:
        with ExitStack() as waiting:
            told = _take(turnstile, waiting, on_wait, told=False)
            _take(machine, held, on_wait, told=told)
        yield


def _take(lock: FileLock, until: ExitStack, on_wait: Callable[[], None], *, told: bool) -> bool:
    """Hold *lock* until the end of *until*; whether *on_wait* has been called by now."""
    try:
        until.enter_context(lock.acquire(timeout=-1 if told else PATIENCE))
    except Timeout:
        on_wait()
        until.enter_context(lock.acquire())
        return True
    return told
