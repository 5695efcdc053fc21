"""One container for one trial, from the variant's image, with a fresh volume for its state.

buildctl runs on this machine and reaches the daemon as ``docker-container://NAME``, which is
``docker exec -i NAME buildctl dial-stdio``. So exported caches and contexts stay where steps
look for them, also with an Engine on another machine.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker.errors
from docker.models.containers import Container

from buildkit_bisect import buildctl
from buildkit_bisect.engine import Engine, grant, labels
from buildkit_bisect.engine.client import told, within
from buildkit_bisect.engine.image import ENTRYPOINT
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.runtime import DaemonFailed, Served
from buildkit_bisect.runtime.snapshotters import Proxy
from buildkit_bisect.system import pipes, process
from buildkit_bisect.system.deadlines import Deadlines

STATE = "/var/lib/buildkit"
PROXY = "/usr/bin/stargz-proxy"
PROXY_SOCKET = "/run/snapshotter.sock"
CONFIG = "buildkit/buildkitd.toml"  # below /etc

#: Places in a container that are not the user's to mount over, nor anything above them.
KERNELS = ("/proc", "/sys", "/dev")
TAKEN = (
    *(STATE, PROXY_SOCKET, PROXY, ENTRYPOINT, f"/etc/{CONFIG}", *KERNELS),
    *("/bin", "/sbin", "/lib", "/lib64", "/tmp"),  # noqa: S108 - the container's
)

_SIGKILLED = 137


def container_log(container: Container) -> bytes:
    """What it printed so far; of very much, the first and the last."""
    kept = pipes.Kept()
    for chunk in container.logs(stdout=True, stderr=True, stream=True, follow=False):
        kept.add(chunk)
    return kept.text.encode()


def ended_by(state: dict[str, Any]) -> str:
    """What ended a container, where that was not its own program; "" otherwise."""
    if state.get("OOMKilled"):
        return "the kernel killed the daemon's container: out of memory"
    if not state.get("Running") and state.get("ExitCode") == _SIGKILLED:
        return "something killed the daemon's container with SIGKILL"
    return ""


def last_words(log: str) -> str:
    """The line of a daemon's log that says why it ended."""
    lines = log.strip().splitlines()
    telling = [line for line in lines if "panic" in line or line.startswith("buildkitd:")]
    return (telling or lines or ["it printed nothing"])[-1][:500]


def own_mounts(served: Served) -> list[dict[str, Any]]:
    """What a container is given of a user's own snapshotter: its socket, and its root.

    The root at the same place, since mounts that the snapshotter asks for name paths in it, and
    as a slave, since it mounts layers there while the container runs.
    """
    assert served.root  # `campaign.extra` has refused it
    return [
        {"Type": "bind", "Source": served.socket, "Target": PROXY_SOCKET},
        {
            "Type": "bind",
            "Source": served.root,
            "Target": served.root,
            "BindOptions": {"Propagation": "rslave"},
        },
    ]


