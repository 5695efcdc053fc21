"""The user's cache directory: where things are, and which process owns them."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from buildkit_bisect.system import owner

#: Directories in the cache: `clean --cache` removes these and `FILES`, and nothing else.
DIRECTORIES = frozenset(
    {
        *("builds", "engines", "evidence", "failures", "gocache", "gomod", "inputs", "locks"),
        *("logs", "mirrors", "registry", "tmp", "toolchains", "tools"),
    }
)

#: Files in the cache; beside them are their drafts and what sqlite keeps for a journal.
JOURNAL, SIZES = "journal.sqlite3", "sizes.json"
FILES = re.compile(rf"{re.escape(JOURNAL)}(-journal|-shm|-wal)?|{re.escape(SIZES)}(\.[0-9]+)?")

_DAY = 86_400.0

#: In a scratch directory: the name of its process, see `owner`.
_OWNER = ".owner"


def cache_root() -> Path:
    """``BKBISECT_CACHE_DIR``, else the user's XDG cache directory; made when missing."""
    named = os.environ.get("BKBISECT_CACHE_DIR")
    root = Path(named).absolute() if named else platformdirs.user_cache_path("buildkit-bisect")
    root.mkdir(parents=True, exist_ok=True)
    return root


def cache(name: str) -> Path:
    """A directory *name* in the cache, made when missing.

    Raises `ValueError` for one that is not in `DIRECTORIES`, or below one that is.
    """
    if name.partition("/")[0] not in DIRECTORIES:
        raise ValueError(f"{name} is not in paths.DIRECTORIES")
    path = cache_root() / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def is_cached(entry: Path) -> bool:
    """Whether *entry* of the cache directory has a name that we make there."""
    return entry.name in DIRECTORIES or FILES.fullmatch(entry.name) is not None


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A directory in the cache's ``tmp``, gone after the block.

    On the cache's own file system, so that a finished entry becomes real by one rename.
    It says whose it is: see `owner_alive`.
    """
    path = Path(tempfile.mkdtemp(prefix=f"{prefix}-{os.getpid()}-", dir=cache("tmp")))
    try:
        claim(path)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def claim(folder: Path) -> None:
    """Write down that *folder* is this process's."""
    (folder / _OWNER).write_text(owner.me())


def is_claimed(folder: Path) -> bool:
    """Whether `claim` was said of *folder* by a process of this user."""
    try:
        mine = folder.lstat().st_uid == os.geteuid()
        return mine and not folder.is_symlink() and (folder / _OWNER).is_file()
    except OSError:
        return False


def owner_alive(entry: Path) -> bool:
    """Whether the process that made *entry*, and said so by `claim`, still runs.

    One that cannot be seen from here, in another container with the same cache, counts for a
    day, as does whoever made an entry that names no process.
    """
    # Git's entry for a work tree in scratch has that one's name, and is elsewhere.
    for folder in (entry, cache("tmp") / entry.name):
        try:
            gone = owner.gone((folder / _OWNER).read_text())
        except (OSError, ValueError):  # killed before it could say so
            continue
        return is_young(entry) if gone is None else not gone
    pid = entry.name.rsplit("-", 2)[1:2]
    if not pid or not pid[0].isdigit():
        return is_young(entry)
    return Path(f"/proc/{pid[0]}").exists()


def is_young(entry: Path) -> bool:
    """Whether *entry* was changed within a day: for so long who cannot be seen from here counts."""
    try:
        return time.time() - entry.lstat().st_mtime < _DAY
    except OSError:
        return False
