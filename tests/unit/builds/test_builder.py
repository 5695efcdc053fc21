"""What cannot be built, and is known before anything is compiled."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import minisign
import pytest
from filelock import Timeout

from buildkit_bisect.builds import Builder, exchange, store
from buildkit_bisect.builds.job import Job
from buildkit_bisect.builds.key import Recipe
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.lab.served_images import reference_build
from buildkit_bisect.model import Build, NoBuild, Revision, Stage, Variant
from buildkit_bisect.sharing.entry import BUILD, FAILURE
from buildkit_bisect.sharing.remote import Unavailable
from buildkit_bisect.sharing.store import SharedStore
from buildkit_bisect.system import machine_lock as machine_lock_module
from buildkit_bisect.system import paths
from buildkit_bisect.system.machine_lock import machine_lock
from shared_builds import COMPLAINT, GO, LOG, FakeRemote, asked, built, empty_cache, key


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
    monkeypatch.setattr(builder.shared, "_spent", 5.0)  # by earlier builds
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


def test_what_a_store_has_for_others_to_compile(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    remote, said = FakeRemote(), list[str]()
    builder = shared_with(monkeypatch, remote)
    assert builder.shared
    builder.shared.say = said.append
    assert builder.pulled(VARIANT) is None
    built()
    assert exchange.push(SharedStore(place="x/y", seconds=5, pushes=True), asked())
    empty_cache(monkeypatch, tmp_path / "second")
    assert replace(builder, own=True).pulled(VARIANT) is None
    assert replace(builder, shared=None).pulled(VARIANT) is None
    made = builder.pulled(VARIANT)
    assert isinstance(made, Build)
    assert made.pulled_from == "oci://x/y"
    assert builder.cached(VARIANT) == made
    assert said == []
    empty_cache(monkeypatch, tmp_path / "third")
    remote.trouble = Unavailable("connection refused")
    other = replace(builder)
    assert other.pulled(VARIANT) is None is other.pulled(VARIANT)
    (warning,) = said
    assert "connection refused" in warning


def test_what_is_compiled_is_pushed(monkeypatch: pytest.MonkeyPatch) -> None:
    remote = FakeRemote()
    builder = shared_with(monkeypatch, remote)

    def compiled(*_: object) -> Build | None:
        built()
        return store.load(key(1))

    monkeypatch.setattr(Job, "compile", compiled)
    assert isinstance(builder.build(VARIANT), Build)
    assert key(1) in remote.manifests


def test_of_two_who_compile_one_key_neither_waits_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One waits for the machine; the other holds it for several compiles, as `lab.ahead` does."""
    builder = replace(shared_with(monkeypatch, FakeRemote()), shared=None)
    compiled: list[Build] = []

    def compiles(*_: object) -> Build:
        built()
        made = store.load(key(1))
        assert made
        compiled.append(replace(made, reused=False))
        return compiled[-1]

    monkeypatch.setattr(Job, "compile", compiles)
    monkeypatch.setattr(machine_lock_module, "PATIENCE", 0.01)
    waits = threading.Event()
    alone, beside = replace(builder, say=lambda _: waits.set()), replace(builder, alone=False)
    with ThreadPoolExecutor(2) as pool:
        with machine_lock():
            theirs = pool.submit(alone.build, VARIANT)
            assert waits.wait(10)
            ours = pool.submit(beside.build, VARIANT).result(10)
        assert compiled == [ours]
        assert theirs.result(10) == replace(compiled[0], reused=True)
    assert len(compiled) == 1


