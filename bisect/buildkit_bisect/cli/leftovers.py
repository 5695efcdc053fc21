"""Finds what killed runs left behind: processes, scratch and socket directories, cgroups."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from buildkit_bisect.runtime.host import CGROUPS, SOCKETS, remove_cgroups
from buildkit_bisect.system import marks, paths
from buildkit_bisect.system.marks import Orphan

#: A socket directory of `runtime.host`. Other programs use the same parent directory.
_SOCKETS = re.compile(r"bkb-[0-9]+-[a-z0-9_]{8}")


def find() -> list[Orphan | Path]:
    """Return everything with our mark or name whose owner is no longer running."""
    # Processes first: they may write to the directories.
    return [*marks.orphans(), *(p for p in _ours() if not paths.owner_alive(p))]


def _is_empty(folder: Path) -> bool:
    try:
        return not folder.is_symlink() and not any(folder.iterdir())
    except OSError:
        return False


def _ours() -> Iterator[Path]:
    yield from paths.cache("tmp").iterdir()
    yield from paths.cache("mirrors").glob("*/worktrees/worktree-*")
    for folder in SOCKETS.glob("bkb-*"):
        # The owner of an empty one may have been killed before it could claim it.
        if _SOCKETS.fullmatch(folder.name) and (paths.is_claimed(folder) or _is_empty(folder)):
            yield folder
    yield from CGROUPS.glob("bkbisect-bkb-*")
    yield from CGROUPS.glob("*/bkbisect-bkb-*")


def remove(left: Orphan | Path) -> None:
    """Kill or remove *left*, one result of `find`."""
    if isinstance(left, Orphan):
        marks.end(left)
    elif left.is_relative_to(CGROUPS):
        remove_cgroups(left.name)
    elif left.is_dir():
        shutil.rmtree(left, ignore_errors=True)
    else:
        left.unlink(missing_ok=True)
