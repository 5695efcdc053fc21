"""``./inv``: creates its environment, keeps it up to date, and starts fast."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from buildkit_bisect.system.checkout import PROJECT
from tool import environment

pytestmark = pytest.mark.local

#: Seconds of CPU that a second start may take in addition to invoke itself; other tests run beside.
OVERHEAD = 0.5


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy without an environment, like a new clone."""
    target = tmp_path_factory.mktemp("clone") / "check out"
    ignore = shutil.ignore_patterns(".venv", ".git", "results", "__pycache__", ".*_cache")
    shutil.copytree(PROJECT, target, ignore=ignore)
    return target


def launch(checkout: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(checkout / "inv"), *words],
        cwd="/",
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_the_first_start_installs_and_the_second_does_not(checkout: Path) -> None:
    first = launch(checkout, "--list")
    assert first.returncode == 0, first.stderr
    assert "installing" in first.stderr
    assert "matrix" in first.stdout
    second = launch(checkout, "--list")
    assert second.stderr == ""
    assert second.stdout == first.stdout


def test_a_lock_with_a_wrong_hash_installs_nothing(checkout: Path, tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(f"iniconfig==2.1.0 --hash=sha256:{'0' * 64}\n")
    venv = tmp_path / "venv"
    done = launch(checkout, "--list", BKBISECT_LOCK=str(lock), BKBISECT_VENV=str(venv))
    assert done.returncode == 3
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert not (venv / "installed-pyproject.toml").exists()
    assert not list(venv.glob("lib/*/site-packages/iniconfig*"))


def test_a_missing_lock_file(checkout: Path, tmp_path: Path) -> None:
    done = launch(checkout, "--list", BKBISECT_LOCK=str(tmp_path / "none"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"inv: cannot read BKBISECT_LOCK={tmp_path / 'none'}\n"


def test_a_changed_project_is_installed_again(checkout: Path) -> None:
    with (checkout / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    assert "installing" in launch(checkout, "--list").stderr
    assert launch(checkout, "--list").stderr == ""


def test_python_minus_m_invoke_lists_the_same(checkout: Path) -> None:
    """Only the line breaks differ: Invoke also breaks lines in ``--find-good``."""
    ours = launch(checkout, "--list").stdout
    python = checkout / ".venv" / "bin" / "python"
    done = subprocess.run(
        [str(python), "-m", "invoke", "--list"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "".join(done.stdout.split()) == "".join(ours.split())


def test_a_wheel_is_refused(checkout: Path, tmp_path: Path) -> None:
    """The other tests here install an editable one with ``./inv``."""
    launch(checkout, "--list")
    pip = (str(checkout / ".venv" / "bin" / "python"), "-m", "pip")
    done = subprocess.run(
        [*pip, "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(checkout)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "runs from its checkout only" in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_error_reports_that_no_python_was_found(checkout: Path, tmp_path: Path) -> None:
    for name in ("sh", "dirname", "cmp"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    done = launch(checkout, "--list", PATH=str(tmp_path), BKBISECT_VENV=str(tmp_path / "venv"))
    assert done.returncode == 3
    assert "no Python 3.11" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_a_second_start_is_fast() -> None:
    def best(argv: list[str]) -> float:
        spent = []
        for _ in range(5):
            before = os.times()
            subprocess.run(argv, cwd=PROJECT, env=dict(os.environ), check=True, capture_output=True)
            after = os.times()
            spent.append(sum(after[2:4]) - sum(before[2:4]))
        return min(spent)

    ours = best([str(PROJECT / "inv"), "--list"])
    plain = best([sys.executable, "-m", "invoke", "--list"])
    assert ours - plain < OVERHEAD, f"{ours:.2f} s against {plain:.2f} s"


def test_a_second_start_compiles_no_module_of_ours(checkout: Path) -> None:
    """Neither if Invoke forbids to store them, nor if the user wants none beside the sources."""
    for more in ({}, {"PYTHONDONTWRITEBYTECODE": "1"}):
        launch(checkout, "status", "--out", "/nowhere", **more)
        second = launch(checkout, "status", "--out", "/nowhere", PYTHONVERBOSE="1", **more)
        # What Python imports from a source is "code object from '...py'".
        ours = [text for text in second.stderr.splitlines() if "buildkit_bisect" in text]
        compiled = [text for text in ours if "code object from" in text and ".py'" in text]
        read = [text for text in ours if "code object from" in text and ".pyc'" in text]
        # Two are imported before the tool can say where they are stored.
        assert len(read) > 100, second.stderr[-2000:]
        assert len(compiled) <= (2 if more else 0), compiled
    beside = set(checkout.glob("bisect/**/*.pyc"))
    for path in beside:
        path.unlink()
    launch(checkout, "status", "--out", "/nowhere", PYTHONDONTWRITEBYTECODE="1")
    assert not list(checkout.glob("bisect/**/*.pyc"))
