"""A real Docker Engine for the duration of a block: own state, socket and cgroup, no bridge.

It has its own PID and mount namespaces, like the daemons of the host runtime. When it ends, even
because the tests are killed, all its processes end and all its mounts are removed.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import docker

from buildkit_bisect.runtime.host import remove_cgroups
from buildkit_bisect.system import process
from runc_within_limits import NAMES, held

_READY_WITHIN = 60.0

#: Only registries on loopback are reachable, even if there is a network: nothing may be pulled.
_OFFLINE = {
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:1"),
    "NO_PROXY": "127.0.0.1,localhost",
}


@dataclass(frozen=True, kw_only=True)
class TestEngine:
    """An Engine that listens at `url`."""

    __test__ = False

    url: str
    folder: Path
    child: process.Child

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which the tool, docker and buildx use it instead of the user's own."""
        return {
            "DOCKER_HOST": self.url,
            "DOCKER_CONTEXT": "",
            "DOCKER_CONFIG": str(self.folder / "docker-config"),
        }

    @property
    def log(self) -> str:
        """The output of dockerd."""
        return (self.folder / "log").read_text(errors="replace")

    def client(self) -> docker.DockerClient:
        """Return a client; the caller closes it."""
        return docker.DockerClient(base_url=self.url, timeout=60)

    def left(self, *, patience: float = 0) -> list[str]:
        """Return the containers and volumes that exist, after *patience* seconds if there are any.

        A volume that takes longer than a trial's teardown is left to the Engine, which continues.
        """
        until = time.monotonic() + patience
        with closing(self.client()) as client:
            while True:
                found = [f"container {c.name}" for c in client.containers.list(all=True)]
                found += [f"volume {v.name}" for v in client.volumes.list()]
                if not found or time.monotonic() > until:
                    return found
                time.sleep(0.2)

    def kill(self) -> None:
        """Kill it."""
        _end(self.child, signal.SIGKILL)


@contextmanager
def running(
    *,
    plain: bool = False,
    data: Path | None = None,
    flags: tuple[str, ...] = (),
    elsewhere: bool = False,
    propagation: str = "private",
) -> Iterator[TestEngine]:
    """Yield an Engine with empty state.

    With *plain*, containers get capabilities that this machine lacks, and may not start. *data* is
    the directory for its images, such as one on a small disk. *flags* are added to dockerd's. With
    *elsewhere* it has its own network, as on another machine; build steps then have a bridge. With
    *propagation* ``slave`` it sees later mounts on shared mounts.
    """
    with tempfile.TemporaryDirectory(prefix="bkbe-") as short:
        folder = Path(short)
        (folder / "docker-config").mkdir()
        url = f"unix://{folder}/s"
        cgroup = f"bkbisect-test-{folder.name}"
        more = flags if elsewhere else ("--bridge", "none", *flags)
        argv = [
            *("unshare", "--mount", "--propagation", propagation),
            *("--pid", "--fork", "--kill-child", "--mount-proc", "--"),
            *_argv(folder, url, cgroup, plain=plain, data=data or folder / "data", flags=more),
        ]
        if elsewhere:
            own = 'ip link set lo up && exec "$@"'
            argv = ["unshare", "--net", "--", "sh", "-c", own, "sh", *argv]
        with (folder / "log").open("wb") as sink:
            child = process.start(
                argv,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=_OFFLINE,
            )
        made = TestEngine(url=url, folder=folder, child=child)
        try:
            _wait(made)
            yield made
        finally:
            _end(child, signal.SIGTERM)
            remove_cgroups(cgroup)


def _argv(
    folder: Path, url: str, cgroup: str, *, plain: bool, data: Path, flags: tuple[str, ...]
) -> list[str]:
    wrapper = Path(__file__).with_name("runc_within_limits.py")
    lacking = len(held()) < len(NAMES)
    runtime = ["--add-runtime", f"limited={wrapper}", "--default-runtime", "limited"]
    return [
        *("dockerd", "--data-root", str(data), "--exec-root", str(folder / "exec")),
        *("--pidfile", str(folder / "pid"), "--host", url, "--cgroup-parent", f"/{cgroup}"),
        *("--iptables=false", "--ip-forward=false", "--ip-masq=false"),
        *(runtime if lacking and not plain else []),
        *flags,
    ]


def _wait(made: TestEngine) -> None:
    deadline = time.monotonic() + _READY_WITHIN
    while time.monotonic() < deadline and made.child.poll() is None:
        # Not with docker-py, which leaves its socket open if nothing listens.
        with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
            probe.connect(made.url.removeprefix("unix://"))
            with closing(made.client()) as client:
                client.ping()
            return
        time.sleep(0.1)
    raise AssertionError(f"dockerd did not start: {made.log[-2000:]}")


def _end(child: process.Child, sig: signal.Signals) -> None:
    """End dockerd first, which ends its containers; then the rest of the namespace."""
    if child.poll() is None:
        children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
        for pid in children:
            os.kill(int(pid), sig)
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            for pid in children:
                os.kill(int(pid), signal.SIGKILL)
    process.stop(child, grace=5)
