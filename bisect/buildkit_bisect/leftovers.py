"""What a killed run can leave: scratch directories, socket directories, cgroups."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from buildkit_bisect import paths
from buildkit_bisect.daemon.host import CGROUPS, SOCKETS, remove_cgroups


def find() -> list[Path]:
    """Everything that bears our name and whose owner no longer runs."""
    return [p for p in _ours() if not paths.owner_alive(p)]


def _ours() -> Iterator[Path]:
    yield from paths.cache("tmp").iterdir()
    yield from SOCKETS.glob("bkb-*")
    yield from CGROUPS.glob("bkbisect-bkb-*")
    yield from CGROUPS.glob("*/bkbisect-bkb-*")


def remove(path: Path) -> None:
    """Remove one of what `find` found."""
    if path.is_relative_to(CGROUPS):
        remove_cgroups(path.name)
    elif path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
