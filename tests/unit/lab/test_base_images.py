"""Base images that exist are found without a registry; nothing is built for that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from buildkit_bisect.lab import base_images, image_files, plain_images
from buildkit_bisect.model import Build
from buildkit_bisect.runtime import registry
from buildkit_bisect.scenario import Scenario, load
from buildkit_bisect.system.deadlines import Deadlines

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


def tag_of(scenario: Scenario) -> str:
    return base_images._tag(scenario, image_files.busybox())


def push(storage: Path, name: str, tag: str, digest: str) -> None:
    """Write what docker-registry writes for a tag."""
    home = storage / "docker/registry/v2/repositories" / name / "_manifests/tags" / tag / "current"
    home.mkdir(parents=True)
    (home / "link").write_text(digest)


def test_all_images_or_none(tmp_path: Path) -> None:
    assert found(tmp_path) is None
    tag = tag_of(SCENARIO)
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
        push(tmp_path, f"bkbisect/{SCENARIO.name}-{name}", tag_of(SCENARIO), "sha256:1")
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
        tags.append(tag_of(changed))
    assert len({*tags, tag_of(SCENARIO)}) == 3


def test_line_ends_are_part_of_a_tag(tmp_path: Path) -> None:
    tags = set()
    for number, ending in enumerate(("\n", "\r\n", "\r")):
        folder = tmp_path / str(number)
        folder.mkdir()
        text = f"FROM scratch{ending}COPY busybox /a{ending}"
        (folder / "build.Dockerfile").write_bytes(text.encode())
        changed = replace(SCENARIO, folders=(folder, *SCENARIO.folders))
        assert base_images.needs_buildkit(changed) is (ending != "\n")
        tags.add(tag_of(changed))
    assert len(tags) == 3


@dataclass(frozen=True)
class Fake:
    """A registry whose tags are given."""

    pushed: dict[tuple[str, str], str]
    address: str = "here"

    def digest(self, name: str, tag: str) -> str | None:
        return self.pushed.get((name, tag))


def ensured(
    monkeypatch: pytest.MonkeyPatch, cache: Path, *, upgraded: Path | None = None
) -> tuple[dict[str, base_images.ImageRef], dict[tuple[str, str], plain_images.Made]]:
    """Make the images; during the first push another busybox comes if *upgraded*."""
    pushed: dict[tuple[str, str], str] = {}
    images: dict[tuple[str, str], plain_images.Made] = {}

    def push(
        made: plain_images.Made, _: registry.Registry, name: str, tag: str, seconds: float
    ) -> None:
        assert seconds == 7
        pushed[name, tag] = made.digest
        images[name, tag] = made
        if upgraded:
            upgraded.write_text("another program")

    def reference() -> Build:
        raise AssertionError("a BuildKit is compiled")

    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(cache))
    monkeypatch.setattr(image_files.Busybox, "programs", lambda _: ["busybox", "sh"])
    monkeypatch.setattr(plain_images, "push", push)
    store = cast("registry.Registry", Fake(pushed))
    return base_images.ensure(SCENARIO, store, reference, Deadlines(image=7)), images


def test_no_buildkit_is_asked_for_if_none_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, made = ensured(monkeypatch, tmp_path / "cache")
    tag = tag_of(SCENARIO)
    assert {name: ref.digest for name, ref in found.items()} == {
        name: made[f"bkbisect/{SCENARIO.name}-{name}", tag].digest for name in SCENARIO.images
    }


def test_an_upgrade_of_busybox_meanwhile_changes_no_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = tag_of(SCENARIO)
    before, made = ensured(monkeypatch, tmp_path / "cache", upgraded=tmp_path / "busybox")
    assert len(before) > 1
    assert {key[1] for key in made} == {tag} != {tag_of(SCENARIO)}
    for one in made.values():
        assert b"another program" not in b"".join(layer.data for layer in one.layers)
