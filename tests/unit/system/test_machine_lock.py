"""The machine lock between threads; tests/local/test_machine_lock.py tests it between processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from buildkit_bisect.system import machine_lock as module
from buildkit_bisect.system.machine_lock import machine_lock

#: Seconds after which a test that hangs fails.
LIMIT = 20


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)


@pytest.fixture
def others() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


def test_a_free_lock_is_taken_without_a_notice() -> None:
    notices: list[str] = []
    for _ in range(2):
        with machine_lock(lambda: notices.append("waiting")):
            pass
    assert notices == []


def test_only_one_holds_the_lock(others: ThreadPoolExecutor) -> None:
    holders = 0
    most = 0

    def hold() -> None:
        nonlocal holders, most
        with machine_lock():
            holders += 1
            most = max(most, holders)
            time.sleep(0.02)
            holders -= 1

    for held in [others.submit(hold) for _ in range(4)]:
        held.result(LIMIT)
    assert most == 1


def test_a_waiting_process_is_served_before_the_holder_takes_the_lock_again(
    others: ThreadPoolExecutor,
) -> None:
    waiting = threading.Event()
    order: list[str] = []

    def hold(name: str, on_wait: Callable[[], None] = lambda: None) -> None:
        with machine_lock(on_wait):
            order.append(name)

    with machine_lock():
        queued = others.submit(hold, "waiting", waiting.set)
        assert waiting.wait(LIMIT)
        assert order == []
    hold("again")
    queued.result(LIMIT)
    assert order == ["waiting", "again"]


def test_a_process_that_waits_for_two_others_gets_one_notice(others: ThreadPoolExecutor) -> None:
    first_waits, last_waits = threading.Event(), threading.Event()
    notices: list[str] = []

    def first() -> None:
        with machine_lock(first_waits.set):
            time.sleep(module.PATIENCE * 4)

    def last() -> None:
        def on_wait() -> None:
            notices.append("waiting")
            last_waits.set()

        with machine_lock(on_wait):
            pass

    with machine_lock():
        queued = [others.submit(first)]
        assert first_waits.wait(LIMIT)
        queued.append(others.submit(last))
        assert last_waits.wait(LIMIT)
    for each in queued:
        each.result(LIMIT)
    assert notices == ["waiting"]


def test_an_error_releases_the_lock() -> None:
    notices: list[str] = []
    with pytest.raises(ZeroDivisionError), machine_lock():
        raise ZeroDivisionError
    with machine_lock(lambda: notices.append("waiting")):
        pass
    assert notices == []
