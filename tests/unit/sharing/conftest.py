"""A store in memory, empty or with a build."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildkit_bisect.builds import exchange
from shared_builds import (
    FakeRemote,
    asked,
    built,
    empty_cache,
    shared,
)


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> FakeRemote:
    made = FakeRemote()
    monkeypatch.setattr("buildkit_bisect.sharing.store.Remote", lambda _: made)
    return made


@pytest.fixture
def pushed(remote: FakeRemote, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeRemote:
    """A store with build 1, and an empty cache."""
    built()
    assert exchange.push(shared([], pushes=True, by="me"), asked())
    empty_cache(monkeypatch, tmp_path / "second")
    remote.asked.clear()
    return remote
