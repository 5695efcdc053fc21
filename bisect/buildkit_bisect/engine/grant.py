"""What a container needs to run buildkitd: ``--privileged``, or the same as an explicit list.

Some machines lack a capability (CAP_SYS_RESOURCE in some VMs), and an Engine there cannot run
privileged containers at all: "unable to apply caps". Found by trying, then remembered.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from buildkit_bisect.engine.connection import Engine

#: Capabilities by bit, as in linux/capability.h.
CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID"),
    *("SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW"),
    *("IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE"),
    *("SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME"),
    *("SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
    *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ"),
    *("PERFMON", "BPF", "CHECKPOINT_RESTORE"),
)

PRIVILEGED = "privileged"
EXPLICIT = "capabilities"


def order(engine: Engine) -> tuple[str, ...]:
    """The grants to try; the one that worked last time comes first."""
    known = engine.recall("grant")
    return (EXPLICIT, PRIVILEGED) if known == EXPLICIT else (PRIVILEGED, EXPLICIT)


def remember(engine: Engine, worked: str) -> None:
    """Remember the grant that a container was started with."""
    if engine.recall("grant") != worked:
        engine.remember("grant", worked)


def host_config(grant: str, dropped: list[str]) -> dict[str, Any]:
    """The HostConfig of the Engine's API for *grant*."""
    if grant == PRIVILEGED:
        return {"Privileged": True}
    return {
        "CapAdd": ["ALL"],
        "CapDrop": dropped,
        "Devices": [
            {
                "PathOnHost": "/dev/fuse",
                "PathInContainer": "/dev/fuse",
                "CgroupPermissions": "rwm",
            }
        ],
        "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"],
        # What `--security-opt systempaths=unconfined` becomes in the docker command.
        "MaskedPaths": [],
        "ReadonlyPaths": [],
        "Binds": ["/sys/fs/cgroup:/sys/fs/cgroup:rw"],
    }


def missing(engine: Engine) -> list[str]:
    """Capabilities that the Engine's machine lacks; a guess if the Engine is remote."""
    if engine.where.remote:
        return ["SYS_RESOURCE"]
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("CapBnd:"))
    return not_in(int(line.split()[1], 16)) or ["SYS_RESOURCE"]


def not_in(mask: int) -> list[str]:
    """The capabilities whose bit is not set in *mask*."""
    return [name for bit, name in enumerate(CAPABILITIES) if not mask >> bit & 1]


def refused(message: str) -> bool:
    """Whether the Engine did not start a container because of its grant."""
    return any(sign in message for sign in ("caps", "capabilit", "rivileged"))
