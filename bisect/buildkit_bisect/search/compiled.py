"""Which packages were compiled: those of a commit that were not are what its build costs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

#: Different codes of packages: two bytes each.
_CODES = 1 << 16


class Compiled:
    """The packages of commits that were built, of *packages*: commit id -> codes of two bytes."""

    def __init__(self, packages: Mapping[str, bytes]) -> None:
        self._codes = {c: np.frombuffer(b, dtype=np.uint16) for c, b in packages.items()}
        self._there = np.zeros(_CODES, dtype=np.bool_)

    def __contains__(self, commit: str) -> bool:
        return commit in self._codes

    def add(self, commit: str) -> None:
        """Commit was built."""
        self._there[self._codes[commit]] = True

    def missing(self, commit: str) -> int:
        """Number of the commit's packages that no commit that was built has."""
        return int(np.count_nonzero(~self._there[self._codes[commit]]))
