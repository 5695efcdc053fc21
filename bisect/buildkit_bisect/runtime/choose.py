"""Which runtime runs a trial, and what it needs beyond the binaries."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

from buildkit_bisect.engine import Engine, base, image, open_engine, sweep
from buildkit_bisect.engine import buildx_plugin as buildx
from buildkit_bisect.engine.loopback import reaches
from buildkit_bisect.errors import BisectError, InfraFailed, Missing
from buildkit_bisect.model import Build, Variant
from buildkit_bisect.runtime import Kind, Runtime
from buildkit_bisect.runtime.buildx import buildx_runtime
from buildkit_bisect.runtime.docker import docker_runtime
from buildkit_bisect.runtime.host import host_runtime
from buildkit_bisect.runtime.snapshotters import Proxy
from buildkit_bisect.system.deadlines import Deadlines


@dataclass(frozen=True, kw_only=True, slots=True)
class Containers:
    """What trials in containers share for the length of a campaign; it pickles."""

    base: base.Base
    engine: tuple[tuple[str, str], ...]  # facts: endpoint, version, storage
    buildx: buildx.Buildx | None = None

    def fingerprint(self, kind: Kind) -> dict[str, str]:
        """Equal where a trial in a container may be expected to go the same way."""
        known = {k: v for k, v in self.engine if k in ("version", "storage", "cgroups")}
        known["base"] = self.base.key
        if kind is Kind.BUILDX and self.buildx:
            known["buildx"] = self.buildx.version
        return known

    def facts(self) -> dict[str, str]:
        """What results say: the Engine's endpoint, its version, the base, buildx."""
        known = dict(self.engine)
        text = f"{known['version']} at {known['endpoint']} ({known['storage']})"
        found = {"docker": text, "base image": self.base.ref}
        return {**found, "buildx": self.buildx.version} if self.buildx else found


def containers(
    kinds: Sequence[Kind],
    *,
    base_image: str = "",
    loopback: bool = True,
    say: Callable[[str], None] = lambda _: None,
    deadlines: Deadlines | None = None,
) -> Containers | None:
    """Make ready what *kinds* need of a Docker Engine; None where they need none.

    *loopback*: trials use a registry on this machine's loopback. Raises `Missing` where no
    Engine answers, or where it could not reach that registry;
    `BadInput` for a base image that is not there.
    """
    if not {Kind.DOCKER, Kind.BUILDX} & set(kinds):
        return None
    if Kind.DOCKER in kinds and not shutil.which("docker"):
        raise Missing(
            "buildctl reaches a daemon in a container through the docker command",
            hint="apt-get install -y docker.io",
        )
    engine = open_engine()
    if loopback and not reaches(engine):
        raise Missing(
            f"the Docker Engine at {engine.where.shown} is on another machine or network: it cannot"
            " reach the registry on this one's loopback",
            hint="--images public, or --runtime host",
        )
    for left in sweep.find(engine):
        why = sweep.remove(engine, left)
        say(f"left {left}: {why}" if why else f"removed {left}, which a killed run left")
    return Containers(
        base=base.find(engine, base_image, say),
        engine=tuple(sorted(engine.facts.items())),
        buildx=buildx.find(say, deadlines) if Kind.BUILDX in kinds else None,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where one trial's daemon will run; made by `place` before the clock starts."""

    kind: Kind
    binaries: Path
    campaign: str = ""
    engine: Engine | None = None
    image: image.VariantImage | None = None
    buildx: buildx.Buildx | None = None
    proxies: Mapping[str, Proxy] = field(default_factory=dict)


def place(
    kind: Kind,
    *,
    build: Build,
    variant: Variant | None,
    shared: Containers | None,
    proxies: Mapping[str, Proxy],
    campaign: str,
) -> Place:
    """Make sure that the variant's image is there. Raises `InfraFailed`."""
    binaries = Path(build.directory)
    if kind is Kind.HOST:
        return Place(kind=kind, binaries=binaries, proxies=proxies)
    assert shared
    assert variant
    try:
        engine = open_engine()
        made = image.ensure(engine, build, variant, shared.base, campaign=campaign)
    except InfraFailed:
        raise
    except BisectError as error:  # the Engine answered when the campaign began
        raise InfraFailed(error.message, hint=error.hint) from error
    return Place(
        kind=kind,
        binaries=binaries,
        campaign=campaign,
        engine=engine,
        image=made,
        buildx=shared.buildx,
        proxies=proxies,
    )


@contextlib.contextmanager
def open_runtime(
    where: Place,
    *,
    home: Path,
    snapshotter: str,
    config: str,
    loopback: bool,
    deadlines: Deadlines,
) -> Iterator[Runtime]:
    """A ready daemon at *where*, gone after the block.

    *loopback*: it must reach a registry on this machine's loopback. Raises
    `daemon.DaemonFailed`, `InfraFailed`.
    """
    proxy = where.proxies.get(snapshotter)
    with contextlib.ExitStack() as stack:
        match where.kind:
            case Kind.HOST:
                runtime: Runtime = stack.enter_context(
                    host_runtime(
                        binaries=where.binaries,
                        home=home,
                        snapshotter=snapshotter,
                        config=config,
                        proxy=proxy,
                        deadlines=deadlines,
                    )
                )
            case Kind.DOCKER:
                assert where.engine
                assert where.image
                runtime = stack.enter_context(
                    docker_runtime(
                        engine=where.engine,
                        image=where.image.id,
                        binaries=where.binaries,
                        home=home,
                        snapshotter=snapshotter,
                        config=config,
                        proxy=proxy,
                        host_network=loopback,
                        campaign=where.campaign,
                        deadlines=deadlines,
                    )
                )
            case Kind.BUILDX:
                assert proxy is None  # `campaign.extra` has refused it
                assert where.engine
                assert where.image
                assert where.buildx
                runtime = stack.enter_context(
                    buildx_runtime(
                        engine=where.engine,
                        program=where.buildx,
                        image=where.image,
                        binaries=where.binaries,
                        home=home,
                        snapshotter=snapshotter,
                        config=config,
                        host_network=loopback,
                        campaign=where.campaign,
                        deadlines=deadlines,
                    )
                )
            case _:
                assert_never(where.kind)
        yield runtime
