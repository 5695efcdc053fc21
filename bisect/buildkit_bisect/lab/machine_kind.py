"""Kinds of machines: on machines of one kind, a stored trial of one counts for all."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass

from buildkit_bisect.lab import image_files
from buildkit_bisect.runtime import snapshotters
from buildkit_bisect.system import machine


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineKind:
    """What a trial's key contains of the machine that runs it."""

    fingerprint: str  # `machine.fingerprint`: platform, kernel, architecture, runc
    busybox: str  # sha256 of the static busybox
    mounting: str  # version of fuse-overlayfs, or that it is not installed

    @property
    def digest(self) -> str:
        """Return twelve hex digits, equal for equal kinds."""
        whole = json.dumps([self.fingerprint, self.busybox, self.mounting])
        return hashlib.sha256(whole.encode()).hexdigest()[:12]


@functools.cache
def here() -> MachineKind:
    """Return the kind of this machine. Raises `Missing` without busybox."""
    return MachineKind(
        fingerprint=machine.fingerprint(),
        busybox=busybox(),
        mounting=machine.version(snapshotters.FUSE_OVERLAYFS),
    )


def busybox() -> str:
    """Return the digest of this machine's busybox, which may be upgraded at any time."""
    return hashlib.sha256(image_files.busybox().data).hexdigest()
