"""Every runtime there is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from buildkit_bisect.runtime import Kind, Served
from buildkit_bisect.runtime.backend import Backend
from buildkit_bisect.runtime.buildx import BuildxBackend
from buildkit_bisect.runtime.containers import Preparation
from buildkit_bisect.runtime.docker import DockerBackend
from buildkit_bisect.runtime.host import HostBackend

#: To add one, write its module and name it here, and among the kinds that options know.
ALL: Mapping[Kind, type[Backend]] = {
    Kind.HOST: HostBackend,
    Kind.DOCKER: DockerBackend,
    Kind.BUILDX: BuildxBackend,
}


def check(kinds: Iterable[Kind], asked: Collection[str], sockets: Mapping[str, Served]) -> None:
    """Raise `BadInput` for a snapshotter that one of *kinds* cannot have; see `Backend.check`."""
    for kind in kinds:
        ALL[kind].check(asked, sockets)


def prepare(kinds: Collection[Kind], shared: Preparation) -> tuple[Backend, ...]:
    """Each of *kinds*, in their order, ready for the trials of a campaign."""
    # In the order of the table: what is cheap to find missing comes before what takes time.
    made = {kind: backend.prepare(shared) for kind, backend in ALL.items() if kind in kinds}
    return tuple(made[kind] for kind in kinds)
