"""The files that the binaries are built from: the import closure of two programs. Pure.

Build constraints are not evaluated, so the closure contains at least the files that the compiler
reads, for every operating system. Builds are compared by the digest of its content: equal digests
give equal binaries, with the same compiler and flags.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from buildkit_bisect.source.goimports import GoFile

_SOURCES = (
    *(".go", ".s", ".S", ".sx", ".syso", ".c", ".cc", ".cpp", ".cxx", ".m", ".f", ".F"),
    *(".for", ".f90", ".h", ".hh", ".hpp", ".hxx", ".inc", ".swig", ".swigcxx"),
)
#: The profile that the go command optimizes a program with, beside its main package.
_PROFILE = "default.pgo"

_LOCAL_REPLACE = re.compile(r"=>\s*(\.{1,2}/\S*)")

#: File name -> (mode, blob id) in one directory.
Files = Mapping[str, tuple[str, str]]
#: Directory -> its files. Directories without files are absent.
Tree = dict[str, "Directory"]


class Directory:
    """The files of one directory; shared between commits in which the directory is the same."""

    __slots__ = ("_all", "_sources", "_wants", "embeds", "files", "imports", "scanned")

    def __init__(self, files: Files) -> None:
        self.files = files
        self.scanned = False
        self.imports: tuple[str, ...] = ()
        self.embeds = False
        self._sources = b""
        self._all = b""
        self._wants: tuple[str, frozenset[str]] | None = None

    def go_blobs(self) -> list[str]:
        """Return the blobs of the Go files that a build may read."""
        return [blob for name, (_, blob) in self.files.items() if is_go(name)]

    def learn(self, scanned: Mapping[str, GoFile]) -> None:
        """Record what the directory's Go files import and embed."""
        found = [scanned[blob] for blob in self.go_blobs()]
        self.imports = tuple(sorted({i for f in found for i in f.imports}))
        self.embeds = any(f.embeds for f in found)
        never = {blob for blob in self.go_blobs() if scanned[blob].never}
        self._sources = _digest(
            (n, e) for n, e in self.files.items() if is_source(n) and e[1] not in never
        )
        self.scanned = True

    def wants(self, module: str) -> frozenset[str]:
        """Return the directories of the packages that it imports, in a tree of *module*."""
        if self._wants is None or self._wants[0] != module:
            found = (directory_of(i, module) for i in self.imports)
            self._wants = (module, frozenset(d for d in found if d is not None))
        return self._wants[1]

    def digest(self, *, everything: bool) -> bytes:
        """Return a digest of names, modes and content: of all files, or only of source files."""
        if not everything:
            return self._sources
        if not self._all:
            self._all = _digest(self.files.items())
        return self._all


def _digest(entries: Iterable[tuple[str, tuple[str, str]]]) -> bytes:
    lines = sorted(f"{name}\0{mode}\0{blob}\n" for name, (mode, blob) in entries)
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).digest()


def is_go(name: str) -> bool:
    """Whether the go command reads a file with that name in a build."""
    return name.endswith(".go") and not name.endswith("_test.go") and name[0] not in "._"


def is_source(name: str) -> bool:
    """Whether *name* is a Go file, or a file that may be compiled or included with Go files."""
    others = name.endswith(_SOURCES[1:]) or name == _PROFILE
    return is_go(name) or (others and name[0] not in "._")


