"""What cannot be built, and is known before anything is compiled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import minisign
import pytest

from buildkit_bisect.builds import Builder, exchange, store
from buildkit_bisect.builds.key import Recipe
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.model import Build, NoBuild, Revision, Stage, Variant
from buildkit_bisect.sharing import SharedStore
from shared_builds import GO, FakeRemote, asked, built, empty_cache, key


@pytest.mark.parametrize(
    ("dockerfile", "reason", "hint"),
    [
        ("ARG GO_VERSION=1.17\n", "the commit needs Go 1.17, which is too old", "v0.10.6 or later"),
        ("FROM scratch\n", "the commit has no Go version", "a later revision"),
    ],
)
def test_a_commit_without_a_suitable_go_is_skipped(dockerfile: str, reason: str, hint: str) -> None:
    files = {"Dockerfile": dockerfile, "go.mod": "module x\n"}
    source: Any = SimpleNamespace(kind="git", read=lambda _, name: files[name])
    builder = Builder(source=source, recipe=Recipe(goarch="amd64"))
    made = builder.build(Variant(revision=Revision(ref="v0.9.3", sha="a" * 40)))
    assert isinstance(made, NoBuild)
    assert (made.stage, made.infra, made.hint) == (Stage.TOOLCHAIN, False, hint)
    assert made.reason.startswith(reason)


def shared_with(monkeypatch: pytest.MonkeyPatch, remote: FakeRemote) -> Builder:
    """Return a builder of `shared_builds.built`, with a store."""

    def no_checkout(_: object) -> NoReturn:
        raise OSError("it is compiled")

    monkeypatch.setattr("buildkit_bisect.sharing.store.Remote", lambda _: remote)
    monkeypatch.setattr("buildkit_bisect.builds.key.build_key", lambda *_: key(1))
    monkeypatch.setattr(
        "buildkit_bisect.builds.builder.Toolchains",
        lambda **_: SimpleNamespace(find=lambda _: SimpleNamespace(version=GO)),
    )
    files = {"Dockerfile": "ARG GO_VERSION=1.25\n", "go.mod": "module x\n"}
    source: Any = SimpleNamespace(
        kind="git",
        read=lambda _, name: files[name],
        inputs=lambda *_: {"buildkitd": "inputs", "buildctl": "inputs"},
        build_tree=no_checkout,
    )
    store = SharedStore(place="x/y", seconds=5, pushes=True)
    return Builder(source=source, recipe=Recipe(goarch="amd64"), shared=store)


VARIANT = Variant(revision=Revision(ref="v0.26.0", sha="a" * 40))


def test_a_build_of_a_store_is_not_compiled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    remote = FakeRemote()
    builder = shared_with(monkeypatch, remote)
    built()
    assert exchange.push(SharedStore(place="x/y", seconds=5, pushes=True), asked())
    empty_cache(monkeypatch, tmp_path / "second")
    made = builder.build(VARIANT)
    assert isinstance(made, Build)
    assert made.reused
    remote.asked.clear()
    assert builder.build(VARIANT) == made == builder.cached(VARIANT)
    assert remote.asked == []
    signed = minisign.KeyPair.generate().public_key
    strict = replace(builder, shared=SharedStore(place="x/y", seconds=5, key=signed))
    assert strict.cached(VARIANT) is None
    with pytest.raises(InfraFailed, match="it is compiled"):
        strict.build(VARIANT)


def test_what_is_compiled_is_pushed(monkeypatch: pytest.MonkeyPatch) -> None:
    remote = FakeRemote()
    builder = shared_with(monkeypatch, remote)

    def compiled(*_: object) -> Build | None:
        built()
        return store.load(key(1))

    monkeypatch.setattr(Builder, "_compile", compiled)
    assert isinstance(builder.build(VARIANT), Build)
    assert key(1) in remote.manifests
