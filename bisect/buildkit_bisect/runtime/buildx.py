"""The commands of issue reports: ``buildx create``, ``build``, ``prune``, ``rm``.

Each trial has its own builder with the docker-container driver. buildx creates its container and
cannot label it, so we create the volume that it mounts first, with our labels: a sweep finds the
container by its volume. The records of buildx are in the trial's directory.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import docker.errors
from docker.models.containers import Container

from buildkit_bisect.buildctl import BuildRequest
from buildkit_bisect.engine import Engine, buildx_plugin, contexts, grant, labels
from buildkit_bisect.engine.client import engine_errors, within
from buildkit_bisect.engine.image import VariantImage
from buildkit_bisect.errors import BadInput, InfraFailed
from buildkit_bisect.model import Build, RuntimeKind, Served, Variant
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.runtime import Built, DaemonFailed
from buildkit_bisect.runtime.backend import Order, Place
from buildkit_bisect.runtime.container import container_log, ended_by, last_words, remove
from buildkit_bisect.runtime.containers import Containers
from buildkit_bisect.runtime.preparation import Preparation
from buildkit_bisect.runtime.snapshotters import STARGZ
from buildkit_bisect.system import process, tomltext
from buildkit_bisect.system.deadlines import Deadlines

_DOCKER = words(Campaign, runtime="docker")


class BuildxRuntime:
    """One builder for one trial; use `buildx_runtime`, which also removes it."""

    def __init__(
        self,
        *,
        engine: Engine,
        program: buildx_plugin.Buildx,
        image: VariantImage,
        binaries: Path,
        home: Path,
        flags: list[str],
        config: str,
        host_network: bool,
        campaign: str,
        deadlines: Deadlines,
    ) -> None:
        self._engine = engine
        self._deadlines = deadlines
        self._program = program
        self._image = image
        self._binaries = binaries
        self._flags = flags
        self._host_network = host_network
        self._labels = labels.of("trial", campaign)
        self._name = f"bkbisect-{uuid.uuid4().hex[:12]}"
        self._where = contexts.written(engine.where, home, os.environ)
        self._records = home / "buildx"
        self._records.mkdir(exist_ok=True)
        self._config = home / "buildkitd.toml"
        own = "[worker.containerd]\n  enabled = false\n"
        self._config.write_text(tomltext.joined(own, config))
        self._started = ""  # StartedAt of the container; buildx may restart it by itself
        self._earlier = b""  # logs of containers that `restart` removed
        self.log = home / "buildkitd.log"

    def environment(self) -> dict[str, str]:
        """See `Runtime`; BUILDX_BUILDER and BUILDX_CONFIG make `docker buildx` use it too."""
        return {
            **self._where,
            "BUILDX_CONFIG": str(self._records),
            "BUILDX_BUILDER": self._name,
            "BUILDX_GIT_INFO": "false",
            "BUILDKIT_HOST": f"docker-container://{buildx_plugin.container(self._name)}",
            "BKBISECT_BUILDKITD": str(self._binaries / "buildkitd"),
            "BKBISECT_BUILDCTL": str(self._binaries / "buildctl"),
        }

    def _buildx(self, arguments: list[str], *, timeout: float) -> process.Completed:
        argv = [self._program.path, *arguments]
        return process.run(argv, timeout=timeout, env=self.environment(), check=False)

    def start(self) -> None:
        """Create the builder and wait until it is ready. Raises `DaemonFailed`, `InfraFailed`."""
        client = self._engine.client
        with engine_errors("preparing a builder"):
            client.volumes.create(buildx_plugin.volume(self._name), labels=self._labels)
            ref = f"{labels.NOWHERE}/{self._image.ref.rpartition(':')[0]}:{self._image.key[:16]}"
            client.images.get(self._image.id).tag(*ref.rsplit(":", 1))
        created = buildx_plugin.create(
            self._name,
            image=ref,
            config=self._config,
            flags=self._flags,
            host_network=self._host_network,
        )
        self._check(self._buildx(created, timeout=self._deadlines.daemon))
        container = self._container()
        if container is None or container.image is None or container.image.id != self._image.id:
            raise InfraFailed(
                f"buildx did not start the builder from the image {ref}",
                hint=f"{inv('clean')}, then the same command again",
            )
        self._started = container.attrs["State"]["StartedAt"]

    def _check(self, done: process.Completed) -> None:
        """Raise `DaemonFailed` or `InfraFailed` if the builder did not start."""
        if done.ok:
            return
        container = self._container()
        output = done.tail(3)[-500:]
        if container is None or container.attrs["State"]["Status"] == "created":
            if grant.refused(output):
                output = f"no privileged containers on this Engine; use {_DOCKER} ({output})"
            raise InfraFailed(
                f"buildx cannot start a builder: {output}",
                hint=f"{_DOCKER}, or docker info",
            )
        state = container.attrs["State"]
        if foreign := ended_by(state):
            raise InfraFailed(foreign, hint="docker events --since 1h")
        reason = last_words(container_log(container).decode(errors="replace"))
        if done.timed_out:
            raise InfraFailed(
                f"buildkitd was not ready after {done.seconds:.0f} s: {reason}",
                hint=words(Campaign, deadline="daemon=SECONDS"),
            )
        how = "was not ready" if state["Running"] else f"exited {state['ExitCode']}"
        raise DaemonFailed(f"buildkitd {how}: {reason}")

    def _container(self) -> Container | None:
        with engine_errors("inspecting the builder's container"):
            try:
                return self._engine.client.containers.get(buildx_plugin.container(self._name))
            except docker.errors.NotFound:
                return None

    def build(self, request: BuildRequest) -> Built:
        """See `Runtime`. buildx reports as `buildx_plugin.OLDEST` does, whatever the daemon is."""
        done = self._buildx(buildx_plugin.build(self._name, request), timeout=request.timeout)
        return Built(done=done)

    def prune(self, timeout: float) -> process.Completed:
        """See `Runtime`."""
        first = self._buildx(buildx_plugin.forget(self._name), timeout=timeout)
        left = timeout - first.seconds
        return first if left <= 0 else self._buildx(buildx_plugin.prune(self._name), timeout=left)

    def ask(self, words: Sequence[str], timeout: float) -> process.Completed:
        """See `Runtime`. Not with buildx, whose output changes from release to release."""
        address = self.environment()["BUILDKIT_HOST"]
        argv = [str(self._binaries / "buildctl"), "--addr", address, *words]
        return process.run(argv, timeout=timeout, env=self.environment(), check=False)

    def restart(self, *, fresh: bool) -> None:
        """See `Runtime`."""
        if trouble := self.trouble():  # the next daemon's state would hide it
            raise InfraFailed(trouble, hint="docker events --since 1h")
        if fresh:
            self.stop()
            self.start()
            return
        self._buildx(buildx_plugin.stop(self._name), timeout=self._deadlines.teardown)
        self._check(
            self._buildx(buildx_plugin.bootstrap(self._name), timeout=self._deadlines.daemon)
        )
        if container := self._container():
            self._started = container.attrs["State"]["StartedAt"]

    def alive(self) -> bool:
        """See `Runtime`."""
        try:
            container = self._container()
        except InfraFailed:
            return False
        return container is not None and bool(container.attrs["State"]["Running"])

    def trouble(self) -> str:
        """See `Runtime`."""
        try:
            container = self._container()
        except InfraFailed as error:
            return error.message
        if container is None:
            return "something removed the builder's container"
        state = container.attrs["State"]
        if state["StartedAt"] == self._started:
            return ended_by(state)
        # buildx restarts a container that is down, after a kill as well as after a panic.
        with engine_errors("reading the builder's log"):
            panicked = b"panic: " in container_log(container)
        return "" if panicked else "something killed the builder's container (SIGKILL?)"

    def stop(self) -> None:
        """Save the log and remove the builder, even if buildx cannot.

        Raises `InfraFailed` if its container still exists at the deadline.
        """
        until = time.monotonic() + self._deadlines.teardown
        with contextlib.suppress(InfraFailed, OSError):
            with within(self._engine.client, self._deadlines.teardown / 2):
                self._keep_log()
            self.log.write_bytes(self._earlier)
        self._buildx(buildx_plugin.remove(self._name), timeout=max(0.5, until - time.monotonic()))
        where = buildx_plugin.container(self._name), buildx_plugin.volume(self._name)
        remove(self._engine, "the builder's container", *where, until)

    def _keep_log(self) -> None:
        container = self._container()
        if container is not None:
            with engine_errors("reading the builder's log"):
                self._earlier += container_log(container)


@contextlib.contextmanager
def buildx_runtime(
    *,
    engine: Engine,
    program: buildx_plugin.Buildx,
    image: VariantImage,
    binaries: Path,
    home: Path,
    snapshotter: str,
    config: str = "",
    host_network: bool,
    campaign: str = "",
    deadlines: Deadlines | None = None,
    flags: Sequence[str] = (),
) -> Iterator[BuildxRuntime]:
    """Yield a ready builder of *image* on *engine*, with its log below *home*.

    Raises `DaemonFailed`, and `InfraFailed` if buildx or the Engine is at fault.
    """
    runtime = BuildxRuntime(
        engine=engine,
        program=program,
        image=image,
        binaries=binaries,
        home=home,
        flags=[f"--oci-worker-snapshotter={snapshotter}", *flags],
        config=config,
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
class BuildxBackend:
    """See `Backend`."""

    kind: ClassVar[RuntimeKind] = RuntimeKind.BUILDX

    containers: Containers
    program: buildx_plugin.Buildx

    @classmethod
    def check(cls, asked: Collection[str], sockets: Mapping[str, Served], /) -> None:
        """Refuse every snapshotter that is not built into buildkitd."""
        if sockets:
            name, *_ = sockets
            raise BadInput(
                f"buildx cannot mount {words(Campaign, snapshotter_socket=name)}"
                " into its container",
                hint=words(Campaign, runtime="host,docker"),
            )
        if STARGZ in asked:
            raise _unsupported(STARGZ)

    @classmethod
    def prepare(cls, shared: Preparation, /) -> Self:
        """See `Backend`."""
        containers = shared.containers
        return cls(containers=containers, program=buildx_plugin.find(shared.say, shared.deadlines))

    def fingerprint(self) -> dict[str, str]:
        """See `Backend`."""
        return {**self.containers.fingerprint(), "buildx": self.program.version}

    def facts(self) -> dict[str, str]:
        """See `Backend`."""
        return {**self.containers.facts(), "buildx": self.program.version}

    def place(self, build: Build, variant: Variant, campaign: str, /) -> Place:
        """Build the variant's image if necessary."""
        engine, image = self.containers.image(build, variant, campaign)

        def opened(order: Order) -> contextlib.AbstractContextManager[BuildxRuntime]:
            if order.proxy:
                raise _unsupported(order.snapshotter)
            return buildx_runtime(
                engine=engine,
                program=self.program,
                image=image,
                binaries=Path(build.directory),
                home=order.home,
                snapshotter=order.snapshotter,
                config=order.config,
                host_network=order.loopback,
                campaign=campaign,
                deadlines=order.deadlines,
                flags=order.flags,
            )

        return opened


def _unsupported(snapshotter: str) -> BadInput:
    return BadInput(
        f"buildx only starts buildkitd and cannot run {snapshotter} beside it",
        hint=words(Campaign, runtime="host,docker"),
    )
