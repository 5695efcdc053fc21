"""Campaigns on three real workers: the same answers, nothing lost, nothing twice, no false bad."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import cluster
import small_disk
from buildkit_bisect import result
from buildkit_bisect.phrases import plural
from buildkit_bisect.result import Result
from buildkit_bisect.runtime import registry
from buildkit_bisect.system import checkout
from certificates import Authority
from cluster import Cluster, Home, running, scheduling, soon
from essence import essence, newest
from golang_repo import GolangRepo, buildkit_like
from tool import environment, inv, left_behind

pytestmark = [pytest.mark.system, pytest.mark.timeout(600), pytest.mark.alone]

NAMES = ("ann", "bob", "cem")
TRIALS = 3

#: Keys that name who ran a trial.
WHO = ("host", "worker", "notes")

SCRIPT = """#!/bin/sh
sleep 0.3
"$BKBISECT_BUILDKITD" > seen
grep -q cached seen
"""

#: One that does not end by itself, once. What it starts has this name in its command line.
STUCK = """#!/bin/sh
if mkdir {root}/first 2> /dev/null; then sleep {seconds}; fi
"$BKBISECT_BUILDKITD" > seen
grep -q cached seen
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> GolangRepo:
    return buildkit_like(tmp_path_factory.mktemp("template") / "upstream", broken=False)


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Cluster]:
    with scheduling(tmp_path / "cluster") as made:
        for name in NAMES:
            made.add(name)
        made.ready()
        yield made


def revisions(repo: GolangRepo) -> str:
    return ",".join(repo.commits[name] for name in ("base", "docs", "refactor", "culprit", "tip"))


def rows(home: Home) -> list[tuple[str, int]]:
    """Return the key and number of each trial that home has."""
    with closing(sqlite3.connect(home.root / "cache" / "journal.sqlite3")) as journal:
        return journal.execute("SELECT key, number FROM trial").fetchall()


def read(home: Home) -> Result:
    return result.read(newest(home.out))


def calm(home: Home, *words: str) -> Any:
    """Run a campaign on this machine; return what it shows."""
    done = inv(*home.words(*words), env=home.env)
    assert done.code == 0, done.stderr
    return essence(newest(home.out), also=WHO)


def matrix_of(repo: GolangRepo) -> tuple[str, ...]:
    return ("matrix", "--trials", str(TRIALS), "--revs", revisions(repo))


def check_whole(home: Home, expected: Any) -> None:
    """The matrix is the expected one, and each trial is in the journal once."""
    assert essence(newest(home.out), also=WHO) == expected
    found = rows(home)
    assert len(set(found)) == len(found)
    assert set(Counter(key for key, _ in found).values()) == {TRIALS}


def test_a_matrix_and_a_bisection_are_those_of_this_machine(
    template: GolangRepo, tmp_path: Path, three: Cluster
) -> None:
    here = Home.create(tmp_path / "here", template, SCRIPT)
    there = Home.create(tmp_path / "there", template, SCRIPT)
    matrix = matrix_of(template)
    expected = calm(here, *matrix)
    done = inv(*there.words(*matrix, *three.executor), env=there.env)
    assert done.code == 0, done.stderr
    assert f"3 workers at {three.where}: ann, bob and cem\n" in done.stderr
    check_whole(there, expected)
    document = read(there)
    assert three.said("build ") == list(NAMES)
    ran = {trial.worker for cell in document.cells for trial in cell.trials}
    assert ran <= set(NAMES)  # where builds are, of which some are the same
    workers = plural(len(ran), "worker")
    assert document.notes == (f"run by {workers}: 15 of 15 trials",)
    for cell in document.cells:
        for trial in cell.trials:
            assert (newest(there.out) / trial.evidence / "script.stdout").is_file()
    assert "--executor" not in document.command

    # The same again takes nothing from the workers.
    before = [one.printed.count("trial of") for one in three.workers.values()]
    done = inv(*there.words(*matrix, *three.executor), env=there.env)
    assert done.code == 0, done.stderr
    assert [one.printed.count("trial of") for one in three.workers.values()] == before
    check_whole(there, expected)

    bisect = ("bisect", "--good", "v0.1.0", "--bad", "master")
    calm(here, *bisect)
    done = inv(*there.words(*bisect, *three.executor), env=there.env)
    assert done.code == 0, done.stderr
    ours, theirs = read(here).bisect, read(there).bisect
    assert ours
    assert theirs
    assert theirs.first_bad == ours.first_bad == template.commits["culprit"]
    assert (theirs.status, theirs.parents, theirs.reverted) == (
        ours.status,
        ours.parents,
        ours.reverted,
    )


