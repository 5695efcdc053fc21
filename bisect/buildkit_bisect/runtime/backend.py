"""The interface of a runtime; `table` lists all of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, Self

from buildkit_bisect.model import Build, RuntimeKind, Served, Variant
from buildkit_bisect.runtime import Runtime
from buildkit_bisect.runtime.containers import Preparation
from buildkit_bisect.runtime.snapshotters import Proxy
from buildkit_bisect.system.deadlines import Deadlines


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What a trial needs of its daemon."""

    home: Path  # its log is below it, and on the host its state; the caller removes it
    snapshotter: str
    config: str  # appended to buildkitd.toml
    proxy: Proxy | None  # what serves the snapshotter where it is not built in
    loopback: bool  # it must reach a registry on this machine's loopback
    deadlines: Deadlines


#: Yields a ready daemon, gone after the block. Raises `DaemonFailed` and `InfraFailed`.
Place = Callable[[Order], AbstractContextManager[Runtime]]


class Backend(Protocol):
    """One kind of runtime, prepared for a campaign.

    Instances pickle, since trials may run in other processes.
    """

    kind: ClassVar[RuntimeKind]

    @classmethod
    def check(cls, asked: Collection[str], sockets: Mapping[str, Served], /) -> None:
        """Raise `BadInput` for a snapshotter that this runtime cannot have.

        *asked* are values of the axis; *sockets* are the user's own snapshotters, by name.
        """

    @classmethod
    def prepare(cls, shared: Preparation, /) -> Self:
        """Find what its trials need. Raises `Missing`, `BadInput` and `InfraFailed`."""
        ...

    def fingerprint(self) -> Mapping[str, str]:
        """What decides a trial beside the machine: part of the key of stored trials."""
        ...

    def facts(self) -> Mapping[str, str]:
        """What results report of it, by name."""
        ...

    def place(self, build: Build, variant: Variant, campaign: str, /) -> Place:
        """Prepare what a build's daemons start from; not part of a trial's time.

        *campaign* labels what a killed trial leaves behind. Raises `InfraFailed`.
        """
        ...
