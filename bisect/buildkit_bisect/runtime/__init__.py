"""Runtimes: run a variant's daemon for a trial and talk to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from buildkit_bisect.buildctl import BuildRequest
from buildkit_bisect.errors import BisectError
from buildkit_bisect.system.process import Completed


class DaemonFailed(BisectError):
    """The daemon under test did not become ready, for another reason than its deadline."""

    exit_code = 5


class UnsupportedClient(BisectError):
    """The client under test lacks an option, or reports in a form that is not known."""

    exit_code = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """A build that has ended, for `solve_status.read`."""

    done: Completed
    trace: str | None = None  # what it wrote to a trace file; None if its progress is on stderr


class Runtime(Protocol):
    """A running daemon, as steps see it whatever runs it."""

    @property
    def log(self) -> Path:
        """File that receives what the daemon prints."""
        ...

    def environment(self) -> dict[str, str]:
        """Return what a script needs: BUILDKIT_HOST, BKBISECT_BUILDKITD, BKBISECT_BUILDCTL."""
        ...

    def build(self, request: BuildRequest) -> Built:
        """Run one build. Raises `UnsupportedClient`; `InfraFailed` if its client does not run."""
        ...

    def prune(self, timeout: float) -> Completed:
        """Remove all cache records and build histories."""
        ...

    def ask(self, words: Sequence[str], timeout: float) -> Completed:
        """Run the variant's own buildctl with *words* against the daemon."""
        ...

    def restart(self, *, fresh: bool) -> None:
        """Stop and start again, from an empty state if *fresh*.

        Raises `DaemonFailed`, and `InfraFailed` if something else had ended it: see `trouble`.
        """
        ...

    def alive(self) -> bool:
        """Return whether the daemon's process is running."""
        ...

    def trouble(self) -> str:
        """Return what ended the daemon from outside, such as a kill or the Engine; or ""."""
        ...
