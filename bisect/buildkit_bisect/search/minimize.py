"""Which parts of a change are needed for what it does: ddmin, asked step by step. Pure.

Zeller and Hildebrandt, *Simplifying and Isolating Failure-Inducing Input* (2002), section 3.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise


class Seen(StrEnum):
    """What a subset of the parts showed."""

    CHANGED = "changed"  # the same as all parts
    UNCHANGED = "unchanged"  # the same as no part
    UNTESTABLE = "untestable"  # neither: it does not build, or shows something else


#: Some parts, by their numbers from 0, in order.
Subset = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Minimal:
    """No part can be left out: without any one of them, the change was not seen."""

    parts: Subset


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    """The limit of asks was reached: these parts are enough, and fewer may be."""

    parts: Subset


class Minimizer:
    """Asks for subsets of *count* parts, at most *most* of them, until none can be left out.

    It takes as known that all parts change the outcome and none leave it unchanged. A subset that
    cannot be tested is never evidence: its parts are neither dropped nor kept for it. No subset is
    asked for twice, and the same answers lead to the same asks. Of n parts, n^2 + 3n asks at most.
    """

    def __init__(self, count: int, *, most: int) -> None:
        """Raises `ValueError` if there is no part."""
        if count < 1:
            raise ValueError("nothing to minimize")
        self._most = most
        whole = tuple(range(count))
        self._known: dict[Subset, Seen] = {(): Seen.UNCHANGED, whole: Seen.CHANGED}
        self._given = len(self._known)
        self._search = self._ddmin(whole)
        self._best = whole
        self._wanted: Subset | None = None
        self._answer: Minimal | Stopped | None = None
        self._advance(None)

    @property
    def asked(self) -> int:
        """How many subsets were told."""
        return len(self._known) - self._given

    @property
    def best(self) -> Subset:
        """The smallest subset so far that changes the outcome as all parts do."""
        return self._best

    def next(self) -> Subset | Minimal | Stopped:
        """Return the subset to test next, or the answer."""
        if self._answer:
            return self._answer
        if self.asked >= self._most:
            return Stopped(parts=self._best)
        assert self._wanted is not None
        return self._wanted

    def tell(self, seen: Seen) -> None:
        """Take in what the subset that `next` returned showed."""
        assert self._wanted is not None
        self._known[self._wanted] = seen
        self._advance(seen)

    def seen(self, subset: Subset) -> Seen | None:
        """Return what a subset showed; None if it was not asked for."""
        return self._known.get(subset)

    def _advance(self, seen: Seen | None) -> None:
        """Run the search up to a subset that is not known yet, or its end."""
        try:
            wanted = self._search.send(seen) if seen else next(self._search)
            while wanted in self._known:
                wanted = self._search.send(self._known[wanted])
            self._wanted = wanted
        except StopIteration as end:
            self._wanted = None
            self._answer = Minimal(parts=end.value)

    def _ddmin(self, whole: Subset) -> Generator[Subset, Seen, Subset]:
        parts, chunks = whole, 2
        while len(parts) > 1:
            found: Subset | None = None
            split = _split(parts, chunks)
            for chunk in split:
                if (yield chunk) is Seen.CHANGED:
                    found, chunks = chunk, 2
                    break
            # Of two chunks, each is what the other leaves.
            for chunk in split if found is None and chunks > 2 else ():  # noqa: PLR2004
                rest = tuple(p for p in parts if p not in chunk)
                if (yield rest) is Seen.CHANGED:
                    found, chunks = rest, max(chunks - 1, 2)
                    break
            if found is not None:
                parts = self._best = found
            elif chunks >= len(parts):
                break
            else:
                chunks = min(len(parts), 2 * chunks)
        return parts


def _split(parts: Subset, count: int) -> list[Subset]:
    """Return *parts* as so many runs of nearly the same length, none of them empty."""
    ends = [len(parts) * n // count for n in range(count + 1)]
    return [parts[a:b] for a, b in pairwise(ends) if a < b]
