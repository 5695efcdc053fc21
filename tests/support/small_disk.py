"""A separate file system that a test can fill and make read-only."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

#: GiB; the tool does not start with less than three free. The file is sparse.
SIZE = 5


def _do(*argv: str) -> None:
    subprocess.run(["/usr/bin/env", *argv], check=True, capture_output=True)


@dataclass(frozen=True, kw_only=True)
class Disk:
    """An ext4 in a sparse file, mounted at `root`."""

    root: Path

    def fill(self, leave: int = 0) -> None:
        """Fill it up to *leave* bytes."""
        with (self.root / "filler").open("ab") as file:
            step = 2**30
            while step >= 4096:
                free = shutil.disk_usage(self.root).free - leave
                try:
                    if free < step:
                        raise OSError  # noqa: TRY301
                    os.posix_fallocate(file.fileno(), file.seek(0, 2), step)
                except OSError:
                    step //= 2

    def free(self) -> None:
        """Free the space again."""
        (self.root / "filler").unlink()

    @contextmanager
    def kept_full(self) -> Iterator[None]:
        """Keep it full for the duration of the block, even if a file is removed."""
        over = threading.Event()

        def keep() -> None:
            while not over.wait(0.01):
                self.fill()

        self.fill()
        filling = threading.Thread(target=keep)
        filling.start()
        try:
            yield
        finally:
            over.set()
            filling.join()
            self.free()

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Remount it read-only for the duration of the block."""
        _do("mount", "-o", "remount,ro", str(self.root))
        try:
            yield
        finally:
            _do("mount", "-o", "remount,rw", str(self.root))


@contextmanager
def mounted(folder: Path) -> Iterator[Disk]:
    """Mount a new one below *folder* for the duration of the block."""
    image, root = folder / "image", folder / "disk"
    root.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(SIZE * 2**30)
    _do("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1",
        str(image))  # fmt: skip
    _do("mount", "-o", "loop", str(image), str(root))
    try:
        yield Disk(root=root)
    finally:
        _do("umount", str(root))
        image.unlink()


@contextmanager
def immutable(path: Path) -> Iterator[None]:
    """Make *path* unwritable, even for root, for the duration of the block."""
    _do("chattr", "+i", str(path))
    try:
        yield
    finally:
        _do("chattr", "-i", str(path))
