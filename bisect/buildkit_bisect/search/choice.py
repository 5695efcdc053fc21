"""Which of several cells a search between the same ends uses.

Every cell has a session of its own, so its ends are proven by the same rules as those of a search
in one cell, and the trials that prove them are the first trials of the search in the cell chosen.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from buildkit_bisect.search.ends import EndsFound, GoodEndSearch
from buildkit_bisect.search.session import BisectSession
from buildkit_bisect.search.vocabulary import Answer, Ask, Phase, Refused, Step, Tested

#: Decimals of a probability that count: cells that differ by less are equally certain.
_DECIMALS = 3

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, kw_only=True, slots=True)
class Try(Generic[K]):
    """What to run next, and in which cell."""

    cell: K
    ask: Ask


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen(Generic[K]):
    """The cell to search in, and how likely the ends differ in each cell in which they may."""

    cell: K
    certainty: Mapping[K, float]  # in the order of the cells; the chosen one among them


@dataclass(frozen=True, kw_only=True, slots=True)
class NoneDiffers(Generic[K]):
    """No cell can be searched, and why, for each of them."""

    answers: Mapping[K, Answer]


class CellChoice(Generic[K]):
    """Tries the ends in every cell until it is known in which of them a search is possible.

    The cell in which the ends differ most certainly is chosen; of equally certain ones, the first
    of *sessions*, whose order is that of the cells. Trials beyond the first ones of each end are
    asked for only as long as there is no cell to choose.
    """

    def __init__(self, sessions: Mapping[K, BisectSession]) -> None:
        self._sessions = dict(sessions)

    def next(self) -> Try[K] | Chosen[K] | NoneDiffers[K]:
        """The next trials at an end or a merge base, or how the choice ended."""
        steps = {cell: session.next() for cell, session in self._sessions.items()}
        begun = [cell for cell, session in self._sessions.items() if session.begun]
        if waiting := self._waiting(steps, begun):
            # In turns, so that one build serves every cell before the next one is made.
            cell = min(waiting, key=lambda c: len(self._sessions[c].steps))
            return Try(cell=cell, ask=waiting[cell])
        if begun:
            certainty = {c: round(self._sessions[c].certainty, _DECIMALS) for c in begun}
            return Chosen(cell=max(begun, key=lambda c: certainty[c]), certainty=certainty)
        return NoneDiffers(answers={c: s for c, s in steps.items() if not isinstance(s, Ask)})

    def next_k(
        self, k: int, *, builds: int | None = None
    ) -> tuple[Try[K], ...] | Chosen[K] | NoneDiffers[K]:
        """The next trials of up to *k* commits in every cell that waits; see `BisectSession`."""
        step = self.next()
        if not isinstance(step, Try):
            return step
        if k == 1:
            return (step,)
        steps = {cell: session.next() for cell, session in self._sessions.items()}
        begun = [cell for cell, session in self._sessions.items() if session.begun]
        tries: list[Try[K]] = []
        for cell in self._waiting(steps, begun):
            asks = self._sessions[cell].next_k(k, builds=builds)
            assert isinstance(asks, tuple)
            tries += [Try(cell=cell, ask=ask) for ask in asks]
        order = list(dict.fromkeys(one.ask.commit for one in tries))
        return tuple(sorted(tries, key=lambda one: order.index(one.ask.commit)))

    def _waiting(self, steps: Mapping[K, Step], begun: Collection[K]) -> dict[K, Ask]:
        """What is asked for next in the cells for which the choice waits."""
        asks = {c: s for c, s in steps.items() if isinstance(s, Ask) and c not in begun}
        first = {c: ask for c, ask in asks.items() if ask.phase is Phase.GATE}
        return first or ({} if begun else asks)

    def tell(self, cell: K, commit: str, tested: Tested) -> None:
        """Take in what was seen at a commit in a cell."""
        self._sessions[cell].tell(commit, tested)


@dataclass(frozen=True, kw_only=True, slots=True)
class GoodEndOfCell(Generic[K]):
    """A release that is good in some cell that is bad at the bad end."""

    cell: K
    ends: EndsFound


class GoodEndOfCells(Generic[K]):
    """Looks for a good end in every cell at once; driven like a `CellChoice`.

    Of what the cells find it takes the newest release; of equal ones the first cell's.
    """

    def __init__(self, searches: Mapping[K, GoodEndSearch]) -> None:
        self._searches = dict(searches)

    def next(self) -> Try[K] | GoodEndOfCell[K] | Mapping[K, Refused]:
        """The next release to test, or how it ended: every cell's refusal if none is good."""
        step = self.next_k(1)
        return step[0] if isinstance(step, tuple) else step

    def next_k(
        self, k: int, *, builds: int | None = None
    ) -> tuple[Try[K], ...] | GoodEndOfCell[K] | Mapping[K, Refused]:
        """At most *k* releases to test at once, in every cell that asks for them; or how it ended.

        At most *builds* of them, but one in any case, need a build. With a *k* of 1 it is one cell.
        """
        steps = {cell: search.next_k(k) for cell, search in self._searches.items()}
        found = {cell: step for cell, step in steps.items() if isinstance(step, EndsFound)}
        newest = min(found, key=lambda c: self._back(c, found[c].good), default=None)
        end = None if newest is None else self._back(newest, found[newest].good)
        tries = [
            Try(cell=cell, ask=ask)
            for cell, step in steps.items()
            if isinstance(step, tuple)
            for ask in step
            if end is None or self._back(cell, ask.commit) < end
        ]
        if tries:
            tries.sort(key=lambda one: self._back(one.cell, one.ask.commit))
            return tuple(self._within(tries, k, builds)) if k > 1 else (tries[0],)
        if newest is not None:
            return GoodEndOfCell(cell=newest, ends=found[newest])
        return {c: s for c, s in steps.items() if isinstance(s, Refused)}

    def _within(self, tries: Sequence[Try[K]], k: int, builds: int | None) -> Iterator[Try[K]]:
        """Yield those of *tries* that are about the first releases that may be tested at once."""
        taken: dict[str, bool] = {}  # whether it needs a build
        for one in tries:
            commit = one.ask.commit
            if commit not in taken:
                needs = self._searches[one.cell].needs_build(commit)
                many = needs and builds is not None and sum(taken.values()) >= builds
                if len(taken) == k or (taken and many):
                    continue
                taken[commit] = needs
            yield one

    def _back(self, cell: K, commit: str) -> int:
        return self._searches[cell].back(commit)

    def tell(self, cell: K, commit: str, tested: Tested) -> None:
        """Take in what was seen at a release in a cell."""
        self._searches[cell].tell(commit, tested)
