"""Where trials run: in this thread, or in several processes."""

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
    """Runs each call at once in the calling thread, so that Ctrl-C reaches it and cleans up."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run *fn* now; the future is done. What `fn` raises comes out here."""
        future: Future[T] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def executor(jobs: int) -> Executor:
    """Where trials run: here for one job, else in as many processes."""
    if jobs == 1:
        return Inline()
    # spawn: a fork would inherit our threads' locks.
    return ProcessPoolExecutor(
        jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_follow
    )


def _follow() -> None:
    """End this worker with the process that started it, also where that is killed.

    A pool's worker waits for its next call on a pipe that it holds open itself: for ever.
    """
    parent = multiprocessing.parent_process()
    assert parent

    def wait() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)  # and with us, by their death signal, our children

    threading.Thread(target=wait, daemon=True).start()
