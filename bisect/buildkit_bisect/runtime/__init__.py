"""Runtimes: what runs a variant's daemon and talks to it for the length of a trial."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from buildkit_bisect.buildctl import BuildRequest
from buildkit_bisect.errors import BisectError
from buildkit_bisect.system.process import Completed


class DaemonFailed(BisectError):
    """The daemon under test did not serve: it exited, or was not ready by its deadline."""

    exit_code = 5


class Runtime(Protocol):
    """A running daemon. Steps speak to it, and need not know what it is."""

    @property
    def log(self) -> Path:
        """File that receives what the daemon prints."""
        ...

    def environment(self) -> dict[str, str]:
        """What a script needs: BUILDKIT_HOST, BKBISECT_BUILDKITD, BKBISECT_BUILDCTL."""
        ...

    def build(self, request: BuildRequest) -> Completed:
        """Run one build; its progress JSON and messages are on stderr."""
        ...

    def prune(self, timeout: float) -> Completed:
        """Remove every cache record and history."""
        ...

    def restart(self, *, fresh: bool) -> None:
        """Stop and start again, from an empty state if *fresh*. Raises `DaemonFailed`."""
        ...

    def alive(self) -> bool:
        """Whether the daemon's process still runs."""
        ...

    def trouble(self) -> str:
        """What ended the daemon, where that was not its own doing: a kill, the Engine; else ""."""
        ...
