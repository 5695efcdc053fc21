"""Joins TOML texts whose tables overlap, such as the parts of a buildkitd.toml. Pure."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


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
    return plain if same else "".join(f"{line}\n" for line in _table(whole, ()))


def _add(whole: dict[str, Any], part: Mapping[str, Any]) -> None:
    for key, value in part.items():
        there = whole.get(key)
        if isinstance(there, dict) and isinstance(value, dict):
            _add(there, value)
        else:
            whole[key] = value


def _table(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """Yield the lines of a table: its values first, as a header is for all that follows."""
    inner = {k: v for k, v in table.items() if isinstance(v, dict)}
    lists = {k: v for k, v in table.items() if _is_tables(v)}
    values = {k: v for k, v in table.items() if k not in inner and k not in lists}
    if path and (values or not (inner or lists)):
        yield f"[{_dotted(path)}]"
    for key, value in values.items():
        yield f"{_dotted((key,))} = {_value(value)}"
    for key, one in inner.items():
        yield from _table(one, (*path, key))
    for key, several in lists.items():
        for one in several:
            yield f"[[{_dotted((*path, key))}]]"
            for name, value in one.items():
                yield f"{_dotted((name,))} = {_value(value)}"


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(part if _BARE.fullmatch(part) else _text(part) for part in path)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_dotted((k,))} = {_value(v)}' for k, v in value.items())} }}"
    return str(value)


def _text(text: str) -> str:
    # JSON's escapes are TOML's too, but not those for characters beyond U+FFFF; DEL is not escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
