"""The candidates in cells: those that no trial tells apart share one.

A candidate is on the new side of a trial if the commit that was run contains it. The work
of a decision depends on the number of cells, which grows with what was run, and not on the
number of candidates.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from buildkit_bisect.search.history import History, Mask
from buildkit_bisect.search.prior import Weights
from buildkit_bisect.search.rates import Floats

_ROOM = 16


class Cells:
    """A partition of *space*, cut by every commit that is run.

    Candidates count by their *weights*, if there are any.
    """

    def __init__(
        self, history: History, reach: Mask, space: Mask, weights: Weights | None = None
    ) -> None:
        self._weights = weights or Weights()
        self.members: list[Mask] = [space]
        self.tests: dict[str, int] = {}  # commit -> column of `inside`
        self._ancestors = history.table(reach)
        self.rows = self._ancestors.rows  # the commits of *reach*
        self._history = history
        self._contained: dict[str, Mask] = {}
        self._inside = np.zeros((_ROOM, _ROOM), dtype=bool)
        self._contains = np.zeros((_ROOM, _ROOM), dtype=bool)
        self._within = np.zeros((len(self.rows), _ROOM), order="F")
        self._within[:, 0] = self._weights.within(self._ancestors, space)
        self._sizes = np.zeros(_ROOM)
        self._sizes[0] = self._weights.of(space)

    def copy(self) -> Cells:
        """The same cells, to be cut by what is not run yet."""
        arrays = ("_inside", "_contains", "_within", "_sizes")
        own: dict[str, Any] = {name: getattr(self, name).copy(order="K") for name in arrays}
        own |= {"members": list(self.members), "tests": dict(self.tests)}
        one = copy.copy(self)
        vars(one).update(own, _contained=dict(self._contained))
        return one

    @property
    def sizes(self) -> Floats:
        """Candidates in each cell."""
        return self._sizes[: len(self.members)]

    @property
    def inside(self) -> NDArray[np.bool_]:
        """[cell, test]: whether the commit that was run contains the cell."""
        return self._inside[: len(self.members), : len(self.tests)]

    @property
    def contains(self) -> NDArray[np.bool_]:
        """[test, test]: whether the first commit contains the second one."""
        return self._contains[: len(self.tests), : len(self.tests)]

    @property
    def within(self) -> Floats:
        """[row, cell]: how many of the cell's candidates a commit of *reach* contains."""
        return self._within[:, : len(self.members)]

    def cut(self, commit: str, *, aside: bool = False) -> None:
        """Take in a commit that was run; *aside*: what it contains is no evidence here.

        That is an old end on a release branch: it shows the rate of the old side, but a change
        that it contains may have been undone on that branch.
        """
        if commit in self.tests:
            return
        contained = 0 if aside else self._history.ancestors(commit)
        self._contained[commit] = contained
        number, column = self._history.number(commit), len(self.tests)
        if column == self._inside.shape[1]:
            self._inside = np.pad(self._inside, ((0, 0), (0, column)))
            self._contains = np.pad(self._contains, ((0, column), (0, column)))
        for other, at in self.tests.items():
            self._contains[column, at] = contained >> self._history.number(other) & 1
            self._contains[at, column] = self._contained[other] >> number & 1
        self.tests[commit] = column
        for cell in range(len(self.members)):
            members = self.members[cell]
            within = members & contained
            if within and within != members:
                self._split(cell, within)
            self._inside[cell, column] = bool(within)

    def _split(self, cell: int, within: Mask) -> None:
        new = len(self.members)
        if new == len(self._sizes):
            self._grow()
        without = self.members[cell] & ~within
        self.members[cell] = within
        self.members.append(without)
        self._inside[new] = self._inside[cell]
        self._inside[new, len(self.tests) - 1] = False
        both = self._within[:, cell].copy()
        self._within[:, cell] = self._weights.within(self._ancestors, within)
        self._within[:, new] = both - self._within[:, cell]
        self._sizes[cell] = self._weights.of(within)
        self._sizes[new] = self._weights.of(without)

    def _grow(self) -> None:
        more = len(self._sizes)
        self._inside = np.pad(self._inside, ((0, more), (0, 0)))
        self._sizes = np.pad(self._sizes, (0, more))
        wide = np.zeros((len(self.rows), 2 * more), order="F")
        wide[:, :more] = self._within
        self._within = wide

    def where(self, mask: Mask) -> NDArray[np.bool_]:
        """Which rows are in a set of commits."""
        return self._ancestors.where(mask)
