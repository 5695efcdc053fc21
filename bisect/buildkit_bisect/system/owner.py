"""Unique names of processes, since process ids are reused.

A name is ``MACHINE:PID:STARTED``. MACHINE differs between machines, PID namespaces and boots;
STARTED is in clock ticks since boot.
"""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path

#: Any process can write a name, and str.isdigit accepts characters that int() does not.
_PID = re.compile(r"[0-9]{1,10}")


def me() -> str:
    """Return the name of this process."""
    return _running(os.getpid())


@functools.cache
def _running(pid: int) -> str:
    # By its id, because a fork has another name.
    return f"{machine()}:{pid}:{started(pid)}"


def gone(name: str) -> bool | None:
    """Whether the process *name* has ended; None if it is not visible from this PID namespace."""
    where, _, rest = name.partition(":")
    pid, _, since = rest.partition(":")
    if where != machine() or not _PID.fullmatch(pid):
        return None
    return started(int(pid)) != since


def boot(name: str) -> str:
    """Return what tells the boot of the machine on which the process *name* ran; "" if unknown."""
    return name.partition(":")[0].rpartition("-")[0]


def number(name: str) -> int:
    """Return the process id in *name*, valid in its own PID namespace; 0 if *name* is invalid."""
    pid = name.split(":")[1:2]
    return int(pid[0]) if pid and _PID.fullmatch(pid[0]) else 0


def is_ours(pid: int) -> bool:
    """Whether process *pid* runs here and is this tool; it may be a later run with a reused id."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"buildkit_bisect" in words


@functools.cache
def machine() -> str:
    """Return a text that differs between machines, PID namespaces and boots."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    namespace = Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")
    return f"{boot}-{namespace}"


def started(pid: int) -> str:
    """Return the start time of a process in clock ticks since boot; "" if it is not running."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
