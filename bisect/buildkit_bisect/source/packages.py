"""What Go compiles for each package of a tree: its sources, and all that it imports. Pure.

A package is compiled again if its sources, or a package that it imports, are others than those
of every earlier build. So the number of such packages tells what a build costs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Self

from buildkit_bisect.source.closure import Tree

#: Bytes of the code that stands for a compiled package.
WIDTH = 2


@dataclass(kw_only=True)
class Packages:
    """The packages in *directories* of a *tree* of a *module*, compiled with *go*, ``1.25``.

    *compiled* and *importers* are found when they are needed.
    """

    tree: Tree
    module: str
    go: str
    directories: frozenset[str]
    compiled: dict[str, bytes] = field(default_factory=dict)
    importers: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.directories = frozenset(d for d in self.directories if d in self.tree)

    def codes(self) -> bytes:
        """Return a code of each package; equal ones are mostly the same package."""
        return b"".join(self._of(d)[:WIDTH] for d in sorted(self.directories))

    def after(self, last: Self | None) -> Self:
        """Take over what is the same in *last*, a neighbour."""
        if not last or (last.module, last.go) != (self.module, self.go):
            return self
        if last.directories != self.directories:
            return self
        changed = {d for d in self.directories if self.tree[d] is not last.tree[d]}
        if any(self.wants(d) != last.wants(d) for d in changed):
            return self
        self.importers = last.importers or self._imported()
        front = set(changed)
        while front:
            front = set().union(*(self.importers.get(d, set()) for d in front)) - changed
            changed |= front
        self.compiled = {d: c for d, c in last.compiled.items() if d not in changed}
        return self

    def wants(self, directory: str) -> frozenset[str]:
        """Return those of the packages that one of them imports."""
        return self.tree[directory].wants(self.module) & self.directories

    def _imported(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for directory in self.directories:
            for wanted in self.wants(directory):
                found.setdefault(wanted, set()).add(directory)
        return found

    def _of(self, directory: str) -> bytes:
        if directory not in self.compiled:
            self.compiled[directory] = b""  # for all systems together, imports may be a circle
            here = self.tree[directory]
            parts = [self.go.encode(), directory.encode(errors="surrogateescape")]
            parts.append(here.digest(everything=here.embeds))
            parts += [self._of(d) for d in sorted(self.wants(directory))]
            self.compiled[directory] = hashlib.sha256(b"\0".join(parts)).digest()
        return self.compiled[directory]
