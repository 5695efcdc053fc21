"""The build context of base images on this machine: its static busybox, and links to it.

`scenario.image_context` says what it has.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect.errors import InfraFailed, Missing
from buildkit_bisect.lab.layers import Entry
from buildkit_bisect.options.command import inv
from buildkit_bisect.scenario.image_context import BUSYBOX, FILES, FOLDERS, ROOTFS, TARGET
from buildkit_bisect.system import process

_FILE, _PROGRAM, _LINK = 0o644, 0o755, 0o777


@dataclass(frozen=True, kw_only=True, slots=True)
class Busybox:
    """This machine's static busybox, read once: it may be upgraded at any time."""

    path: Path
    data: bytes

    def programs(self) -> list[str]:
        """Return the names of its programs.

        Raises `ProcessError`, and `InfraFailed` if another busybox is in its place now.
        """
        listed = process.run([str(self.path), "--list"], timeout=20).stdout.split()
        if self.path.read_bytes() != self.data:
            raise InfraFailed(
                f"{self.path} was replaced while base images were made", hint=inv("resume")
            )
        return listed

    def entry(self, path: str) -> Entry:
        """Return it as the file *path*."""
        return Entry(path=path, mode=_PROGRAM, data=self.data)


def busybox() -> Busybox:
    """Read this machine's busybox. Raises `Missing`."""
    found = shutil.which("busybox")
    if found is None:
        raise Missing("busybox is not installed", hint=inv("doctor"))
    return Busybox(path=Path(found), data=Path(found).read_bytes())


def text(path: str, content: str) -> Entry:
    """Return a file that anyone may read."""
    return Entry(path=path, mode=_FILE, data=content.encode())


def rootfs(box: Busybox) -> Iterator[Entry]:
    """Yield what the folder ``rootfs`` has, parents first. Raises as `Busybox.programs`."""
    for path, mode in FOLDERS.items():
        yield Entry(path=path, mode=mode)
    for path, content in FILES.items():
        yield text(path, content)
    for name in sorted({*box.programs()} - {BUSYBOX}):
        yield Entry(path=f"bin/{name}", mode=_LINK, link=TARGET)


def write(folder: Path, box: Busybox) -> None:
    """Put the context into the empty *folder*, for a BuildKit. Raises OSError, and as `rootfs`."""
    top = folder / ROOTFS
    top.mkdir()
    (folder / BUSYBOX).write_bytes(box.data)
    (folder / BUSYBOX).chmod(_PROGRAM)
    for entry in rootfs(box):
        path = top / entry.path
        if entry.link:
            path.symlink_to(entry.link)
            continue
        if entry.data is None:
            path.mkdir()
        else:
            path.write_bytes(entry.data)
        path.chmod(entry.mode)
