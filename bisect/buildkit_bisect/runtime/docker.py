"""One container for one trial, from the variant's image, with a new volume for its state.

buildctl runs on this machine and reaches the daemon as ``docker-container://NAME``, that is
``docker exec -i NAME buildctl dial-stdio``. So exported caches and contexts stay where steps
look for them, even with an Engine on another machine.
"""

from __future__ import annotations

import contextlib
import shutil
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self

import docker.errors
from docker.models.containers import Container

from buildkit_bisect import buildctl
from buildkit_bisect.engine import Engine, grant, labels
from buildkit_bisect.engine.client import engine_errors, within
from buildkit_bisect.engine.image import ENTRYPOINT
from buildkit_bisect.errors import BadInput, InfraFailed, Missing
from buildkit_bisect.model import Build, RuntimeKind, Served, Variant
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.runtime import Built, DaemonFailed, client
from buildkit_bisect.runtime.backend import Order, Place
from buildkit_bisect.runtime.container import (
    archive,
    container_log,
    ended_by,
    last_words,
    remove,
)
from buildkit_bisect.runtime.containers import Containers
from buildkit_bisect.runtime.preparation import Preparation
from buildkit_bisect.runtime.snapshotters import Proxy
from buildkit_bisect.system import process, tomltext
from buildkit_bisect.system.deadlines import Deadlines

STATE = "/var/lib/buildkit"
PROXY = "/usr/bin/stargz-proxy"
PROXY_SOCKET = "/run/snapshotter.sock"
CONFIG = "buildkit/buildkitd.toml"  # below /etc

#: Paths in a container that the user must not mount over, nor their parents.
KERNELS = ("/proc", "/sys", "/dev")
TAKEN = (
    *(STATE, PROXY_SOCKET, PROXY, ENTRYPOINT, f"/etc/{CONFIG}", *KERNELS),
    *("/bin", "/sbin", "/lib", "/lib64", "/tmp"),  # noqa: S108 - the container's
)


def own_mounts(served: Served) -> list[dict[str, Any]]:
    """Return the mounts for a user's own snapshotter: its socket and its root.

    `DockerBackend.check` has refused one without a root. The root keeps its path, because the
    mounts that the snapshotter returns name paths in it, and is a slave mount, because the
    snapshotter mounts layers there while the container runs.
    """
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
    """One daemon for one trial; use `docker_runtime`, which also removes it."""

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
        self._toml = tomltext.joined("[worker.containerd]\n  enabled = false\n", config)
        self._proxy = proxy
        self._program = proxy.program if proxy else ""
        self._host_network = host_network
        self._labels = labels.of("trial", campaign)
        self._deadlines = deadlines
        self._name = f"bkbisect-{uuid.uuid4().hex[:12]}"
        self._address = f"docker-container://{self._name}"
        self._container: Container | None = None
        self._earlier = b""  # logs of containers that `restart` removed
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
        """Create the container if necessary, start it and wait until the daemon is ready.

        Raises `DaemonFailed` with the log, `InfraFailed` if the Engine is at fault.
        """
        client, seconds = self._engine.client, self._deadlines.daemon
        with engine_errors("starting the daemon's container"), within(client, seconds):
            if self._container is None:
                self._container = self._create()
            else:
                self._container.start()
        self._wait(self._container)

    def _create(self) -> Container:
        client = self._engine.client
        client.volumes.create(self._name, labels=self._labels)
        refusals: list[docker.errors.APIError] = []
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
                refusals.append(error)
            else:
                grant.remember(self._engine, granted)
                return container
        raise refusals[-1]

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
            # Not with the Engine's API: docker-py waits forever for an exec that hangs.
            answer = self._buildctl(buildctl.workers(self._address), timeout=min(10.0, left))
            if answer.ok:
                return
            left = deadline - time.monotonic()
            with (
                engine_errors("waiting for the daemon's container"),
                within(self._engine.client, left),
            ):
                container.reload()
                state = container.attrs["State"]
                if not state["Running"]:
                    _fail(container, f"buildkitd exited {state['ExitCode']}")
                if left <= 0:
                    log = container_log(container).decode(errors="replace")
                    how = f"was not ready after {self._deadlines.daemon:g} s"
                    raise InfraFailed(ended_by(state) or f"buildkitd {how}: {last_words(log)}")
            time.sleep(0.05)

    def _buildctl(self, arguments: list[str], *, timeout: float) -> process.Completed:
        argv = [str(self._binaries / "buildctl"), *arguments]
        return process.run(argv, timeout=timeout, env=self.environment(), check=False)

    def build(self, request: buildctl.BuildRequest) -> Built:
        """See `Runtime`."""
        program = self._binaries / "buildctl"
        return client.build(program, self._buildctl, self._address, request, self.log.parent)

    def prune(self, timeout: float) -> process.Completed:
        """See `Runtime`. Not with the Engine's API, because an exec cannot be cancelled."""
        first = self._buildctl(buildctl.prune_histories(self._address), timeout=timeout)
        left = timeout - first.seconds
        return first if left <= 0 else self._buildctl(buildctl.prune(self._address), timeout=left)

    def ask(self, words: Sequence[str], timeout: float) -> process.Completed:
        """See `Runtime`."""
        return self._buildctl(["--addr", self._address, *words], timeout=timeout)

    def restart(self, *, fresh: bool) -> None:
        """See `Runtime`."""
        if trouble := self.trouble():  # the next daemon's state would hide it
            raise InfraFailed(trouble, hint="docker events --since 1h")
        if fresh or self._container is None:
            self.stop()
        else:
            client, seconds = self._engine.client, self._deadlines.teardown
            with engine_errors("stopping the daemon's container"), within(client, seconds):
                self._container.stop(timeout=int(process.GRACE))
        self.start()

    def alive(self) -> bool:
        """See `Runtime`."""
        if self._container is None:
            return False
        try:
            with engine_errors("inspecting the daemon's container"):
                self._container.reload()
        except InfraFailed:
            return False
        return bool(self._container.attrs["State"]["Running"])

    def trouble(self) -> str:
        """See `Runtime`."""
        if self._container is None:
            return ""
        try:
            with engine_errors("inspecting the daemon's container"):
                self._container.reload()
        except InfraFailed as error:
            return error.message
        return ended_by(self._container.attrs["State"])

    def stop(self) -> None:
        """Save the log; remove the container and its volume in any state.

        Raises `InfraFailed` if the container still exists at the deadline.
        """
        container, self._container = self._container, None
        until = time.monotonic() + self._deadlines.teardown
        with contextlib.suppress(docker.errors.DockerException, OSError):
            with within(self._engine.client, self._deadlines.teardown / 2):
                self._earlier += container_log(container) if container else b""
            self.log.write_bytes(self._earlier)
        remove(self._engine, "the daemon's container", self._name, self._name, until)


