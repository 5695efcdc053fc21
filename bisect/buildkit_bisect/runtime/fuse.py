"""FUSE mounts of a daemon that has to end.

A process that waits for an answer from a FUSE server cannot be killed once the server has read
the request; where the server is a thread of that same process, neither ever ends. Aborting the
connection, as fusectl offers it, fails every such request.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from buildkit_bisect.system import paths, process
from buildkit_bisect.system.process import ProcessError

_CONTROL = Path("/sys/fs/fuse/connections")


def connections(pid: int, below: Path) -> set[int]:
    """Numbers of the FUSE connections mounted below a directory, as process *pid* sees it."""
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
            yield major << 20 | minor  # the kernel's own way to write a device


def abort(numbers: set[int]) -> None:
    """Let every request of these connections fail. Does what it can, and raises nothing."""
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