FIX = """--- a/util/words/words.go
+++ b/util/words/words.go
@@ -3 +3 @@
-const Cached = "ran"
+const Cached = "cached"
"""


def test_a_validation_is_that_of_this_machine(
    template: GolangRepo, tmp_path: Path, three: Cluster
) -> None:
    fix = tmp_path / "fix.diff"
    fix.write_text(FIX)
    validate = ("validate", "--patches", str(fix), "--base", "master", "--checks", "cells")
    expected = calm(Home.create(tmp_path / "here", template, SCRIPT), *validate)
    there = Home.create(tmp_path / "there", template, SCRIPT)
    done = inv(*there.words(*validate, *three.executor), env=there.env)
    assert done.code == 0, done.stderr
    check_whole(there, expected)
    info = read(there).validation
    assert info
    assert (info.status, info.trials, info.reused) == ("fixes", 2 * TRIALS, 0)


def test_a_worker_that_is_killed(template: GolangRepo, tmp_path: Path, three: Cluster) -> None:
    matrix = matrix_of(template)
    expected = calm(Home.create(tmp_path / "here", template, SCRIPT), *matrix)
    home = Home.create(tmp_path / "there", template, SCRIPT)
    campaign = home.start(*matrix, *three.executor)
    soon(lambda: bool(three.said("build ")))  # in the middle of one, or soon after
    first = three.said("build ")[0]
    three.workers[first].kill()
    soon(lambda: any(name != first for name in three.said("trial of")))
    second = next(name for name in three.said("trial of") if name != first)
    three.workers[second].kill()
    assert campaign.child
    assert campaign.child.wait(300) == 0, campaign.printed
    check_whole(home, expected)
    for name in (first, second):
        soon(lambda name=name: running(str(three.cache(name))) == [], 30)  # type: ignore[misc]


def test_a_scheduler_that_is_restarted(
    template: GolangRepo, tmp_path: Path, three: Cluster
) -> None:
    matrix = matrix_of(template)
    expected = calm(Home.create(tmp_path / "here", template, SCRIPT), *matrix)
    home = Home.create(tmp_path / "there", template, SCRIPT)
    campaign = home.start(*matrix, *three.executor)
    soon(lambda: bool(three.said("trial of")))
    three.restart(away=2)
    assert campaign.child
    assert campaign.child.wait(300) == 0, campaign.printed
    assert "Traceback" not in campaign.printed
    assert campaign.printed.count(f"lost the scheduler at {three.where}; waiting for it") == 1
    check_whole(home, expected)
    for one in three.workers.values():
        assert one.printed.count("waits for work") == 2


def test_a_worker_whose_disk_is_full(template: GolangRepo, tmp_path: Path) -> None:
    matrix = matrix_of(template)
    expected = calm(Home.create(tmp_path / "here", template, SCRIPT), *matrix)
    home = Home.create(tmp_path / "there", template, SCRIPT)
    with small_disk.mounted(tmp_path / "small") as disk, scheduling(tmp_path / "cluster") as made:
        made.add("full", cache=cluster.cache_in(disk.root))
        made.add("able")
        made.ready()
        with disk.kept_full():
            done = inv(*home.words(*matrix, *made.executor), env=home.env)
        for one in made.workers.values():
            one.stop()
    assert done.code == 0, done.stderr
    assert "worker full gets no more work: " in done.stderr
    check_whole(home, expected)
    assert {t.worker for cell in read(home).cells for t in cell.trials} == {"able"}


def test_builds_that_workers_share(template: GolangRepo, tmp_path: Path) -> None:
    home = Home.create(tmp_path / "home", template, SCRIPT)
    with registry.serve(tmp_path / "storage") as at, scheduling(tmp_path / "cluster") as made:
        for name in NAMES:
            made.add(name, "--store", f"oci://{at.address}/me/builds", "--store-push")
        made.ready()
        run = ("run", "--rev", "v0.1.0", "--trials", "12")
        done = inv(*home.words(*run, *made.executor), env=home.env)
        assert done.code == 0, done.stderr
        assert made.said("trial of") == list(NAMES)
        assert len(made.said("v0.1.0: pulled from oci://")) == len(NAMES) - 1
    assert {t.worker for cell in read(home).cells for t in cell.trials} == set(NAMES)
    assert len(rows(home)) == 12


