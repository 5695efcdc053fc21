"""Reads the trees of many commits from git's tree objects; shared parts are read once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from buildkit_bisect.source.closure import Directory, Tree
from buildkit_bisect.system.gitcmd import git, lines

if TYPE_CHECKING:
    from git import Repo

_DIRECTORY = "40000"
_MODULE = "160000"  # a submodule, which is not checked out


class TreeReader:
    """Reads trees of the mirror at *path* through one ``git cat-file --batch``.

    The repository is opened when its first object is read: what is asked is often known already.
    Use as a context manager.
    """

    def __init__(self, path: Path, open_repo: Callable[[], AbstractContextManager[Repo]]) -> None:
        self._path = path
        self._open_repo = open_repo
        self._opened = ExitStack()
        self._below: dict[tuple[str, str], Tree] = {}
        self._directories: dict[str, tuple[Directory, dict[str, str]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @cached_property
    def _repo(self) -> Repo:
        return self._opened.enter_context(self._open_repo())

    def roots(self, commits: list[str]) -> dict[str, str]:
        """Return commit id -> id of its tree."""
        shown = ("log", "--no-walk=unsorted", "--format=%H %T")
        out = git(self._path, *shown, *commits, "--").stdout
        return dict(line.split() for line in lines(out))

    def tree(self, root: str) -> Tree:
        """Return every directory that contains files, by path, in the tree with id *root*.

        Equal directories of two trees are the same object.
        """
        return self._read(root, "")

    def text(self, blob: str) -> str:
        """Return the content of a file."""
        return str(self._repo.git.get_object_data(blob)[3].decode(errors="replace"))

    def blob(self, root: str, path: str) -> str:
        """Return the id of a file's content in the tree with id *root*; "" if it has no such file.

        Reads only the directories that lead to it.
        """
        *above, name = path.split("/")
        tree = root
        for folder in above:
            tree = self._directory(tree)[1].get(folder, "")
            if not tree:
                return ""
        return self._directory(tree)[0].files.get(name, ("", ""))[1]

    def _read(self, tree: str, path: str) -> Tree:
        known = self._below.get((path, tree))
        if known is not None:
            return known
        directory, folders = self._directory(tree)
        found: Tree = {path: directory} if directory.files else {}
        for name, inner in folders.items():
            found.update(self._read(inner, f"{path}/{name}" if path else name))
        if path:  # not whole trees: there are many, and each is read once
            self._below[path, tree] = found
        return found

    def _directory(self, tree: str) -> tuple[Directory, dict[str, str]]:
        known = self._directories.get(tree)
        if known is None:
            entries = list(_entries(self._repo.git.get_object_data(tree)[3], len(tree) // 2))
            files = {
                name: (mode, sha)
                for mode, name, sha in entries
                if mode not in (_DIRECTORY, _MODULE)
            }
            folders = {name: sha for mode, name, sha in entries if mode == _DIRECTORY}
            known = self._directories[tree] = (Directory(files), folders)
        return known


def _entries(data: bytes, width: int) -> Iterator[tuple[str, str, str]]:
    """Yield (mode, name, id) of the entries of a tree object; ids are *width* bytes long."""
    at = 0
    while at < len(data):
        space = data.index(b" ", at)
        end = data.index(b"\0", space)
        stop = end + 1 + width
        name = data[space + 1 : end].decode(errors="surrogateescape")
        yield data[at:space].decode(), name, data[end + 1 : stop].hex()
        at = stop
