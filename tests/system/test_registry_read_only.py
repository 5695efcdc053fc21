"""The registry of base images, while trials run: build steps reach it and must not change it."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest

from buildkit_bisect.runtime import registry

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