def _fail(container: Container, how: str) -> NoReturn:
    if foreign := ended_by(container.attrs["State"]):
        raise InfraFailed(foreign, hint="docker events --since 1h")
    log = container_log(container).decode(errors="replace")
    raise DaemonFailed(f"{how}: {last_words(log)}")


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
    flags: Sequence[str] = (),
) -> Iterator[DockerRuntime]:
    """Yield a ready daemon in a container of *image*, with its log below *home*.

    *binaries* holds the ``buildctl`` that talks to it. A registry on loopback needs
    *host_network*; *flags* are more flags of buildkitd. Raises `DaemonFailed`, and `InfraFailed` if
    the Engine is at fault.
    """
    runtime = DockerRuntime(
        engine=engine,
        image=image,
        binaries=binaries,
        home=home,
        flags=[
            *(
                proxy.flags(Path(PROXY_SOCKET))
                if proxy
                else ["--oci-worker-snapshotter", snapshotter]
            ),
            *flags,
        ],
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


@dataclass(frozen=True, kw_only=True, slots=True)
class DockerBackend:
    """See `Backend`."""

    kind: ClassVar[RuntimeKind] = RuntimeKind.DOCKER

    containers: Containers

    @classmethod
    def check(cls, _asked: Collection[str], sockets: Mapping[str, Served], /) -> None:
        """Refuse a user's snapshotter whose mounts a container cannot see."""
        for name, served in sockets.items():
            _check_root(name, served)

    @classmethod
    def prepare(cls, shared: Preparation, /) -> Self:
        """See `Backend`."""
        if not shutil.which("docker"):
            raise Missing(
                "the docker command is not installed; buildctl needs it to reach a container",
                hint="apt-get install -y docker.io",
            )
        return cls(containers=shared.containers)

    def fingerprint(self) -> dict[str, str]:
        """See `Backend`."""
        return self.containers.fingerprint()

    def facts(self) -> dict[str, str]:
        """See `Backend`."""
        return self.containers.facts()

    def place(self, build: Build, variant: Variant, campaign: str, /) -> Place:
        """Build the variant's image if necessary."""
        engine, image = self.containers.image(build, variant, campaign)

        def opened(order: Order) -> contextlib.AbstractContextManager[DockerRuntime]:
            return docker_runtime(
                engine=engine,
                image=image.id,
                binaries=Path(build.directory),
                home=order.home,
                snapshotter=order.snapshotter,
                config=order.config,
                proxy=order.proxy,
                host_network=order.loopback,
                campaign=campaign,
                deadlines=order.deadlines,
                flags=order.flags,
            )

        return opened


def _check_root(name: str, served: Served) -> None:
    option = words(Campaign, snapshotter_socket=name)
    if not served.root:
        raise BadInput(
            f"{option}: a container also needs the directory where the snapshotter mounts layers",
            hint=f"{words(Campaign, snapshotter_socket=f'{name}={served.socket}:ROOT')}, or"
            f" {words(Campaign, runtime='host')}",
        )
    root = Path(served.root)
    taken = [p for p in TAKEN if Path(p).is_relative_to(root)]
    taken += [p for p in KERNELS if root.is_relative_to(p)]
    if taken:
        raise BadInput(
            f"{option}: mounting {root} would hide or change {taken[0]} in the container",
            hint="name only the snapshotter's own directory, such as /var/lib/NAME",
        )
