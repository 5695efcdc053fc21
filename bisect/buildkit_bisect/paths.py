"""Where things live: this checkout, the user's cache directory, a campaign's results."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

PROJECT = Path(__file__).resolve().parents[2]
SCENARIOS = PROJECT / "bisect" / "scenarios"
PATCHES = PROJECT / "patches"
TEMPLATES = PROJECT / "templates"


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
    """
    path = Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=cache("tmp")))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
