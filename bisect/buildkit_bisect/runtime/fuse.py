"""Aborts the FUSE mounts of a daemon that does not end.

A process that waits for a response of a FUSE server cannot be killed once the server has read
the request. If the server is a thread of the same process, it never ends. Aborting the connection
through fusectl fails all such requests.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from buildkit_bisect.system import paths, process
from buildkit_bisect.system.process import ProcessError

_CONTROL = Path("/sys/fs/fuse/connections")


def connections(pid: int, below: Path) -> set[int]:
    """Return the FUSE connections mounted under *below* in the mount namespace of *pid*."""
    try:
        lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    except OSError:
        return set()
    return set(_numbers(lines, below))


def _numbers(mountinfo: list[str], below: Path) -> Iterator[int]:
    for line in mountinfo:
        fields = line.split()
        point = fields[4].encode().decode("unicode_escape")
        kind = fields[fields.index("-") + 1]
        if kind.partition(".")[0] in ("fuse", "fuseblk") and Path(point).is_relative_to(below):
            major, minor = (int(n) for n in fields[2].split(":"))
            yield major << 20 | minor  # the kernel's device number


def abort(numbers: set[int]) -> None:
    """Fail all requests of these connections, as far as possible; raises nothing."""
    if not numbers:
        return
    if any(_CONTROL.iterdir() if _CONTROL.is_dir() else ()):
        _abort_in(_CONTROL, numbers)
        return
    with paths.scratch("fusectl") as control, contextlib.suppress(ProcessError, OSError):
        process.run(["mount", "-t", "fusectl", "none", str(control)], timeout=10)
        try:
            _abort_in(control, numbers)
        finally:
            process.run(["umount", str(control)], timeout=10)


def _abort_in(control: Path, numbers: set[int]) -> None:
    for number in numbers:
        with contextlib.suppress(OSError):
            (control / str(number) / "abort").write_text("1")
