"""What will be believed after trials that are asked for and not told yet.

Of what several trials may show, only the likeliest combinations are looked at. Given which commit
brought the change, trials of one round are taken as independent; what they say of the rates counts
when they are told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from buildkit_bisect.search.cells import Cells
from buildkit_bisect.search.information import Outlook
from buildkit_bisect.search.posterior import Belief
from buildkit_bisect.search.rates import Floats
from buildkit_bisect.search.state import State

#: Combinations of results that are looked at, and the least probability of one.
_LIKELIEST = 16
_LEAST = 1e-3


@dataclass(frozen=True, slots=True)
class Run:
    """Trials of a commit that are asked for, and not told yet."""

    commit: str
    trials: int


@dataclass(slots=True)
class _Shown:
    """What is believed after one combination of results."""

    share: float  # its probability
    mass: Floats  # [cell]
    each: Floats
    no_change: float


class After:
    """What will be believed after *runs*, on average: in the place of a `Belief` in `weigh`."""

    def __init__(self, now: Belief, runs: Sequence[Run]) -> None:
        self.state: State = now.state
        self.best = now.best
        self._now = now
        self.cells: Cells = now.cells.copy()
        for run in runs:
            self.cells.cut(run.commit)
        self._from = _from(now.cells, self.cells)
        sizes = np.maximum(self.cells.sizes, 1)
        self.each = now.each[self._from]
        self.mass = self.each * self.cells.sizes
        self.no_change = now.no_change
        self._shown = [
            _Shown(share, mass, mass / sizes, none) for share, mass, none in self._after(runs)
        ]
        self._outlooks: dict[tuple[int, ...], Outlook] = {}

    def _after(self, runs: Sequence[Run]) -> list[tuple[float, Floats, float]]:
        """The likeliest combinations: their probability, and the masses that they leave."""
        given, inside = self._now.given, self.cells.inside
        likely, alike = np.ones((1, len(self.mass))), np.ones(1)  # [combination, cell]
        for run in runs:
            table = self._now.results((run.trials,)).table
            contained = inside[:, self.cells.tests[run.commit], None]
            with_it, without = (side[self._from] @ table for side in (given.with_it, given.without))
            each = np.where(contained, with_it, without).T
            likely = (likely[:, None, :] * each[None, :, :]).reshape(-1, len(self.mass))
            alike = (alike[:, None] * (given.alike @ table)[None, :]).reshape(-1)
            share = likely @ self.mass + alike * self.no_change
            order = np.argsort(-share, kind="stable")[:_LIKELIEST]
            order = order[share[order] >= min(_LEAST, share[order[0]])]
            likely, alike = likely[order], alike[order]
        mass, none = likely * self.mass, alike * self.no_change
        share = mass.sum(axis=1) + none
        return [
            (float(p / share.sum()), mass[at] / p, float(none[at] / p))
            for at, p in enumerate(share)
        ]

    def bits(self, batches: tuple[int, ...], contained: Floats, each: Floats) -> Floats:
        """See `Belief.bits`; *each* is `each` or `mass` of this."""
        if batches not in self._outlooks:
            given, results = self._now.given, self._now.results(batches)
            self._outlooks[batches] = Outlook(
                given.with_it[self._from] @ results.table,
                given.without[self._from] @ results.table,
                given.alike @ results.table,
                results.starts,
            )
        outlook = self._outlooks[batches]
        found = np.zeros((len(contained), len(batches)))
        for shown in self._shown:
            unit = shown.mass if each is self.mass else shown.each
            found += shown.share * outlook.bits(shown, contained, unit)
        return found

    def runs(self, batches: tuple[int, ...], contained: Floats) -> Floats:
        """See `Belief.runs`."""
        given, until = self._now.given, self._now.results(batches).runs
        with_it, without = (side[self._from] @ until for side in (given.with_it, given.without))
        runs: Floats = (
            self.mass @ without
            + self.no_change * (given.alike @ until)
            + contained @ (self.each[:, None] * (with_it - without))
        )
        return runs


def _from(before: Cells, after: Cells) -> list[int]:
    """The cell that each of *after* is cut from."""
    return [
        next(at for at, whole in enumerate(before.members) if members & whole)
        for members in after.members
    ]
