"""JSON text with a line for each value, in half the time that `json.dumps` takes for it. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

_encoded = json.JSONEncoder(ensure_ascii=False).encode

#: The same for a text.
_quoted = json.encoder.encode_basestring

#: The same for what is no text and has nothing below it, each of which takes it ten times as long.
_SHORT: dict[type, Callable[[Any], str]] = {
    int: str,
    bool: lambda value: "true" if value else "false",
    type(None): lambda _: "null",
    dict: lambda _: "{}",
    list: lambda _: "[]",
    tuple: lambda _: "[]",
}


def indented(value: Any) -> str:
    """Return what ``json.dumps(value, indent=1, ensure_ascii=False)`` does; keys must be texts."""
    return _text(value, "\n")


def _text(value: Any, start: str) -> str:
    """*start* is the line break and the indentation of the line that *value* begins on."""
    inner = f"{start} "
    if isinstance(value, dict) and value:
        parts = [
            f"{_quoted(key)}: {_quoted(each) if isinstance(each, str) else _text(each, inner)}"
            for key, each in value.items()
        ]
        return f"{{{inner}{f',{inner}'.join(parts)}{start}}}"
    if isinstance(value, list | tuple) and value:
        parts = [_quoted(each) if isinstance(each, str) else _text(each, inner) for each in value]
        return f"[{inner}{f',{inner}'.join(parts)}{start}]"
    return _SHORT.get(type(value), _encoded)(value)
