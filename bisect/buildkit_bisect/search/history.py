"""The shape of a history: who is an ancestor of whom, answered by bit sets.

Commits are numbered so that parents come before children, and the ancestors of a commit
(itself among them) are the bits of one integer. 10,000 commits take about 7 MB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from buildkit_bisect.errors import BadInput

#: A set of commits: bit i stands for the commit numbered i.
Mask = int

_WORD = 64


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


class AncestorTable:
    """What each commit of a set contains of it, as rows of machine words."""

    def __init__(self, history: History, reach: Mask) -> None:
        self.rows = np.fromiter(bits(reach), dtype=np.int64)
        rows = self.rows
        self._low = int(rows[0]) if len(rows) else 0
        self._bytes = -(-((int(rows[-1]) if len(rows) else 0) + 1 - self._low) // _WORD) * 8
        self._places = rows - self._low
        raw = b"".join(self._packed(history.ancestors_at(int(i)) & reach) for i in rows)
        self._table = np.frombuffer(raw, dtype=np.uint64).reshape(len(rows), self._bytes // 8)

    def count(self, mask: Mask) -> NDArray[np.float64]:
        """How many members of a set each commit contains."""
        words = np.frombuffer(self._packed(mask), dtype=np.uint64)
        used = np.flatnonzero(words)
        if not len(used):
            return np.zeros(len(self._table))
        span = slice(used[0], used[-1] + 1)
        counts: NDArray[np.float64] = (
            np.bitwise_count(self._table[:, span] & words[span]).sum(axis=1).astype(np.float64)
        )
        return counts

    def where(self, mask: Mask) -> NDArray[np.bool_]:
        """Which of the commits are in a set."""
        digits = np.frombuffer(self._packed(mask), dtype=np.uint8)
        chosen: NDArray[np.bool_] = np.unpackbits(digits, bitorder="little")[self._places] != 0
        return chosen

    def _packed(self, mask: Mask) -> bytes:
        shifted = mask >> self._low
        room = 8 * self._bytes
        if shifted.bit_length() > room:
            shifted &= (1 << room) - 1
        return shifted.to_bytes(self._bytes, "little")


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