def test_a_stored_build_does_not_wait_for_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor one whose Go has to be downloaded before its key is known."""
    builder = replace(shared_with(monkeypatch, FakeRemote()), shared=None)
    monkeypatch.setattr("buildkit_bisect.builds.builder.local", lambda _: None)
    built()
    with ThreadPoolExecutor(1) as pool, machine_lock():
        made = pool.submit(builder.build, VARIANT).result(10)
    assert made == store.load(key(1))


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
        assert exchange.push(builder.shared, asked(number), tag="inputs-" + key(number))
    empty_cache(monkeypatch, tmp_path / "second")
    # The key that follows from the inputs is that of build 1, whatever has its name.
    (tag,) = {t for t in remote.manifests if t.startswith("inputs-")} - {f"inputs-{key(2)}"}
    remote.manifests[tag] = remote.manifests[key(2)]
    remote.manifests[key(1)] = remote.manifests[key(2)]
    with pytest.raises(InfraFailed, match="it is compiled"):
        builder.build(VARIANT)
    assert "it is of another key" in said[0]


def test_a_failure_here_is_pushed_and_not_the_build_that_was_pulled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The pulled build has no signature, so it is compiled; and it may not get ours."""
    remote = FakeRemote()
    builder = shared_with(monkeypatch, remote)
    built()
    assert exchange.push(SharedStore(place="x/y", seconds=5, pushes=True), asked())
    empty_cache(monkeypatch, tmp_path / "second")
    assert isinstance(builder.build(VARIANT), Build)
    pair = minisign.KeyPair.generate()
    signed = SharedStore(
        place="x/y", seconds=5, pushes=True, key=pair.public_key, secret=pair.secret_key
    )

    def compiled(job: Job, made: Path, _: object) -> NoBuild:
        (made / "entry").mkdir()
        (made / "entry" / "build.log").write_text(LOG)
        return store.save_failure(made / "entry", job.key, Stage.BUILD, COMPLAINT)

    monkeypatch.setattr(Job, "compile", compiled)
    strict = replace(builder, shared=signed)
    made = strict.build(VARIANT)
    assert isinstance(made, NoBuild)
    assert strict.cached(VARIANT) == made
    found = SharedStore(place="x/y", seconds=5, key=pair.public_key).find(asked())
    assert found
    assert found.entry.kind == FAILURE
    assert store.load(key(1)) is None


def test_what_is_pushed_cannot_change_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = shared_with(monkeypatch, FakeRemote())
    pushes: list[str] = []

    def push(*_: object, kind: str, tag: str) -> None:
        pushes.append(kind)
        with pytest.raises(Timeout), store.lock(key(1), wait=0):
            pass

    def compiled(*_: object) -> Build | None:
        built()
        return store.load(key(1))

    monkeypatch.setattr(exchange, "push", push)
    monkeypatch.setattr(Job, "compile", compiled)
    made = builder.build(VARIANT)
    builder.share(VARIANT, made)
    assert pushes == [BUILD, BUILD]


@pytest.mark.parametrize("stage", [Stage.PATCH, Stage.TOOLCHAIN])
def test_only_a_failure_that_a_log_proves_is_pushed(
    monkeypatch: pytest.MonkeyPatch, stage: Stage
) -> None:
    remote = FakeRemote()
    shared_with(monkeypatch, remote).share(VARIANT, NoBuild(stage=stage, reason="x"))
    assert remote.asked == []


def test_what_was_pulled_does_not_build_base_images(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    remote = FakeRemote()
    builder = shared_with(monkeypatch, remote)
    monkeypatch.setattr(builder.source, "resolve", lambda _: VARIANT.revision, raising=False)
    built()
    assert exchange.push(SharedStore(place="x/y", seconds=5, pushes=True), asked())
    empty_cache(monkeypatch, tmp_path / "second")
    assert isinstance(builder.build(VARIANT), Build)
    remote.asked.clear()
    for shared in (builder.shared, None):
        with pytest.raises(InfraFailed, match="it is compiled"):
            reference_build(replace(builder, shared=shared))
    assert remote.asked == []

    def compiled(*_: object) -> Build | None:
        with paths.scratch("old") as old:
            (paths.cache("builds") / key(1)).rename(old / "pulled")
        built()
        return store.load(key(1))

    monkeypatch.setattr(Job, "compile", compiled)
    assert not reference_build(builder).pulled_from
