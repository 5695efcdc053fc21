"""Calls in worker processes end with an interrupt of the process that began them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from buildkit_bisect.lab.executors import executor, nothing_left

pytestmark = pytest.mark.local


def call(folder: Path, number: int, seconds: float) -> int:
    """Tell in *folder* when it begins, and when it has cleaned up."""
    (folder / f"began-{number}").touch()
    try:
        time.sleep(seconds)
    finally:
        time.sleep(0.3)
        (folder / f"ended-{number}").touch()
    return os.getpid()


def names(folder: Path, prefix: str) -> set[str]:
    return {path.name.removeprefix(prefix) for path in folder.glob(f"{prefix}*")}


@pytest.mark.parametrize("terminal", [True, False])
def test_after_an_interrupt_nothing_runs_and_all_has_cleaned_up(
    tmp_path: Path, terminal: bool
) -> None:
    """Ctrl-C in a terminal reaches the workers too, a signal to this process does not."""
    begun: list[Future[Any]] = []

    def interrupted() -> None:
        with nothing_left(lambda: begun):
            begun.extend(pool.submit(call, tmp_path, n, 300) for n in range(8))
            while len(names(tmp_path, "began-")) < 2:
                time.sleep(0.01)
            for worker in multiprocessing.active_children() if terminal else ():
                os.kill(worker.pid or 0, signal.SIGINT)
            time.sleep(0.1)
            raise KeyboardInterrupt

    with executor(2) as pool:
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert names(tmp_path, "began-") == names(tmp_path, "ended-")
        assert all(future.done() for future in begun)
    assert len(names(tmp_path, "began-")) == 2, "the others never begin"


def test_workers_survive_an_interrupt_between_calls(tmp_path: Path) -> None:
    """Their end would break the pool, and what others run would be killed without cleaning up."""
    with executor(2) as pool:
        first = pool.submit(call, tmp_path, 1, 0).result()
        os.kill(first, signal.SIGINT)
        time.sleep(0.2)
        with pytest.raises(KeyboardInterrupt):
            pool.submit(call, tmp_path, 2, 0).result()


def test_after_an_error_the_pool_goes_on(tmp_path: Path) -> None:
    begun: list[Future[Any]] = []

    def failing() -> None:
        with nothing_left(lambda: begun):
            begun.extend(pool.submit(call, tmp_path, n, 0.2) for n in range(20))
            begun[0].result()
            raise OSError("the disk is full")

    with executor(2) as pool:
        with pytest.raises(OSError, match="the disk is full"):
            failing()
        assert names(tmp_path, "began-") == names(tmp_path, "ended-")
        assert pool.submit(call, tmp_path, 99, 0).result()
    assert len(names(tmp_path, "ended-")) < 12
