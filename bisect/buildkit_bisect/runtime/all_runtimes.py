"""The table of all runtimes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from buildkit_bisect.model import RuntimeKind, Served
from buildkit_bisect.runtime.backend import Backend
from buildkit_bisect.runtime.host import HostBackend
from buildkit_bisect.runtime.preparation import Preparation


def backend(kind: RuntimeKind) -> type[Backend]:
    """Return the class of a runtime.

    To add one: write its module, add its case here and its name to `RuntimeKind`.
    """
    # Imported late: Docker's client takes long to import, and the host needs none.
    match kind:
        case RuntimeKind.HOST:
            return HostBackend
        case RuntimeKind.DOCKER:
            from buildkit_bisect.runtime.docker import DockerBackend  # noqa: PLC0415

            return DockerBackend
        case RuntimeKind.BUILDX:
            from buildkit_bisect.runtime.buildx import BuildxBackend  # noqa: PLC0415

            return BuildxBackend


def check(
    kinds: Iterable[RuntimeKind], asked: Collection[str], sockets: Mapping[str, Served]
) -> None:
    """Raise `BadInput` if one of *kinds* does not support a snapshotter; see `Backend.check`."""
    for kind in kinds:
        backend(kind).check(asked, sockets)


def prepare(kinds: Collection[RuntimeKind], shared: Preparation) -> tuple[Backend, ...]:
    """Prepare each of *kinds* for a campaign; return them in the given order."""
    # Prepared in the order of their declaration, so that the cheapest checks come first.
    made = {kind: backend(kind).prepare(shared) for kind in RuntimeKind if kind in kinds}
    return tuple(made[kind] for kind in kinds)
