"""Removes folders that a build under test may have written."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import uuid
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(folder: Path, *, ignore_errors: bool = False) -> None:
    """Remove a folder, however deep it is; links in it are not followed.

    Raises OSError unless *ignore_errors*.
    """
    try:
        shutil.rmtree(folder, ignore_errors=ignore_errors)
    except (RecursionError, OSError) as error:  # before Python 3.13, a frame and a file per level
        if isinstance(error, OSError) and error.errno != errno.EMFILE:
            raise
        with contextlib.suppress(*[OSError] * ignore_errors):
            _flat(folder)


def _flat(folder: Path) -> None:
    """Remove *folder*; those in it are moved up first, so that none is deep. Raises OSError."""
    top = os.open(folder, _FOLDER)
    try:
        left = _emptied(top, top)
        while left:
            name = left.pop()
            below = os.open(name, _FOLDER, dir_fd=top)
            try:
                left += _emptied(below, top)
            finally:
                os.close(below)
            os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    folder.rmdir()


def _emptied(here: int, top: int) -> list[str]:
    """Delete the files in the folder *here*; return the names that its folders now have in *top*.

    Both are descriptors. Raises OSError.
    """
    moved = []
    with os.scandir(here) as found:
        entries = list(found)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            moved.append(uuid.uuid4().hex)
            os.rename(entry.name, moved[-1], src_dir_fd=here, dst_dir_fd=top)
        else:
            os.unlink(entry.name, dir_fd=here)
    return moved
