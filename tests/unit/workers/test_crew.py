"""What a campaign makes of what workers answer."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from buildkit_bisect.builds import Builder
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.lab import machine_kind
from buildkit_bisect.model import Build, NoBuild, Observation, Stage
from buildkit_bisect.source import Source
from buildkit_bisect.system import paths
from buildkit_bisect.workers import crew
from buildkit_bisect.workers.crew import RemoteBuilder, Workers, common
from buildkit_bisect.workers.orders import Answer, Order
from buildkit_bisect.workers.parcels import Parcel
from workers import build, facts, job, kind, order, variant


class _Source:
    kind = "git"
    where = "https://example.org/buildkit.git"


class _Dispatch:
    """Answers at once."""

    def __init__(self, answer: Callable[[Order], Answer]) -> None:
        self.answer = answer
        self.orders: list[Order] = []
        self.seen: dict[str, Answer] = {}
        self.usable = {"tcp://a": facts("a"), "tcp://b": facts("b")}

    def submit(self, asked: Order) -> Future[Answer]:
        self.orders.append(asked)
        future: Future[Answer] = Future()
        answer = self.answer(asked)
        future.set_result(answer)
        return future


def workers(answer: Answer) -> tuple[Workers, _Dispatch]:
    made = Workers.__new__(Workers)
    dispatch = _Dispatch(lambda _: answer)
    made._dispatch = cast("Any", dispatch)
    made._files = {}
    builder = Builder(source=cast("Source", _Source()), elsewhere=True)
    made.builder = RemoteBuilder.of(builder, made)
    made.executor = crew._Trials(made)
    return made, dispatch


def test_a_build_is_made_by_a_worker_once() -> None:
    made, dispatch = workers(Answer(worker="a", address="tcp://a", made=build()))
    assert made.builder.cached(variant()) is None
    found = made.builder.build(variant())
    assert found == build(directory="")
    again = made.builder.build(variant())
    assert again == build(directory="", reused=True)
    assert len(dispatch.orders) == 1
    assert dispatch.orders[0].repo == "https://example.org/buildkit.git"
    other = Builder(source=cast("Source", _Source()), elsewhere=True)
    assert other.cached(variant()) == build(directory="", reused=True)
    assert replace(other, elsewhere=False).cached(variant()) is None
    assert replace(other, own=True).cached(variant()) is None


def test_a_copy_of_the_builder_builds_here() -> None:
    made, _ = workers(Answer())
    assert replace(made.builder, own=True).crew is None


def test_a_source_that_does_not_compile_is_skipped_with_its_log() -> None:
    failed = NoBuild(stage=Stage.BUILD, reason="undefined: x")
    made, _ = workers(Answer(worker="a", address="tcp://a", made=failed, log="the log"))
    found = made.builder.build(variant())
    assert isinstance(found, NoBuild)
    assert (found.reason, found.infra) == ("undefined: x", False)
    assert Path(found.log).read_text() == "the log"


def test_a_build_that_no_worker_could_make_is_infrastructure() -> None:
    answer = Answer(worker="a", address="tcp://a", trouble="no space left on device", hint="df -h")
    made, _ = workers(answer)
    with pytest.raises(InfraFailed) as caught:
        made.builder.build(variant())
    assert caught.value.message == ("cannot build v0.26.0: worker a: no space left on device")
    assert caught.value.hint == "df -h"


def test_evidence_of_a_trial_is_in_the_cache() -> None:
    seen = Observation(steps=(), seconds=2.0, facts={"runtime": "host"})
    parcel = Parcel(path="x/build.log", data=b"log")
    made, dispatch = workers(
        Answer(worker="a", address="tcp://a", observation=seen, evidence=(parcel,))
    )
    asked = job()
    found = made.trial(asked).result()
    assert dispatch.orders[0].key == asked.key
    assert found.facts == {"runtime": "host", "worker": "a"}
    folder = Path(found.evidence)
    assert folder.parent == paths.cache("evidence") / asked.key[:32]
    assert (folder / "x" / "build.log").read_text() == "log"


@pytest.mark.parametrize(
    ("answer", "infra"),
    [
        (Answer(trouble="KilledWorker: it died"), "KilledWorker: it died"),
        (Answer(worker="a", trouble="no disk"), "worker a: no disk"),
        (
            Answer(worker="a", made=NoBuild(stage=Stage.TOOLCHAIN, reason="no Go", infra=True)),
            "worker a: no Go",
        ),
        (
            Answer(worker="a", observation=Observation(steps=(), seconds=0, infra="no registry")),
            "worker a: no registry",
        ),
    ],
)
def test_what_a_worker_could_not_do_is_infrastructure(answer: Answer, infra: str) -> None:
    made, _ = workers(answer)
    assert made.trial(job()).result().infra == infra


def test_as_many_cells_as_workers() -> None:
    made, dispatch = workers(Answer())
    assert (made.cells, made.compiles, made.apart) == (2, 2, True)
    dispatch.usable = {}
    assert made.cells == 1


def test_facts_that_all_machines_have() -> None:
    hosts = [{"kernel": "6.1", "cpus": "4"}, {"kernel": "6.1", "cpus": "8"}]
    assert common(hosts) == {"kernel": "6.1", "workers": "2"}


def test_a_cancelled_trial_cancels_its_order() -> None:
    ours: Future[Answer] = Future()
    after = crew._then(ours, lambda answer: answer)
    assert after.cancel()
    assert ours.cancelled()


def test_a_cancelled_order_cancels_its_trial() -> None:
    ours: Future[Answer] = Future()
    after = crew._then(ours, lambda answer: answer)
    ours.cancel()
    with pytest.raises(CancelledError):
        after.result(1)


@pytest.mark.parametrize("one", [order(), order("k1"), Answer(made=build())])
def test_what_travels_can_be_pickled(one: Order | Answer) -> None:
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301


def test_the_key_of_a_trial_is_that_of_the_machines_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_kind, "busybox", lambda: "b")
    there = job()
    monkeypatch.setattr("buildkit_bisect.system.machine.fingerprint", lambda: kind().fingerprint)
    assert replace(there, machine=None).key == there.key
    assert replace(there, machine=kind("6.6")).key != there.key


def test_an_instrumented_build_has_no_place_elsewhere() -> None:
    made, _ = workers(Answer(worker="a", address="tcp://a", made=build()))
    made.builder.build(variant())
    cover = replace(made.builder, recipe=replace(made.builder.recipe, cover=True))
    assert cover.cached(variant()) is None
    assert isinstance(made.builder.cached(variant()), Build)
