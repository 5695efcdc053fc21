"""The test script that README.md shows, with a buildctl that does as a good or a bad BuildKit."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest
import session

pytestmark = pytest.mark.local

#: As BuildKit does: with --output type=local,dest=out, ADD t.tar / leaves its files in out/.
GOOD = "mkdir out && tar -C out -xf t.tar && grep -q '^ADD t.tar /$' Dockerfile"


def outcome(folder: Path, buildctl: str, *, path: str = os.environ["PATH"]) -> int:
    """Run the script as a trial does, in an empty directory."""
    program = folder / "buildctl"
    program.write_text(f"#!/bin/sh\n{buildctl}\n")
    script = folder / "my-test.sh"
    script.write_text(session.script())
    for made in (program, script):
        made.chmod(0o755)
    (folder / "work").mkdir()
    env = {"PATH": path, "BKBISECT_BUILDCTL": str(program)}
    return subprocess.run([script], cwd=folder / "work", env=env, check=False).returncode


def test_a_good_buildkit(tmp_path: Path) -> None:
    assert outcome(tmp_path, GOOD) == 0
    with tarfile.open(tmp_path / "work" / "t.tar") as tar:
        named = tar.getnames()
    assert named == ["etc/dnf", "etc/dnf/dnf.conf"], "no entry for etc/: that is the regression"


@pytest.mark.parametrize("buildctl", ["exit 1", "exit 125", "mkdir out"])
def test_a_bad_buildkit(tmp_path: Path, buildctl: str) -> None:
    assert outcome(tmp_path, buildctl) == 1


def test_without_tar_it_cannot_tell(tmp_path: Path) -> None:
    for name in ("mkdir", "sh"):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).symlink_to(f"/bin/{name}")
    assert outcome(tmp_path, GOOD, path=str(tmp_path / "bin")) == 125
