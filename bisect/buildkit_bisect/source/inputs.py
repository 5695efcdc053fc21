"""Build inputs of whole ranges of commits, from git objects alone, without a work tree."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from buildkit_bisect.source.closure import (
    Around,
    Closure,
    Directory,
    Files,
    Tree,
    compute,
    replaced_directories,
    update,
)
from buildkit_bisect.source.goimports import GoFile, scan
from buildkit_bisect.source.trees import TreeReader
from buildkit_bisect.toolchain import asked_in_dockerfile

if TYPE_CHECKING:
    from git import Repo

#: Raise it when `closure` or `goimports` come to other answers: older ones are then forgotten.
FORMAT = 2

_MODULE = re.compile(r"^module[ \t]+\"?([^\s\"]+)", re.MULTILINE)
_CHUNK = 400


class InputKeys:
    """Computes digests of build inputs, and remembers them and what each Go file imports.

    The memory is a file in *folder*, shared between processes and repositories: it is keyed by
    the ids of git objects. Use as a context manager.
    """

    def __init__(self, repo: Repo, folder: Path) -> None:
        self._trees = TreeReader(repo)
        self._db = sqlite3.connect(folder / f"inputs-{FORMAT}.sqlite", timeout=60)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("CREATE TABLE IF NOT EXISTS gofile (blob TEXT PRIMARY KEY, said TEXT)")
        self._db.execute("CREATE TABLE IF NOT EXISTS key (asked TEXT PRIMARY KEY, digest TEXT)")
        self._files: dict[str, GoFile] = {}
        self._texts: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.commit()
        self._db.close()

    def of(self, commits: Sequence[str], extra: tuple[str, ...] = ()) -> dict[str, str]:
        """Commit id -> digest of its build inputs."""
        suffix = f" {' '.join(sorted(extra))}" if extra else ""
        found = {c: d for c in commits if (d := self._known(c + suffix))}
        missing = [c for c in commits if c not in found]
        if missing:
            made = self._compute(missing, extra)
            self._db.executemany(
                "INSERT OR REPLACE INTO key VALUES (?, ?)",
                [(c + suffix, digest) for c, digest in made.items()],
            )
            self._db.commit()
            found |= made
        return {c: found[c] for c in commits}

    def _known(self, asked: str) -> str:
        row = self._db.execute("SELECT digest FROM key WHERE asked = ?", (asked,)).fetchone()
        return str(row[0]) if row else ""

    def _compute(self, commits: list[str], extra: tuple[str, ...]) -> dict[str, str]:
        roots = self._trees.roots(commits)
        result: dict[str, str] = {}
        last: tuple[Tree, Around, Closure] | None = None
        for sha in commits:
            tree = self._trees.tree(roots[sha])
            around = self._around(tree)
            closure = self._from_last(last, tree, around) if last else None
            if closure is None:
                closure = compute(tree, around, self._learn, extra)
            last = (tree, around, closure)
            result[sha] = closure.digest
        return result

    def _from_last(
        self, last: tuple[Tree, Around, Closure], tree: Tree, around: Around
    ) -> Closure | None:
        """Neighbours mostly share their inputs, or at least their imports."""
        before, around_before, closure = last
        if around != around_before:
            return None
        changes = {
            d: (before.get(d), tree.get(d))
            for d in tree.keys() | before.keys()
            if tree.get(d) is not before.get(d)
        }
        return update(closure, changes, tree, around, self._learn)

    def _around(self, tree: Tree) -> Around:
        top = tree[""].files if "" in tree else {}
        gomod = self._text(top, "go.mod")
        module = _MODULE.search(gomod)
        return Around(
            module=module[1] if module else "",
            go=self._dockerfile_go(top),
            lists=_lists(tree, top),
            replaced=replaced_directories(gomod),
        )

    def _dockerfile_go(self, top: Files) -> str:
        minor = asked_in_dockerfile(self._text(top, "Dockerfile"))
        return f"{minor[0]}.{minor[1]}" if minor else ""

    def _text(self, files: Files, name: str) -> str:
        if name not in files:
            return ""
        blob = files[name][1]
        if blob not in self._texts:
            self._texts[blob] = self._trees.text(blob)
        return self._texts[blob]

    def _learn(self, directories: list[Directory]) -> None:
        missing = {b for d in directories for b in d.go_blobs() if b not in self._files}
        for start in range(0, len(missing), _CHUNK):
            some = list(missing)[start : start + _CHUNK]
            marks = ",".join("?" * len(some))
            query = f"SELECT blob, said FROM gofile WHERE blob IN ({marks})"  # noqa: S608
            rows = self._db.execute(query, some)
            for blob, said in rows:
                imports, embeds, never = json.loads(said)
                self._files[blob] = GoFile(tuple(imports), embeds, never)
        for blob in missing - self._files.keys():
            found = scan(self._trees.text(blob))
            self._files[blob] = found
            said = json.dumps([found.imports, found.embeds, found.never])
            self._db.execute("INSERT OR REPLACE INTO gofile VALUES (?, ?)", (blob, said))
        for directory in directories:
            directory.learn(self._files)


def _lists(tree: Tree, top: Files) -> tuple[str, ...]:
    """Blobs of the module lists that the go command reads; with vendor/, it ignores go.sum."""
    vendor = tree["vendor"].files if "vendor" in tree else {}
    modules = vendor.get("modules.txt")
    rest = modules or top.get("go.sum")
    return tuple(entry[1] for entry in (top.get("go.mod"), rest) if entry)
