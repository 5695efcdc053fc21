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
    here = SimpleNamespace(version=GO)
    monkeypatch.setattr(
        "buildkit_bisect.builds.builder.Toolchains",
        lambda **_: SimpleNamespace(find=lambda _: here),
    )
    monkeypatch.setattr("buildkit_bisect.builds.builder.local", lambda _: here)
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


def without_go(monkeypatch: pytest.MonkeyPatch, builder: Builder) -> Builder:
    """Return *builder* on a machine that has no Go."""

    def no_go(_: object) -> NoReturn:
        raise AssertionError("a Go is downloaded")

    monkeypatch.setattr("buildkit_bisect.builds.builder.local", lambda _: None)
    made = replace(builder)
    monkeypatch.setattr(made, "_toolchains", SimpleNamespace(find=no_go))
    return made


def test_a_machine_without_go_pulls_what_the_store_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    builder = shared_with(monkeypatch, FakeRemote())
    built()
    known = store.load(key(1))
    assert known
    builder.share(VARIANT, known)
    empty_cache(monkeypatch, tmp_path / "second")
    made = without_go(monkeypatch, builder).build(VARIANT)
    assert isinstance(made, Build)
    assert (made.key, made.pulled_from) == (key(1), "oci://x/y")


@pytest.mark.parametrize("go", ["1.24.9", "1.25.5.1", "devel", ""])
def test_a_build_of_a_go_that_the_commit_does_not_ask_for_is_not_pulled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, go: str
) -> None:
    remote = FakeRemote()
    builder = shared_with(monkeypatch, remote)
    built(go=go)
    known = store.load(key(1))
    assert known
    builder.share(VARIANT, known)
    assert [tag for tag in remote.manifests if tag.startswith("inputs-")]
    empty_cache(monkeypatch, tmp_path / "second")
    with pytest.raises(AssertionError, match="a Go is downloaded"):
        without_go(monkeypatch, builder).build(VARIANT)


def test_a_name_that_leads_to_another_build_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    remote = FakeRemote()
    said: list[str] = []
    builder = shared_with(monkeypatch, remote)
    assert builder.shared
    monkeypatch.setattr(builder.shared, "say", said.append)
    for number in (1, 2):
        built(number)
        assert exchange.push(builder.shared, asked(number), "inputs-" + key(number))
    empty_cache(monkeypatch, tmp_path / "second")
    # The key that follows from the inputs is that of build 1, whatever has its name.
    (tag,) = {t for t in remote.manifests if t.startswith("inputs-")} - {f"inputs-{key(2)}"}
    remote.manifests[tag] = remote.manifests[key(2)]
    remote.manifests[key(1)] = remote.manifests[key(2)]
    with pytest.raises(InfraFailed, match="it is compiled"):
        builder.build(VARIANT)
    assert "it is of another key" in said[0]
