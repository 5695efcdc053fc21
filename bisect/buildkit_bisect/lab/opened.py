"""Opens what the build under test wrote below a folder of a trial.

It may have written anything, and this runs as root: a link to a file of the machine, a FIFO, a
device, a document without end. No link is followed, and only regular files are read.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from buildkit_bisect.system import removal, strictjson

#: Bytes of one JSON document that is read, and how deep it may be: it is stored and printed.
MOST, _DEEPEST = 4 * 2**20, 100

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class TooLarge(ValueError):
    """A document, or several together, are larger than what is read."""


@contextlib.contextmanager
def directory(folder: Path) -> Iterator[int]:
    """Yield a descriptor of *folder*, which may not be a link. Raises OSError."""
    here = os.open(folder, _FOLDER)
    try:
        yield here
    finally:
        os.close(here)


@contextlib.contextmanager
def _parent(folder: Path, name: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """Yield a descriptor of the folder that *name* below *folder* is in, and its last part.

    With *make*, missing folders are made.
    """
    *parents, last = PurePosixPath(name).parts
    if ".." in (*parents, last):
        raise ValueError(f"{name} leads out of {folder.name}")
    here = os.open(folder, _FOLDER)
    try:
        for part in parents:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, dir_fd=here)
            above, here = here, os.open(part, _FOLDER, dir_fd=here)
            os.close(above)
        yield here, last
    finally:
        os.close(here)


def file(folder: Path, name: str) -> IO[bytes]:
    """Open the regular file *name* below *folder*; neither *folder* nor a part of it may be a link.

    Raises OSError if there is none, ValueError if *name* leads out or is another kind of file.
    """
    with _parent(folder, name) as (parent, last):
        return at(parent, last)


def at(parent: int, name: str) -> IO[bytes]:
    """Open the regular file *name* of the folder with the descriptor *parent*. Raises as `file`."""
    # Without waiting for a FIFO's writer.
    found = os.open(name, _FILE, dir_fd=parent)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise ValueError(f"{name} is not a regular file")
    return os.fdopen(found, "rb")


def unlink(folder: Path, name: str) -> None:
    """Delete the file or link *name* below *folder*. Raises as `file`."""
    with _parent(folder, name) as (parent, last):
        os.unlink(last, dir_fd=parent)


def document(folder: Path, name: str) -> Any:
    """Return the JSON document *name* below *folder*. Raises as `file`, and as `parsed`."""
    with file(folder, name) as opened:
        return parsed(opened)[0]


def parsed(opened: IO[bytes], most: int = MOST) -> tuple[Any, int]:
    """Return a JSON document of at most *most* bytes, and its size.

    Raises OSError, ValueError if it is invalid or nested too deep, `TooLarge`.
    """
    data = opened.read(most + 1)
    if len(data) > most:
        raise TooLarge(f"a document is larger than {most} bytes")
    found = strictjson.loads(data.decode())
    level, depth = [found], 0
    while level:
        level = [
            below
            for one in level
            if isinstance(one, dict | list)
            for below in (one.values() if isinstance(one, dict) else one)
        ]
        depth += 1
        if depth > _DEEPEST:
            raise ValueError("nested too deep")
    return found, len(data)


def renew(work: Path, dest: str) -> None:
    """Remove what is at *dest* below *work*; make the folders above it.

    Raises OSError, also if one of these is not a folder, and ValueError if it leads out.
    """
    with _parent(work, dest, make=True) as (parent, last):
        try:
            kind = os.lstat(last, dir_fd=parent).st_mode
        except FileNotFoundError:
            return
        if stat.S_ISDIR(kind):
            removal.remove(work / dest)
        else:
            os.unlink(last, dir_fd=parent)
