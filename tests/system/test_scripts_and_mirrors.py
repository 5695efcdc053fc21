"""The output and leftovers of a campaign's script, and builds from a broken mirror."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit_bisect.cli import leftovers
from buildkit_bisect.system import marks, owner, paths, pipes
from golang_repo import GolangRepo
from tool import TaskOutput, argv, environment, inv

pytestmark = [pytest.mark.system, pytest.mark.alone]


@pytest.fixture(scope="module", autouse=True)
def _sweeps_after_itself() -> Iterator[None]:
    """Remove the directories that runs killed here leave."""
    yield
    for left in leftovers.find():
        leftovers.remove(left)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    root = tmp_path / "cache"
    root.mkdir()
    for name in ("toolchains", "gocache", "gomod"):
        (root / name).symlink_to(paths.cache(name))
    return root


def errors(done: TaskOutput) -> list[str]:
    """Return the errors of a task, which must not print a traceback."""
    assert "Traceback" not in done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("error: ")]


@pytest.mark.parametrize(
    ("part", "junk"),
    [
        ("HEAD", b""),
        ("refs", b""),
        ("objects", b""),
        ("config", b"[core\n"),
        ("config", b"\xff\x00\n"),
        ("packed-refs", b"junk\n"),
        ("packed-refs", b"\xff" * 99),
        ("HEAD", b"\x00" * 99),
    ],
)
def test_a_broken_mirror_is_an_error_and_not_a_bug(
    tmp_path: Path, cache: Path, part: str, junk: bytes
) -> None:
    repo = GolangRepo.create(tmp_path / "upstream")
    env = {"BKBISECT_CACHE_DIR": str(cache)}
    words = ("build", "--rev", "master", "--repo", str(repo.path))
    assert inv(*words, env=env).code == 0
    mirror = next((cache / "mirrors").glob("*.git"))
    if junk:
        (mirror / part).write_bytes(junk)
    else:
        (mirror / part).rename(mirror / "gone")
    done = inv(*words, env=env)
    assert done.code == 5, done.stderr
    (error,) = errors(done)
    assert str(mirror) in error
    shutil.rmtree(mirror)
    assert inv(*words, env=env).code == 0


def script(folder: Path, text: str) -> Path:
    path = folder / "script"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_script_that_prints_without_end(tmp_path: Path, cache: Path) -> None:
    repo = GolangRepo.create(tmp_path / "upstream")
    words = ("run", "--rev", "master", "--repo", str(repo.path), "--trials", "1",
             "--script", str(script(tmp_path, "timeout 3 yes; exit 0")), "--json",
             "--out", str(tmp_path / "out"))  # fmt: skip
    done = inv(*words, env={"BKBISECT_CACHE_DIR": str(cache)})
    assert done.code == 0, done.stderr
    assert [c["verdict"] for c in done.document["cells"]] == ["good"]
    kept = next((tmp_path / "out").glob("*/evidence/**/*.stdout"))
    assert kept.stat().st_size < pipes.MOST + 100
    assert "bytes left out]" in kept.read_text()


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """Another program's process."""
    with subprocess.Popen(["/usr/bin/env", "sleep", "1000"]) as child:
        yield child
        child.kill()


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_what_the_script_of_a_killed_run_left_is_ended(
    tmp_path: Path, cache: Path, bystander: subprocess.Popen[bytes], jobs: str
) -> None:
    """Both `clean` and the next campaign end it."""
    repo = GolangRepo.create(tmp_path / "upstream")
    env = {"BKBISECT_CACHE_DIR": str(cache)}
    forks = "setsid sleep 1000 & echo $! > {0}/draft; sleep 1000 & mv {0}/draft {0}/pid; sleep 1000"
    words = ["run", "--rev", "master", "--repo", str(repo.path), "--trials", "4", "--jobs", jobs,
             "--script", str(script(tmp_path, forks.format(tmp_path))),
             "--out", str(tmp_path / "out")]  # fmt: skip

    def killed() -> int:
        (tmp_path / "pid").unlink(missing_ok=True)
        with subprocess.Popen(
            argv(*words), env=environment(env), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        ) as running:  # fmt: skip
            until = time.monotonic() + 120
            while not (tmp_path / "pid").exists():
                assert time.monotonic() < until
                assert running.poll() is None
                time.sleep(0.05)
            running.kill()
        sleeper = int((tmp_path / "pid").read_text())
        time.sleep(2)  # until workers notice
        assert runs(sleeper)
        return sleeper

    sleeper = killed()
    shown = inv("clean", "--dry-run", env=env)
    assert f"would remove process {sleeper} (sleep 1000)" in shown.stdout
    assert runs(sleeper)
    cleaned = inv("clean", env=env)
    assert f"removed process {sleeper} (sleep 1000)" in cleaned.stdout
    assert not runs(sleeper)
    assert ours(tmp_path) == []

    sleeper = killed()
    script(tmp_path, "exit 0")
    done = inv(*words, env=env)
    assert done.code == 0, done.stderr
    assert f"ending process {sleeper} (sleep 1000), which a killed run left" in done.stderr
    assert not runs(sleeper)
    assert ours(tmp_path) == []
    assert bystander.poll() is None


def ours(folder: Path) -> list[str]:
    """Return processes that use a folder, and orphans."""
    found = [str(left) for left in leftovers.find() if isinstance(left, marks.Orphan)]
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in words:
            found.append(entry.name)
    return found


def runs(pid: int) -> bool:
    return bool(owner.started(pid))  # false for a zombie
