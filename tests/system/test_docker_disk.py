"""An Engine on a small disk that is full before or during a trial in a container."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import engine as engines
from buildkit_bisect.engine import buildx_plugin
from buildkit_bisect.system import process
from engine import TestEngine
from tool import TaskOutput, inv, left_behind

pytestmark = [pytest.mark.system, pytest.mark.timeout(3600), pytest.mark.alone]

MIB = 1 << 20

CELL = (
    *("--rev", "v0.25.0", "--source", "module", "--scenario", "cross-stage-lazy"),
    *("--axis", "snapshotter=overlayfs", "--axis", "bases=different"),
)


@dataclass(frozen=True, kw_only=True)
class Small:
    """An Engine whose state, including the variant's image, is on a separate file system."""

    engine: TestEngine
    disk: Path

    @contextmanager
    def full_but_for(self, left: int) -> Iterator[None]:
        """Leave only *left* bytes free until the end of the block."""
        filler = self.disk / "filler"
        known = os.statvfs(self.disk)
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, known.f_bavail * known.f_frsize - left)
        try:
            yield
        finally:
            filler.unlink()

    def run(self, runtime: str, out: Path) -> TaskOutput:
        words = ("run", *CELL, "--runtime", runtime, "--trials", "1", "--fresh", "--json")
        return inv(*words, "--out", str(out), env=self.engine.environment, timeout=600)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    folder = tmp_path_factory.mktemp("small")
    image, disk = folder / "image", folder / "disk"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(600 * MIB)
    process.run(["mkfs.ext4", "-q", "-m", "0", str(image)], timeout=60)
    process.run(["mount", "-o", "loop", str(image), str(disk)], timeout=60)
    # With an empty cache these compile for minutes, which must not count as a run's time.
    compiled = inv("build", *CELL[:4], timeout=1700)
    assert compiled.code == 0, compiled.stderr
    buildx_plugin.find()
    try:
        with engines.running(data=disk / "docker") as engine:
            made = Small(engine=engine, disk=disk)
            good = made.run("docker,buildx", folder / "out")
            assert good.code == 0, good.stderr
            yield made
    finally:
        process.run(["umount", str(disk)], timeout=60)


@pytest.mark.parametrize(
    ("runtime", "left"),
    [
        ("docker", 4),  # MiB: enough for the daemon to start
        ("buildx", 1),
    ],
)
def test_a_full_disk_is_infrastructure(
    small: Small, tmp_path: Path, runtime: str, left: int
) -> None:
    with small.full_but_for(left * MIB):
        done = small.run(runtime, tmp_path)
    assert done.code == 5, done.stderr
    assert "Traceback" not in done.stderr
    for cell in done.document["cells"]:
        assert cell["verdict"] == "infra", cell
        assert "no space left on" in cell["reason"], cell
    assert small.engine.left(patience=5) == []
    assert left_behind() == []


def test_it_runs_again_once_there_is_space(small: Small, tmp_path: Path) -> None:
    done = small.run("docker", tmp_path)
    assert done.code == 0, done.stderr
    assert done.document["cells"][0]["outcome"] == "cached"
