"""Real children that print for ever, fail, or outlive us."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildkit_bisect.cli import leftovers
from buildkit_bisect.system import checkout, marks, owner, paths, pipes, process
from buildkit_bisect.system.process import ProcessError
from golang_repo import GolangRepo
from tool import Said, argv, environment, inv

pytestmark = pytest.mark.system

#: MiB that this tool may come to while a child prints gigabytes: two streams are kept, each
#: as bytes and as text, beside 40 for Python and imports.
MOST = 200.0

_RUN = """
import json, sys
from pathlib import Path
from buildkit_bisect.system import process
lines = []
done = process.run(sys.argv[3:], timeout=float(sys.argv[1]), check=False, log=Path(sys.argv[2]),
                   on_line=lambda line: lines.append(len(line)) if len(lines) < 9 else None)
status = Path("/proc/self/status").read_text()
print(json.dumps({
    "rss": int(status.partition("VmHWM:")[2].split()[0]) / 1024, "late": done.timed_out,
    "out": len(done.stdout), "err": len(done.stderr), "left_out": done.left_out,
    "lines": lines, "exit": done.exit, "seconds": done.seconds,
}))
"""

_GIGABYTE = """
import os, sys
chunk = b"x" * 2**20
for _ in range(1024):
    os.write(int(sys.argv[1]), chunk)
