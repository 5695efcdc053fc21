"""Small sizes for every change, and whole ones each night: ``BKBISECT_TESTS=whole``.

Both prove the same. The whole ones repeat it more often, and give the figures of
docs/reliability.md.
"""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T")

_ASKED = os.environ.get("BKBISECT_TESTS", "")
if _ASKED not in ("", "whole"):
    raise ValueError(f"BKBISECT_TESTS is {_ASKED!r}, not 'whole'")

WHOLE = _ASKED == "whole"


def size(small: T, whole: T) -> T:
    """Return the one that was asked for."""
    return whole if WHOLE else small
