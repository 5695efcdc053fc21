"""What commits change, read from git's patches: files, and Go functions. Pure.

A function is named by its directory, receiver and name: ``solver.Solver.NewJob``. Git prints the
one that a hunk is in; those that begin inside it are read from its lines. Merges change what
differs from all of their parents.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

#: Begins a commit in git's output.
MARK = "\x01"

_FUNC = re.compile(r"func\s+(?:\(\s*(?:\w+\s+)?\*?\s*(\w+)[^)]*\)\s*)?(\w+)")
_HUNK = re.compile(r"@@+ [^@]* @@+ ?(.*)")
_OTHER_SYSTEM = re.compile(
    r"_(aix|android|darwin|dragonfly|freebsd|illumos|ios|js|netbsd|openbsd|plan9|solaris|wasip1"
    r"|wasm|windows)(_[a-z0-9]+)?\.go$"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What one commit changes."""

    files: frozenset[str] = frozenset()
    functions: frozenset[str] = frozenset()  # of the module's own Go files, without tests

    def packages(self, imported: frozenset[str]) -> frozenset[str]:
        """Return those of the *imported* directories whose Go files for Linux are changed.

        Without those below ``vendor``: an update of a dependency touches hundreds.
        """
        found = {posixpath.dirname(name) for name in self.files if _is_built(name)}
        return frozenset(d for d in found & imported if not d.startswith("vendor/"))

    def touches(self, patterns: Iterable[str]) -> bool:
        """Whether a file matches a glob of *patterns*, or is one of them, or below one."""
        return any(_matches(name, p) for p in patterns for name in self.files)


def _is_built(name: str) -> bool:
    go = name.endswith(".go") and not name.endswith("_test.go")
    return go and not _OTHER_SYSTEM.search(name)


def _matches(name: str, pattern: str) -> bool:
    plain = pattern.removeprefix("./").rstrip("/")
    return name == plain or name.startswith(f"{plain}/") or fnmatch.fnmatchcase(name, plain)


def parse_files(output: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield each commit with its files, from names that follow `MARK`."""
    for part in output.split(MARK)[1:]:
        sha, *names = part.split("\n")
        yield sha, frozenset(name for name in names if name)


def parse_functions(output: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield each commit with the functions that it changes, from patches without context."""
    for part in output.split(f"\n{MARK}"):
        sha, _, patch = part.removeprefix(MARK).partition("\n")
        if sha:
            yield sha, frozenset(_functions(patch))


def _functions(patch: str) -> Iterator[str]:
    directory, header = "", False
    for line in patch.split("\n"):
        if line.startswith("diff --"):
            directory, header = "", True
        elif header and line.startswith(("--- a/", "+++ b/")):
            directory = posixpath.dirname(line[6:].rstrip("\t"))
        elif line.startswith("@@"):
            header = False
            hunk = _HUNK.match(line)
            yield from _named(directory, hunk[1] if hunk else "")
        elif not header:
            yield from _named(directory, line.lstrip("+- "))


def _named(directory: str, line: str) -> Iterator[str]:
    if match := _FUNC.match(line):
        yield ".".join(filter(None, (directory, match[1], match[2])))
