"""TOML text: values as TOML, and texts with the same tables joined into one. Pure."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)

#: Longest line, in characters; a longer list has a line for each of its values.
_LINE = 100


def string(text: str) -> str:
    """Return *text* as a TOML string on one line: as it is between quotes, if it can be."""
    for quote in ('"', "'"):
        if text.isprintable() and quote not in text and (quote == "'" or "\\" not in text):
            return f"{quote}{text}{quote}"
    escaped = json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
    return escaped.encode(errors="replace").decode()


def value(of: object) -> str:
    """Return a text, number, date, list or mapping as TOML on one line. Raises TypeError."""
    match of:
        case str():
            return string(of)
        case bool():
            return str(of).lower()
        case int() | float():
            return repr(of)
        case Mapping():
            inside = ", ".join(f"{key(str(k))} = {value(v)}" for k, v in of.items())
            return f"{{ {inside} }}" if inside else "{}"
        case Sequence():
            return f"[{', '.join(map(value, of))}]"
    if date := getattr(of, "isoformat", None):  # `datetime` is closed to pure rooms: it has a clock
        return str(date())
    raise TypeError(type(of))


def key(name: str) -> str:
    """Return *name* as a TOML key."""
    return name if _BARE.fullmatch(name) else string(name)


def pair(name: str, of: object) -> str:
    """Return ``name = value``: a text with its line breaks, a long list with a line for each value.

    So a value that fits on one line is on one line.
    """
    if isinstance(of, str) and _has_lines(of):
        return f"{key(name)} = '''\n{of}'''"
    line = f"{key(name)} = {value(of)}"
    if isinstance(of, Sequence) and not isinstance(of, str) and len(line) > _LINE:
        return "\n".join([f"{key(name)} = [", *(f"    {value(one)}," for one in of), "]"])
    return line


def _has_lines(text: str) -> bool:
    """Whether *text* has several lines and may be between three quotes as it is."""
    plain = all(c.isprintable() or c == "\n" for c in text)
    return "\n" in text and plain and "'''" not in text and not text.endswith("'")


def table(head: str, values: Mapping[str, object]) -> str:
    """Return a table, such as ``[axes.snapshotter]`` or ``[[steps]]``, with a line for each key."""
    return "\n".join([head, *(pair(k, v) for k, v in values.items())]) + "\n"


def joined(*texts: str) -> str:
    """Return one TOML text with what *texts* say; of a key in several, the last value counts.

    As they are, one after another, if that says the same. Texts that are not TOML are only put one
    after another, so that whoever reads them complains.
    """
    plain = "".join(texts)
    try:
        parts = [tomllib.loads(text) for text in texts]
    except (ValueError, RecursionError):
        return plain
    whole: dict[str, Any] = {}
    for part in parts:
        _add(whole, part)
    try:
        same = tomllib.loads(plain) == whole
    except ValueError:
        same = False
    return plain if same else "".join(f"{line}\n" for line in _lines(whole, ()))


def _add(whole: dict[str, Any], part: Mapping[str, Any]) -> None:
    for name, of in part.items():
        there = whole.get(name)
        if isinstance(there, dict) and isinstance(of, dict):
            _add(there, of)
        else:
            whole[name] = of


def _lines(whole: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """Yield the lines of a table: its values first, as a header is for all that follows."""
    inner = {k: v for k, v in whole.items() if isinstance(v, dict)}
    lists = {k: v for k, v in whole.items() if _is_tables(v)}
    values = {k: v for k, v in whole.items() if k not in inner and k not in lists}
    if path and (values or not (inner or lists)):
        yield f"[{_dotted(path)}]"
    for name, of in values.items():
        yield f"{key(name)} = {value(of)}"
    for name, one in inner.items():
        yield from _lines(one, (*path, name))
    for name, several in lists.items():
        for one in several:
            yield f"[[{_dotted((*path, name))}]]"
            for inside, of in one.items():
                yield f"{key(inside)} = {value(of)}"


def _is_tables(of: Any) -> bool:
    return isinstance(of, list) and bool(of) and all(isinstance(v, dict) for v in of)


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(map(key, path))
