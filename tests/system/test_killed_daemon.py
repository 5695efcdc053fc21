"""A daemon that something else kills: the machine's fault, and never BuildKit's.

`unshare`, its namespaces and SIGKILL are real; buildkitd is a program that only waits.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.runtime import DaemonFailed
from buildkit_bisect.runtime.host import HostRuntime, _children, host_runtime

pytestmark = [pytest.mark.system, pytest.mark.alone]

BY_SIGKILL = "something killed buildkitd with SIGKILL"


def programs(folder: Path, buildkitd: str, buildctl: str = "exit 0") -> Path:
    folder.mkdir()
    for name, text in (("buildkitd", buildkitd), ("buildctl", buildctl)):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[HostRuntime]:
    binaries = programs(tmp_path / "bin", "exec sleep 100")
    with host_runtime(binaries=binaries, home=tmp_path, snapshotter="native") as running:
        yield running


def end(daemon: HostRuntime, sig: signal.Signals) -> None:
    """Send *sig* to the first process of the daemon's namespace, and wait for its end."""
    assert daemon._child
    until = time.monotonic() + 10
    while not (inner := _children(daemon._child.pid)) and time.monotonic() < until:
        time.sleep(0.02)  # the fake buildctl is ready at once
    os.kill(inner[0], sig)
    while daemon.alive() and time.monotonic() < until:
        time.sleep(0.02)
    assert not daemon.alive()


def test_sigkill_is_not_the_daemons_own_end(daemon: HostRuntime) -> None:
    assert daemon.trouble() == ""
    end(daemon, signal.SIGKILL)
    assert daemon.trouble().startswith(BY_SIGKILL)


@pytest.mark.parametrize("fresh", [False, True])
def test_a_restart_does_not_hide_it(daemon: HostRuntime, *, fresh: bool) -> None:
    daemon.restart(fresh=fresh)
    assert daemon.trouble() == ""
    end(daemon, signal.SIGKILL)
    with pytest.raises(InfraFailed, match=BY_SIGKILL):
        daemon.restart(fresh=fresh)


def test_an_exit_of_its_own_is_no_trouble(tmp_path: Path) -> None:
    binaries = programs(
        tmp_path / "bin", "trap 'exit 1' TERM; touch $2/ready; while :; do sleep 0.1; done"
    )
    with host_runtime(binaries=binaries, home=tmp_path, snapshotter="native") as daemon:
        until = time.monotonic() + 10
        while not (tmp_path / "state/ready").exists() and time.monotonic() < until:
            time.sleep(0.02)
        end(daemon, signal.SIGTERM)
        assert daemon.trouble() == ""
        daemon.restart(fresh=False)
        assert daemon.alive()


def test_a_daemon_that_exits_by_itself(tmp_path: Path) -> None:
    binaries = programs(tmp_path / "bin", "echo panic: x; exit 1", "exit 1")
    with (
        pytest.raises(DaemonFailed, match="exited 1: panic: x"),
        host_runtime(binaries=binaries, home=tmp_path, snapshotter="native"),
    ):
        pass


def test_a_kill_before_it_is_ready(tmp_path: Path) -> None:
    """The fake buildctl kills it from outside."""
    kill = (
        'for p in $(cat /proc/[0-9]*/task/*/children 2>/dev/null); do'
        f' tr "\\0" " " < /proc/$p/cmdline 2>/dev/null | grep -q "^sleep 4{os.getpid()} "'
        ' && kill -9 $p; done; sleep 0.5; exit 1'
    )  # fmt: skip
    binaries = programs(tmp_path / "bin", f"exec sleep 4{os.getpid()}", kill)
    with (
        pytest.raises(InfraFailed, match=BY_SIGKILL),
        host_runtime(binaries=binaries, home=tmp_path, snapshotter="native"),
    ):
        pass
