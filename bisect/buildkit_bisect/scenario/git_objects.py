"""A git repository with the same commits in every trial, as the files that plain HTTP serves.

Without the git command, whose configuration could change what is in a commit. Pure.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping

#: Author and committer of every commit. The first commit is made at `FIRST`, the next ones a minute
#: later each, in seconds since 1970 and UTC.
NAME, EMAIL = "Reproducer", "reproducer@example.org"
FIRST, APART = 1_577_836_800, 60

#: The path of the repository on its server.
PATH = "repo.git"


class Repository:
    """A bare repository in memory; its commits are those of `scenario.definition.Action.COMMIT`."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}  # id -> as git compresses it
        self.refs: dict[str, str] = {}  # full name -> id
        self._peeled: dict[str, str] = {}  # annotated tag -> the commit
        self._files: dict[str, dict[str, str]] = {}  # commit -> path -> blob
        self._head = ""  # the branch of the first commit
        self._last = ""

    @property
    def number(self) -> int:
        """How many commits it has."""
        return len(self._files)

    def commit(
        self,
        tree: Mapping[str, str],
        *,
        message: str,
        branch: str,
        tag: str,
        annotated: bool,
        delete_branch: str = "",
    ) -> str:
        """Add the files of *tree* (path to content) to *branch*; return the commit's id.

        A new branch starts at the last commit. *tag* is made or moved, and *delete_branch*, if it
        is there, is deleted; "" for none.
        """
        self.refs.pop(f"refs/heads/{delete_branch}", None)
        where = f"refs/heads/{branch}"
        parent = self.refs.get(where) or self._last
        files = dict(self._files.get(parent, {}))
        for path, content in tree.items():
            for old in [old for old in files if _nested(old, path)]:
                del files[old]  # a file takes the place of a folder, or the other way round
            files[path] = self._add("blob", content.encode())
        when = f"{NAME} <{EMAIL}> {FIRST + APART * self.number} +0000"
        lines = [f"tree {self._tree(files)}"]
        lines += [f"parent {parent}"] if parent else []
        lines += [f"author {when}", f"committer {when}", "", message, ""]
        made = self._add("commit", "\n".join(lines).encode())
        self._files[made] = files
        self.refs[where] = self._last = made
        self._head = self._head or where
        if tag:
            self._tag(tag, made, when, message if annotated else "")
        return made

    def _tag(self, name: str, commit: str, when: str, message: str) -> None:
        ref = f"refs/tags/{name}"
        self._peeled.pop(ref, None)
        self.refs[ref] = commit
        if message:
            lines = [f"object {commit}", "type commit", f"tag {name}", f"tagger {when}"]
            self.refs[ref] = self._add("tag", "\n".join([*lines, "", message, ""]).encode())
            self._peeled[ref] = commit

    def pages(self) -> dict[str, bytes]:
        """Return the files that git fetches over plain HTTP ("dumb"), by path."""
        refs = []
        for name, target in sorted(self.refs.items()):
            refs += [f"{target}\t{name}\n"]
            refs += [f"{self._peeled[name]}\t{name}^{{}}\n"] if name in self._peeled else []
        return {
            f"{PATH}/HEAD": f"ref: {self._head or 'refs/heads/main'}\n".encode(),
            f"{PATH}/info/refs": "".join(refs).encode(),
            f"{PATH}/objects/info/packs": b"\n",
            **{f"{PATH}/objects/{i[:2]}/{i[2:]}": data for i, data in self.objects.items()},
        }

    def _add(self, kind: str, data: bytes) -> str:
        whole = f"{kind} {len(data)}\0".encode() + data
        name = hashlib.sha1(whole, usedforsecurity=False).hexdigest()
        self.objects[name] = zlib.compress(whole)
        return name

    def _tree(self, files: Mapping[str, str]) -> str:
        """Add the tree with *files* (path to blob), and the trees in it."""
        below: dict[str, dict[str, str]] = {}
        entries: dict[bytes, bytes] = {}  # by what git sorts: the name of a tree ends in a slash
        for path, blob in files.items():
            name, _, rest = path.partition("/")
            if rest:
                below.setdefault(name, {})[rest] = blob
            else:
                entries[name.encode()] = _entry("100644", name, blob)
        for name, inner in below.items():
            entries[f"{name}/".encode()] = _entry("40000", name, self._tree(inner))
        return self._add("tree", b"".join(entries[key] for key in sorted(entries)))


def _entry(mode: str, name: str, target: str) -> bytes:
    return f"{mode} {name}\0".encode() + bytes.fromhex(target)


def _nested(one: str, other: str) -> bool:
    return one.startswith(f"{other}/") or other.startswith(f"{one}/")


def clashing(paths: Iterable[str]) -> str:
    """Return a path that is both a file and a folder of another one; "" if none is."""
    known = list(paths)
    return next((p for p in known if any(q.startswith(f"{p}/") for q in known)), "")
