"""Real child processes that print without end, fail, or outlive us."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from announced import announced
from buildkit_bisect.system import checkout, marks, pipes, process
from buildkit_bisect.system.announce import announce
from buildkit_bisect.system.process import ProcessError
from golang_repo import GolangRepo
from tool import inv

pytestmark = [pytest.mark.local, pytest.mark.alone]

#: MiB that this tool may use while a child prints gigabytes: two streams are kept, each as bytes
#: and as text, and Python and the imports take 40.
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


def test_a_long_child_is_announced_by_itself() -> None:
    with announced(0.1) as seen:
        process.run(["true"], timeout=10)
        process.run(["sleep", "0.5"], timeout=10)
    assert seen.texts == ["running sleep 0.5"]


def test_a_child_of_announced_work_is_not() -> None:
    with announced(0.1) as seen, announce("waiting"):
        process.run(["sleep", "0.5"], timeout=10)
    assert seen.texts == ["waiting"]


def run(folder: Path, timeout: float, *child: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(timeout), str(folder / "log"), *child],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    measured: dict[str, Any] = json.loads(done.stdout)
    print(measured)
    assert measured["rss"] < MOST
    assert (folder / "log").stat().st_size < pipes.MOST + 100
    return measured


def test_a_child_that_prints_without_end(tmp_path: Path) -> None:
    measured = run(tmp_path, 8, "/bin/sh", "-c", "yes stderr >&2 & exec yes stdout")
    assert measured["late"]
    assert measured["seconds"] < 8 + 10
    assert measured["left_out"] > 0  # The amount depends on the machine; see the gigabyte below.
    assert pipes.MOST < measured["out"] < pipes.MOST + 100
    assert pipes.MOST < measured["err"] < pipes.MOST + 100


@pytest.mark.parametrize("stream", ["1", "2"])
def test_a_line_of_a_gigabyte(tmp_path: Path, stream: str) -> None:
    measured = run(tmp_path, 60, sys.executable, "-c", _GIGABYTE, stream)
    assert measured["exit"] == 0
    assert measured["left_out"] == 2**30 - pipes.MOST
    assert measured["lines"] == ([] if stream == "1" else [pipes.LONGEST_LINE])


def test_the_environment_of_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_work_tree_that_git_cannot_read_is_bad_input(tmp_path: Path) -> None:
    repo = GolangRepo.create(tmp_path / "upstream")
    repo.copy(tmp_path / "work")
    (tmp_path / "work" / "nested").mkdir()
    repo.git("init", "--quiet", str(tmp_path / "work" / "nested"))
    done = inv("patch-new", "mine", "--from-worktree", str(tmp_path / "work"), "--repo",
               str(repo.path))  # fmt: skip
    assert done.code == 2, done.stderr
    assert "Traceback" not in done.stderr
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "does not have a commit checked out" in error
    assert not (checkout.PATCHES / "mine").exists()


def test_a_reused_process_id_is_not_the_owner() -> None:
    """One child's mark names an earlier process with our ID; the other's names us."""
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


def test_a_python_without_descriptors_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python has `os.pidfd_open` only if the C library it was built with has it."""
    monkeypatch.delattr(os, "pidfd_open")
    assert process.run(["true"], timeout=10).ok
    began = time.monotonic()
    assert process.run(["sleep", "100"], timeout=0.2, check=False).timed_out
    assert time.monotonic() - began < 10
    mark = marks.new()
    child = subprocess.Popen(
        ["/usr/bin/env", "sleep", "1000"], env={**os.environ, marks.NAME: mark}
    )
    try:
        marks.end(marks.Orphan(pid=child.pid, mark=mark, command=""))
        assert child.poll() is None, "not even a process that has the mark"
    finally:
        child.kill()
        child.wait()
