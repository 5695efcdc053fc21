"""The shape of a history: who is an ancestor of whom, answered by bit sets.

Commits are numbered so that parents come before children, and the ancestors of a commit
(itself among them) are the bits of one integer. 10,000 commits take about 7 MB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from buildkit_bisect.errors import BadInput

if TYPE_CHECKING:
    from buildkit_bisect.search.ancestors import AncestorTable

#: A set of commits: bit i stands for the commit numbered i.
Mask = int


def bits(mask: Mask) -> Iterator[int]:
    """The numbers in *mask*, ascending."""
    for i, digit in enumerate(reversed(f"{mask:b}")):
        if digit == "1":
            yield i


class History:
    """A DAG of commits, from a mapping of full commit id to the ids of its parents, in order.

    Parents that are not keys themselves are taken as roots, so the output of
    ``git rev-list --parents A..B`` will do. Raises `BadInput` where the mapping has a cycle.
    """

    def __init__(self, parents: Mapping[str, Sequence[str]]) -> None:
        self._shas = _parents_first(parents)
        self._number = {sha: i for i, sha in enumerate(self._shas)}
        self._parents = [tuple(self._number[p] for p in parents.get(sha, ())) for sha in self._shas]
        self._ancestors: list[Mask] = []
        for i, above in enumerate(self._parents):
            mask = 1 << i
            for p in above:
                mask |= self._ancestors[p]
            self._ancestors.append(mask)
        self._tables: dict[Mask, AncestorTable] = {}

    def __len__(self) -> int:
        return len(self._shas)

    def __contains__(self, sha: object) -> bool:
        return sha in self._number

    def number(self, sha: str) -> int:
        """Position of a commit in an order that has parents first; `BadInput` if unknown."""
        try:
            return self._number[sha]
        except KeyError:
            raise BadInput(
                f"commit {sha} is not in the history that was loaded",
                hint="both ends of one repository",
            ) from None

    def sha(self, number: int) -> str:
        """The commit at a position."""
        return self._shas[number]

    def shas(self, mask: Mask) -> tuple[str, ...]:
        """The commits of a set, parents before children."""
        return tuple(self._shas[i] for i in bits(mask))

    def parents(self, sha: str) -> tuple[str, ...]:
        """Parents in git's order; empty for a root."""
        return tuple(self._shas[p] for p in self._parents[self.number(sha)])

    def ancestors(self, sha: str) -> Mask:
        """The commit and everything it contains."""
        return self._ancestors[self.number(sha)]

    def ancestors_at(self, number: int) -> Mask:
        """The same, by position."""
        return self._ancestors[number]

    def union(self, shas: Iterable[str]) -> Mask:
        """Everything that any of *shas* contains, themselves among it."""
        mask = 0
        for sha in shas:
            mask |= self.ancestors(sha)
        return mask

    def contains(self, descendant: str, ancestor: str) -> bool:
        """Whether *ancestor* is reachable from *descendant* (a commit contains itself)."""
        return bool(self.ancestors(descendant) >> self.number(ancestor) & 1)

    def heads(self, mask: Mask) -> tuple[str, ...]:
        """The members of a set that no other member contains."""
        found = []
        while mask:
            top = mask.bit_length() - 1
            found.append(self._shas[top])
            mask &= ~self._ancestors[top]
        return tuple(found)

    def merge_bases(self, a: str, b: str) -> tuple[str, ...]:
        """The best common ancestors, as ``git merge-base --all``; empty if unrelated."""
        return self.heads(self.ancestors(a) & self.ancestors(b))

    def first_parent_line(self, tip: str) -> tuple[str, ...]:
        """From the root to *tip*, following first parents only."""
        line = [self.number(tip)]
        while above := self._parents[line[-1]]:
            line.append(above[0])
        return tuple(self._shas[i] for i in reversed(line))

    def table(self, reach: Mask) -> AncestorTable:
        """The ancestors of the commits of *reach* within it, for counting many at once."""
        # Imported late: it loads numpy, and most commands only ask who is an ancestor of whom.
        from buildkit_bisect.search.ancestors import AncestorTable  # noqa: PLC0415

        if reach not in self._tables:
            self._tables = {reach: AncestorTable(self, reach)}  # the last one is enough
        return self._tables[reach]

    def boundary(self, mask: Mask) -> Mask:
        """Parents of the members of a set that are not in it themselves."""
        outside = 0
        for i in bits(mask):
            for p in self._parents[i]:
                outside |= 1 << p
        return outside & ~mask


def _parents_first(parents: Mapping[str, Sequence[str]]) -> list[str]:
    """Depth first from the heads, first parents first: a branch lies just before its merge."""
    inner = {p for above in parents.values() for p in above}
    order: list[str] = []
    done: dict[str, bool] = {}  # False while its parents are being visited
    for root in (*(sha for sha in parents if sha not in inner), *parents):
        stack = [root]
        while stack:
            sha = stack[-1]
            if sha not in done:
                done[sha] = False
                todo = [p for p in parents.get(sha, ()) if not done.get(p)]
                if any(p in done for p in todo):
                    raise BadInput(f"the history has a cycle through {sha}", hint="git fsck")
                stack.extend(reversed(todo))
                continue
            stack.pop()
            if not done[sha]:
                done[sha] = True
                order.append(sha)
    return order
