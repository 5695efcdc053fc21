"""What this machine is, for footers and for deciding whether a stored trial still counts."""

from __future__ import annotations

import functools
import os
import platform
import shutil
import sys

from buildkit_bisect.system import process


@functools.cache
def facts() -> dict[str, str]:
    """Kernel, distribution, processors and the versions of what trials lean on."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "system": release.get("PRETTY_NAME", platform.system()),
        "kernel": platform.release(),
        "arch": platform.machine(),
        "cpus": str(os.cpu_count() or 0),
        "memory": f"{memory:.0f} GiB",
        "python": platform.python_version(),
        "runc": _version(["runc", "--version"]),
        "fusermount3": _version(["fusermount3", "--version"]),
        "docker-registry": _version(["docker-registry", "--version"]),
    }


def _version(argv: list[str]) -> str:
    if not shutil.which(argv[0]):
        return "not installed"
    said = process.run(argv, timeout=10, check=False)
    lines = (said.stdout or said.stderr).strip().splitlines()
    return lines[0][:80] if lines else "unknown"


def fingerprint() -> str:
    """Equal where a trial may be expected to go the same way."""
    known = facts()
    return "|".join([sys.platform, known["kernel"], known["arch"], known["runc"]])
