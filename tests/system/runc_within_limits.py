#!/usr/bin/env python3
"""runc, for machines that lack capabilities which `docker run --privileged` asks for.

Takes what this machine does not hold out of the container's spec, then becomes runc. Only for
engines that tests start: dockerd --add-runtime NAME=THIS --default-runtime NAME.
"""

from __future__ import annotations

import json
import os
import sys
from itertools import pairwise
from pathlib import Path

# Names by bit, without the prefix: linux/capability.h.
NAMES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID"),
    *("SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW"),
    *("IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE"),
    *("SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME"),
    *("SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
    *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ"),
    *("PERFMON", "BPF", "CHECKPOINT_RESTORE"),
)


def held() -> set[str]:
    status = Path("/proc/self/status").read_text()
    mask = int(status.split("CapBnd:")[1].split()[0], 16)
    return {f"CAP_{name}" for bit, name in enumerate(NAMES) if mask >> bit & 1}


def lower(path: Path, *, whole_spec: bool) -> None:
    spec = json.loads(path.read_text())
    process = spec["process"] if whole_spec else spec
    for kind, names in (process.get("capabilities") or {}).items():
        process["capabilities"][kind] = sorted(set(names) & held())
    path.write_text(json.dumps(spec))


def after(words: list[str], *flags: str) -> str:
    return next((value for flag, value in pairwise(words) if flag in flags), "")


def main() -> None:
    words = sys.argv[1:]
    if {"create", "run"} & set(words):
        lower(Path(after(words, "--bundle", "-b") or ".") / "config.json", whole_spec=True)
    elif "exec" in words and (path := after(words, "--process", "-p")):
        lower(Path(path), whole_spec=False)
    os.execvp("runc", ["runc", *words])  # noqa: S607 - as dockerd itself finds it


if __name__ == "__main__":
    main()
