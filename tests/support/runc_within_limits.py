#!/usr/bin/env -S python3 -I -S
"""runc for machines that lack capabilities which `docker run --privileged` asks for.

Removes the capabilities that this machine lacks from the container's spec, then executes runc. Only
for engines that tests start: dockerd --add-runtime NAME=THIS --default-runtime NAME.

An Engine calls it about fifteen times in a trial, so it imports only what a call needs.
"""

import os
import sys

# Names by bit, without their prefix, from linux/capability.h.
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
    with open("/proc/self/status") as status:  # noqa: PTH123 - pathlib is half of a start
        mask = int(status.read().split("CapBnd:")[1].split()[0], 16)
    return {f"CAP_{name}" for bit, name in enumerate(NAMES) if mask >> bit & 1}


def lower(path: str, *, whole_spec: bool) -> None:
    import json  # noqa: PLC0415 - the other half, and most calls need none

    with open(path, "r+") as file:  # noqa: PTH123
        spec = json.load(file)
        process = spec["process"] if whole_spec else spec
        for kind, names in (process.get("capabilities") or {}).items():
            process["capabilities"][kind] = sorted(set(names) & held())
        file.seek(0)
        file.truncate()
        json.dump(spec, file)


def after(words: list[str], *flags: str) -> str:
    return next((words[n + 1] for n, word in enumerate(words[:-1]) if word in flags), "")


def main() -> None:
    words = sys.argv[1:]
    if {"create", "run"} & set(words):
        lower(f"{after(words, '--bundle', '-b') or '.'}/config.json", whole_spec=True)
    elif "exec" in words and (path := after(words, "--process", "-p")):
        lower(path, whole_spec=False)
    os.execvp("runc", ["runc", *words])  # noqa: S607 - as dockerd itself finds it


if __name__ == "__main__":
    main()
