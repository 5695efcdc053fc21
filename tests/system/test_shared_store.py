"""A store in Debian's docker-registry: pushed to, pulled from, read-only, full, and lying."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import minisign
import pytest

from buildkit_bisect.builds import Builder, exchange
from buildkit_bisect.lab import base_images
from buildkit_bisect.model import Build, NoBuild, Variant
from buildkit_bisect.runtime import registry
from buildkit_bisect.runtime.registry import Registry
from buildkit_bisect.sharing.entry import FAILURE
from buildkit_bisect.sharing.store import SharedStore
from buildkit_bisect.source import ModuleSource
from buildkit_bisect.system import paths
from shared_builds import COMPLAINT, asked, binary, built, empty_cache, failed, key

pytestmark = pytest.mark.system

PAIR = minisign.KeyPair.generate()


def shared(at: Registry, said: list[str]) -> SharedStore:
    return SharedStore(
        place=f"{at.address}/me/builds", seconds=30, say=said.append, pushes=True, by="a test",
        key=PAIR.public_key, secret=PAIR.secret_key,
    )  # fmt: skip


def pull(at: Registry, said: list[str], number: int) -> Build | NoBuild | None:
    return exchange.pull(shared(at, said), asked(number), "v1", said.append)


@contextmanager
def small(folder: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder))
    subprocess.run(["/usr/bin/env", *mount], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["/usr/bin/env", "umount", str(folder)], check=True)


def test_builds_deltas_and_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with registry.serve(tmp_path / "storage") as at:
        empty_cache(monkeypatch, tmp_path / "first")
        built(1), built(2), failed(3)
        one = shared(at, said)
        assert all(exchange.push(one, asked(number)) for number in (1, 2))
        assert exchange.push(one, asked(3), kind=FAILURE)
        assert said == []
        empty_cache(monkeypatch, tmp_path / "second")
        made = pull(at, said, 2)
        assert isinstance(made, Build)
        assert (Path(made.directory) / "buildkitd").read_bytes() == binary(2)
        broken = pull(at, said, 3)
        assert isinstance(broken, NoBuild)
        assert broken.reason == COMPLAINT
        assert pull(at, said, 4) is None
        assert len(said) == 2
    with registry.serve(tmp_path / "storage", read_only=True) as at:
        said.clear()
        assert isinstance(pull(at, said, 1), Build)
        built(5), built(6)
        reading = shared(at, said)
        assert not exchange.push(reading, asked(5))
        assert not exchange.push(reading, asked(6))
        assert "cannot push to oci://" in said[1]
        assert "HTTP 405" in said[1]
        assert len(said) == 2


def test_a_store_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    empty_cache(monkeypatch, tmp_path / "first")
    with small(tmp_path / "disk") as disk, registry.serve(disk) as at:
        one = shared(at, said)
        for number in (1, 2):
            built(number)
        assert exchange.push(one, asked(1))
        (disk / "filler").write_bytes(bytes((1 << 20) - 2 * 100_000 - 60_000))
        for number in (7, 8):
            folder = built(number)
            for name in ("buildkitd", "buildctl"):
                (folder / name).write_bytes(bytes(reversed(binary(number))))
        assert not exchange.push(one, asked(7))
        assert not exchange.push(one, asked(8))
        assert len(said) == 1
        assert "cannot push to oci://" in said[0]
        assert "HTTP 500" in said[0]
        empty_cache(monkeypatch, tmp_path / "second")
        assert isinstance(pull(at, said, 1), Build)
        assert pull(at, said, 7) is None
        assert len(said) == 2


def test_a_blob_that_changed_on_the_disk_of_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    empty_cache(monkeypatch, tmp_path / "first")
    built(1)
    with registry.serve(tmp_path / "storage") as at:
        assert exchange.push(shared(at, said), asked(1))
        largest = max((tmp_path / "storage").rglob("data"), key=lambda file: file.stat().st_size)
        data = bytearray(largest.read_bytes())
        data[1000] ^= 1
        largest.write_bytes(data)
        empty_cache(monkeypatch, tmp_path / "second")
        asking = shared(at, said)
        assert exchange.pull(asking, asked(1), "v1", said.append) is None
        assert "has an entry that is not used" in said[0]
        assert not (paths.cache("builds") / key(1)).exists()
        built(1)
        assert exchange.push(asking, asked(1))
        empty_cache(monkeypatch, tmp_path / "third")
        assert isinstance(pull(at, said, 1), Build)


def test_a_real_build_is_pulled_instead_of_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ModuleSource()
    asked_for = Variant(revision=source.resolve(base_images.REFERENCE))
    made = Builder(source=source).build(asked_for)
    assert isinstance(made, Build)
    known = paths.cache_root()
    said: list[str] = []
    with registry.serve(tmp_path / "storage") as at:
        one = shared(at, said)
        toolchain = exchange.asked(made.key, made.go, Builder(source=source).recipe)
        assert exchange.push(one, toolchain)
        empty_cache(monkeypatch, tmp_path / "second")
        for name in ("gomod", "toolchains", "inputs"):
            (paths.cache_root() / name).symlink_to(known / name)

        def refuse(*_: object, **__: object) -> NoReturn:
            raise AssertionError("it is compiled")

        monkeypatch.setattr("buildkit_bisect.builds.job.compile_tree", refuse)
        pulled = Builder(source=source, say=said.append, shared=one).build(asked_for)
        assert isinstance(pulled, Build)
        assert pulled.buildkitd_sha256 == made.buildkitd_sha256
        assert said[-1].endswith("built by a test")
        version = subprocess.run(
            [f"{pulled.directory}/buildkitd", "--version"],
            capture_output=True,
            check=True,
            text=True,
        )
        assert "bkbisect" in version.stdout
