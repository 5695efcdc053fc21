"""Snapshotters that are not built into buildkitd but served on a socket.

``stargz-proxy`` is the stargz snapshotter as its own project serves it, an example of a proxy
snapshotter; ``--snapshotter-socket NAME=SOCKET[:ROOT]`` is a user's own, which is already running.
"""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect.errors import BadInput, Missing
from buildkit_bisect.golang import gotool
from buildkit_bisect.golang.toolchain import GoWanted
from buildkit_bisect.model import Served
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.system import machine
from buildkit_bisect.system.deadlines import Deadlines

#: The axis value for the compiled one.
STARGZ = "stargz-proxy"

#: Built into buildkitd. Eager, so a failure that needs lazy layers cannot occur with it.
FUSE_OVERLAYFS = "fuse-overlayfs"

#: Not every module proxy has the nested module of containerd-stargz-grpc. This program does the
#: same without its configuration. It runs buildkitd as its child, so that both see the same
#: mounts and end together.
TOOL = gotool.GoTool(
    name="stargz-proxy",
    version="v0.18.2",
    requires=(
        "github.com/containerd/stargz-snapshotter v0.18.2",
        "github.com/containerd/containerd/v2 v2.2.0",
    ),
    go=GoWanted(minor=(1, 25)),
    main=Path(__file__).with_name("stargz_proxy.go.txt").read_text(),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Proxy:
    """How buildkitd reaches a snapshotter in another process."""

    name: str  # passed to buildkitd, which prepares lazily for `stargz` and `overlaybd` only
    version: str  # a stored trial counts for this version only
    program: str = ""  # run as PROGRAM ROOT SOCKET COMMAND...; or
    served: Served | None = None  # the user's own

    def beside(self, root: Path, socket: Path) -> list[str]:
        """Return what precedes buildkitd on its command line; nothing for a user's own."""
        return [self.program, str(root), str(socket)] if self.program else []

    def flags(self, socket: Path) -> list[str]:
        """Return the flags for buildkitd; the snapshotter listens on *socket*."""
        return [
            *("--oci-worker-snapshotter", self.name),
            *("--oci-worker-proxy-snapshotter-path", str(socket)),
        ]


def check_installed(values: Iterable[str]) -> None:
    """Raise `Missing` for one of *values* that needs a program that is not installed.

    buildkitd starts without it, and each build step fails.
    """
    if FUSE_OVERLAYFS in values and not shutil.which(FUSE_OVERLAYFS):
        raise Missing(
            f"{FUSE_OVERLAYFS} is not installed; the snapshotter of that name mounts with it",
            hint=f"apt-get install -y {FUSE_OVERLAYFS}",
        )


def programs(values: Iterable[str]) -> dict[str, str]:
    """Return the version of each program of this machine that mounts one of *values*.

    What a daemon on the host does with such a snapshotter depends on it.
    """
    return {FUSE_OVERLAYFS: machine.version(FUSE_OVERLAYFS)} if FUSE_OVERLAYFS in values else {}


def find(
    values: Iterable[str],
    sockets: Mapping[str, Served],
    say: Callable[[str], None] = lambda _: None,
    deadlines: Deadlines | None = None,
) -> dict[str, Proxy]:
    """Return the proxies among *values* of a snapshotter axis; *sockets* are the user's, by name.

    Raises `BadInput` if a socket or a root does not exist, `Missing` and `InfraFailed` if the
    stargz proxy cannot be compiled.
    """
    found: dict[str, Proxy] = {}
    for value in values:
        if value in sockets:
            served = sockets[value]
            try:
                now = Path(served.socket).stat()
            except OSError:
                now = None
            if now is None or not stat.S_ISSOCK(now.st_mode):
                raise BadInput(
                    f"{words(Campaign, snapshotter_socket=value)}: {served.socket} is not a socket",
                    hint=f"start {value} first; containerd-*-grpc --address SOCKET",
                )
            if served.root and not Path(served.root).is_dir():
                raise BadInput(
                    f"{words(Campaign, snapshotter_socket=value)}:"
                    f" {served.root} is not a directory",
                    hint="after the colon, name the directory where it keeps snapshots",
                )
            # With a new socket it may be another snapshotter, so earlier trials do not count. Nor
            # do trials with another root, which may have been wrong.
            version = f"the user's own, {served} {now.st_ino} {now.st_mtime_ns}"
            found[value] = Proxy(name=value, version=version, served=served)
        elif value == STARGZ:
            program = str(gotool.ensure(TOOL, say, deadlines))
            found[value] = Proxy(name="stargz", version=TOOL.version, program=program)
    return found