class DockerRuntime:
    """One daemon for one trial; use `docker_runtime`, which also takes it away."""

    kind = "docker"

    def __init__(
        self,
        *,
        engine: Engine,
        image: str,
        binaries: Path,
        home: Path,
        flags: list[str],
        config: str,
        proxy: Proxy | None,
        host_network: bool,
        campaign: str,
        deadlines: Deadlines,
    ) -> None:
        self._engine = engine
        self._image = image
        self._binaries = binaries
        self._flags = flags
        self._toml = f"[worker.containerd]\n  enabled = false\n{config}"
        self._proxy = proxy
        self._program = proxy.program if proxy else ""
        self._host_network = host_network
        self._labels = labels.of("trial", campaign)
        self._deadlines = deadlines
        self._name = f"bkbisect-{uuid.uuid4().hex[:12]}"
        self._address = f"docker-container://{self._name}"
        self._container: Container | None = None
        self._earlier = b""  # logs of containers that `restart` took away
        self.log = home / "buildkitd.log"

    def environment(self) -> dict[str, str]:
        """See `Runtime`."""
        return {
            **self._engine.where.environment(),
            "BUILDKIT_HOST": self._address,
            "BKBISECT_BUILDKITD": str(self._binaries / "buildkitd"),
            "BKBISECT_BUILDCTL": str(self._binaries / "buildctl"),
        }

    def start(self) -> None:
        """Create what is missing, start it, wait until it serves.

        Raises `DaemonFailed` with its log, `InfraFailed` where the Engine is at fault.
        """
        client, seconds = self._engine.client, self._deadlines.daemon
        with told("starting the daemon's container"), within(client, seconds):
            if self._container is None:
                self._container = self._create()
            else:
                self._container.start()
        self._wait(self._container)

    def _create(self) -> Container:
        client = self._engine.client
        client.volumes.create(self._name, labels=self._labels)
        refusal: docker.errors.APIError | None = None
        for granted in grant.order(self._engine):
            created = client.api.create_container_from_config(  # type: ignore[no-untyped-call]
                self._created_config(granted), name=self._name
            )
            container = client.containers.get(created["Id"])
            self._container = container
            container.put_archive("/etc", archive(CONFIG, self._toml.encode(), 0o644))
            if self._program:
                program = Path(self._program).read_bytes()
                container.put_archive("/usr", archive(PROXY.partition("/usr/")[2], program, 0o755))
            try:
                container.start()
            except docker.errors.APIError as error:
                with within(client, self._deadlines.teardown):
                    container.remove(force=True)
                self._container = None
                if not grant.refused(str(error.explanation)):
                    raise
                refusal = error
            else:
                grant.remember(self._engine, granted)
                return container
        assert refusal
        raise refusal

    def _created_config(self, granted: str) -> dict[str, Any]:
        host = grant.host_config(granted, grant.missing(self._engine))
        before = [PROXY, f"{STATE}/proxy", PROXY_SOCKET] if self._program else []
        mounts: list[dict[str, Any]] = [{"Type": "volume", "Source": self._name, "Target": STATE}]
        if self._proxy and self._proxy.served:
            mounts += own_mounts(self._proxy.served)
        return {
            "Image": self._image,
            "Entrypoint": [*before, ENTRYPOINT],
            "Cmd": self._flags,
            "Labels": self._labels,
            "HostConfig": {
                **host,
                "Mounts": mounts,
                **({"NetworkMode": "host"} if self._host_network else {}),
            },
        }

    def _wait(self, container: Container) -> None:
        left = self._deadlines.daemon
        deadline = time.monotonic() + left
        while True:
            # Not by the Engine's API: docker-py waits for ever for an exec that never answers.
            answer = self._buildctl(buildctl.workers(self._address), timeout=min(10.0, left))
            if answer.ok:
                return
            left = deadline - time.monotonic()
            with told("waiting for the daemon's container"), within(self._engine.client, left):
                container.reload()
                state = container.attrs["State"]
                if not state["Running"]:
                    self._fail(state, f"buildkitd exited {state['ExitCode']}")
                if left <= 0:
                    log = container_log(container).decode(errors="replace")
                    how = f"was not ready after {self._deadlines.daemon:g} s"
                    raise InfraFailed(ended_by(state) or f"buildkitd {how}: {last_words(log)}")
            time.sleep(0.05)

    def _fail(self, state: dict[str, Any], how: str) -> None:
        if foreign := ended_by(state):
            raise InfraFailed(foreign, hint="docker events --since 1h")
        assert self._container
        log = container_log(self._container).decode(errors="replace")
        raise DaemonFailed(f"{how}: {last_words(log)}")

    def _buildctl(self, arguments: list[str], *, timeout: float) -> process.Completed:
        argv = [str(self._binaries / "buildctl"), *arguments]
        return process.run(argv, timeout=timeout, env=self.environment(), check=False)

    def build(self, request: buildctl.BuildRequest) -> process.Completed:
        """See `Runtime`."""
        return self._buildctl(buildctl.build(self._address, request), timeout=request.timeout)

    def prune(self, timeout: float) -> process.Completed:
        """See `Runtime`. Not by the Engine's API, whose commands cannot be ended."""
        first = self._buildctl(buildctl.prune_histories(self._address), timeout=timeout)
        left = timeout - first.seconds
        return first if left <= 0 else self._buildctl(buildctl.prune(self._address), timeout=left)

    def restart(self, *, fresh: bool) -> None:
        """See `Runtime`."""
        assert self._container
        if fresh:
            self.stop()
        else:
            client, seconds = self._engine.client, self._deadlines.teardown
            with told("stopping the daemon's container"), within(client, seconds):
                self._container.stop(timeout=int(process.GRACE))
        self.start()

    def alive(self) -> bool:
        """See `Runtime`."""
        if self._container is None:
            return False
        try:
            with told("looking at the daemon's container"):
                self._container.reload()
        except InfraFailed:
            return False
        return bool(self._container.attrs["State"]["Running"])

    def trouble(self) -> str:
        """See `Runtime`."""
        if self._container is None:
            return ""
        try:
            with told("looking at the daemon's container"):
                self._container.reload()
        except InfraFailed as error:
            return error.message
        return ended_by(self._container.attrs["State"])

    def stop(self) -> None:
        """Keep the log; remove the container and its volume, whatever state they are in.

        Raises `InfraFailed` where the container is still there at the deadline.
        """
        container, self._container = self._container, None
        until = time.monotonic() + self._deadlines.teardown
        with contextlib.suppress(docker.errors.DockerException, OSError):
            with within(self._engine.client, self._deadlines.teardown / 2):
                self._earlier += container_log(container) if container else b""
            self.log.write_bytes(self._earlier)
        remove(self._engine, "the daemon's container", self._name, self._name, until)


