"""Where things live: this checkout, the user's cache directory, a campaign's results."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

PROJECT = Path(__file__).resolve().parents[2]
SCENARIOS = PROJECT / "bisect" / "scenarios"
PATCHES = PROJECT / "patches"
TEMPLATES = PROJECT / "templates"

_DAY = 86_400.0


def cache_root() -> Path:
    """``BKBISECT_CACHE_DIR``, else the user's XDG cache directory; made when missing."""
    named = os.environ.get("BKBISECT_CACHE_DIR")
    root = Path(named).absolute() if named else platformdirs.user_cache_path("buildkit-bisect")
    root.mkdir(parents=True, exist_ok=True)
    return root


def cache(name: str) -> Path:
    """A directory *name* in the cache, made when missing."""
    path = cache_root() / name
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A directory in the cache's ``tmp``, gone after the block.

    On the cache's own file system, so that a finished entry becomes real by one rename.
    Its name carries our process id: see `owner_alive`.
    """
    path = Path(tempfile.mkdtemp(prefix=f"{prefix}-{os.getpid()}-", dir=cache("tmp")))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def owner_alive(entry: Path) -> bool:
    """Whether the process that made *entry* with `scratch` still runs.

    An entry that names no process counts as owned for a day.
    """
    pid = entry.name.rsplit("-", 2)[1:2]
    if not pid or not pid[0].isdigit():
        try:
            return time.time() - entry.lstat().st_mtime < _DAY
        except OSError:
            return False
    return Path(f"/proc/{pid[0]}").exists()
