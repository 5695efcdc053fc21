"""What every runtime says of itself: the one interface behind `table`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, Self

from buildkit_bisect.model import Build, Variant
from buildkit_bisect.runtime import Kind, Runtime, Served
from buildkit_bisect.runtime.containers import Preparation
from buildkit_bisect.runtime.snapshotters import Proxy
from buildkit_bisect.system.deadlines import Deadlines


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """The daemon that a trial asks for."""

    home: Path  # its log is below it, and on the host its state; the caller removes it
    snapshotter: str
    config: str  # appended to buildkitd.toml
    proxy: Proxy | None  # what serves the snapshotter where it is not built in
    loopback: bool  # it must reach a registry on this machine's loopback
    deadlines: Deadlines


#: Yields a ready daemon, gone after the block. Raises `DaemonFailed` and `InfraFailed`.
Place = Callable[[Order], AbstractContextManager[Runtime]]


class Backend(Protocol):
    """One kind of runtime, made ready for a campaign.

    It pickles: trials may run in other processes. What it says of itself, before anything is
    built, are class methods.
    """

    kind: ClassVar[Kind]

    @classmethod
    def check(cls, asked: Collection[str], sockets: Mapping[str, Served], /) -> None:
        """Raise `BadInput` for a snapshotter that this runtime cannot have.

        *asked* are values of the axis; *sockets* are the user's own snapshotters, by name.
        """

    @classmethod
    def prepare(cls, shared: Preparation, /) -> Self:
        """Look up what its trials need. Raises `Missing`, `BadInput` and `InfraFailed`."""
        ...

    def fingerprint(self) -> Mapping[str, str]:
        """What decides a trial beside the machine: stored trials count where it is equal."""
        ...

    def facts(self) -> Mapping[str, str]:
        """What results say of it, by name."""
        ...

    def place(self, build: Build, variant: Variant, campaign: str, /) -> Place:
        """Make ready what a build's daemons start from; no part of a trial's time.

        *campaign* is the label of what a killed trial leaves. Raises `InfraFailed`.
        """
        ...
