"""Executors for trials: in this thread or in several processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Inline(Executor):
    """Runs each call in the calling thread, so that Ctrl-C reaches it and it cleans up."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run *fn* now and return a completed future. Exceptions of *fn* propagate."""
        future: Future[T] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class _Pool(ProcessPoolExecutor):
    """Worker processes that end a call at SIGINT as this process does, and begin no other."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """See `Executor.submit`."""
        return super().submit(_called, fn, *args, **kwargs)


@dataclass(slots=True)
class _Calls:
    """Of a worker process: whether a call runs, and whether it was interrupted."""

    running: bool = False
    interrupted: bool = False


_calls = _Calls()


def _called(fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    _calls.running = True
    try:
        if _calls.interrupted:
            raise KeyboardInterrupt
        return fn(*args, **kwargs)
    finally:
        _calls.running = False


def _interrupt(*_: object) -> None:
    # Only once, since the call may be cleaning up: Ctrl-C reaches us, and then `nothing_left`
    # does. Never between calls, where an exception ends the process and breaks the pool.
    first, _calls.interrupted = not _calls.interrupted, True
    if first and _calls.running:
        raise KeyboardInterrupt


@contextmanager
def nothing_left(futures: Callable[[], Iterable[Future[Any]]]) -> Iterator[None]:
    """After an exception, cancel those of *futures* that wait, and wait until the others end.

    An interrupt interrupts them too; their workers then begin nothing more.
    """
    try:
        yield
    except BaseException as error:
        running = [future for future in futures() if not future.cancel()]
        if isinstance(error, KeyboardInterrupt):
            for worker in multiprocessing.active_children():
                os.kill(worker.pid or 0, signal.SIGINT)
        wait(running)
        raise


def executor(jobs: int) -> Executor:
    """Return `Inline` for one job, otherwise a pool of *jobs* processes."""
    if jobs == 1:
        return Inline()
    # spawn, because a fork would inherit our threads' locks.
    return _Pool(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_begin)


def _begin() -> None:
    follow()
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupt)


def follow() -> None:
    """End this worker when the process that started it ends, even by SIGKILL.

    A pool's worker waits for its next call on a pipe that it holds open itself, so it would wait
    forever.
    """
    parent = multiprocessing.parent_process()
    assert parent

    def wait() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)  # our children follow by their death signal

    threading.Thread(target=wait, daemon=True).start()