def remove(engine: Engine, what: str, container: str, volume: str, until: float) -> None:
    """Remove a container, whatever state it is in, and its volume, by a time (monotonic).

    A volume that takes longer is left to the Engine, which goes on, and to the next sweep.
    Raises `InfraFailed` where the container is not gone by then.
    """
    client = engine.client

    def left() -> float:
        return until - time.monotonic()

    with told(f"removing {what}"), contextlib.suppress(docker.errors.NotFound):
        with within(client, left()):
            found = client.containers.get(container)
        with within(client, left()):
            found.remove(force=True, v=True)
    with (
        contextlib.suppress(InfraFailed),
        told(f"removing {what}"),
        contextlib.suppress(docker.errors.NotFound),
        within(client, left()),
    ):
        client.volumes.get(volume).remove(force=True)


def archive(name: str, data: bytes, mode: int) -> bytes:
    """A tar of one file, and of the folder that *name* puts it in, for ``put_archive``."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        above, _, _ = name.rpartition("/")
        if above:
            folder = tarfile.TarInfo(above)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(data), mode
        tar.addfile(entry, io.BytesIO(data))
    return made.getvalue()


@contextlib.contextmanager
def docker_runtime(
    *,
    engine: Engine,
    image: str,
    binaries: Path,
    home: Path,
    snapshotter: str,
    config: str = "",
    proxy: Proxy | None = None,
    host_network: bool,
    campaign: str = "",
    deadlines: Deadlines | None = None,
) -> Iterator[DockerRuntime]:
    """A ready daemon in a container of *image*, its log below *home*.

    *binaries* holds the ``buildctl`` that talks to it. *host_network* is what a registry on
    loopback needs. Raises `DaemonFailed`, and `InfraFailed` where the Engine is at fault.
    """
    runtime = DockerRuntime(
        engine=engine,
        image=image,
        binaries=binaries,
        home=home,
        flags=(
            proxy.flags(Path(PROXY_SOCKET)) if proxy else ["--oci-worker-snapshotter", snapshotter]
        ),
        config=config,
        proxy=proxy,
        host_network=host_network,
        campaign=campaign,
        deadlines=deadlines or Deadlines(),
    )
    try:
        runtime.start()
        yield runtime
    finally:
        runtime.stop()
