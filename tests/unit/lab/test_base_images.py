"""Base images that exist are found without a registry; nothing is built for that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from buildkit_bisect.lab import base_images, image_files, plain_images
from buildkit_bisect.model import Build
from buildkit_bisect.runtime import registry
from buildkit_bisect.scenario import load

SCENARIO = load("cross-stage-lazy")


@pytest.fixture(autouse=True)
def _busybox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "busybox").write_text("a program")
    monkeypatch.setattr("shutil.which", lambda _: str(tmp_path / "busybox"))


def found(storage: Path) -> dict[str, base_images.ImageRef] | None:
    def digest_of(name: str, tag: str) -> str | None:
        asked.append((name, tag))
        return registry.on_disk(storage, name, tag)

    asked: list[tuple[str, str]] = []
    images = base_images.present(SCENARIO, "127.0.0.1:1", digest_of)
    assert {name for name, _ in asked} <= {f"bkbisect/{SCENARIO.name}-{n}" for n in SCENARIO.images}
    return images


def push(storage: Path, name: str, tag: str, digest: str) -> None:
    """Write what docker-registry writes for a tag."""
    home = storage / "docker/registry/v2/repositories" / name / "_manifests/tags" / tag / "current"
    home.mkdir(parents=True)
    (home / "link").write_text(digest)


def test_all_images_or_none(tmp_path: Path) -> None:
    assert found(tmp_path) is None
    tag = base_images._tag(SCENARIO)
    names = list(SCENARIO.images)
    for number, name in enumerate(names):
        assert found(tmp_path) is None, "some images are missing"
        push(tmp_path, f"bkbisect/{SCENARIO.name}-{name}", tag, f"sha256:{number}")
    images = found(tmp_path)
    assert images is not None
    assert {name: image.digest for name, image in images.items()} == {
        name: f"sha256:{number}" for number, name in enumerate(names)
    }


def test_another_busybox_is_another_image(tmp_path: Path) -> None:
    for name in SCENARIO.images:
        push(tmp_path, f"bkbisect/{SCENARIO.name}-{name}", base_images._tag(SCENARIO), "sha256:1")
    assert found(tmp_path)
    (tmp_path / "busybox").write_text("another program")
    assert found(tmp_path) is None


def test_another_way_of_making_them_is_another_image(tmp_path: Path) -> None:
    """The tag tells images of BuildKit from those that are made without it."""
    texts = {"plain": "COPY busybox /a\n", "runs": "COPY busybox /a\nRUN a\n"}
    tags = []
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "build.Dockerfile").write_text(f"FROM scratch\n{text}")
        changed = replace(SCENARIO, folders=(tmp_path / name, *SCENARIO.folders))
        assert base_images.needs_buildkit(changed) is (name == "runs")
        tags.append(base_images._tag(changed))
    assert len({*tags, base_images._tag(SCENARIO)}) == 3


def test_no_buildkit_is_asked_for_if_none_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed: dict[str, str] = {}

    def push(made: plain_images.Made, _: registry.Registry, name: str, tag: str) -> None:
        pushed[name] = made.digest
        assert tag == base_images._tag(SCENARIO)

    @dataclass(frozen=True)
    class Fake:
        address: str = "here"

        def digest(self, name: str, _: str) -> str | None:
            return pushed.get(name)

    def reference() -> Build:
        raise AssertionError("a BuildKit is compiled")

    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(image_files, "_programs", lambda: ["busybox", "sh"])
    monkeypatch.setattr(plain_images, "push", push)
    found = base_images.ensure(SCENARIO, cast("registry.Registry", Fake()), reference)
    assert {name: ref.digest for name, ref in found.items()} == {
        name: pushed[f"bkbisect/{SCENARIO.name}-{name}"] for name in SCENARIO.images
    }
