"""The registry of base images, while trials run: build steps reach it and must not change it."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from buildkit_bisect import scenario
from buildkit_bisect.builds import Builder
from buildkit_bisect.lab.served_images import Kept
from buildkit_bisect.runtime import registry
from buildkit_bisect.source import ModuleSource
from cluster import running, soon
from tool import environment

pytestmark = [pytest.mark.system, pytest.mark.alone]

MANIFEST = b'{"schemaVersion": 2, "manifests": []}'
INDEX = "application/vnd.oci.image.index.v1+json"


def ask(method: str, address: str, path: str, data: bytes | None = None) -> int:
    request = urllib.request.Request(
        f"http://{address}/v2/{path}", data=data, method=method, headers={"Content-Type": INDEX}
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_nothing_is_pushed_or_deleted(tmp_path: Path) -> None:
    with registry.serve(tmp_path) as store:
        assert ask("PUT", store.address, "a/b/manifests/1", MANIFEST) == 201
        digest = store.digest("a/b", "1")
    with registry.serve(tmp_path, read_only=True) as store:
        assert store.digest("a/b", "1") == digest
        assert ask("PUT", store.address, "a/b/manifests/1", MANIFEST + b"\n") == 405
        assert ask("POST", store.address, "a/b/blobs/uploads/", b"") == 405
        assert ask("DELETE", store.address, f"a/b/manifests/{digest}") == 405
        assert store.digest("a/b", "1") == digest


def test_one_that_runs_has_what_another_process_adds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a worker's stays, also when a scenario comes whose images are missing."""
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))
    kept = Kept(tmp_path / "storage")
    builder = Builder(source=ModuleSource())
    seen = set()
    for name in ("single-chain", "cross-stage-dedup", "single-chain"):
        store, images = kept.images(builder, scenario.load(name), {})
        seen.add(store.address)
        assert images
        for image in images.values():
            assert store.has(image.ref)
            repository, _, tag = image.ref.partition("/")[2].rpartition(":")
            assert store.digest(repository, tag) == image.digest
    assert len(seen) == 1
    kept.close()
    assert not store.alive()


KEEPS = """
import sys, time
from pathlib import Path
from buildkit_bisect.builds import Builder
from buildkit_bisect.lab.served_images import Kept
from buildkit_bisect.scenario import load
from buildkit_bisect.source import ModuleSource
kept = Kept(Path(sys.argv[1]))
print(kept.images(Builder(source=ModuleSource()), load("single-chain"), {})[0].address, flush=True)
time.sleep(600)
"""


def test_it_ends_with_a_worker_that_is_killed(tmp_path: Path) -> None:
    env = environment({"BKBISECT_CACHE_DIR": str(tmp_path / "cache")})
    with subprocess.Popen(
        [sys.executable, "-c", KEEPS, str(tmp_path / "storage")], env=env, text=True,
        stdout=subprocess.PIPE,
    ) as worker:  # fmt: skip
        try:
            assert worker.stdout
            store = registry.Registry(address=worker.stdout.readline().strip())
            assert store.alive()
            assert any("docker-registry" in line for line in running(str(tmp_path)))
        finally:
            worker.kill()
    soon(lambda: running(str(tmp_path)) == [], 30)
    assert not store.alive()
