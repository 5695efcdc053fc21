"""Values as TOML text, for the scenarios and rules that the tool writes. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from buildkit_bisect.scenario.definition import Condition, Rule

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)

#: Longest line, in characters; a longer list has a line for each of its values.
_LINE = 100

#: The keys of a condition in the order in which they are read best.
_KEYS = tuple(Condition.__slots__)


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


def condition(one: Condition) -> dict[str, object]:
    """Return the keys of a condition that are set, as a scenario file names them."""
    found = {name: getattr(one, name) for name in _KEYS}
    return {
        name.removesuffix("_"): _plain(of) for name, of in found.items() if of not in (None, "", ())
    }


def _plain(of: object) -> object:
    if isinstance(of, Condition):
        return condition(of)
    if isinstance(of, tuple):
        return [_plain(one) for one in of]
    return str(of) if isinstance(of, str) else of


def rule(one: Rule) -> str:
    """Return *one* as a table ``[[outcomes]]``."""
    head: dict[str, object] = {"name": one.name, "verdict": str(one.verdict), "means": one.means}
    head |= {} if one.label is None else {"label": one.label}
    return table("[[outcomes]]", head | {"all": [condition(c) for c in one.all]})
