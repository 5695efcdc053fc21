"""JSON of unknown origin: rejects valid values that could not be stored or printed. Pure."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

#: Bound of a number: SQLite's and Go's integers end here.
LARGEST = 2**63

# Lone surrogates: valid in JSON, but no encoding can represent them.
_HALF = re.compile("[\ud800-\udfff]")


def loads(text: str) -> Any:
    """Return the value of *text*. Raises ValueError if it is invalid or nested too deep."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def problem(value: Any) -> str:
    """Return the first text or number in *value*, at any depth, that is unusable; "" if none is."""
    parts: list[Any] = [value]
    while parts:  # no recursion: the depth is untrusted
        part = parts.pop()
        match part:
            case str() if _HALF.search(part):
                return f"{part[:100]!a} has a lone surrogate"
            case int() | float() if not -LARGEST < part < LARGEST:  # nor is NaN
                return "a number is not finite, or too large"
            case dict():
                parts += [*part.keys(), *part.values()]
            case list() | tuple():
                parts += part
            case _ if dataclasses.is_dataclass(part):
                parts += [getattr(part, field.name) for field in dataclasses.fields(part)]
    return ""
