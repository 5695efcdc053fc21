"""Executors for trials: in this thread or in several processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Inline(Executor):
    """Runs each call in the calling thread, so that Ctrl-C reaches it and it cleans up."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run *fn* now and return a completed future. Exceptions of *fn* propagate."""
        future: Future[T] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def executor(jobs: int) -> Executor:
    """Return `Inline` for one job, otherwise a pool of *jobs* processes."""
    if jobs == 1:
        return Inline()
    # spawn, because a fork would inherit our threads' locks.
    return ProcessPoolExecutor(
        jobs, mp_context=multiprocessing.get_context("spawn"), initializer=follow
    )


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
