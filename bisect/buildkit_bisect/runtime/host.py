"""buildkitd run as root in its own PID and mount namespaces, without a container engine.

The namespaces ensure that nothing is left behind: when their first process ends, the kernel kills
all others and removes their FUSE and overlay mounts, even if this process is killed with SIGKILL
(`unshare` receives the death signal, and ``--kill-child`` passes it on).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from buildkit_bisect import buildctl
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.model import Build, RuntimeKind, Served, Variant
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.runtime import Built, DaemonFailed, client, fuse
from buildkit_bisect.runtime.backend import Order, Place
from buildkit_bisect.runtime.preparation import Preparation
from buildkit_bisect.runtime.snapshotters import Proxy
from buildkit_bisect.system import paths, pipes, process, tomltext
from buildkit_bisect.system.deadlines import Deadlines

CGROUPS = Path("/sys/fs/cgroup")

#: Seconds after SIGKILL before the FUSE mounts of a daemon that still runs are aborted.
_HUNG = 1.0

#: Bytes of a daemon's log that are searched for the reason it ended.
_LAST_WORDS = 2**20

#: What `unshare` prints, and exits with 1, if SIGKILL ended the first process of its namespace: it
#: tries to end by the same signal, and SIGKILL has no handler that it could reset.
_UNSHARE_KILLED = "unshare: sigprocmask unblock failed"

#: Directory for sockets; not below the state, because a socket's path is limited to 107 characters.
SOCKETS = Path("/tmp")  # noqa: S108 - mkdtemp makes them, readable by us alone


class HostRuntime:
    """One daemon for one trial; use `host_runtime`, which also removes it."""

    def __init__(
        self,
        *,
        binaries: Path,
        home: Path,
        snapshotter: str,
        config: str,
        socket: Path,
        proxy: Proxy | None,
        deadlines: Deadlines,
        counters: Path | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        self._binaries = binaries
        self._home = home
        self._snapshotter = snapshotter
        self._deadlines = deadlines
        self._proxy = proxy
        self._child: process.Child | None = None
        self._address = f"unix://{socket}"
        served = proxy.served if proxy else None
        self._proxy_socket = Path(served.socket) if served else socket.with_name("p")
        self._cgroup = f"bkbisect-{socket.parent.name}"
        self._counters = counters
        self._flags = flags
        self._config = home / "buildkitd.toml"
        own = f'[worker.oci]\n  defaultCgroupParent = "{self._cgroup}"\n'
        own += "[worker.containerd]\n  enabled = false\n"
        self._config.write_text(tomltext.joined(own, config))
        self.log = home / "buildkitd.log"

    def environment(self) -> dict[str, str]:
        """See `Runtime`; scripts may start the binaries too, so they count as well."""
        return {
            "BUILDKIT_HOST": self._address,
            "BKBISECT_BUILDKITD": str(self._binaries / "buildkitd"),
            "BKBISECT_BUILDCTL": str(self._binaries / "buildctl"),
            **self._counting(),
        }

    def start(self) -> None:
        """Start the daemon and wait until it is ready.

        Raises `DaemonFailed` with its log if it exits, `InfraFailed` at its deadline.
        """
        state = self._home / "state"
        state.mkdir(exist_ok=True)
        argv = [
            "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
            # A user's own snapshotter mounts layers later; those mounts must be visible inside.
            *(["--propagation", "slave"] if self._proxy and self._proxy.served else []),
            "--",
            *(self._proxy.beside(state / "proxy", self._proxy_socket) if self._proxy else []),
            str(self._binaries / "buildkitd"),
            "--root", str(state),
            "--addr", self._address,
            *(self._proxy.flags(self._proxy_socket) if self._proxy
              else ["--oci-worker-snapshotter", self._snapshotter]),
            "--config", str(self._config),
            *self._flags,
        ]  # fmt: skip
        with self.log.open("ab") as sink:
            self._child = process.start(
                argv,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env={**self._counting(), **direct(os.environ)},
            )
        left = within = self._deadlines.daemon
        deadline = time.monotonic() + within
        while True:
            answer = self._buildctl(buildctl.workers(self._address), timeout=min(10.0, left))
            if answer.ok:
                return
            if not self.alive():
                if trouble := self.trouble():
                    raise InfraFailed(trouble, hint=inv("doctor"))
                raise DaemonFailed(f"buildkitd exited {self._child.returncode}: {self._last()}")
            left = deadline - time.monotonic()
            if left <= 0:
                raise InfraFailed(
                    f"buildkitd was not ready after {within:g} s: {self._last()}",
                    hint=words(Campaign, deadline="daemon=SECONDS"),
                )
            time.sleep(0.05)

    def _counting(self) -> dict[str, str]:
        return {"GOCOVERDIR": str(self._counters)} if self._counters else {}

    def _last(self) -> str:
        lines = pipes.excerpt(self.log, _LAST_WORDS).strip().splitlines()
        telling = [line for line in lines if "panic" in line or line.startswith("buildkitd:")]
        return (telling or lines or ["it printed nothing"])[-1][:500]

    def _last_line(self) -> str:
        return (pipes.excerpt(self.log, _LAST_WORDS).strip().splitlines() or [""])[-1]

    def _buildctl(self, arguments: list[str], *, timeout: float) -> process.Completed:
        argv = [str(self._binaries / "buildctl"), *arguments]
        return process.run(argv, timeout=timeout, env=self._counting(), check=False)

    def build(self, request: buildctl.BuildRequest) -> Built:
        """See `Runtime`."""
        program = self._binaries / "buildctl"
        return client.build(program, self._buildctl, self._address, request, self._home)

    def prune(self, timeout: float) -> process.Completed:
        """See `Runtime`."""
        # Build histories hold references to records, which are then not pruned.
        first = self._buildctl(buildctl.prune_histories(self._address), timeout=timeout)
        left = timeout - first.seconds
        return first if left <= 0 else self._buildctl(buildctl.prune(self._address), timeout=left)

    def ask(self, words: Sequence[str], timeout: float) -> process.Completed:
        """See `Runtime`."""
        return self._buildctl(["--addr", self._address, *words], timeout=timeout)

    def restart(self, *, fresh: bool) -> None:
        """See `Runtime`."""
        if trouble := self.trouble():  # the next daemon's status would hide it
            raise InfraFailed(trouble, hint=inv("doctor"))
        self.stop(grace=0 if fresh else process.GRACE)
        if fresh:
            shutil.rmtree(self._home / "state", ignore_errors=True)
        self.start()

    def alive(self) -> bool:
        """See `Runtime`."""
        return self._child is not None and self._child.poll() is None

    def trouble(self) -> str:
        """See `Runtime`."""
        status = self._child.poll() if self._child else None
        # `unshare` ends by the same signal, or exits with 128 + signal like a shell, or cannot do
        # so and prints it, after all that could print to the log has ended.
        killed = status in (-signal.SIGKILL, 128 + signal.SIGKILL) or (
            status == 1 and self._last_line().startswith(_UNSHARE_KILLED)
        )
        return "something killed buildkitd with SIGKILL (out of memory?)" if killed else ""

    def stop(self, *, grace: float = 0) -> None:
        """End the daemon and everything in its namespaces; then remove its cgroups.

        A daemon with counters always has time to write them. Raises `InfraFailed` if the daemon
        still exists at its deadline.
        """
        child, self._child = self._child, None
        if child is None:
            return
        grace = grace or (process.GRACE if self._counters else 0)
        # The first process of the namespace has to end before `unshare`: it only ends after all
        # the others, so that nothing writes to the state while we remove it.
        if grace:
            self._signal(child, signal.SIGTERM, grace)
        mounted = {n for p in _children(child.pid) for n in fuse.connections(p, self._home)}
        began = time.monotonic()
        self._signal(child, signal.SIGKILL, min(_HUNG, self._deadlines.teardown))
        if child.poll() is None:
            fuse.abort(mounted)
        self._signal(child, signal.SIGKILL, began + self._deadlines.teardown - time.monotonic())
        gone = child.poll() is not None
        process.stop(child, grace=1)
        remove_cgroups(self._cgroup)
        if not gone:
            raise InfraFailed(
                f"buildkitd did not end within {self._deadlines.teardown:g} s",
                hint=f"{words(Campaign, deadline='teardown=SECONDS')}, or {inv('clean')}",
            )

    @staticmethod
    def _signal(child: process.Child, sig: signal.Signals, patience: float) -> None:
        """Signal the first process of the namespace and wait for all processes in it to end."""
        if child.poll() is not None:
            return
        for pid in _children(child.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sig)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(max(0.0, patience))


def direct(environ: Mapping[str, str]) -> dict[str, str]:
    """Return variables with which a daemon's git asks no proxy for what is on loopback.

    Empty if *environ* names no proxy. Go's HTTP client never asks one for that.
    """
    names = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
    if not any(environ.get(name) for name in names):
        return {}
    known = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    value = ",".join(filter(None, (known, "127.0.0.1", "localhost")))
    return {"no_proxy": value, "NO_PROXY": value}


def _children(pid: int) -> list[int]:
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def remove_cgroups(name: str) -> None:
    """Remove the cgroup *name* in every hierarchy; a killed runc leaves them."""
    for top in (CGROUPS / name, *CGROUPS.glob(f"*/{name}")):
        if not top.is_dir():
            continue
        for directory, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                Path(directory).rmdir()


@contextlib.contextmanager
def host_runtime(
    *,
    binaries: Path,
    home: Path,
    snapshotter: str,
    config: str = "",
    proxy: Proxy | None = None,
    deadlines: Deadlines | None = None,
    counters: Path | None = None,
    flags: Sequence[str] = (),
) -> Iterator[HostRuntime]:
    """Yield a ready daemon with its state below *home*, which the caller removes.

    *binaries* holds ``buildkitd`` and ``buildctl``; *proxy* serves the snapshotter if it is not
    built in. *counters* is where an instrumented daemon writes what it ran, *flags* are more flags
    of buildkitd. Raises `DaemonFailed`,
    and `InfraFailed` when one of *deadlines* passes.
    """
    with tempfile.TemporaryDirectory(prefix=f"bkb-{os.getpid()}-", dir=SOCKETS) as short:
        paths.claim(Path(short))
        runtime = HostRuntime(
            binaries=binaries,
            home=home,
            snapshotter=snapshotter,
            config=config,
            socket=Path(short) / "s",
            proxy=proxy,
            deadlines=deadlines or Deadlines(),
            counters=counters,
            flags=flags,
        )
        try:
            runtime.start()
            yield runtime
        finally:
            runtime.stop()


@dataclass(frozen=True, kw_only=True, slots=True)
class HostBackend:
    """Runs the binaries directly, without a Docker Engine."""

    kind: ClassVar[RuntimeKind] = RuntimeKind.HOST

    counters: Path | None = None  # where an instrumented daemon writes what it ran

    @classmethod
    def check(cls, _asked: Collection[str], _sockets: Mapping[str, Served], /) -> None:
        """Accept all: the daemon reaches every socket of this machine."""

    @classmethod
    def prepare(cls, _shared: Preparation, /) -> Self:
        """See `Backend`."""
        return cls()

    def fingerprint(self) -> dict[str, str]:
        """Return nothing: the machine is part of every key."""
        return {}

    def facts(self) -> dict[str, str]:
        """Return nothing: results describe the machine already."""
        return {}

    def place(self, build: Build, _variant: Variant, _campaign: str, /) -> Place:
        """See `Backend`."""

        def opened(order: Order) -> contextlib.AbstractContextManager[HostRuntime]:
            return host_runtime(
                binaries=Path(build.directory),
                home=order.home,
                snapshotter=order.snapshotter,
                config=order.config,
                proxy=order.proxy,
                deadlines=order.deadlines,
                counters=self.counters,
                flags=order.flags,
            )

        return opened
