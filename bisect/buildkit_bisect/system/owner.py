"""A process by a name that no other process has had or will have: ids are used again.

``MACHINE:PID:STARTED``, where MACHINE differs between machines, PID namespaces and boots, and
STARTED is in clock ticks since boot.
"""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path

#: Anybody can write a name; not all that str.isdigit takes is a number.
_PID = re.compile(r"[0-9]{1,10}")


def me() -> str:
    """The name of this process."""
    return f"{machine()}:{os.getpid()}:{started(os.getpid())}"


def gone(name: str) -> bool | None:
    """Whether the process *name* has ended; None where it cannot be seen from here."""
    where, _, rest = name.partition(":")
    pid, _, since = rest.partition(":")
    if where != machine() or not _PID.fullmatch(pid):
        return None
    return started(int(pid)) != since


def number(name: str) -> int:
    """The id of the process *name*, where it runs; 0 where that is no such name."""
    pid = name.split(":")[1:2]
    return int(pid[0]) if pid and _PID.fullmatch(pid[0]) else 0


def is_ours(pid: int) -> bool:
    """Whether a process with that id runs here and is this tool: all that a bare id can tell."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"buildkit_bisect" in words


@functools.cache
def machine() -> str:
    """Differs between machines, PID namespaces, and after a reboot."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    namespace = Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")
    return f"{boot}-{namespace}"


def started(pid: int) -> str:
    """Start time of a process in clock ticks since boot; "" where it does not run."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
