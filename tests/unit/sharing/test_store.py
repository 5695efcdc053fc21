"""What a store has is used only if all of it verifies; else builds are compiled, as without one."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import minisign
import pytest

from buildkit_bisect.builds import exchange, store
from buildkit_bisect.model import Build, NoBuild, Stage
from buildkit_bisect.sharing import files, packing
from buildkit_bisect.sharing.entry import FAILURE, StoredFile
from buildkit_bisect.sharing.remote import Unavailable
from buildkit_bisect.system import paths
from shared_builds import (
    COMPLAINT,
    GO,
    LOG,
    FakeRemote,
    asked,
    binary,
    built,
    empty_cache,
    pull,
    shared,
    with_,
)
from shared_builds import failed as failed_build
from shared_builds import key as key_of

PAIR = minisign.KeyPair.generate()
OTHER = minisign.KeyPair.generate()


def test_a_build_is_the_same_on_another_machine(pushed: FakeRemote) -> None:
    said: list[str] = []
    made = pull(said)
    assert isinstance(made, Build)
    assert (made.reused, made.seconds, made.go) == (True, 39.5, GO)
    folder = Path(made.directory)
    assert folder == paths.cache("builds") / key_of(1)
    assert (folder / "buildkitd").read_bytes() == binary(1)
    assert (folder / "buildkitd").stat().st_mode & 0o777 == 0o755
    assert (folder / "build.log").stat().st_mode & 0o777 == 0o644
    assert store.load(key_of(1)) == made
    assert said == ["v1: pulled from oci://127.0.0.1:5/a/b, built by me"]
    assert store.sweep() == 0


def test_a_failure_is_the_same_on_another_machine(
    remote: FakeRemote, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    failed_build()
    assert exchange.push(shared([], pushes=True), asked(), kind=FAILURE)
    empty_cache(monkeypatch, tmp_path / "second")
    made = pull([])
    assert isinstance(made, NoBuild)
    assert (made.stage, made.reason, made.infra) == (Stage.BUILD, COMPLAINT, False)
    assert Path(made.log).read_text() == LOG
    assert store.failure(key_of(1)) == made
    assert set(remote.manifests) == {key_of(1)}  # it is no base for deltas


@pytest.mark.parametrize(
    ("reason", "log"),
    [
        ("the compiler was killed", "signal: killed\n"),
        (COMPLAINT, "no space left on device\n"),
        ("solver/x.go:3:9: undefined: other", LOG),
    ],
)
def test_a_failure_that_its_log_does_not_prove_is_not_used(
    remote: FakeRemote, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reason: str, log: str
) -> None:
    failed_build(1, reason, log)
    exchange.push(shared([], pushes=True), asked(), kind=FAILURE)
    empty_cache(monkeypatch, tmp_path / "second")
    said: list[str] = []
    assert pull(said) is None
    assert "its facts are not those of its files" in said[0]
    assert store.failure(key_of(1)) is None


def test_what_no_store_has_is_asked_for_once_and_not_a_warning(remote: FakeRemote) -> None:
    said: list[str] = []
    assert pull(said) is None
    assert (said, remote.asked) == ([], ["manifest"])


def without(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda value: value.pop(name)


def layer(number: int, **more: Any) -> Callable[[dict[str, Any]], object]:
    return lambda value: value["layers"][number].update(more)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (with_(artifactType="application/x"), "it is not a build of this tool"),
        (without("config"), "the manifest has no config or layers"),
        (with_(layers={}), "the manifest has no config or layers"),
        (with_(layers=[]), "the files of the manifest and of the entry differ"),
        (with_(layers=[1]), "the manifest has a layer of another type"),
        (lambda v: v["layers"].pop(), "the files of the manifest and of the entry differ"),
        (lambda v: v["layers"].append(v["layers"][0]), "the manifest and of the entry differ"),
        (layer(0, annotations={}), "the files of the manifest and of the entry differ"),
        (layer(0, annotations=[]), "the files of the manifest and of the entry differ"),
        (layer(0, size=10**12), "a size that is not between 0 and"),
        (layer(0, size=10**8), "is larger packed than unpacked"),
        (layer(0, size=-1), "a size that is not between 0 and"),
        (layer(0, size=True), "a size that is not between 0 and"),
        (layer(0, digest="sha256:../../x"), "a digest that is not sha256"),
        (layer(0, digest="sha512:" + "0" * 64), "a digest that is not sha256"),
        (layer(0, digest="sha256:" + "0" * 64), "a part of it is missing"),
        (layer(0, mediaType="application/vnd.buildkit-bisect.delta.v1+zstd"), "names no base"),
        (with_(annotations={"buildkit-bisect.base": "../x"}), "a base that is not a key"),
    ],
)
def test_a_manifest_that_lies(
    pushed: FakeRemote, change: Callable[[dict[str, Any]], object], why: str
) -> None:
    pushed.change(1, change)
    not_used(why)


def file(number: int, **more: Any) -> Callable[[dict[str, Any]], object]:
    return lambda value: value["files"][number].update(more)


def deep(levels: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for _ in range(levels):
        made = {"x": made}
    return made


def meta(**more: Any) -> Callable[[dict[str, Any]], object]:
    return lambda value: value["meta"].update(more)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (with_(key=key_of(2)), "it is of another key"),
        (with_(go="1.24.0"), "it is of another Go: '1.24.0' instead of '1.25.5'"),
        (with_(flags=["GOOS=linux"]), "it is of another flags"),
        (with_(schema=2), "schema 2 is not 1"),
        (with_(kind="script"), "kind is neither build nor failure"),
        (with_(built_by="x" * 201), "built_by is too long"),
        (with_(built_by="a\x1b[2J"), "a text is not printable"),
        (with_(built_by="\ud800"), "a lone surrogate"),
        (with_(created="now"), "created is not a time"),
        (with_(more=1), "more: unknown key"),
        (with_(**{"m" * 10_000: 1}), "the entry is invalid: mmm"),
        (with_(go="1.25." + "1" * 5000), "go is not a release"),
        (with_(go="1.25.\u0665"), "go is not a release"),
        (with_(go="1.25.5\n"), "go is not a release"),
        (with_(go="1"), "go is not a release"),
        (with_(go="1.25rc1"), "go is not a release"),
        (with_(flags=["x"] * 65), "more than 64 flags"),
        (with_(flags=["x" * 5000]), "a flag is too long"),
        (meta(deep=deep(900)), "meta has something else than texts, numbers and booleans"),
        (meta(source=["git"]), "meta has something else than texts, numbers and booleans"),
        (meta(source=None), "meta has something else than texts, numbers and booleans"),
        (meta(source="x" * 5000), "a text of meta is too long"),
        (meta(**{"x" * 5000: 1}), "a text of meta is too long"),
        (meta(source="a\x1b[2J"), "a text of meta is not printable"),
        (meta(**{f"k{n}": n for n in range(64)}), "meta has more than 64 keys"),
        (with_(kind="failure"), "meta of a failure is not format, reason, stage"),
        (without("go"), "go: is missing"),
        (without("meta"), "meta: must be a table"),
        (with_(files="x"), "files: must be a list"),
        (file(0, name="../../etc/passwd"), "is not a name of a file"),
        (file(0, name=".owner"), "is not a name of a file"),
        (file(0, name="buildkitd\n"), "is not a name of a file"),
        (file(0, name="buildkitd"), "two files have one name"),
        (file(0, name="pulled.json"), "the files of the manifest and of the entry differ"),
        (file(0, size=2**40), "files of more than"),
        (file(0, size=2**28 + 1), f"has {2**28 + 1} bytes"),
        (file(0, size=-1), "has -1 bytes"),
        (file(0, size=1.5), "files[0].size: must be a whole number"),
        (file(0, sha256="x"), "has no sha256"),
        (file(1, sha256="0" * 64), "a file has the digest"),
        (file(1, size=199_000), "a file unpacks to more than its 199000 bytes"),
        (file(1, size=250_000), "a file unpacks to"),
        (file(1, executable=False), "it has no program buildctl"),
        (lambda v: v["files"].extend([dict(v["files"][0], name=f"f{n}") for n in range(20)]),
         "more than 16 files"),
        (meta(key=key_of(2)), "its facts are not those of its files"),
        (meta(go="1.2"), "its facts are not those of its files"),
        (meta(source="home"), "its facts are not those of its files"),
        (meta(format=2), "its facts are not those of its files"),
        (meta(directory="/usr/bin"), "its facts are not those of its files"),
        (meta(reused=False), "its facts are not those of its files"),
        (meta(seconds="1"), "its facts are not those of its files"),
        (meta(seconds=-1), "its facts are not those of its files"),
        (meta(seconds=86_401), "its facts are not those of its files"),
        (meta(packages=-1), "its facts are not those of its files"),
        (meta(buildkitd_sha256="0" * 64), "its facts are not those of its files"),
        (meta(buildkitd_sha256=""), "its facts are not those of its files"),
        (meta(unknown="x"), "its facts are not those of its files"),
        (lambda v: v["meta"].pop("buildctl_sha256"), "its facts are not those of its files"),
    ],
)  # fmt: skip
def test_an_entry_that_lies(
    pushed: FakeRemote, change: Callable[[dict[str, Any]], object], why: str
) -> None:
    pushed.change_entry(1, change)
    not_used(why)


@pytest.mark.parametrize(
    "change",
    [
        meta(reason=deep(900)),
        meta(more=deep(900)),
        meta(more="x"),
        meta(stage=["build"]),
        lambda value: value["meta"].pop("reason"),
    ],
)
def test_a_failure_that_lies(
    remote: FakeRemote,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    change: Callable[[dict[str, Any]], object],
) -> None:
    failed_build()
    assert exchange.push(shared([], pushes=True), asked(), kind=FAILURE)
    empty_cache(monkeypatch, tmp_path / "second")
    remote.change_entry(1, change)
    said: list[str] = []
    assert pull(said) is None
    assert "the entry is invalid: meta " in said[0]


@pytest.mark.parametrize("error", [ValueError, TypeError, IndexError, KeyError, RecursionError])
def test_an_answer_of_a_form_that_no_check_expects(
    pushed: FakeRemote, error: type[Exception]
) -> None:
    pushed.trouble = error("a\x1b[2J" + "x" * 300)
    not_used(f"it cannot be read: {error.__name__}: ")


def test_a_file_that_only_this_machine_may_write(pushed: FakeRemote) -> None:
    pushed.change_entry(1, file(1, name="build.json"))
    pushed.change(1, layer(1, annotations={"org.opencontainers.image.title": "build.json"}))
    not_used("build.json is not a file of a build")


def test_a_genuine_file_beside_another_one(pushed: FakeRemote) -> None:
    """The digests in the facts are those of `buildkitd.orig`, and `buildkitd` would run."""
    evil = b"evil" * 1000
    digest = hashlib.sha256(evil).hexdigest()

    def add(entry: dict[str, Any]) -> None:
        genuine = entry["files"][2]
        assert genuine["name"] == "buildkitd"
        entry["files"][2] = {**genuine, "sha256": digest, "size": len(evil)}
        entry["files"].append({**genuine, "name": "buildkitd.orig"})

    def add_layer(value: dict[str, Any]) -> None:
        title = {"org.opencontainers.image.title": "buildkitd.orig"}
        value["layers"].append({**value["layers"][2], "annotations": title})

    pushed.change_entry(1, add)
    pushed.change(1, add_layer)
    pushed.replace_file(1, "buildkitd", packing.pack(evil))
    not_used("buildkitd.orig is not a file of a build")


def test_a_program_that_is_not_that_of_the_facts(pushed: FakeRemote) -> None:
    evil = b"evil" * 1000
    digest = hashlib.sha256(evil).hexdigest()
    pushed.change_entry(1, file(2, sha256=digest, size=len(evil)))
    pushed.replace_file(1, "buildkitd", packing.pack(evil))
    not_used("its facts are not those of its files")


@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_build_without_its_programs(pushed: FakeRemote, left: int) -> None:
    no_sums = meta(buildkitd_sha256="", buildctl_sha256="")
    pushed.change_entry(1, lambda v: (v["files"].__delitem__(slice(left, None)), no_sums(v)))
    pushed.change(1, lambda v: v["layers"].__delitem__(slice(left, None)))
    not_used("it has no program build")


def test_a_failure_with_more_than_a_log(
    remote: FakeRemote, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    failed_build()
    assert exchange.push(shared([], pushes=True), asked(), kind=FAILURE)
    empty_cache(monkeypatch, tmp_path / "second")
    good = dict(remote.manifests)
    remote.change_entry(1, lambda v: v["files"].append({**v["files"][0], "name": "more"}))
    title = {"org.opencontainers.image.title": "more"}
    remote.change(1, lambda v: v["layers"].append({**v["layers"][0], "annotations": title}))
    said: list[str] = []
    assert pull(said) is None
    assert "a failure has build.log and nothing else" in said[0]
    remote.manifests = dict(good)
    remote.change_entry(1, file(0, size=(1 << 20) + 1))
    remote.asked.clear()
    said.clear()
    assert pull(said) is None
    assert "the log of a failure has more than 1048576 bytes" in said[0]
    assert remote.asked == ["manifest", "blob"], "it is not even downloaded"


def test_a_failure_that_others_would_not_use_is_not_pushed(remote: FakeRemote) -> None:
    failed_build(1, log=LOG + "a/b\n" * (1 << 18))
    assert store.failure(key_of(1))
    assert not exchange.push(shared([], pushes=True), asked(), kind=FAILURE)
    assert remote.manifests == {}


@pytest.mark.parametrize("name", ["buildkitd", "build.json"])
def test_a_build_that_is_not_whole_is_not_pushed(remote: FakeRemote, name: str) -> None:
    (built() / name).unlink()
    assert not exchange.push(shared([], pushes=True), asked())
    (paths.cache("builds") / key_of(1) / name).write_text("{")
    assert exchange.push(shared([], pushes=True), asked()) is (name == "buildkitd")


def test_nothing_proves_that_a_patch_did_not_apply_elsewhere(
    remote: FakeRemote, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    failed_build()
    assert exchange.push(shared([], pushes=True), asked(), kind=FAILURE)
    empty_cache(monkeypatch, tmp_path / "second")
    remote.change_entry(1, meta(stage="patch", reason="p does not apply: patch failed: f:1"))
    said: list[str] = []
    assert pull(said) is None
    assert "its facts are not those of its files" in said[0]
    assert store.failure(key_of(1)) is None


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"{", "the manifest is not JSON"),
        (b"[]", "the manifest is not a JSON object"),
        (b'{"a": "\\ud800"}', "a lone surrogate"),
        (b"[" * 100_000, "the manifest is not JSON"),
        (b"\xff", "the manifest is not JSON"),
    ],
)
def test_a_manifest_that_is_none(pushed: FakeRemote, data: bytes, why: str) -> None:
    pushed.manifests[key_of(1)] = data
    not_used(why)


@pytest.mark.parametrize(
    ("packed", "why"),
    [
        (packing.pack(binary(2)), "a file has the digest"),
        (packing.pack(binary(1))[:-10], "a file is truncated"),
        (packing.pack(binary(1)) + b"x", "a file has bytes after its end"),
        (packing.pack(binary(1)) * 2, "a file has bytes after its end"),
        (packing.pack(bytes(3 * 10**7)), "a file unpacks to more than its 200007 bytes"),
        (b"not zstd at all", "a file is not valid zstd"),
        (b"", "a file is truncated"),
        (packing.pack(b""), "a file unpacks to 0 of 200007 bytes"),
    ],
    ids=["wrong", "truncated", "more", "twice", "bomb", "not zstd", "empty", "empty frame"],
)
def test_a_file_that_is_another_one(pushed: FakeRemote, packed: bytes, why: str) -> None:
    pushed.replace_file(1, "buildkitd", packed)
    not_used(why)


def not_used(why: str) -> None:
    """Assert that build 1 is not used, that this is said once, and that nothing is left of it."""
    said: list[str] = []
    asking = shared(said)
    for _ in range(2):
        assert exchange.pull(asking, asked(), "v1", said.append) is None
    assert len(said) == 1
    assert why in said[0]
    assert said[0].startswith("warning: oci://127.0.0.1:5/a/b has an entry that is not used: ")
    assert said[0].endswith(f"({key_of(1)[:12]}); such builds are compiled here")
    assert said[0].isprintable()
    assert len(said[0]) < 500
    assert store.load(key_of(1)) is None
    assert list(paths.cache("builds").iterdir()) == []
    assert list(paths.cache("tmp").iterdir()) == []


def test_an_entry_that_lied_is_replaced_and_others_are_still_used(pushed: FakeRemote) -> None:
    said: list[str] = []
    asking = shared(said, pushes=True)
    pushed.manifests[key_of(2)] = pushed.manifests[key_of(1)]
    assert exchange.pull(asking, asked(2), "v2", said.append) is None
    assert "it is of another key" in said[0]
    built(2)
    assert exchange.push(asking, asked(2))
    assert isinstance(exchange.pull(shared([]), asked(2), "v2", said.append), Build)
    assert isinstance(exchange.pull(asking, asked(1), "v1", said.append), Build)


def test_blobs_that_are_damaged_in_the_registry_are_replaced(
    pushed: FakeRemote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for digest, data in pushed.blobs.items():
        pushed.blobs[digest] = data[:-1] + bytes([data[-1] ^ 1])
    said: list[str] = []
    asking = shared(said, pushes=True)
    assert exchange.pull(asking, asked(1), "v1", said.append) is None
    built(1)
    assert exchange.push(asking, asked(1))
    assert len(said) == 1
    empty_cache(monkeypatch, tmp_path / "third")
    assert isinstance(exchange.pull(shared(said), asked(1), "v1", said.append), Build)


@pytest.mark.parametrize("file", [b"", b"x", b"log\n", bytes(3_000_000)])
def test_a_file_that_is_packed_anew(tmp_path: Path, file: bytes) -> None:
    (tmp_path / "f").write_bytes(file)
    described = files.described(tmp_path / "f")
    once = files.pack(described, tmp_path, None)[1]
    anew = files.pack(described, tmp_path, None, anew=True)[1]
    assert (once == anew) is (not file)
    for packed in (once, anew):
        parts = packing.unpack([packed], size=described.size, sha256=described.sha256)
        assert b"".join(parts) == file


def test_after_trouble_a_store_is_not_asked_again(pushed: FakeRemote) -> None:
    said: list[str] = []
    asking = shared(said, pushes=True)
    pushed.trouble = Unavailable("connection refused")
    for number in (1, 2):
        assert exchange.pull(asking, asked(number), "v1", said.append) is None
    assert pushed.asked == ["manifest"]
    (text,) = said
    assert text == (
        "warning: oci://127.0.0.1:5/a/b cannot be used: connection refused;"
        " builds are compiled here"
    )
    built(3)
    assert not exchange.push(asking, asked(3))
    assert pushed.asked == ["manifest"]


def test_after_a_push_that_failed_builds_are_still_pulled(pushed: FakeRemote) -> None:
    said: list[str] = []
    asking = shared(said, pushes=True)
    pushed.no_push = Unavailable("HTTP 500: no space left on device")
    for number in (3, 4):
        built(number)
        assert not exchange.push(asking, asked(number))
    (text,) = said
    assert text == (
        "warning: cannot push to oci://127.0.0.1:5/a/b: HTTP 500: no space left on device;"
        " nothing more is pushed"
    )
    assert isinstance(exchange.pull(asking, asked(1), "v1", said.append), Build)


def test_what_a_store_has_is_not_pushed_again(pushed: FakeRemote) -> None:
    built()
    before = dict(pushed.manifests)
    assert exchange.push(shared([], pushes=True, by="another"), asked())
    assert pushed.manifests == before
    assert pushed.asked == ["has"]


def test_signatures(pushed: FakeRemote) -> None:
    said: list[str] = []
    assert pull(said, key=PAIR.public_key) is None
    assert "it is not signed, and --store-key requires that" in said[0]
    built(2)
    assert exchange.push(shared([], pushes=True, secret=PAIR.secret_key), asked(2))
    said.clear()
    assert pull(said, 2, key=OTHER.public_key) is None
    assert "its signature is not valid for --store-key" in said[0]
    assert isinstance(pull(said, 2, key=PAIR.public_key), Build)


def test_a_signature_is_of_the_entry(
    remote: FakeRemote, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number in (1, 2):
        built(number)
        exchange.push(shared([], pushes=True, secret=PAIR.secret_key), asked(number))
    empty_cache(monkeypatch, tmp_path / "second")
    good = dict(remote.manifests)
    remote.change_entry(1, with_(built_by="mallory"))
    assert pull([], key=PAIR.public_key) is None
    remote.manifests[key_of(1)] = good[key_of(2)]  # signed, of another key
    assert pull([], key=PAIR.public_key) is None
    remote.manifests = good
    assert isinstance(pull([], key=PAIR.public_key), Build)
    for text in ("x", "a\nb\nc\nd", "x" * 3000, "\x00"):
        remote.change(2, with_(annotations={"buildkit-bisect.minisig": text}))
        assert pull([], 2, key=PAIR.public_key) is None


def test_what_was_pulled_without_a_signature_is_not_used_where_one_is_required(
    pushed: FakeRemote,
) -> None:
    assert isinstance(pull([]), Build)
    assert exchange.believed(key_of(1), None)
    assert exchange.believed(key_of(1), shared([]))
    assert not exchange.believed(key_of(1), shared([], key=PAIR.public_key))
    built(2)
    assert exchange.believed(key_of(2), shared([], key=PAIR.public_key))  # built here


def test_what_was_pulled_with_a_signature_is_used_where_one_is_required(
    remote: FakeRemote, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    built()
    exchange.push(shared([], pushes=True, secret=PAIR.secret_key), asked())
    empty_cache(monkeypatch, tmp_path / "second")
    assert isinstance(pull([]), Build)
    assert exchange.believed(key_of(1), shared([], key=PAIR.public_key))
    assert not exchange.believed(key_of(1), shared([], key=OTHER.public_key))
    note = paths.cache("builds") / key_of(1) / "pulled.json"
    note.write_bytes(b"\xff{")
    assert not exchange.believed(key_of(1), shared([], key=PAIR.public_key))


def test_a_store_can_go_to_another_process(remote: FakeRemote) -> None:
    asking = shared([], key=PAIR.public_key, secret=PAIR.secret_key, pushes=True)
    built()
    assert exchange.push(asking, asked())
    copy = pickle.loads(pickle.dumps(asking))  # noqa: S301
    assert copy.find(asked()) is not None


def test_a_full_disk_here_is_not_the_fault_of_the_store(
    pushed: FakeRemote, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("buildkit_bisect.sharing.files.get", full)
    said: list[str] = []
    with pytest.raises(OSError, match="No space left"):
        pull(said)
    assert said == []


def test_what_was_pulled_is_not_pushed_with_our_signature(pushed: FakeRemote) -> None:
    assert isinstance(pull([]), Build)
    pushed.manifests.clear()
    assert not exchange.push(shared([], pushes=True, secret=PAIR.secret_key), asked())
    assert pushed.manifests == {}


def test_what_the_cache_has_of_a_key_is_of_one_origin(
    remote: FakeRemote, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    built(1)
    failed_build(2)
    assert exchange.push(shared([], pushes=True), asked(1))
    assert exchange.push(shared([], pushes=True), asked(2), kind=FAILURE)
    empty_cache(monkeypatch, tmp_path / "second")
    assert isinstance(pull([], 1), Build)
    assert isinstance(pull([], 2), NoBuild)
    required = shared([], key=PAIR.public_key)
    with paths.scratch("made") as made:
        (made / "one").mkdir()
        (made / "one" / "build.log").write_text(LOG)
        store.save_failure(made / "one", key_of(1), Stage.BUILD, COMPLAINT)
        facts = json.loads((built(3) / "build.json").read_text())
        (made / "two").mkdir()
        store.save(made / "two", {**facts, "key": key_of(2)})
    assert [entry.name for entry in paths.cache("failures").iterdir()] == [key_of(1)]
    assert {e.name for e in paths.cache("builds").iterdir()} == {key_of(2), key_of(3)}
    assert all(exchange.believed(key_of(number), required) for number in (1, 2))


def test_what_the_store_has_is_not_even_read(
    pushed: FakeRemote, monkeypatch: pytest.MonkeyPatch
) -> None:
    built()

    def unexpected(_: Path) -> None:
        raise AssertionError

    monkeypatch.setattr("buildkit_bisect.sharing.files.described", unexpected)
    assert exchange.push(shared([], pushes=True), asked())


def test_a_file_that_disappears_or_changes_while_it_is_pushed(
    remote: FakeRemote, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = files.described

    def gone(path: Path) -> StoredFile:
        path.unlink()
        return described(path)

    def changed(path: Path) -> StoredFile:
        found = described(path)
        path.write_bytes(b"other")
        return found

    for number, meanwhile, why in (
        (1, gone, "No such file or directory"),
        (2, changed, "build.log was changed meanwhile"),
    ):
        built(number)
        said: list[str] = []
        monkeypatch.setattr("buildkit_bisect.sharing.files.described", meanwhile)
        assert not exchange.push(shared(said, pushes=True), asked(number))
        assert said[0].startswith("warning: cannot push to oci://127.0.0.1:5/a/b: ")
        assert why in said[0]
        assert remote.manifests == {}


@pytest.mark.parametrize(("each", "questions"), [(50, 3), (25, 4), (130, 1)])
def test_all_that_is_asked_for_a_build_has_one_deadline(
    remote: FakeRemote,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    each: float,
    questions: int,
) -> None:
    """A delta takes four: what it is, what its base is, the base, and the delta."""
    for number in (1, 2):
        built(number)
        assert exchange.push(shared([], pushes=True), asked(number))
    empty_cache(monkeypatch, tmp_path / "second")
    now = 0.0
    took: list[float] = []

    def slow(seconds: float, call: Callable[[], Any]) -> Any:
        nonlocal now
        took.append(min(seconds, each))
        now += took[-1]
        if seconds < each:
            raise Unavailable(f"no whole answer in {seconds:g} s")
        return call()

    monkeypatch.setattr("buildkit_bisect.sharing.store.within", slow)
    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr("buildkit_bisect.sharing.store.time", clock)
    said: list[str] = []
    asking = replace(shared(said), seconds=120)
    asking.begin()
    made = exchange.pull(asking, asked(2), "v1", said.append)
    assert len(took) == questions
    assert sum(took) <= 120
    if questions == 4:
        assert isinstance(made, Build)
        asking.begin()
        assert exchange.pull(asking, asked(3), "v1", said.append) is None
        assert len(took) == 5, "the next build has all of the time"
        return
    assert made is None
    assert "cannot be used: no whole answer in 120 s; builds are compiled here" in said[0]
    asking.begin()
    assert exchange.pull(asking, asked(1), "v1", said.append) is None
    assert len(took) == questions, "it is not asked again"
