"""Build inputs of whole ranges of commits, read from git objects without a work tree."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from buildkit_bisect.golang.toolchain import asked_in_dockerfile
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
from buildkit_bisect.source.remembered import Remembered
from buildkit_bisect.source.trees import TreeReader

if TYPE_CHECKING:
    from git import Repo

#: Increment it when the results of `closure` or `goimports` change: older ones are then unused.
FORMAT = 2

_MODULE = re.compile(r"^module[ \t]+\"?([^\s\"]+)", re.MULTILINE)


class InputKeys:
    """Computes digests of build inputs; stores them and the imports of each Go file.

    They are stored in a file in *folder*, shared between processes and repositories: its keys are
    ids of git objects. Use as a context manager.
    """

    def __init__(self, repo: Repo, folder: Path) -> None:
        self._trees = TreeReader(repo)
        self._remembered = Remembered(folder / f"inputs-{FORMAT}.sqlite")
        self._files: dict[str, GoFile] = {}
        self._texts: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, why: type[BaseException] | None, *_: object) -> None:
        self._remembered.__exit__(why)

    def of(self, commits: Sequence[str], extra: tuple[str, ...] = ()) -> dict[str, str]:
        """Return commit id -> digest of its build inputs."""
        suffix = f" {' '.join(sorted(extra))}" if extra else ""
        known = self._remembered.digests([c + suffix for c in commits])
        missing = [c for c in commits if c + suffix not in known]
        if missing:
            made = {c + suffix: d for c, d in self._compute(missing, extra).items()}
            self._remembered.save(made)
            known |= made
        return {c: known[c + suffix] for c in commits}

    def directories(self, commit: str, roots: Sequence[str]) -> frozenset[str]:
        """Return the directories of a commit's tree that the programs *roots* import."""
        tree = self._trees.tree(self._trees.roots([commit])[commit])
        return compute(tree, self._around(tree), self._learn, roots=roots).directories

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
        """Update the last closure: neighbouring commits share most inputs, or at least imports."""
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
        for blob, scanned in self._remembered.files(missing).items():
            imports, embeds, never = json.loads(scanned)
            self._files[blob] = GoFile(tuple(imports), embeds, never)
        for blob in missing - self._files.keys():
            found = scan(self._trees.text(blob))
            self._files[blob] = found
            self._remembered.note(blob, json.dumps([found.imports, found.embeds, found.never]))
        for directory in directories:
            directory.learn(self._files)


def _lists(tree: Tree, top: Files) -> tuple[str, ...]:
    """Return the blobs of module lists that the go command reads; with vendor/, not go.sum."""
    vendor = tree["vendor"].files if "vendor" in tree else {}
    modules = vendor.get("modules.txt")
    rest = modules or top.get("go.sum")
    return tuple(entry[1] for entry in (top.get("go.mod"), rest) if entry)
