"""Every child's mark: an environment variable that all its descendants inherit.

By it a child's descendants are found when it ends, also those that left its group with
``setsid``. The mark names its owner, the process of ours that started the child: where that
was killed with SIGKILL, nobody has ended the descendants, and the next of us does.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect.system import owner

NAME = "BKBISECT_CHILD"

_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Orphan:
    """A process whose mark's owner no longer runs."""

    pid: int
    mark: str
    command: str

    def __str__(self) -> str:
        """As `clean` lists it."""
        return f"process {self.pid} ({self.command})"


def new() -> str:
    """A mark that no other child has: ``OWNER:NUMBER``; see `owner`."""
    return f"{owner.me()}:{next(_numbers)}"


def carriers(mark: str) -> list[int]:
    """Processes that carry *mark*."""
    return [pid for pid, found in _every() if found == mark]


def orphans() -> list[Orphan]:
    """Processes that a killed one of us left; those that may not be looked at are not ours."""
    found = []
    for pid, mark in _every():
        # A zombie holds nothing but its number, and is its parent's to take away.
        if owner.gone(mark.rpartition(":")[0]) and owner.started(pid):
            found.append(Orphan(pid=pid, mark=mark, command=_command(pid)))
    return found


def end(left: Orphan) -> None:
    """Kill one of what `orphans` found, and nothing that has its id by now."""
    with contextlib.suppress(OSError):
        descriptor = os.pidfd_open(left.pid)
        try:
            if _mark_of(left.pid) == left.mark:
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        finally:
            os.close(descriptor)


def _every() -> Iterator[tuple[int, str]]:
    with os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdigit() and (mark := _mark_of(int(entry.name))):
                yield int(entry.name), mark


def _mark_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        for word in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            if word.startswith(f"{NAME}=".encode()):
                return word.decode(errors="replace").partition("=")[2]
    return ""


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        shown = " ".join(words.split("\0")).strip()
        return "".join(c if c.isprintable() else "?" for c in shown)[:120]
    return ""
