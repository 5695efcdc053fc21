"""Removing a container and its volume while someone else removes them too."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import docker.errors
import pytest
import requests

from buildkit_bisect.engine import Engine
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.runtime import container


def conflict(text: str) -> docker.errors.APIError:
    response = requests.Response()
    response.status_code = 409
    return docker.errors.APIError("conflict", response=response, explanation=text)


class FakeEngine:
    """Raises the errors that a test sets, one at each removal, then removes."""

    def __init__(self, *, container: list[Exception], volume: list[Exception]) -> None:
        self.errors = {"container": container, "volume": volume}
        self.removed: list[str] = []
        self.client = SimpleNamespace(
            api=SimpleNamespace(timeout=60),
            containers=SimpleNamespace(get=lambda _: self._thing("container")),
            volumes=SimpleNamespace(get=lambda _: self._thing("volume")),
        )

    def _thing(self, kind: str) -> Any:
        def remove(**_: bool) -> None:
            if self.errors[kind]:
                raise self.errors[kind].pop(0)
            self.removed.append(kind)

        return SimpleNamespace(remove=remove)


def remove(engine: FakeEngine, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    container.remove(cast(Engine, engine), "the container", "c", "v", until)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "_PAUSE", 0.001)


def test_a_removal_by_someone_else_is_waited_for() -> None:
    engine = FakeEngine(
        container=[conflict("removal already in progress"), docker.errors.NotFound("gone")],
        volume=[conflict("volume is in use"), conflict("volume is in use")],
    )
    remove(engine)
    assert engine.removed == ["volume"]


def test_nothing_is_waited_for_beyond_the_deadline() -> None:
    engine = FakeEngine(container=[conflict("removal already in progress")] * 9, volume=[])
    with pytest.raises(InfraFailed, match="removing the container: removal already in progress"):
        remove(engine, seconds=0)
    engine = FakeEngine(container=[], volume=[conflict("volume is in use")] * 9)
    remove(engine, seconds=0)
    assert engine.removed == ["container"]


def test_what_is_gone_is_removed() -> None:
    remove(FakeEngine(container=[docker.errors.NotFound("")], volume=[docker.errors.NotFound("")]))
