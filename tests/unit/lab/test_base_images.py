"""Base images that exist are found without a registry; nothing is built for that."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildkit_bisect.lab import base_images
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
