"""Facts about this machine, for reports and for deciding whether a stored trial still counts."""

from __future__ import annotations

import functools
import os
import platform
import shutil
import sys

from buildkit_bisect.system import process


@functools.cache
def facts() -> dict[str, str]:
    """Return kernel, distribution, CPUs, memory and the versions of programs that trials use."""
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
        "runc": version("runc"),
        "fusermount3": version("fusermount3"),
        "docker-registry": version("docker-registry"),
    }


@functools.cache
def version(program: str) -> str:
    """Return the first line that *program* prints for ``--version``; words if there is none."""
    argv = [program, "--version"]
    if not shutil.which(argv[0]):
        return "not installed"
    done = process.run(argv, timeout=10, check=False)
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0][:80] if lines else "unknown"


def fingerprint() -> str:
    """Return a text that is equal on machines where a trial should have the same outcome."""
    known = facts()
    return "|".join([sys.platform, known["kernel"], known["arch"], known["runc"]])
