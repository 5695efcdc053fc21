"""Which source is opened, and the note if it is not the requested one."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from buildkit_bisect.errors import Missing
from buildkit_bisect.source import GitSource, Unreachable, open_source


@pytest.fixture
def _unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise Unreachable("no network")

    monkeypatch.setattr(GitSource, "open", refuse)


@pytest.mark.usefixtures("_unreachable")
def test_modules_that_replace_git_say_why() -> None:
    said: list[str] = []
    source = open_source("auto", say=said.append)
    assert source.kind == "module"
    assert source.note == "source: Go modules (no network)"
    assert said == [source.note]
    assert pickle.loads(pickle.dumps(source)).note == source.note  # noqa: S301 - our own


@pytest.mark.usefixtures("_unreachable")
def test_modules_do_not_replace_a_fork() -> None:
    with pytest.raises(Missing, match="no network") as raised:
        open_source("auto", "https://github.com/me/buildkit")
    assert "--source module" in raised.value.hint


@pytest.mark.usefixtures("_unreachable")
def test_requested_modules_have_no_note() -> None:
    assert open_source("module").note == ""


@pytest.mark.usefixtures("_unreachable")
def test_requested_git_is_not_replaced() -> None:
    with pytest.raises(Missing, match="no network"):
        open_source("git")


@pytest.mark.usefixtures("_unreachable")
def test_upstreams_module_does_not_replace_a_fork() -> None:
    for upstream in ("https://github.com/Moby/buildkit.git", "moby/buildkit"):
        assert open_source("auto", upstream).kind == "module"
    for fork in ("https://github.com/me/buildkit.git", "me/buildkit"):
        with pytest.raises(
            Missing, match=r"no network \(try: --repo PATH of a clone, or --source module\)"
        ):
            open_source("auto", fork)
