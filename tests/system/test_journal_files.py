"""A journal that cannot be used: one clear error, nothing lost, and work continues afterwards."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import small_disk
from buildkit_bisect import result
from buildkit_bisect.result import CellInfo
from buildkit_bisect.system import paths
from golang_repo import GolangRepo, buildkit_like
from small_disk import Disk, immutable
from tool import TaskOutput, argv, environment, inv

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

#: Trials in the journal at the start of each test.
STORED = 3

_SCRIPT = """#!/bin/sh
"$BKBISECT_BUILDKITD" > seen
echo "$BKBISECT_REVISION" >> {root}/ran
if [ -e {root}/hold ]; then touch {root}/began; while [ -e {root}/hold ]; do sleep 0.05; done; fi
grep -q cached seen
"""


@dataclass(frozen=True, kw_only=True)
class Lab:
    """A repository, a cache, and a script that counts its runs and can be made to wait."""

    root: Path
    repo: GolangRepo
    cache: Path
    out: Path

    @property
    def journal(self) -> Path:
        return self.cache / "journal.sqlite3"

    @property
    def env(self) -> dict[str, str]:
        return {"BKBISECT_CACHE_DIR": str(self.cache)}

    def words(self, trials: int, revs: str = "v0.1.0") -> list[str]:
        return ["matrix", "--revs", revs, "--repo", str(self.repo.path), "--trials", str(trials),
                "--script", str(self.root / "script"), "--out", str(self.out)]  # fmt: skip

    def matrix(self, trials: int) -> TaskOutput:
        return inv(*self.words(trials), "--json", env=self.env)

    def ran(self) -> int:
        """Return how often the script started."""
        path = self.root / "ran"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def goes_on(self) -> None:
        """Check that one more trial runs, and that all others are stored."""
        before = self.ran()
        done = self.matrix(STORED + 1)
        assert done.code == 0, done.stderr
        (cell,) = done.document["cells"]
        assert [t["reused"] for t in cell["trials"]] == [True] * STORED + [False]
        assert self.ran() == before + 1

    def refuses(self, *codes: int) -> str:
        """Return the only error of a campaign that cannot begin or continue."""
        before = self.ran()
        error = message(self.matrix(STORED + 1), *codes)
        assert self.ran() <= before + 1
        return error

    def resumed(self) -> tuple[CellInfo, ...]:
        """Finish the unfinished campaign with `resume`; return its cells."""
        done = inv("resume", "--out", str(self.out), env=self.env)
        assert done.code == 0, done.stderr
        newest = max(self.out.glob("*/result.json"), key=lambda p: p.stat().st_mtime)
        return result.read(newest.parent).cells

    @contextmanager
    def held(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Yield a campaign whose next trial has begun and waits until the end of the block."""
        hold = self.root / "hold"
        hold.touch()
        with subprocess.Popen(
            argv(*words), env=environment(self.env), stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, start_new_session=True,
        ) as running:  # fmt: skip
            try:
                until = time.monotonic() + 120
                while not (self.root / "began").exists():
                    assert time.monotonic() < until
                    assert running.poll() is None, running.stderr and running.stderr.read()
                    time.sleep(0.02)
                yield running
            finally:
                hold.unlink(missing_ok=True)
                if running.poll() is None and running.stderr and running.stderr.closed:
                    running.kill()


def message(done: TaskOutput, *codes: int) -> str:
    assert done.code in codes, (done.code, done.stderr)
    assert "Traceback" not in done.stderr, done.stderr
    found = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(found) == 1, done.stderr
    assert "(try: " in found[0]
    assert done.stderr.rstrip().endswith(found[0]), done.stderr
    print(found[0])
    return found[0]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> GolangRepo:
    return buildkit_like(tmp_path_factory.mktemp("template") / "upstream", broken=False)


def made(root: Path, template: GolangRepo, cache: Path, out: Path) -> Lab:
    cache.mkdir(parents=True)
    for name in ("toolchains", "gocache", "gomod"):
        (cache / name).symlink_to(paths.cache(name))
    script = root / "script"
    script.write_text(_SCRIPT.format(root=root))
    script.chmod(0o755)
    return Lab(root=root, repo=template, cache=cache, out=out)


@pytest.fixture
def lab(tmp_path: Path, template: GolangRepo) -> Lab:
    """A lab with trials in its journal."""
    lab = made(tmp_path, template, tmp_path / "cache", tmp_path / "out")
    done = lab.matrix(STORED)
    assert done.code == 0, done.stderr
    assert lab.ran() == STORED
    return lab


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk.mounted(tmp_path / "small") as disk:
        yield disk


def _noise(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(path.stat().st_size))  # noqa: S311


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _nothing(path: Path) -> None:
    path.write_bytes(b"")


def _page(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:4096] + random.Random(1).randbytes(4096) + data[8192:])  # noqa: S311


def _version(number: int) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with closing(sqlite3.connect(path)) as db:
            db.execute(f"PRAGMA user_version={number}")

    return change


