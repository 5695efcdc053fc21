"""Marks of child processes: an environment variable that all descendants of a child inherit.

The mark finds a child's descendants when the child ends, including those that left its process
group with ``setsid``. It names its owner, the process of this tool that started the child. If
the owner was killed with SIGKILL, its descendants still run, and a later run of this tool kills
them.
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

#: How it is written in a process's environment, after the end of another variable.
_VARIABLE = f"\0{NAME}=".encode()

_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Orphan:
    """A process that is still running although the owner of its mark has ended."""

    pid: int
    mark: str
    command: str

    def __str__(self) -> str:
        """Return the line that `clean` prints."""
        return f"process {self.pid} ({self.command})"


def new() -> str:
    """Return a unique mark, ``OWNER:NUMBER``; see `owner`."""
    return f"{owner.me()}:{next(_numbers)}"


def carriers(mark: str) -> list[int]:
    """Return the ids of processes that carry *mark*."""
    return [pid for pid, found in _every() if found == mark]


def orphans() -> list[Orphan]:
    """Return processes that killed runs left; one whose environment is unreadable is not ours."""
    found = []
    for pid, mark in _every():
        # A zombie holds only its process id, and its parent must reap it.
        if owner.gone(mark.rpartition(":")[0]) and owner.started(pid):
            found.append(Orphan(pid=pid, mark=mark, command=_command(pid)))
    return found


def end(left: Orphan) -> None:
    """Kill a process that `orphans` returned, unless its id now belongs to another process.

    Nothing is killed if the kernel or Python has no descriptors of processes: the id might then be
    another's by the time of the signal.
    """
    with contextlib.suppress(OSError, AttributeError):
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
    # Every child that ends has all processes of the machine read, so no line here is idle.
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:  # noqa: PTH123
            found = b"\0" + file.read()
    except OSError:
        return ""
    _, there, rest = found.partition(_VARIABLE)
    return rest.partition(b"\0")[0].decode(errors="replace") if there else ""


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        shown = " ".join(words.split("\0")).strip()
        return "".join(c if c.isprintable() else "?" for c in shown)[:120]
    return ""