"""


def run(folder: Path, timeout: float, *child: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(timeout), str(folder / "log"), *child],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    said: dict[str, Any] = json.loads(done.stdout)
    print(said)
    assert said["rss"] < MOST
    assert (folder / "log").stat().st_size < pipes.MOST + 100
    return said


@pytest.fixture(scope="module", autouse=True)
def _sweeps_after_itself() -> Iterator[None]:
    """Runs that are killed here leave directories for the next sweep, which is ours."""
    yield
    for left in leftovers.find():
        leftovers.remove(left)


def test_a_child_that_prints_for_ever(tmp_path: Path) -> None:
    said = run(tmp_path, 8, "/bin/sh", "-c", "yes stderr >&2 & exec yes stdout")
    assert said["late"]
    assert said["seconds"] < 8 + 10
    assert said["left_out"] > 0  # How much depends on the machine; a gigabyte is told below.
    assert pipes.MOST < said["out"] < pipes.MOST + 100
    assert pipes.MOST < said["err"] < pipes.MOST + 100


@pytest.mark.parametrize("stream", ["1", "2"])
def test_a_line_of_a_gigabyte(tmp_path: Path, stream: str) -> None:
    said = run(tmp_path, 60, sys.executable, "-c", _GIGABYTE, stream)
    assert said["exit"] == 0
    assert said["left_out"] == 2**30 - pipes.MOST
    assert said["lines"] == ([] if stream == "1" else [pipes.LONGEST_LINE])


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    root = tmp_path / "cache"
    root.mkdir()
    for name in ("toolchains", "gocache", "gomod"):
        (root / name).symlink_to(paths.cache(name))
    return root


def errors(said: Said) -> list[str]:
    """The messages of a task, which has none of our own frames to show."""
    assert "Traceback" not in said.stderr
    return [line for line in said.stderr.splitlines() if line.startswith("error: ")]


def test_a_child_that_inherits_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    done = process.run(["env"], timeout=30, env={"A": "b"}, inherit=False)
    assert sorted(line.partition("=")[0] for line in done.stdout.splitlines()) == sorted(
        ["A", marks.NAME]
    )
    assert "SECRET=x" in process.run(["env"], timeout=30).stdout


def test_a_child_that_fails_is_infrastructure() -> None:
    with pytest.raises(ProcessError, match=r"exited 3: one; two$") as caught:
        process.run(["/bin/sh", "-c", "echo one; echo two; exit 3"], timeout=9)
    assert caught.value.exit_code == 5


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
def test_a_broken_mirror_is_no_bug(tmp_path: Path, cache: Path, part: str, junk: bytes) -> None:
    repo = GolangRepo.create(tmp_path / "upstream")
    env = {"BKBISECT_CACHE_DIR": str(cache)}
    words = ("build", "--rev", "master", "--repo", str(repo.path))
    assert inv(*words, env=env).code == 0
    mirror = next((cache / "mirrors").glob("*.git"))
    if junk:
        (mirror / part).write_bytes(junk)
    else:
        (mirror / part).rename(mirror / "gone")
    said = inv(*words, env=env)
    assert said.code == 5, said.stderr
    (told,) = errors(said)
    assert str(mirror) in told
    shutil.rmtree(mirror)
    assert inv(*words, env=env).code == 0


def test_a_worktree_that_git_cannot_take_is_bad_input(tmp_path: Path, cache: Path) -> None:
    repo = GolangRepo.create(tmp_path / "upstream")
    repo.copy(tmp_path / "work")
    (tmp_path / "work" / "nested").mkdir()
    repo.git("init", "--quiet", str(tmp_path / "work" / "nested"))
    said = inv("patch-new", "mine", "--from-worktree", str(tmp_path / "work"), "--repo",
               str(repo.path), env={"BKBISECT_CACHE_DIR": str(cache)})  # fmt: skip
    assert said.code == 2, said.stderr
    (told,) = errors(said)
    assert "does not have a commit checked out" in told
    assert not (checkout.PATCHES / "mine").exists()


def script(folder: Path, text: str) -> Path:
    path = folder / "script"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_script_that_prints_for_ever(tmp_path: Path, cache: Path) -> None:
    repo = GolangRepo.create(tmp_path / "upstream")
    words = ("run", "--rev", "master", "--repo", str(repo.path), "--trials", "1",
             "--script", str(script(tmp_path, "timeout 3 yes; exit 0")), "--json",
             "--out", str(tmp_path / "out"))  # fmt: skip
    said = inv(*words, env={"BKBISECT_CACHE_DIR": str(cache)})
    assert said.code == 0, said.stderr
    assert [c["verdict"] for c in said.document["cells"]] == ["good"]
    kept = next((tmp_path / "out").glob("*/evidence/**/*.stdout"))
    assert kept.stat().st_size < pipes.MOST + 100
    assert "bytes left out]" in kept.read_text()


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process of somebody else's."""
    with subprocess.Popen(["/usr/bin/env", "sleep", "1000"]) as child:
        yield child
        child.kill()


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_what_a_killed_runs_script_left_is_found_and_ended(
    tmp_path: Path, cache: Path, bystander: subprocess.Popen[bytes], jobs: str
) -> None:
    """Twice: `clean` ends it, and so does the next campaign."""
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
        time.sleep(2)  # for workers to notice
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
    said = inv(*words, env=env)
    assert said.code == 0, said.stderr
    assert f"ending process {sleeper} (sleep 1000), which a killed run left" in said.stderr
    assert not runs(sleeper)
    assert ours(tmp_path) == []
    assert bystander.poll() is None


def ours(folder: Path) -> list[str]:
    """Processes that have to do with a folder, and orphans."""
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
    return bool(owner.started(pid))  # a zombie does not, should nobody take it away


def test_a_process_id_used_again_is_not_taken_for_the_owner() -> None:
    """A child whose mark names a process that had our id before us; and one of our own."""
    mine = marks.new()
    machine, pid, started, number = mine.split(":")
    earlier = f"{machine}:{pid}:{int(started) - 1}:{number}"
    elsewhere = f"other{machine}:{pid}:{int(started) - 1}:{number}"
    children = {
        mark: subprocess.Popen(
            ["/usr/bin/env", "sleep", "1000"],
            env={**os.environ, marks.NAME: mark},
        )
        for mark in (mine, earlier, elsewhere, "4711-3-12345")
    }
    try:
        time.sleep(0.5)
        found = {left.mark: left for left in marks.orphans()}
        assert earlier in found
        assert not {mine, elsewhere, "4711-3-12345"} & set(found)
        marks.end(marks.Orphan(pid=children[mine].pid, mark=earlier, command=""))
        marks.end(found[earlier])
        assert children[earlier].wait(5) == -signal.SIGKILL
        assert children[mine].poll() is None
    finally:
        for child in children.values():
            child.kill()
            child.wait()
