"""Limits the size of the cache; the least recently used entries are removed first.

Processes that use an entry call `used` or `using`, which sets its modification time and
registers the process in ``locks/user-NAME``, with the name that `owner` gives it. Entries used
since the oldest registered process started are never removed. So a campaign never loses an entry
that it uses, and campaigns do not wait for each other. A briefly held lock, shared for use and
exclusive for removal, keeps an entry from being removed between the check of its time and its
use.

The journal is kept: the evidence of an old trial may be removed, its observation is not.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect.system import owner, paths

#: Kinds whose subdirectories are one entry each, and kinds that are one entry as a whole.
_EACH = (
    *("builds", "evidence", "failures", "mirrors", "programs", "toolchains", "tools", "trees"),
)
_WHOLE = ("gocache", "gomod", "registry")
KINDS = tuple(sorted((*_EACH, *_WHOLE)))

#: Directories that never change once created; they are measured once.
_FIXED = ("builds", "failures", "programs", "toolchains", "tools")

#: The go command updates the time of a file in GOCACHE at most once an hour.
_GO_RENEWS = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A removable entry: its kind, bytes on disk, and when it was last used (epoch)."""

    kind: str
    path: Path
    bytes: int
    used: float


def shown(size: int) -> str:
    """Return *size* for people: ``1.4 GB``."""
    power = min(len(str(size)) - 1, 9) // 3
    return f"{size / 1000**power:.{1 if power > 1 else 0}f} {('B', 'kB', 'MB', 'GB')[power]}"


@contextmanager
def using(*places: Path) -> Iterator[None]:
    """Keep *places* in the cache during the block and for the rest of this process."""
    _register()
    with _gate(fcntl.LOCK_SH):
        for place in places:
            with contextlib.suppress(OSError):
                os.utime(place)
        yield


def used(path: Path) -> None:
    """Keep *path*, if it exists, in the cache until this process ends."""
    with using(path):
        pass


def others() -> list[int]:
    """Return the ids of other processes of this tool that use the cache."""
    return [owner.number(name) for name, _ in _users() if name != owner.me()]


def entries(*, fresh: bool = False, believed: bool = False) -> list[Entry]:
    """Return all removable entries; unchanged directories are not measured again.

    *fresh* measures all of them, *believed* only those that never were.
    """
    known = {} if fresh else _load_sizes()
    found: list[Entry] = []
    noted: dict[str, tuple[int, int]] = {}
    for kind, path in _paths():
        try:
            status = path.stat()
        except OSError:
            continue
        name = f"{kind}/{path.name}"
        stamp, size = known.get(name, (-1, 0))
        if believed and name in known:
            noted[name] = (stamp, size)  # the next one measures it
            found.append(Entry(kind=kind, path=path, bytes=size, used=status.st_mtime))
            continue
        # Measure empty ones again: results linked to all their files, and may be removed by now.
        if not size or (stamp != status.st_mtime_ns and kind not in _FIXED):
            size = _measure(path)
        noted[name] = (status.st_mtime_ns, size)
        found.append(Entry(kind=kind, path=path, bytes=size, used=status.st_mtime))
    _save_sizes(noted)
    return found


def surplus(found: Iterable[Entry], limit: int) -> list[Entry]:
    """Return what to remove, oldest first, to get down to *limit* bytes; GOCACHE by files."""
    found = list(found)
    over = sum(e.bytes for e in found) - limit
    if over <= 0:
        return []
    floor = min((began for _, began in _users()), default=time.time())
    candidates = [f for e in found for f in (_go_files(e) if e.kind == "gocache" else (e,))]
    gone: list[Entry] = []
    for entry in sorted(candidates, key=lambda e: e.used):
        if over <= 0:
            break
        spared = _GO_RENEWS if entry.kind == "gocache" else 0.0
        if entry.bytes and entry.used < floor - spared:
            gone.append(entry)
            over -= entry.bytes
    return gone


