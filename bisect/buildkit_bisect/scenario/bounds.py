"""Bounds in conditions: ``> 5``. Pure."""

from __future__ import annotations

import re

_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,9})?"
_TOOK = re.compile(rf"([<>]) ?({_NUMBER})")


def took(text: str) -> tuple[bool, float]:
    """Whether the valid *text* is ``>``, and its seconds. Raises ValueError if it is invalid."""
    found = _TOOK.fullmatch(text)
    if not found:
        raise ValueError(text)
    return found[1] == ">", float(found[2])


def took_problem(text: str) -> str:
    """Why *text* is not a bound of a vertex's time; "" if it is one."""
    if _TOOK.fullmatch(text) and took(text) != (False, 0.0):
        return ""
    return f'{text!r} is not a bound in seconds such as "> 5" or "< 0.5"'
