"""The build context of a trial: what it has at first, and what steps change in it.

A scenario is untrusted and this runs as root: no step may reach a file outside of the context, also
not through a symbolic link that another step made.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from buildkit_bisect.lab import image_files
from buildkit_bisect.scenario import Action, Scenario, Step, content

#: Steps of a parallel group change the context one by one: between the look at a path and its use,
#: no other step can put a link there.
_ONE = threading.Lock()

#: Errors that this machine is at fault for, not the scenario.
_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE)


def begin(scenario: Scenario, root: Path) -> None:
    """Put the initial context of *scenario* into the empty folder *root*; all times are one.

    Raises OSError, and `Missing` without busybox.
    """
    if scenario.context.folder:
        for entry in content.tree(scenario.folder(scenario.context.folder)):
            path = root / entry.path
            if entry.symlink:
                path.symlink_to(entry.symlink)
            elif entry.source:
                path.write_bytes(entry.source.read_bytes())
            else:
                path.mkdir()
            if not entry.symlink:
                path.chmod(entry.mode)
    if scenario.context.busybox:
        busybox = root / "busybox"
        _remove(busybox)
        shutil.copyfile(image_files.busybox(), busybox)
        busybox.chmod(content.EXECUTABLE)
    for path in (*root.rglob("*"), root):
        _touch(path, content.MTIME)


def change(root: Path, step: Step, scenario: Scenario, text: Callable[[str], str]) -> str:
    """Do what *step* does to the context *root*; return why it cannot, or "".

    *text* fills in placeholders. Raises OSError if this machine is at fault, such as a full disk.
    """
    with _ONE:
        try:
            _change(root, step, scenario, text)
        except OSError as error:
            if error.errno in _MACHINE:
                raise
            return f"cannot {step.action} {step.path}: {error.strerror or error}"
    return ""


def _change(root: Path, step: Step, scenario: Scenario, text: Callable[[str], str]) -> None:
    path = _inside(root, step.path, make=step.action in (Action.WRITE, Action.MKDIR))
    match step.action:
        case Action.WRITE:
            _write(path, step, scenario, text)
        case Action.DELETE:
            path.lstat()  # what is not there cannot be deleted
            _remove(path, folders=True)
            return
        case Action.RENAME:
            path.rename(_inside(root, step.to, make=True))
            return
        case Action.MKDIR:
            path.mkdir(exist_ok=not path.is_symlink())
            path.chmod(content.mode_of(step.mode, content.FOLDER_MODE))
    if step.mtime is not None:
        _touch(path, step.mtime)


def _inside(root: Path, name: str, *, make: bool) -> Path:
    """Return the path *name* below *root*; with *make*, its missing parents are made.

    Raises OSError if one of its parents is not a folder, so also if it is a symbolic link.
    """
    parts = PurePosixPath(name).parts
    path = root
    for part in parts[:-1]:
        path /= part
        if make and not os.path.lexists(path):
            path.mkdir()
            path.chmod(content.FOLDER_MODE)
        kind = path.lstat().st_mode
        if stat.S_ISLNK(kind):
            where = path.relative_to(root)
            raise OSError(errno.ELOOP, f"{where} is a symbolic link, which steps do not follow")
        if not stat.S_ISDIR(kind):
            raise OSError(errno.ENOTDIR, f"{path.relative_to(root)} is not a folder")
    return path / parts[-1]


def _write(path: Path, step: Step, scenario: Scenario, text: Callable[[str], str]) -> None:
    _remove(path)  # a link is replaced, and never written through
    if step.symlink:
        path.symlink_to(text(step.symlink))
        return
    path.write_bytes(content.data(step, scenario, text))
    path.chmod(content.mode_of(step.mode, content.FILE_MODE))


def _remove(path: Path, *, folders: bool = False) -> None:
    """Remove a file or a link, and with *folders* a whole folder; nothing may be there."""
    if not path.is_symlink() and path.is_dir():
        if not folders:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        shutil.rmtree(path)
        return
    path.unlink(missing_ok=True)


def _touch(path: Path, mtime: int) -> None:
    os.utime(path, (mtime, mtime), follow_symlinks=False)