@pytest.mark.parametrize(("damage", "says"), [
    (_noise, "is damaged"), (_half, "is damaged"), (_page, "is damaged"),
    (_nothing, "it is empty"), (_version(99), "a newer tool wrote it"),
    (_version(0), "has version 0"),
])  # fmt: skip
def test_a_file_that_is_not_a_valid_journal(
    lab: Lab, damage: Callable[[Path], None], says: str
) -> None:
    assert [p.name for p in lab.cache.glob("journal*")] == ["journal.sqlite3"]
    whole = lab.journal.read_bytes()
    damage(lab.journal)
    broken = lab.journal.read_bytes()
    for _ in range(2):
        error = lab.refuses(5)
        assert str(lab.journal) in error
        assert says in error
        assert lab.journal.read_bytes() == broken, "it was changed"
    lab.journal.write_bytes(whole)
    lab.goes_on()


def test_the_remedy_for_a_damaged_journal_keeps_builds(lab: Lab) -> None:
    _noise(lab.journal)
    error = lab.refuses(5)
    remedy = error.partition("(try: ")[2].partition(": trials then run again")[0]
    subprocess.run(["/bin/sh", "-c", remedy], check=True)
    done = lab.matrix(STORED)
    assert done.code == 0, done.stderr
    (cell,) = done.document["cells"]
    assert [t["reused"] for t in cell["trials"]] == [False] * STORED
    assert "built in" not in done.stderr


def test_a_journal_locked_for_too_long(lab: Lab) -> None:
    with closing(sqlite3.connect(lab.journal, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "another process has held the journal" in lab.refuses(5)
    lab.goes_on()


def test_a_journal_locked_for_a_while(lab: Lab) -> None:
    with (
        closing(sqlite3.connect(lab.journal, isolation_level=None)) as other,
        lab.held(*lab.words(STORED + 1)) as running,
    ):
        other.execute("BEGIN IMMEDIATE")
        (lab.root / "hold").unlink()
        time.sleep(3)
        assert running.poll() is None
        other.execute("ROLLBACK")
        assert running.wait(60) == 0
    assert lab.matrix(STORED + 1).document["cells"][0]["trials"][-1]["reused"]


def test_a_journal_that_is_not_writable(lab: Lab) -> None:
    with immutable(lab.journal):
        assert f"cannot write the journal {lab.journal} (try: make it" in lab.refuses(5)
    lab.goes_on()


def test_a_directory_that_is_not_writable(lab: Lab) -> None:
    with immutable(lab.cache):
        error = lab.refuses(5)
        assert str(lab.cache) in error
        assert "cannot write the journal" in error
        assert "(try: make it writable" in error
    lab.goes_on()


def test_a_read_only_file_system(tmp_path: Path, template: GolangRepo, disk: Disk) -> None:
    lab = made(tmp_path, template, disk.root / "cache", tmp_path / "out")
    assert lab.matrix(STORED).code == 0
    with disk.read_only():
        error = lab.refuses(5)
        assert "Read-only file system (try: make it writable" in error
        assert str(lab.cache) in error
    lab.goes_on()


def test_a_full_disk_before_a_campaign(tmp_path: Path, template: GolangRepo, disk: Disk) -> None:
    lab = made(tmp_path, template, disk.root / "cache", tmp_path / "out")
    assert lab.matrix(STORED).code == 0
    disk.fill()
    error = lab.refuses(3)
    assert "the disk of the cache is nearly full: 0 GiB free" in error
    disk.free()
    lab.goes_on()


@pytest.mark.parametrize(("jobs", "same"), [("1", False), ("1", True), ("2", True)])
def test_a_disk_that_fills_during_a_trial(
    tmp_path: Path, template: GolangRepo, disk: Disk, jobs: str, same: bool
) -> None:
    out = disk.root / "out" if same else tmp_path / "out"
    lab = made(tmp_path, template, disk.root / "cache", out)
    assert lab.matrix(STORED).code == 0
    words = (*lab.words(STORED + 2), "--jobs", jobs)
    with lab.held(*words) as running, disk.kept_full():
        (lab.root / "hold").unlink()
        _, stderr = running.communicate(timeout=120)
    error = message(TaskOutput(code=running.returncode, stdout="", stderr=stderr), 5)
    assert "is full" in error
    ran = lab.ran()
    (cell,) = lab.resumed()
    assert [t.reused for t in cell.trials][:STORED] == [True] * STORED
    assert (cell.verdict, len(cell.trials)) == ("good", STORED + 2)
    assert lab.ran() <= ran + 2


@pytest.mark.parametrize("leave", [1_500_000, 3_000_000])
def test_a_disk_that_fills_during_a_build(
    tmp_path: Path, template: GolangRepo, disk: Disk, leave: int
) -> None:
    """There is enough space for the running trial, but not for the next variant's binaries."""
    lab = made(tmp_path, template, disk.root / "cache", tmp_path / "out")
    assert lab.matrix(STORED).code == 0
    with lab.held(*lab.words(STORED + 1, "v0.1.0,v0.2.0")) as running:
        disk.fill(leave)
        (lab.root / "hold").unlink()
        _, stderr = running.communicate(timeout=120)
    done = TaskOutput(code=running.returncode, stdout="", stderr=stderr)
    assert "no space left" in message(done, 5).lower()
    disk.free()
    ran = lab.ran()
    first, second = lab.resumed()
    assert [t.reused for t in first.trials] == [True] * (STORED + 1)
    assert (first.verdict, second.verdict) == ("good", "bad")
    assert lab.ran() == ran + STORED + 1
