"""Small builds in a cache, to share; and a registry in memory that can lie."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from buildkit_bisect.builds import exchange
from buildkit_bisect.builds.key import Recipe
from buildkit_bisect.model import Build, NoBuild
from buildkit_bisect.sharing import Asked
from buildkit_bisect.sharing.manifest import Blob
from buildkit_bisect.sharing.refused import Refused
from buildkit_bisect.sharing.store import SharedStore
from buildkit_bisect.system import paths

GO = "1.25.5"
COMPLAINT = "solver/x.go:3:9: undefined: missing"
LOG = f"# github.com/moby/buildkit/solver\n{COMPLAINT}\n"


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def asked(number: int = 1) -> Asked:
    return exchange.asked(key(number), GO, Recipe(goarch="amd64"))


def binary(seed: int, size: int = 200_000) -> bytes:
    """Bytes that compress to about a half, and of which those of other seeds share most."""
    made = random.Random(0).randbytes(size // 2) + bytes(size // 2)  # noqa: S311
    return made[:5000] + f"build {seed}".encode() + made[5000:]


def built(number: int = 1, **more: Any) -> Path:
    """Put a build with small binaries into the cache; return its folder."""
    folder = paths.cache("builds") / key(number)
    folder.mkdir()
    for name in ("buildkitd", "buildctl"):
        (folder / name).write_bytes(binary(number))
        (folder / name).chmod(0o755)
    (folder / "build.log").write_text("log\n")
    sums = {
        f"{n}_sha256": hashlib.sha256((folder / n).read_bytes()).hexdigest()
        for n in ("buildkitd", "buildctl")
    }
    meta = {"format": 1, "key": key(number), "go": GO, "source": "git", "seconds": 39.5,
            "packages": 28, "created": "2026-01-02T03:04:05Z", **sums, **more}  # fmt: skip
    (folder / "build.json").write_text(json.dumps(meta))
    return folder


def failed(number: int = 1, reason: str = COMPLAINT, log: str = LOG) -> Path:
    """Put a failure into the cache; return its folder."""
    folder = paths.cache("failures") / key(number)
    folder.mkdir()
    (folder / "build.log").write_text(log)
    meta = {"format": 1, "stage": "build", "reason": reason}
    (folder / "failure.json").write_text(json.dumps(meta))
    return folder


@dataclass
class FakeRemote:
    """Has the methods of `Remote`; what it answers can be changed, and counts."""

    manifests: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    trouble: Exception | None = None
    no_push: Exception | None = None
    asked: list[str] = field(default_factory=list)

    def manifest(self, tag: str) -> bytes | None:
        self._count("manifest")
        return self.manifests.get(tag)

    def has_manifest(self, tag: str) -> bool:
        self._count("has")
        return tag in self.manifests

    def blob(self, blob: Blob) -> Iterator[bytes]:
        self._count("blob")
        data = self.blobs.get(blob.digest)
        if data is None:
            raise Refused("a part of it is missing")
        yield from (data[at : at + 1000] for at in range(0, len(data), 1000))

    def put_blob(self, blob: Blob, data: bytes) -> None:
        self._count("put")
        if self.no_push:
            raise self.no_push
        self.blobs.setdefault(blob.digest, data)

    def put_manifest(self, tag: str, data: bytes) -> None:
        self._count("put")
        self.manifests[tag] = data

    def _count(self, what: str) -> None:
        self.asked.append(what)
        if self.trouble:
            raise self.trouble

    def change(self, number: int, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the manifest of a build."""
        value = json.loads(self.manifests[key(number)])
        change(value)
        self.manifests[key(number)] = json.dumps(value).encode()

    def change_entry(self, number: int, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the entry of a build, so that all digests still fit."""
        value = json.loads(self.manifests[key(number)])
        entry = json.loads(self.blobs[value["config"]["digest"]])
        change(entry)
        self._put(value, "config", json.dumps(entry).encode())
        self.manifests[key(number)] = json.dumps(value).encode()

    def replace_file(self, number: int, name: str, packed: bytes) -> None:
        """Replace the packed form of a file, so that the manifest still fits."""
        value = json.loads(self.manifests[key(number)])
        titles = [one["annotations"]["org.opencontainers.image.title"] for one in value["layers"]]
        self._put(value["layers"], titles.index(name), packed)
        self.manifests[key(number)] = json.dumps(value).encode()

    def _put(self, holder: Any, place: str | int, data: bytes) -> None:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.blobs[digest] = data
        holder[place] |= {"digest": digest, "size": len(data)}


def empty_cache(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Go on with a cache that is empty, as on another machine."""
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(folder))


def other(store: SharedStore, said: list[str], **more: Any) -> SharedStore:
    """Return another machine's store at the same place."""
    return SharedStore(
        **{"place": store.place, "seconds": store.seconds, "say": said.append, **more}
    )


def shared(said: list[str], **more: Any) -> SharedStore:
    return SharedStore(place="127.0.0.1:5/a/b", seconds=30, say=said.append, **more)


def pull(said: list[str], number: int = 1, **more: Any) -> Build | NoBuild | None:
    return exchange.pull(shared(said, **more), asked(number), "v1", said.append)


def with_(**more: Any) -> Callable[[dict[str, Any]], object]:
    return lambda value: value.update(more)
