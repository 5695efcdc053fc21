"""JSON of unknown origin: what a document may hold that nothing here could write or show. Pure."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

#: Of a number; the integers of SQLite and of Go end here.
LARGEST = 2**63

# Half of a character: valid in JSON, and in no encoding.
_HALF = re.compile("[\ud800-\udfff]")


def loads(text: str) -> Any:
    """The value of *text*. Raises ValueError where it is none, or nested too deep to read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def problem(value: Any) -> str:
    """What in *value*, texts and numbers however nested, cannot be used; "" where all can."""
    parts: list[Any] = [value]
    while parts:  # no recursion: a stranger chose the depth
        part = parts.pop()
        match part:
            case str() if _HALF.search(part):
                return f"{part[:100]!a} has half of a character"
            case int() | float() if not -LARGEST < part < LARGEST:  # nor is NaN
                return "a number is not finite, or too large"
            case dict():
                parts += [*part.keys(), *part.values()]
            case list() | tuple():
                parts += part
            case _ if dataclasses.is_dataclass(part):
                parts += [getattr(part, field.name) for field in dataclasses.fields(part)]
    return ""
