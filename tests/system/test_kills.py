"""SIGKILL at random moments: same result, nothing done twice, nothing left.

The tests print the figures of docs/reliability.md.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from buildkit_bisect import result
from buildkit_bisect.campaign import record
from buildkit_bisect.system import paths
from essence import essence, newest
from golang_repo import GolangRepo, buildkit_like
from sizes import size
from tool import argv, environment, figure, inv, left_behind

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800), pytest.mark.alone]

#: Least number of kills during matrices and bisections, and of those with real BuildKit.
KILLS, REAL_KILLS = size((25, 3), (100, 5))

#: Trials of each cell of the matrix and of the bisection, and with real BuildKit.
MATRIX, BISECTION, REAL = size((6, 4, 2), (16, 12, 3))

#: A task is killed at most this many seconds after its start, at first. Starting takes a part of
#: it, more on a busy machine; while tasks get nothing done, the limit grows.
WINDOW = 1.8

_SCRIPT = """#!/bin/sh
sleep 0.3
"$BKBISECT_BUILDKITD" > seen
echo "$BKBISECT_REVISION" >> {ended}
grep -q cached seen
"""


@dataclass(kw_only=True)
class Lab:
    """A separate cache, a repository, and a script that counts how often it finishes."""

    root: Path
    repo: GolangRepo
    environment: dict[str, str]
    inodes: dict[str, int] = field(default_factory=dict)  # finished build -> its directory

    @classmethod
    def create(cls, root: Path, template: GolangRepo) -> Lab:
        cache = root / "cache"
        cache.mkdir(parents=True)
        for name in ("toolchains", "gocache", "gomod"):
            (cache / name).symlink_to(paths.cache(name))
        script = root / "script"
        script.write_text(_SCRIPT.format(ended=root / "ended"))
        script.chmod(0o755)
        env = {"BKBISECT_CACHE_DIR": str(cache)}
        return cls(root=root, repo=template.copy(root / "upstream"), environment=env)

    def words(self, *words: str) -> list[str]:
        given = ("--repo", str(self.repo.path), "--script", str(self.root / "script"))
        return [*words, *given, "--out", str(self.root / "out")]

    def trials(self) -> int:
        """Return the number of trials in the journal."""
        return _trials(self.root / "cache" / "journal.sqlite3")

    def script_ends(self) -> int:
        """Return how often the script finished."""
        path = self.root / "ended"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def check_builds(self) -> None:
        """Check that finished builds are not made again: their directories are the same."""
        for entry in (self.root / "cache" / "builds").glob("*/build.json"):
            key, inode = entry.parent.name, entry.parent.stat().st_ino
            assert self.inodes.setdefault(key, inode) == inode, f"{key} was built twice"

    def worktrees(self) -> list[Path]:
        return list((self.root / "cache" / "mirrors").glob("*/worktrees/*"))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> GolangRepo:
    return buildkit_like(tmp_path_factory.mktemp("template") / "upstream", broken=False)


@pytest.fixture
def seed() -> random.Random:
    value = int(os.environ.get("BKBISECT_TEST_SEED") or random.SystemRandom().randrange(10**6))
    print(f"seed {value}")
    return random.Random(value)  # noqa: S311 - moments, not secrets


def test_kills_do_not_change_the_result(
    template: GolangRepo,
    tmp_path: Path,
    seed: random.Random,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    revisions = ",".join(
        template.commits[n] for n in ("base", "docs", "refactor", "culprit", "tip")
    )
    campaigns = (
        ("matrix", "--trials", str(MATRIX), "--revs", revisions),
        ("bisect", "--trials", str(BISECTION), "--good", "v0.1.0", "--bad", "master"),
    )
    calm = Lab.create(tmp_path / "calm", template)
    calmly = [_undisturbed(calm, *words) for words in campaigns]
    killed = rounds = 0
    while killed < KILLS:
        rounds += 1
        lab = Lab.create(tmp_path / f"round{rounds}", template)
        kills = 0
        for words, expected in zip(campaigns, calmly, strict=True):
            kills += _until_done(lab, lab.words(*words), seed)
            assert essence(newest(lab.root / "out")) == expected
        killed += kills
        assert lab.trials() == calm.trials()
        # Each kill may lose the running trial, and nothing else.
        assert calm.trials() <= lab.script_ends() <= calm.trials() + kills
        _nothing_left(lab, monkeypatch)
    figure(
        "SIGKILL at random moments of a matrix and a bisection, each resumed to its end",
        f"{killed} kills, {2 * rounds} results, all equal to those of undisturbed runs",
    )
    figure("builds done twice and trials lost or duplicated in the journal by these kills", "0")
    figure("processes, mounts, worktrees, scratch and socket directories left after them", "0")


def test_kills_on_real_buildkit(tmp_path: Path, seed: random.Random) -> None:
    # --fresh: only trials of the killed run count for the run that resumes it.
    words = (
        *("run", "--rev", "v0.25.0", "--source", "module", "--trials", str(REAL), "--fresh"),
        *("--scenario", "cross-stage-lazy", "--axis", "bases=different", "--out"),
    )
    calm = inv(*words, str(tmp_path / "calm"))
    assert calm.code == 0, calm.stderr
    expected = _answers(tmp_path / "calm")
    kills, window, known = 0, 6.0, 0

    def moment() -> float:
        # On a slow machine a trial takes longer than the window that suits a fast one.
        nonlocal window, known
        now = _trials(paths.cache_root() / "journal.sqlite3")
        window = max(6.0, window * (0.8 if now > known else 1.2))
        known = now
        return seed.uniform(1.5, window)

    for number in range(10):
        out = tmp_path / f"killed{number}"
        kills += _kill_until_done([*words, str(out)], out, {}, moment)
        assert _answers(out) == expected
        if kills >= REAL_KILLS:
            break
    assert kills >= REAL_KILLS
    assert inv("clean").code == 0
    assert left_behind() == []
    figure(
        "SIGKILL while real buildkitd, runc and registry run",
        f"{kills} kills; same outcomes, nothing left",
    )


def _undisturbed(lab: Lab, *words: str) -> Any:
    done = inv(*lab.words(*words), env=lab.environment)
    assert done.code == 0, done.stderr
    return essence(newest(lab.root / "out"))


def _until_done(lab: Lab, words: Sequence[str], seed: random.Random) -> int:
    window, known = WINDOW, -1

    def moment() -> float:
        nonlocal window, known
        lab.check_builds()
        now = lab.trials() + len(lab.inodes)
        window = max(WINDOW, window * (0.8 if now > known else 1.2))
        known = now
        return seed.uniform(0.1, window)

    return _kill_until_done(words, lab.root / "out", lab.environment, moment)


def _kill_until_done(
    words: Sequence[str], out: Path, env: dict[str, str], moment: Callable[[], float]
) -> int:
    """Start, kill and resume until the campaign is finished; return the number of kills."""
    before = set(out.glob("*"))
    kills = 0
    while True:
        begun = [one for one in record.campaigns(out) if one.folder not in before]
        going_on = any(one.status in record.UNFINISHED for one in begun)
        if begun and not going_on:
            # The last kill came after everything was written, before the process ended.
            assert {one.status for one in begun} <= {"done", "resumed"}
            return kills
        with subprocess.Popen(
            argv(*(("resume", "--out", str(out)) if going_on else words)),
            env=environment(env),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as child:
            try:
                _, stderr = child.communicate(timeout=moment())
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)
                kills += 1
                continue
        assert child.returncode == 0, stderr
        return kills


def _trials(path: Path) -> int:
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as journal:
        try:
            (count,) = journal.execute("SELECT count(*) FROM trial").fetchone()
        except sqlite3.OperationalError:  # killed before its first table
            return 0
    return int(count)


def _answers(out: Path) -> Any:
    """Return the result of every cell; trials of one cell differ in ports and digests."""
    cells = result.read(newest(out)).cells
    return [(c.axes, c.outcome, c.verdict, c.counts, c.rate) for c in cells]


def _nothing_left(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    assert inv("clean", env=lab.environment).code == 0
    with monkeypatch.context() as patched:
        patched.setenv("BKBISECT_CACHE_DIR", lab.environment["BKBISECT_CACHE_DIR"])
        assert left_behind() == []
    assert list((lab.root / "cache" / "tmp").iterdir()) == []
    assert lab.worktrees() == []
    mounts = Path("/proc/self/mountinfo").read_text()
    assert str(lab.root) not in mounts
    assert _processes_of(lab.root) == []


def _processes_of(root: Path) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            described = f"{(entry / 'cmdline').read_text()} in {(entry / 'cwd').readlink()}"
        except (OSError, ValueError):
            continue
        if str(root) in described:
            found.append(f"{entry.name}: {described}")
    return found
