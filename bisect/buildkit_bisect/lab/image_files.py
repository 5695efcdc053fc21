"""The build context of base images on this machine: its static busybox, and links to it.

`scenario.image_context` says what it has.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from buildkit_bisect.errors import Missing
from buildkit_bisect.lab.layers import Entry
from buildkit_bisect.options.command import inv
from buildkit_bisect.scenario.image_context import BUSYBOX, FILES, FOLDERS, ROOTFS, TARGET
from buildkit_bisect.system import process

_FILE, _PROGRAM, _LINK = 0o644, 0o755, 0o777


def busybox() -> Path:
    """Return this machine's static busybox. Raises `Missing`."""
    found = shutil.which("busybox")
    if found is None:
        raise Missing("busybox is not installed", hint=inv("doctor"))
    return Path(found)


def program(path: str) -> Entry:
    """Return busybox as the file *path*."""
    return Entry(path=path, mode=_PROGRAM, data=busybox().read_bytes())


def text(path: str, content: str) -> Entry:
    """Return a file that anyone may read."""
    return Entry(path=path, mode=_FILE, data=content.encode())


def rootfs() -> Iterator[Entry]:
    """Yield what the folder ``rootfs`` has, parents first. Raises `Missing`, and `ProcessError`."""
    for path, mode in FOLDERS.items():
        yield Entry(path=path, mode=mode)
    for path, content in FILES.items():
        yield text(path, content)
    for name in sorted({*_programs()} - {BUSYBOX}):
        yield Entry(path=f"bin/{name}", mode=_LINK, link=TARGET)


def _programs() -> list[str]:
    """Return the names of busybox's programs."""
    return process.run([str(busybox()), "--list"], timeout=20).stdout.split()


def write(folder: Path) -> None:
    """Put the context into the empty *folder*, for a BuildKit. Raises OSError, and as `rootfs`."""
    top = folder / ROOTFS
    top.mkdir()
    (folder / BUSYBOX).write_bytes(busybox().read_bytes())
    (folder / BUSYBOX).chmod(_PROGRAM)
    for entry in rootfs():
        path = top / entry.path
        if entry.link:
            path.symlink_to(entry.link)
            continue
        if entry.data is None:
            path.mkdir()
        else:
            path.write_bytes(entry.data)
        path.chmod(entry.mode)
