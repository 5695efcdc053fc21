"""Build inputs of whole ranges of commits, read from git objects without a work tree."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from buildkit_bisect.golang.toolchain import asked_in_dockerfile
from buildkit_bisect.source.closure import (
    Around,
    Closure,
    Directory,
    Files,
    Tree,
    compute,
    other_modules,
    replaced_directories,
    update,
)
from buildkit_bisect.source.goimports import GoFile, scan
from buildkit_bisect.source.packages import Packages
from buildkit_bisect.source.remembered import Remembered
from buildkit_bisect.source.trees import TreeReader

#: Program -> the directory of its main package.
ROOTS = {"buildkitd": "cmd/buildkitd", "buildctl": "cmd/buildctl"}
PROGRAMS = tuple(ROOTS)

#: Increment it when the results of `closure` or `goimports` change: older ones are then unused.
FORMAT = 4

#: Beside the programs, what is stored of a commit.
_PACKAGES = "packages"

_MODULE = re.compile(r"^module[ \t]+\"?([^\s\"]+)", re.MULTILINE)


class _Seen(NamedTuple):
    """A commit whose closures are known."""

    tree: Tree
    around: Around
    closures: Mapping[str, Closure]  # by program


class InputKeys:
    """Computes digests of build inputs; stores them and the imports of each Go file.

    They are stored in a file in *folder*, shared between processes and repositories: its keys are
    ids of git objects. Use as a context manager.
    """

    def __init__(self, trees: TreeReader, folder: Path) -> None:
        self._trees = trees
        self._remembered = Remembered(folder / f"inputs-{FORMAT}.sqlite")
        self._files: dict[str, GoFile] = {}
        self._texts: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, why: type[BaseException] | None, *_: object) -> None:
        self._remembered.__exit__(why)

    def of(self, commits: Sequence[str], extra: tuple[str, ...] = ()) -> dict[str, dict[str, str]]:
        """Return commit id -> program -> digest of its build inputs."""
        suffix = f" {' '.join(sorted(extra))}" if extra else ""
        names = {(c, p): f"{c} {p}{suffix}" for c in commits for p in (*PROGRAMS, _PACKAGES)}
        digests = [names[c, p] for c in commits for p in PROGRAMS]
        known = self._remembered.digests(digests)
        missing = [c for c in commits if any(names[c, p] not in known for p in PROGRAMS)]
        if missing:
            made = {names[at]: digest for at, digest in self._compute(missing, extra).items()}
            self._remembered.save(made)
            known |= made
        return {c: {p: known[names[c, p]] for p in PROGRAMS} for c in commits}

    def packages(self, commits: Sequence[str], extra: tuple[str, ...] = ()) -> dict[str, bytes]:
        """Return commit id -> the codes of its packages: see `source.packages`."""
        suffix = f" {' '.join(sorted(extra))}" if extra else ""
        names = {c: f"{c} {_PACKAGES}{suffix}" for c in commits}
        known = self._remembered.digests(list(names.values()))
        if missing := [c for c in commits if names[c] not in known]:
            found = self._compute(missing, extra)
            made = {names[c]: codes for (c, what), codes in found.items() if what == _PACKAGES}
            self._remembered.save(made)
            known |= made
        return {c: bytes.fromhex(known[names[c]]) for c in commits}

    def closure(self, commit: str, program: str, extra: tuple[str, ...] = ()) -> Closure:
        """Return what a commit's *program* is built from, with the import paths *extra*."""
        tree = self._trees.tree(self._trees.roots([commit])[commit])
        return compute(tree, self._around(tree), self._learn, extra, roots=(ROOTS[program],))

    def content(self, commits: Sequence[str], names: Iterable[str] | None) -> dict[str, str]:
        """Return commit id -> digest of its files *names*, which need not exist; None: of all."""
        roots = self._trees.roots(list(commits))
        if names is None:
            return roots
        asked = sorted(names)
        found = {root: [self._trees.blob(root, name) for name in asked] for root in roots.values()}
        return {
            c: hashlib.sha256(json.dumps(found[r]).encode()).hexdigest() for c, r in roots.items()
        }

    def _compute(self, commits: list[str], extra: tuple[str, ...]) -> dict[tuple[str, str], str]:
        """Return the digest of each commit's programs, and the codes of its packages."""
        roots = self._trees.roots(commits)
        result: dict[tuple[str, str], str] = {}
        last: _Seen | None = None
        packages: Packages | None = None
        for sha in commits:
            tree = self._trees.tree(roots[sha])
            around = self._around(tree)
            changes = _changes(last.tree, tree) if last and last.around == around else None
            closures: dict[str, Closure] = {}
            for program, root in ROOTS.items():
                # Neighbouring commits share most inputs, or at least imports.
                closure = None
                if last and changes is not None:
                    closure = update(last.closures[program], changes, tree, around, self._learn)
                if closure is None:
                    closure = compute(tree, around, self._learn, extra, roots=(root,))
                closures[program] = closure
                result[sha, program] = closure.digest
            inside = frozenset().union(*(c.directories for c in closures.values()))
            packages = Packages(
                tree=tree, module=around.module, go=around.go, directories=inside
            ).after(packages)
            result[sha, _PACKAGES] = packages.codes().hex()
            last = _Seen(tree, around, closures)
        return result

    def _around(self, tree: Tree) -> Around:
        top = tree[""].files if "" in tree else {}
        gomod = self._text(top, "go.mod")
        module = _MODULE.search(gomod)
        return Around(
            module=module[1] if module else "",
            go=self._dockerfile_go(top),
            lists=_lists(tree, top),
            replaced=replaced_directories(gomod),
            modules=other_modules(tree),
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


def _changes(before: Tree, now: Tree) -> dict[str, tuple[Directory | None, Directory | None]]:
    """Return the directories that differ between two trees, as they are in each."""
    return {
        d: (before.get(d), now.get(d))
        for d in now.keys() | before.keys()
        if now.get(d) is not before.get(d)
    }


def _lists(tree: Tree, top: Files) -> tuple[str, ...]:
    """Return the blobs of module lists that the go command reads; with vendor/, not go.sum."""
    vendor = tree["vendor"].files if "vendor" in tree else {}
    modules = vendor.get("modules.txt")
    rest = modules or top.get("go.sum")
    return tuple(entry[1] for entry in (top.get("go.mod"), rest) if entry)
