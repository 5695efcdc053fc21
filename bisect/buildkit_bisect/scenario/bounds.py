"""Bounds in conditions: ``> 5`` of a vertex's time, ``2 x control`` of a metric. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,9})?"
_TOOK = re.compile(rf"([<>]) ?({_NUMBER})")
_LIMIT = re.compile(rf"({_NUMBER})( x control)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """A number, or how many times the control's."""

    number: float
    of_control: bool


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


def limit(text: str) -> Limit:
    """The limit that the valid *text* names. Raises ValueError if it is invalid."""
    found = _LIMIT.fullmatch(text)
    if not found:
        raise ValueError(text)
    return Limit(number=float(found[1]), of_control=bool(found[2]))


def limit_problem(text: str, *, over: bool) -> str:
    """Why *text* cannot be the limit that a metric is *over* or else under; "" if it can."""
    if not _LIMIT.fullmatch(text):
        return f'{text!r} is not a limit such as "10" or "2 x control"'
    found = limit(text)
    if not over and found.number == 0:
        return "can never match: nothing is under 0"
    if found.of_control and (found.number < 1 if over else found.number > 1):
        # The control itself would be beyond it.
        return f"must be {'at least' if over else 'at most'} 1 x control"
    return ""