def test_builds_of_a_range(template: GolangRepo, tmp_path: Path) -> None:
    home = Home.create(tmp_path / "home", template, SCRIPT)
    warm = ("warm", "--from", "v0.1.0", "--to", "master", "--repo", str(home.repo.path))
    with registry.serve(tmp_path / "storage") as at, scheduling(tmp_path / "cluster") as made:
        store = ("--store", f"oci://{at.address}/me/builds")
        for name in NAMES[:2]:
            made.add(name, *store, "--store-push")
        made.ready()
        done = inv(*warm, *made.executor, env=home.env)
        assert done.code == 0, done.stderr
        compiled = sum(one.printed.count("build ") for one in made.workers.values())
        assert f" {compiled} compiled" in done.stdout
        assert f"2 workers at {made.where}: ann and bob\n" in done.stderr
        assert not list((home.root / "cache").rglob("buildkitd")), "builds stay on the workers"
        # Home knows of them, and another machine finds them in the store.
        again = inv(*warm, *made.executor, "--json", env=home.env)
        assert (again.code, again.document["compiled"], again.document["pulled"]) == (0, 0, 0)
        env = {"BKBISECT_CACHE_DIR": str(tmp_path / "another")}
        other = inv(*warm, *store, "--json", env=env)
        assert other.code == 0, other.stderr
        assert (other.document["compiled"], other.document["pulled"]) == (0, compiled)


