"""The table of runtimes, and their preparation before a campaign."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from buildkit_bisect.engine import base, buildx_plugin, sweep
from buildkit_bisect.engine.base import Base
from buildkit_bisect.errors import BadInput, Missing
from buildkit_bisect.model import Build, Revision, RuntimeKind, Served, Variant
from buildkit_bisect.runtime import all_runtimes, containers
from buildkit_bisect.runtime.backend import Order
from buildkit_bisect.runtime.buildx import BuildxBackend
from buildkit_bisect.runtime.containers import Containers
from buildkit_bisect.runtime.preparation import Preparation
from buildkit_bisect.runtime.snapshotters import Proxy
from buildkit_bisect.system.deadlines import Deadlines

PROGRAM = buildx_plugin.Buildx(path="/x", version="v0.36.1")


class FakeEngine:
    facts = {"version": "27", "storage": "overlay2", "endpoint": "here", "arch": "amd64"}  # noqa: RUF012


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list of what `prepare` looks for, in order; everything is found."""
    seen: list[str] = []

    def answer(name: str, value: Any) -> Callable[..., Any]:
        def found(*_: Any, **__: Any) -> Any:
            seen.append(name)
            return value

        return found

    monkeypatch.setattr(shutil, "which", answer("docker command", "/usr/bin/docker"))
    monkeypatch.setattr(containers, "open_engine", answer("engine", FakeEngine()))
    monkeypatch.setattr(containers, "reaches", answer("loopback", True))
    monkeypatch.setattr(sweep, "find", answer("sweep", []))
    monkeypatch.setattr(base, "find", answer("base", Base(id="i", ref="r", key="k")))
    monkeypatch.setattr(buildx_plugin, "find", answer("buildx", PROGRAM))
    return seen


def test_every_kind_of_runtime_is_in_the_table() -> None:
    assert all(all_runtimes.backend(kind).kind is kind for kind in RuntimeKind)


def test_the_host_needs_no_engine(asked: list[str]) -> None:
    (host,) = all_runtimes.prepare([RuntimeKind.HOST], Preparation())
    assert (asked, host.facts(), host.fingerprint()) == ([], {}, {})


def test_all_runtimes_share_one_engine(asked: list[str]) -> None:
    kinds = [RuntimeKind.BUILDX, RuntimeKind.HOST, RuntimeKind.DOCKER]
    made = all_runtimes.prepare(kinds, Preparation())
    assert [one.kind for one in made] == kinds
    assert asked == ["docker command", "engine", "loopback", "sweep", "base", "buildx"]
    buildx, _, docker = made
    assert docker.facts() == {"docker": "27 at here (overlay2)", "base image": "r"}
    assert buildx.facts() == {**docker.facts(), "buildx": "v0.36.1"}
    assert buildx.fingerprint() == {**docker.fingerprint(), "buildx": "v0.36.1"}
    assert docker.fingerprint() == {"version": "27", "storage": "overlay2", "base": "k"}


def test_without_a_local_registry_the_engine_can_be_anywhere(asked: list[str]) -> None:
    all_runtimes.prepare([RuntimeKind.DOCKER], Preparation(loopback=False))
    assert "loopback" not in asked


def test_an_engine_that_cannot_reach_the_registry_is_an_error(
    asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Far(FakeEngine):
        class where:  # noqa: N801
            shown = "ssh://far"

    monkeypatch.setattr(containers, "open_engine", Far)
    monkeypatch.setattr(containers, "reaches", lambda _: False)
    with pytest.raises(Missing, match="ssh://far is on another machine"):
        all_runtimes.prepare([RuntimeKind.BUILDX], Preparation())
    assert asked == []


def test_the_docker_command_is_checked_before_the_engine(
    asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(Missing, match="the docker command is not installed"):
        all_runtimes.prepare([RuntimeKind.BUILDX, RuntimeKind.DOCKER], Preparation())
    assert asked == []
    all_runtimes.prepare([RuntimeKind.BUILDX], Preparation())


def test_a_runtime_refuses_a_snapshotter_that_it_does_not_support() -> None:
    mine = {"mine": Served(socket="/s", root="/var/lib/mine")}
    all_runtimes.check([RuntimeKind.HOST, RuntimeKind.DOCKER], ["stargz-proxy", "mine"], mine)
    with pytest.raises(BadInput, match="buildx cannot mount --snapshotter-socket mine"):
        all_runtimes.check([RuntimeKind.HOST, RuntimeKind.BUILDX], [], mine)


def test_buildx_does_not_run_a_trial_without_its_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Containers, "image", lambda *_: (None, None))
    shared = Containers(base=Base(id="i", ref="r", key="k"), engine=())
    build = Build(key="b", go="1", source="git", directory="/b", seconds=0.0,
                  buildkitd_sha256="d", buildctl_sha256="c")  # fmt: skip
    variant = Variant(revision=Revision(ref="master", sha="a" * 40))
    place = BuildxBackend(containers=shared, program=PROGRAM).place(build, variant, "c")
    proxy = Proxy(name="stargz", version="1", program="/p")
    order = Order(home=tmp_path, snapshotter="stargz-proxy", config="", proxy=proxy,
                  loopback=False, deadlines=Deadlines())  # fmt: skip
    with pytest.raises(BadInput, match="cannot run stargz-proxy beside it"):
        place(order)


def test_a_daemon_is_told_what_builds_may_ask_for(tmp_path: Path) -> None:
    plain = Order(home=tmp_path, snapshotter="native", config="", proxy=None,
                  loopback=False, deadlines=Deadlines())  # fmt: skip
    assert plain.flags == []
    asked = replace(plain, entitlements=("network.host", "security.insecure"))
    assert asked.flags == [
        "--allow-insecure-entitlement=network.host",
        "--allow-insecure-entitlement=security.insecure",
    ]
