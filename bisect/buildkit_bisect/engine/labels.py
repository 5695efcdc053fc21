"""What marks a container, volume or image as ours, and whose it is.

Containers and volumes name the process that made them, so that a sweep beside a running
campaign, on the same Engine or from another machine, leaves that campaign's alone.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Mapping
from pathlib import Path

#: On everything we make. Its value says what for: ``trial``, ``image``, ``base``.
OURS = "bkbisect"
CAMPAIGN = "bkbisect.campaign"
OWNER = "bkbisect.owner"  # MACHINE:PID:STARTED
CREATED = "bkbisect.created"  # seconds since the epoch
KEY = "bkbisect.key"  # of images: what decides their content

#: Seconds after which what another machine made on this Engine counts as left behind.
STALE = 86_400.0


def of(purpose: str, campaign: str = "") -> dict[str, str]:
    """Labels for something that this process makes now and will remove."""
    return {OURS: purpose, CAMPAIGN: campaign, OWNER: owner(), CREATED: f"{time.time():.0f}"}


def owner() -> str:
    """This process, told apart from any other that has had or will have its id."""
    return f"{_machine()}:{os.getpid()}:{_started(os.getpid())}"


def left_behind(labels: Mapping[str, str], now: float) -> bool:
    """Whether what bears *labels* is ours, and nobody is left who would remove it."""
    if OURS not in labels or not labels.get(OWNER):
        return False
    machine, _, rest = labels[OWNER].partition(":")
    pid, _, started = rest.partition(":")
    if machine == _machine() and pid.isdigit():
        return _started(int(pid)) != started
    created = labels.get(CREATED, "")
    return created.isdigit() and now - int(created) > STALE


@functools.cache
def _machine() -> str:
    """Differs between machines that may share an Engine, PID namespaces, and after a reboot."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    namespace = Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")
    return f"{boot}-{namespace}"


def _started(pid: int) -> str:
    """Start time of a process in clock ticks since boot; "" where it does not run."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
