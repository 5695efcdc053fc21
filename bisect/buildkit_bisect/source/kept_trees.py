"""Work trees that stay in the cache: a build moves one from commit to commit.

Files that two commits share keep their times. The go command remembers the imports of a package by
the times of its files, and git writes only what differs, so a build begins at once.

``trees/N/files`` is the tree, ``trees/N/index`` git's index of it; it is no work tree of the
mirror, which has no entry for it. A process keeps to the same tree, and others leave it alone while
that process lives. Only the lock decides who may change a tree.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from buildkit_bisect.system import cache_limit, owner, paths
from buildkit_bisect.system.gitcmd import git
from buildkit_bisect.system.process import ProcessError
from buildkit_bisect.system.removal import remove

#: Trees in the cache; BuildKit's has about 80 MB.
MOST = 4

#: Seconds to write a whole tree.
_WRITES = 300.0


@contextmanager
def kept_tree(mirror: Path, sha: str) -> Iterator[Path | None]:
    """Provide a tree with exactly the files of commit *sha* of *mirror* during the block.

    None if others use all of them. Nothing of the source may run in it. Raises `ProcessError` if
    git cannot write the files, after a second try with an empty tree.
    """
    with contextlib.ExitStack() as held:
        folder = _take(held)
        if folder is None:
            yield None
            return
        try:
            _move(folder, mirror, sha)
        except ProcessError:  # something in the tree, or a damaged index
            _empty(folder)
            _move(folder, mirror, sha)
        yield folder / "files"


def _take(held: contextlib.ExitStack) -> Path | None:
    """Return a tree's folder that is locked until *held* ends; None if there is none."""
    for folder in sorted(_folders(), key=_preference):
        lock = FileLock(paths.cache("locks") / f"tree-{folder.name}.lock", thread_local=False)
        try:
            held.enter_context(lock.acquire(timeout=0))
        except Timeout:
            continue
        _claim(folder)
        return folder
    return None


def _folders() -> list[Path]:
    """Return the folders of trees that this process may use; they may not exist."""
    every = [paths.cache("trees") / str(number) for number in range(MOST)]
    return [f for f in every if _owner(f) == owner.me() or not _busy(f)]


def _busy(folder: Path) -> bool:
    """Whether a process that runs keeps to it; of one that is not visible here nobody can say."""
    return owner.gone(_owner(folder)) is False


def _preference(folder: Path) -> tuple[bool, bool, float]:
    """Sort our own first and another container's last; among others the one used last is first.

    That of an earlier boot counts as another container's.
    """
    name = _owner(folder)
    hidden = bool(name) and owner.gone(name) is None
    used = folder.stat().st_mtime if folder.exists() else 0.0
    return name != owner.me(), hidden, -used


def _owner(folder: Path) -> str:
    try:
        return (folder / paths.OWNER).read_text()
    except (OSError, ValueError):
        return ""


def _claim(folder: Path) -> None:
    """Make *folder* ours; what a machine that stopped may have lost of it is removed."""
    cache_limit.used(folder)  # from here on it is not removed
    (folder / "files").mkdir(parents=True, exist_ok=True)
    if owner.boot(_owner(folder)) != owner.boot(owner.me()):
        _empty(folder)
    paths.claim(folder)


def _empty(folder: Path) -> None:
    remove(folder / "files")
    (folder / "index").unlink(missing_ok=True)
    (folder / "files").mkdir()


def _move(folder: Path, mirror: Path, sha: str) -> None:
    """Write the files of *sha* where they differ, and remove all others.

    A process may have been killed at any moment of an earlier move: the old index then names what
    the tree should have been, so files that it does not name are removed, and files that are not
    as it says are written again.
    """
    (folder / "index.lock").unlink(missing_ok=True)
    tree = folder / "files"
    for words in (("clean", "--quiet", "-ffdx"), ("read-tree", "--reset", "-u", sha)):
        git(
            tree,
            *words,
            timeout=_WRITES,
            # Not the HEAD of the mirror: `git reset --hard` would move that.
            GIT_DIR=str(mirror),
            GIT_WORK_TREE=str(tree),
            GIT_INDEX_FILE=str(folder / "index"),
        )
