"""Orders: none is lost, none runs twice, and one that fails on a worker is tried on another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager

import pytest

from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.model import NoBuild, Observation, Stage
from buildkit_bisect.workers import dispatch
from buildkit_bisect.workers.dispatch import Dispatch
from buildkit_bisect.workers.orders import Answer
from workers import FakeLink, build, facts, order


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "LOOK", 0.02)
    monkeypatch.setattr(dispatch, "ALONE", 0.1)


@contextmanager
def dispatching(link: FakeLink) -> Iterator[tuple[Dispatch, list[str]]]:
    said: list[str] = []
    made = Dispatch(link, "dask://h:1", said.append)
    try:
        yield made, said
    finally:
        made.close()
        assert not made._thread.is_alive()


def soon(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.005)


def built(address: str, key: str = "k1") -> Answer:
    return Answer(worker=address[-1:], address=address, made=build(key))


def seen(address: str, **more: str) -> Answer:
    observation = Observation(steps=(), seconds=1.0, **more)  # type: ignore[arg-type]
    return Answer(worker=address[-1:], address=address, observation=observation)


def test_as_many_orders_at_once_as_there_are_workers() -> None:
    link = FakeLink("a", "b")
    with dispatching(link) as (made, _):
        results = [made.submit(order()) for _ in range(4)]
        soon(lambda: len(link.given) == 2)
        time.sleep(0.05)
        assert len(link.given) == 2
        link.given[0][2].set_result(built("tcp://a"))
        soon(lambda: len(link.given) == 3)
        assert results[0].result(5) == built("tcp://a")
        link.known["tcp://c"] = facts("c")
        soon(lambda: len(link.given) == 4)


def test_trials_run_where_their_build_is() -> None:
    link = FakeLink("a", "b")
    with dispatching(link) as (made, _):
        made.submit(order())
        soon(lambda: len(link.given) == 1)
        link.given[0][2].set_result(built("tcp://b"))
        for _ in range(2):
            made.submit(order("k1"))
        soon(lambda: len(link.given) == 2)
        time.sleep(0.05)
        assert [among for _, among, _ in link.given[1:]] == [("tcp://b",)]
        link.given[1][2].set_result(seen("tcp://b"))
        soon(lambda: len(link.given) == 3)


def test_trials_run_anywhere_if_the_build_is_in_a_store() -> None:
    link = FakeLink("a", "b", shares=True)
    with dispatching(link) as (made, _):
        made.submit(order())
        soon(lambda: len(link.given) == 1)
        link.given[0][2].set_result(built("tcp://b"))
        made.submit(order("k1"))
        made.submit(order("k1"))
        soon(lambda: len(link.given) == 3)
        assert link.given[1][1] == link.given[2][1] == ()


def test_a_failure_is_tried_on_other_workers_and_then_told() -> None:
    link = FakeLink("a", "b", "c", "d")
    with dispatching(link) as (made, said):
        result = made.submit(order())
        for number, name in enumerate("abc"):
            soon(lambda number=number: len(link.given) == number + 1)  # type: ignore[misc]
            left = tuple(f"tcp://{n}" for n in "abcd"[number:]) if number else ()
            assert link.given[-1][1] == left
            failed = Answer(worker=name, address=f"tcp://{name}", trouble=f"no {name}")
            link.given[-1][2].set_result(failed)
        assert result.result(5).failed == "no c"
        assert said == []


@pytest.mark.parametrize(
    "answer",
    [
        seen("tcp://a", infra="no space left on the disk"),
        Answer(
            worker="a", address="tcp://a", made=NoBuild(stage=Stage.BUILD, reason="x", infra=True)
        ),
    ],
)
def test_what_is_the_machines_fault_is_a_failure(answer: Answer) -> None:
    link = FakeLink("a", "b")
    with dispatching(link) as (made, _):
        result = made.submit(order("k1"))
        soon(lambda: len(link.given) == 1)
        link.given[0][2].set_result(answer)
        soon(lambda: len(link.given) == 2)
        assert link.given[1][1] == ("tcp://b",)
        link.given[1][2].set_result(seen("tcp://b"))
        assert result.result(5).failed == ""


def test_a_worker_with_a_full_disk_gets_nothing_more() -> None:
    link = FakeLink("a", "b")
    with dispatching(link) as (made, said):
        first = made.submit(order())
        soon(lambda: len(link.given) == 1)
        full = Answer(worker="a", address="tcp://a", trouble="no space left on device", full=True)
        link.given[0][2].set_result(full)
        soon(lambda: len(link.given) == 2)
        assert link.given[1][1] == ("tcp://b",)
        link.given[1][2].set_result(built("tcp://b"))
        assert isinstance(first.result(5).made, type(build()))
        made.submit(order())
        soon(lambda: len(link.given) == 3)
        assert link.given[2][1] == ("tcp://b",)
        assert said == ["worker a gets no more work: no space left on device"]


def test_the_last_worker_is_kept() -> None:
    link = FakeLink("a")
    with dispatching(link) as (made, said):
        for number in range(4):
            result = made.submit(order())
            soon(lambda number=number: len(link.given) == number + 1)  # type: ignore[misc]
            full = Answer(worker="a", address="tcp://a", trouble="full", full=True)
            link.given[-1][2].set_result(full)
            assert result.result(5).failed == "full"
        assert said == []


def test_a_lost_scheduler_is_waited_for_and_what_ran_runs_again() -> None:
    link = FakeLink("a", "b")
    with dispatching(link) as (made, said):
        results = [made.submit(order()) for _ in range(3)]
        soon(lambda: len(link.given) == 2)
        link.given[0][2].set_result(built("tcp://a"))
        soon(lambda: len(link.given) == 3)
        for _, _, future in link.given[1:3]:
            future.cancel()
        soon(lambda: len(link.given) == 5)
        assert {one.id for one, _, _ in link.given[3:]} == {one.id for one, _, _ in link.given[1:3]}
        for _, _, future in link.given[3:]:
            future.set_result(built("tcp://a"))
        assert [bool(one.result(5).made) for one in results] == [True] * 3
        assert said == ["lost the scheduler at dask://h:1; waiting for it"]


def test_a_scheduler_that_does_not_come_back() -> None:
    link = FakeLink("a")
    link.comes_back = False
    with dispatching(link) as (made, _):
        results = [made.submit(order()) for _ in range(2)]
        soon(lambda: len(link.given) == 1)
        link.down = True
        for one in results:
            with pytest.raises(InfraFailed, match="was lost and it did not come back"):
                one.result(5)
        with pytest.raises(InfraFailed, match="lost"):
            made.submit(order()).result(5)


def test_a_scheduler_that_is_lost_again_and_again() -> None:
    link = FakeLink("a")
    with dispatching(link) as (made, said):
        result = made.submit(order())
        for number in range(dispatch.LOSSES + 1):
            soon(lambda number=number: len(link.given) == number + 1)  # type: ignore[misc]
            link.given[-1][2].cancel()
        with pytest.raises(InfraFailed, match="was lost 6 times"):
            result.result(5)
        assert len(said) == 1


def test_no_worker_is_left() -> None:
    link = FakeLink("a")
    with dispatching(link) as (made, _):
        result = made.submit(order())
        soon(lambda: len(link.given) == 1)
        link.known.clear()
        with pytest.raises(InfraFailed, match="no worker is left"):
            result.result(5)


def test_an_order_whose_only_worker_is_gone_goes_to_another() -> None:
    link = FakeLink("a", "b")
    with dispatching(link) as (made, _):
        made.submit(order())
        soon(lambda: len(link.given) == 1)
        link.given[0][2].set_result(built("tcp://a"))
        result = made.submit(order("k1"))
        soon(lambda: len(link.given) == 2)
        del link.known["tcp://a"]
        soon(lambda: len(link.given) == 3)
        assert link.given[1][2].cancelled()
        assert link.given[2][1] == ()  # any that there is
        link.given[2][2].set_result(seen("tcp://b"))
        assert result.result(5).failed == ""


def test_workers_that_end_one_after_another_are_no_verdict() -> None:
    link = FakeLink("a")
    with dispatching(link) as (made, _):
        result = made.submit(order("k1"))
        for number in range(dispatch.TRIES):
            soon(lambda number=number: len(link.given) == number + 1)  # type: ignore[misc]
            link.known = {f"tcp://next{number}": facts("n")}
        assert result.result(5).failed == "3 workers ended while they did it"


def test_what_dask_gives_up_is_told() -> None:
    class KilledWorker(Exception):
        pass

    link = FakeLink("a", "b")
    with dispatching(link) as (made, _):
        result = made.submit(order("k1"))
        soon(lambda: len(link.given) == 1)
        link.given[0][2].set_exception(KilledWorker("tried 4 times,\n each died"))
        assert result.result(5).failed == "KilledWorker: tried 4 times, each died"


def test_a_cancelled_order_is_cancelled_there() -> None:
    link = FakeLink("a")
    with dispatching(link) as (made, _):
        running, waiting = made.submit(order()), made.submit(order())
        soon(lambda: len(link.given) == 1)
        assert waiting.cancel()
        assert running.cancel()
        soon(link.given[0][2].cancelled)
        made.submit(order())
        soon(lambda: len(link.given) == 2)
        assert link.again_asked == 0


def test_closing_cancels_everything() -> None:
    link = FakeLink("a")
    results: list[Future[Answer]] = []
    with dispatching(link) as (made, _):
        results = [made.submit(order()) for _ in range(2)]
        soon(lambda: len(link.given) == 1)
    assert link.given[0][2].cancelled()
    for one in results:
        with pytest.raises(CancelledError):
            one.result(1)


def test_a_thousand_workers_at_once() -> None:
    link = FakeLink(*map(str, range(1000)))
    with dispatching(link) as (made, _):
        began = time.monotonic()
        results = [made.submit(order()) for _ in range(2000)]
        soon(lambda: len(link.given) == 1000)
        for number in range(1000):
            link.given[number][2].set_result(built(f"tcp://{number}"))
        soon(lambda: len(link.given) == 2000)
        for number in range(1000, 2000):
            link.given[number][2].set_result(built("tcp://1"))
        assert all(one.result(5).made for one in results)
        assert time.monotonic() - began < 15