def trim(limit: int, *, grew: bool = True) -> list[Entry]:
    """Shrink the cache to *limit* bytes and return the removed entries.

    The cache stays larger if the rest is in use. Safe beside campaigns and other trims. If this
    process did not make it larger (not *grew*), it is only measured if it was too large the last
    time: Go's caches have some 400,000 files, which take minutes if the kernel has forgotten them.
    """
    if not grew and sum(entry.bytes for entry in entries(believed=True)) <= limit:
        return []
    _register()
    gone = []
    with paths.scratch("old") as old:
        for number, entry in enumerate(surplus(entries(), limit)):
            if _take(entry, old / str(number)):
                gone.append(entry)
        remove(old)
    return gone


def remove(path: Path) -> None:
    """Remove a file or directory; directories of the module cache are read-only on purpose."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    for folder, _, _ in os.walk(path):
        with contextlib.suppress(OSError):
            Path(folder).chmod(0o700)
    shutil.rmtree(path)


def _take(entry: Entry, target: Path) -> bool:
    """Move *entry* to *target*, unless it was used since it was listed."""
    with _gate(fcntl.LOCK_EX):
        try:
            if entry.path.stat().st_mtime > entry.used:
                return False
            entry.path.rename(target)
        except OSError:
            return False
    return True


def _paths() -> Iterator[tuple[str, Path]]:
    root = paths.cache_root()
    for kind in KINDS:
        folder = root / kind
        # A link leads to another cache, which has its own limit.
        if folder.is_symlink() or not folder.is_dir():
            continue
        if kind in _WHOLE:
            yield kind, folder
            continue
        for path in folder.iterdir():
            plain = not path.is_symlink() and not path.name.endswith(".lock")
            if plain and path.name != "requests":
                yield kind, path


def _measure(path: Path) -> int:
    """Return the bytes that removing *path* frees; files that results link to do not count."""
    if not path.is_dir():
        return path.lstat().st_blocks * 512
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                status = os.lstat(f"{folder}/{name}")
                total += status.st_blocks * 512 if status.st_nlink == 1 else 0
    return total


def _go_files(cache: Entry) -> Iterator[Entry]:
    """Yield the files of GOCACHE; the go command works without any of them."""
    for path in cache.path.glob("[0-9a-f][0-9a-f]/*"):
        with contextlib.suppress(OSError):
            status = path.stat()
            yield Entry(
                kind=cache.kind, path=path, bytes=status.st_blocks * 512, used=status.st_mtime
            )


@contextmanager
def _gate(how: int) -> Iterator[None]:
    descriptor = os.open(f"{paths.cache('locks')}/use.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def _register() -> None:
    _note(paths.cache("locks"), owner.me())


@functools.cache
def _note(locks: Path, name: str) -> None:
    """Register process *name* as a user of the cache until it ends."""
    note = locks / f"user-{name}"
    note.touch()
    atexit.register(note.unlink, missing_ok=True)


def _users() -> list[tuple[str, float]]:
    """Return the processes that use the cache and when each started to; removes stale notes."""
    found = []
    for note in paths.cache("locks").glob("user-*"):
        name = note.name.removeprefix("user-")
        with contextlib.suppress(OSError):
            began = note.stat().st_mtime
            if name.isdecimal():  # written by an earlier version: only a process id
                gone: bool | None = not owner.is_ours(int(name))
            else:
                gone = owner.gone(name)
            if gone is None:
                gone = not paths.is_young(note)
            if gone:
                note.unlink()
            else:
                found.append((name, began))
    return found


def _sizes() -> Path:
    return paths.cache_root() / paths.SIZES


def _load_sizes() -> dict[str, tuple[int, int]]:
    try:
        return {k: (int(t), int(b)) for k, (t, b) in json.loads(_sizes().read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # the file only saves time


def _save_sizes(noted: dict[str, tuple[int, int]]) -> None:
    draft = _sizes().with_name(f"{paths.SIZES}.{os.getpid()}")
    with contextlib.suppress(OSError):
        draft.write_text(json.dumps(noted))
        draft.replace(_sizes())
