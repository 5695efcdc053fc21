"""Which source there is, and what it says of not being the one that was asked for."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from buildkit_bisect.errors import Missing
from buildkit_bisect.source import GitSource, Unreachable, open_source


@pytest.fixture
def _unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise Unreachable("there is no network")

    monkeypatch.setattr(GitSource, "open", refuse)


@pytest.mark.usefixtures("_unreachable")
def test_modules_that_stand_in_for_git_say_why() -> None:
    said: list[str] = []
    source = open_source("auto", say=said.append)
    assert source.kind == "module"
    assert source.note == "source: Go modules, since there is no network"
    assert said == [source.note]
    assert pickle.loads(pickle.dumps(source)).note == source.note  # noqa: S301 - our own


@pytest.mark.usefixtures("_unreachable")
def test_modules_that_were_asked_for_say_nothing() -> None:
    assert open_source("module").note == ""


@pytest.mark.usefixtures("_unreachable")
def test_git_that_must_be_has_no_stand_in() -> None:
    with pytest.raises(Missing, match="there is no network"):
        open_source("git")
