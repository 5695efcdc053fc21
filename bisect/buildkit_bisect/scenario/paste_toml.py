"""Values as TOML text. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)

#: Longest list on one line, in characters.
_LINE = 96


def string(text: str) -> str:
    """Return *text* as a TOML string, readable if it can be."""
    text = text.encode(errors="replace").decode()
    if "\n" in text and all(c.isprintable() or c == "\n" for c in text):
        if "'''" not in text and not text.endswith("'"):
            return f"'''\n{text}'''"
    elif (text.isprintable() and "\\" in text and "'" not in text) or (
        text.isprintable() and '"' in text and "'" not in text
    ):
        return f"'{text}'"
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def key(name: str) -> str:
    """Return *name* as a TOML key."""
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def value(found: object) -> str:
    """Return a value on one line; a text with line breaks has several."""
    match found:
        case str():
            return string(found)
        case bool():
            return str(found).lower()
        case int() | float():
            return repr(found)
        case Mapping():
            inner = ", ".join(f"{key(str(k))} = {value(v)}" for k, v in found.items())
            return f"{{ {inner} }}" if inner else "{}"
        case Sequence():
            return f"[{', '.join(map(value, found))}]"
    return str(found)  # a date


def pair(name: str, found: object) -> str:
    """Return ``name = value``; a long list has a line for each of its values."""
    line = f"{key(name)} = {value(found)}"
    if isinstance(found, Sequence) and not isinstance(found, str) and len(line) > _LINE:
        inner = "".join(f"    {value(one)},\n" for one in found)
        return f"{key(name)} = [\n{inner}]"
    return line
