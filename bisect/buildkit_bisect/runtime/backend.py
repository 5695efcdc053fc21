"""The interface of a runtime; `table` lists the implementations."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, Self

from buildkit_bisect.model import Build, RuntimeKind, Served, Variant
from buildkit_bisect.runtime import Runtime
from buildkit_bisect.runtime.preparation import Preparation
from buildkit_bisect.runtime.snapshotters import Proxy
from buildkit_bisect.system.deadlines import Deadlines


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What a trial requires of its daemon."""

    home: Path  # holds the log, and on the host the state; the caller removes it
    snapshotter: str
    config: str  # appended to buildkitd.toml
    proxy: Proxy | None  # serves the snapshotter if it is not built in
    loopback: bool  # the daemon must reach a registry on this machine's loopback
    deadlines: Deadlines
    entitlements: tuple[str, ...] = ()  # that builds may ask for

    @property
    def flags(self) -> list[str]:
        """Return the flags of buildkitd that every runtime passes on."""
        return [f"--allow-insecure-entitlement={word}" for word in self.entitlements]


#: Yields a ready daemon and removes it after the block. Raises `DaemonFailed` and `InfraFailed`.
Place = Callable[[Order], AbstractContextManager[Runtime]]


class Backend(Protocol):
    """One kind of runtime, prepared for a campaign.

    Instances can be pickled, since trials may run in other processes.
    """

    kind: ClassVar[RuntimeKind]

    @classmethod
    def check(cls, asked: Collection[str], sockets: Mapping[str, Served], /) -> None:
        """Raise `BadInput` for a snapshotter that this runtime does not support.

        *asked* are the values of the axis; *sockets* are the user's own snapshotters, by name.
        """

    @classmethod
    def prepare(cls, shared: Preparation, /) -> Self:
        """Find what the trials need. Raises `Missing`, `BadInput` and `InfraFailed`."""
        ...

    def fingerprint(self) -> Mapping[str, str]:
        """Return what affects a trial besides the machine; part of the key of stored trials."""
        ...

    def facts(self) -> Mapping[str, str]:
        """Return the facts that results report about it, by name."""
        ...

    def place(self, build: Build, variant: Variant, campaign: str, /) -> Place:
        """Prepare what a build's daemons start from; this does not count as a trial's time.

        *campaign* labels what a killed trial leaves behind. Raises `InfraFailed`.
        """
        ...
