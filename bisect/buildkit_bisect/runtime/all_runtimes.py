"""The table of all runtimes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from buildkit_bisect.model import RuntimeKind, Served
from buildkit_bisect.runtime.backend import Backend
from buildkit_bisect.runtime.buildx import BuildxBackend
from buildkit_bisect.runtime.containers import Preparation
from buildkit_bisect.runtime.docker import DockerBackend
from buildkit_bisect.runtime.host import HostBackend

#: To add a runtime: write its module, add its line here and its name to `RuntimeKind`.
ALL: Mapping[RuntimeKind, type[Backend]] = {
    RuntimeKind.HOST: HostBackend,
    RuntimeKind.DOCKER: DockerBackend,
    RuntimeKind.BUILDX: BuildxBackend,
}


def check(
    kinds: Iterable[RuntimeKind], asked: Collection[str], sockets: Mapping[str, Served]
) -> None:
    """Raise `BadInput` if one of *kinds* does not support a snapshotter; see `Backend.check`."""
    for kind in kinds:
        ALL[kind].check(asked, sockets)


def prepare(kinds: Collection[RuntimeKind], shared: Preparation) -> tuple[Backend, ...]:
    """Prepare each of *kinds* for a campaign; return them in the given order."""
    # Prepared in the order of the table, so that the cheapest checks come first.
    made = {kind: backend.prepare(shared) for kind, backend in ALL.items() if kind in kinds}
    return tuple(made[kind] for kind in kinds)