def test_ctrl_c_and_sigkill_at_home_end_what_runs_on_workers(
    template: GolangRepo, tmp_path: Path, three: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, sign in enumerate((signal.SIGINT, signal.SIGKILL)):
        root = tmp_path / f"home{number}"
        script = STUCK.replace("{seconds}", f"31{number}.125")
        home = Home.create(root, template, script)
        campaign = home.start("run", "--rev", "v0.1.0", "--trials", "2", *three.executor)
        soon(lambda number=number: running(f"sleep 31{number}.125") != [])  # type: ignore[misc]
        assert campaign.child
        campaign.child.send_signal(sign)
        code = campaign.child.wait(30)
        assert code == (130 if sign is signal.SIGINT else -signal.SIGKILL)
        soon(lambda number=number: running(f"sleep 31{number}.125") == [], 30)  # type: ignore[misc]
        # The worker is as before.
        done = inv(*home.words("run", "--rev", "v0.1.0", "--trials", "2", *three.executor),
                   env=home.env)  # fmt: skip
        assert done.code == 0, done.stderr
        assert len(rows(home)) == 2
    for name, one in three.workers.items():
        assert one.stop() == 0
        # On a busy machine what is cancelled may have to be killed.
        monkeypatch.setenv("BKBISECT_CACHE_DIR", str(three.cache(name)))
        assert inv("clean").code == 0
        assert left_behind() == []
        assert list((three.cache(name) / "tmp").iterdir()) == []


def test_workers_that_cannot_be_used(template: GolangRepo, tmp_path: Path) -> None:
    home = Home.create(tmp_path / "home", template, SCRIPT)
    run = home.words("run", "--rev", "v0.1.0")
    nowhere = f"dask://127.0.0.1:{cluster.free_port()}"
    assert inv("worker", nowhere, env=home.env).code == 3
    began = time.monotonic()
    done = inv(*run, "--executor", nowhere, env=home.env)
    assert time.monotonic() - began < 10
    assert done.code == 3
    assert f"error: no Dask scheduler answers at {nowhere} (try: " in done.stderr
    with scheduling(tmp_path / "cluster") as made:
        done = inv(*run, *made.executor, env=home.env)
        assert done.code == 3
        assert f"error: the scheduler at {made.where} has no workers (try: " in done.stderr
        plain = cluster.Program(
            words=[sys.executable, "-m", "dask", "worker", f"127.0.0.1:{made.port}", "--no-nanny",
                   "--host", "127.0.0.1", "--no-dashboard"],
            log=tmp_path / "plain.log",
            env=environment(),
        )  # fmt: skip
        plain.start()
        plain.ready("Registered to")
        done = inv(*run, *made.executor, env=home.env)
        assert done.code == 3
        assert "error: no worker of the scheduler at" in done.stderr
        other = _another_version(tmp_path / "other")
        worker = cluster.Program(
            words=[sys.executable, "-m", "buildkit_bisect", "--search-root", str(other), "worker",
                   made.where, "--worker-name", "old"],
            log=tmp_path / "other.log",
            env=environment({**home.env, "PYTHONPATH": str(other / "bisect")}),
        )  # fmt: skip
        worker.start()
        worker.ready("waits for work")
        done = inv(*run, *made.executor, env=home.env)
        assert done.code == 3
        assert "error: worker old at tcp://127.0.0.1:" in done.stderr
        assert "has another version: this tool 0.1.0 (" in done.stderr
        assert "trial of" not in worker.printed
        worker.stop()
        plain.stop()
    assert not home.out.exists() or list(home.out.glob("*/result.json")) == []


def test_tls_needs_a_certificate(template: GolangRepo, tmp_path: Path) -> None:
    home = Home.create(tmp_path / "home", template, SCRIPT)
    ours = Authority(tmp_path / "ours").sign(tmp_path / "certificates")
    others = Authority(tmp_path / "others").sign(tmp_path / "other-certificates")
    run = home.words("run", "--rev", "v0.1.0", "--trials", "1")
    with scheduling(tmp_path / "cluster", tls=ours) as made:
        made.add("ann").ready("waits for work")
        assert made.where.startswith("dask+tls://127.0.0.1:")
        for wrong in ({}, cluster.certified(others)):
            done = inv(*run, *made.executor, env={**home.env, **wrong})
            assert done.code in (2, 3)
            assert made.where in done.stderr
            assert "Traceback" not in done.stderr  # of a connection that Dask closes at exit
        bare = inv("worker", made.where, env={**home.env, **dict.fromkeys(made.tls, "")})
        assert (bare.code, "ssl_context" in bare.stderr) == (2, True), bare.stderr
        encrypted = {**home.env, "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true"}
        done = inv(*run, "--executor", made.where.replace("+tls", "+tcp"), env=encrypted)
        assert (done.code, done.stderr.count("\n")) == (2, 1), done.stderr
        done = inv(*run, *made.executor, env={**home.env, **cluster.certified(ours)})
        assert done.code == 0, done.stderr


def _another_version(folder: Path) -> Path:
    """Return a copy of the checkout in which one module has another line."""
    shutil.copytree(checkout.PROJECT / "bisect", folder / "bisect")
    shutil.copy(checkout.PROJECT / "tasks.py", folder / "tasks.py")
    with (folder / "bisect" / "buildkit_bisect" / "model.py").open("a") as file:
        file.write("# another line\n")
    return folder


def test_real_buildkit(tmp_path: Path) -> None:
    """Releases in eager cells: three at once do not change each other's outcomes."""
    words = (
        *("matrix", "--source", "module", "--revs", "v0.25.0,v0.26.0", "--trials", "1"),
        *("--scenario", "single-chain", "--axis", "snapshotter=overlayfs", "--out"),
    )
    here = inv(*words, str(tmp_path / "here"))
    assert here.code == 0, here.stderr
    built = ("builds", "programs", "inputs")
    with scheduling(tmp_path / "cluster") as made:
        for name in NAMES:
            made.add(name, shared=built)
        made.ready()
        home = cluster.cache_in(tmp_path / "home", *built)
        env = {"BKBISECT_CACHE_DIR": str(home)}
        there = inv(*words, str(tmp_path / "there"), *made.executor, env=env)
        assert there.code == 0, there.stderr
        document = result.read(newest(tmp_path / "there"))
        for cell in document.cells:
            for trial in cell.trials:
                assert (newest(tmp_path / "there") / trial.evidence / "buildkitd.log").is_file()
    ours = result.read(newest(tmp_path / "here")).cells
    assert [_shown(cell) for cell in document.cells] == [_shown(cell) for cell in ours]
    mounts = subprocess.run(["/bin/mount"], capture_output=True, text=True, check=True).stdout
    assert str(tmp_path) not in mounts


def _shown(cell: result.CellInfo) -> tuple[object, ...]:
    return (cell.ref, cell.axes, cell.outcome, cell.verdict, cell.counts)
