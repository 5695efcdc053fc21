"""The user's cache directory: its paths, and which process owns them."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from buildkit_bisect.errors import BadInput
from buildkit_bisect.system import owner
from buildkit_bisect.system.removal import remove

#: Directories in the cache. Cleaning the cache removes these and `FILES`, nothing else.
DIRECTORIES = frozenset(
    {
        *("builds", "coverage", "engines", "evidence", "failures", "gocache", "gomod", "inputs"),
        *("locks", "logs", "mirrors", "one-line", "patches", "registry", "searches", "tmp"),
        *("programs", "toolchains", "tools", "trees"),
    }
)

#: Files in the cache, with their drafts and sqlite's own files for the journal.
JOURNAL, SIZES = "journal.sqlite3", "sizes.json"
FILES = re.compile(rf"{re.escape(JOURNAL)}(-journal|-shm|-wal)?|{re.escape(SIZES)}(\.[0-9]+)?")

_DAY = 86_400.0

#: File in a scratch directory that holds the name of its process; see `owner`.
OWNER = ".owner"


def cache_place() -> Path:
    """Return ``BKBISECT_CACHE_DIR`` or the user's XDG cache directory; it may not exist."""
    named = os.environ.get("BKBISECT_CACHE_DIR")
    return Path(named).absolute() if named else platformdirs.user_cache_path("buildkit-bisect")


def cache_root() -> Path:
    """Return `cache_place`; created if missing. Raises `BadInput` if the user's cannot exist."""
    root = cache_place()
    if os.path.isdir(root):  # noqa: PTH112 - asked thousands of times; pathlib takes longer
        return root
    try:
        root.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, FileNotFoundError, NotADirectoryError) as error:
        if not os.environ.get("BKBISECT_CACHE_DIR"):
            raise
        raise BadInput(
            f"BKBISECT_CACHE_DIR={root} cannot be made a folder: {error.strerror}",
            hint="BKBISECT_CACHE_DIR=DIR, a folder or a new name in one",
        ) from None
    return root


def cache(name: str) -> Path:
    """Return the directory *name* in the cache; created if missing.

    Raises `ValueError` unless its first component is in `DIRECTORIES`.
    """
    if name.partition("/")[0] not in DIRECTORIES:
        raise ValueError(f"{name} is not in paths.DIRECTORIES")
    path = cache_root() / name
    if not os.path.isdir(path):  # noqa: PTH112 - as above
        path.mkdir(parents=True, exist_ok=True)
    return path


def expanded(text: str) -> Path:
    """Return the path *text* with the home directory for ``~``; as it is if it has none."""
    path = Path(text)
    try:
        return path.expanduser()
    except RuntimeError:  # no user is called that
        return path


def is_cached(entry: Path) -> bool:
    """Whether *entry* of the cache directory has a name that this tool creates there."""
    return entry.name in DIRECTORIES or FILES.fullmatch(entry.name) is not None


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """Create a directory in the cache's ``tmp`` and remove it after the block.

    It is on the cache's own file system, so one rename turns it into a finished entry.
    It names its owner: see `owner_alive`.
    """
    path = Path(tempfile.mkdtemp(prefix=f"{prefix}-{os.getpid()}-", dir=cache("tmp")))
    try:
        claim(path)
        yield path
    finally:
        remove(path, ignore_errors=True)


def claim(folder: Path) -> None:
    """Record this process as the owner of *folder*."""
    (folder / OWNER).write_text(owner.me())


def is_claimed(folder: Path) -> bool:
    """Whether a process of this user has called `claim` for *folder*."""
    try:
        mine = folder.lstat().st_uid == os.geteuid()
        return mine and not folder.is_symlink() and (folder / OWNER).is_file()
    except OSError:
        return False


def owner_alive(entry: Path) -> bool:
    """Whether the process that created and claimed *entry* is still running.

    Entries without an owner, and those of a process that is not visible from here (in another
    container with the same cache), count as alive for a day.
    """
    # Git's entry for a work tree in scratch has the same name in another directory.
    for folder in (entry, cache("tmp") / entry.name):
        try:
            gone = owner.gone((folder / OWNER).read_text())
        except (OSError, ValueError):  # killed before it called claim
            continue
        return is_young(entry) if gone is None else not gone
    pid = entry.name.rsplit("-", 2)[1:2]
    if not pid or not pid[0].isdigit():
        return is_young(entry)
    return Path(f"/proc/{pid[0]}").exists()


def is_young(entry: Path) -> bool:
    """Whether *entry* was changed within a day: until then, an invisible owner counts as alive."""
    try:
        return time.time() - entry.lstat().st_mtime < _DAY
    except OSError:
        return False
