"""Caches that a trial exports to its own registry."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import IO, Any, ClassVar

import pytest

from buildkit_bisect import scenario
from buildkit_bisect.errors import BadInput
from buildkit_bisect.lab import cache_export
from buildkit_bisect.runtime.registry import Registry
from buildkit_bisect.scenario import cache_config

CONFIG = {
    "layers": [{"blob": "sha256:base", "parent": -1}, {"blob": "sha256:top"}],
    "records": [{"digest": "sha256:a", "layers": [{"layer": 1}]}],
}
ENTRY = {"mediaType": cache_config.MEDIA_TYPE, "digest": "sha256:c0"}


class Pushed(Registry):
    """A registry that holds one cache, ``deep/cache:first``."""

    top: ClassVar[dict[str, Any]] = {}

    def open_manifest(self, name: str, tag: str) -> IO[bytes]:
        if (name, tag) != ("deep/cache", "first"):
            raise OSError("404")
        return io.BytesIO(json.dumps(self.top).encode())

    def open_blob(self, name: str, digest: str) -> IO[bytes]:
        assert (name, digest) == ("deep/cache", "sha256:c0")
        return io.BytesIO(json.dumps(CONFIG).encode())


@pytest.mark.parametrize(
    ("form", "top"), [("image", {"config": ENTRY}), ("index", {"manifests": [ENTRY]})]
)
def test_both_manifest_forms(
    monkeypatch: pytest.MonkeyPatch, form: str, top: dict[str, Any]
) -> None:
    monkeypatch.setattr(Pushed, "top", top)
    found = cache_export.read_registry(
        Pushed(address="127.0.0.1:5000"), "127.0.0.1:5000/deep/cache:first"
    )
    assert found
    config, raw = found
    assert (config.form, raw) == (form, CONFIG)
    assert config.records[0].layers == ("sha256:base", "sha256:top")


@pytest.mark.parametrize("ref", ["127.0.0.1:5000/deep/cache:other", "127.0.0.1:5000/none"])
def test_a_missing_cache_gives_none(ref: str) -> None:
    assert cache_export.read_registry(Pushed(address="127.0.0.1:5000"), ref) is None


def test_an_image_gives_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pushed, "top", {"config": {"mediaType": "image", "digest": "sha256:c0"}})
    ref = "127.0.0.1:5000/deep/cache:first"
    assert cache_export.read_registry(Pushed(address="127.0.0.1:5000"), ref) is None


@pytest.mark.parametrize(("name", "uses"), [("inline", True), ("single-chain", False)])
def test_only_trials_that_push_need_a_registry(name: str, uses: bool) -> None:
    assert scenario.uses_registry(scenario.load(name)) is uses


@pytest.mark.parametrize("ref", ["example.org/cache:1", "${registry}/cache", "cache:1"])
def test_a_ref_must_be_in_the_trials_own_registry(tmp_path: Path, ref: str) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "scenario.toml").write_text(
        f"""
        schema = 1
        name = "pushes"
        title = "t"
        issue = "https://example.org/1"
        [[steps]]
        id = "build"
        action = "build"
        dockerfile = "Dockerfile"
        exports = [{{ type = "registry", ref = "{ref}" }}]
        [[outcomes]]
        name = "fine"
        verdict = "good"
        means = "m"
        all = [{{ step = "build", exit = "ok" }}]
        """
    )
    with pytest.raises(BadInput, match=r"exports\[0\]\.ref"):
        scenario.load(str(tmp_path))