@dataclass(frozen=True, kw_only=True, slots=True)
class Closure:
    """The directories that the programs of a tree are built from."""

    directories: frozenset[str]  # imported ones, including those that the tree does not have
    whole: tuple[str, ...]  # directories that embed: every file below them counts
    digest: str

    def touched(self, changed: Iterable[str]) -> list[str]:
        """Return the *changed* directories that the closure reads."""
        below = _below(self.whole)
        return [d for d in changed if d in self.directories or below(d)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Around:
    """Other inputs that decide the bytes."""

    module: str  # the module's path
    go: str  # the minor version in the Dockerfile
    lists: tuple[str, ...]  # blobs of go.mod and its lists: vendor/modules.txt or go.sum
    replaced: tuple[str, ...] = ()  # directories of the tree that replace modules in go.mod
    modules: tuple[str, ...] = ()  # other modules' directories: their packages are not the tree's


def replaced_directories(gomod: str) -> tuple[str, ...]:
    """Return the directories that go.mod's replace lines point to, relative to the tree."""
    return tuple(
        sorted({m[1].removeprefix("./").strip("/") for m in _LOCAL_REPLACE.finditer(gomod)})
    )


def other_modules(tree: Tree) -> tuple[str, ...]:
    """Return the directories of modules in the tree, but for itself and vendored ones."""
    found = (name for name, directory in tree.items() if name and "go.mod" in directory.files)
    return tuple(sorted(name for name in found if not name.startswith("vendor/")))


def compute(
    tree: Tree,
    around: Around,
    learn: Callable[[list[Directory]], None],
    extra: Iterable[str] = (),
    *,
    roots: Iterable[str],
) -> Closure:
    """Return the closure of *tree*'s programs *roots* and of the import paths *extra*.

    *learn* gets directories that are not `scanned` yet, and must scan them.
    """
    seen: set[str] = set()
    whole = set(around.replaced)
    front = {*roots, *(d for i in extra if (d := directory_of(i, around.module)) is not None)}
    while front:
        seen |= front
        here = [(d, tree[d]) for d in front if d in tree]
        new = [directory for _, directory in here if not directory.scanned]
        if new:
            learn(new)
        whole.update(d for d, directory in here if directory.embeds)
        front = set().union(*(directory.wants(around.module) for _, directory in here)) - seen
    return Closure(
        directories=frozenset(seen),
        whole=tuple(sorted(whole)),
        digest=_closure_digest(tree, around, seen, whole),
    )


def update(
    last: Closure,
    changes: Mapping[str, tuple[Directory | None, Directory | None]],
    tree: Tree,
    around: Around,
    learn: Callable[[list[Directory]], None],
) -> Closure | None:
    """Return the closure of *tree*, from the closure of another tree with the same *around*.

    *changes* are the directories that differ, as (other tree's, this tree's). Returns None if
    imports or embedding differ too, which needs `compute`.
    """
    touched = last.touched(changes)
    if not touched:
        return last
    pairs = [changes[d] for d in touched]
    new = [now for _, now in pairs if now and not now.scanned]
    if new:
        learn(new)
    for before, now in pairs:
        if not before or not now or not before.scanned:
            return None
        if before.imports != now.imports or before.embeds != now.embeds:
            return None
    digest = _closure_digest(tree, around, last.directories, last.whole)
    return Closure(directories=last.directories, whole=last.whole, digest=digest)


def directory_of(import_path: str, module: str) -> str | None:
    """Return the directory of a package in the tree; None for the standard library."""
    if import_path == module:
        return ""
    if import_path.startswith(f"{module}/"):
        return import_path[len(module) + 1 :]
    if "." not in import_path.split("/", 1)[0]:
        return None
    return f"vendor/{import_path}"


def _closure_digest(
    tree: Tree, around: Around, seen: Collection[str], whole: Collection[str]
) -> str:
    total = hashlib.sha256("\n".join([around.go, *around.lists, ""]).encode())
    for module in around.modules:
        if any(map(_below([module]), seen)):
            total.update(f"module {module}\n".encode(errors="surrogateescape"))
    below = set(filter(_below(whole), tree)) if whole else set()
    for name in sorted(below.union(seen)):
        if name in tree:
            total.update(name.encode(errors="surrogateescape") + b"\0")
            total.update(tree[name].digest(everything=name in below))
    return total.hexdigest()


def _below(whole: Iterable[str]) -> Callable[[str], bool]:
    """Return a predicate: whether a directory is in *whole* or below one of them."""
    names = frozenset(whole)
    inside = tuple(f"{name}/" if name else "" for name in names)
    return lambda directory: directory in names or directory.startswith(inside)
