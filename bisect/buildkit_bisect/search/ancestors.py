"""The ancestors of many commits at once, as a table of machine words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from buildkit_bisect.search.history import History, Mask, bits

_WORD = 64


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
