"""Makes frozen values of TOML data, by the types of their fields; each problem names the key. Pure.

Strictly: an unknown key and a value of another type are problems, and nothing is converted but a
whole number where any number is allowed.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from enum import StrEnum
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from buildkit_bisect.nearest import did_you_mean, nearest

_T = TypeVar("_T")

#: Characters of a value in a message.
_SHOWN = 60

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)

#: Types of values as someone who writes TOML calls them; a bool is also an int.
_WORDS: tuple[tuple[type, str], ...] = (
    (str, "a text"),
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    (list, "a list"),
    (dict, "a table"),
)


def structure(
    data: Mapping[str, Any],
    kind: type[_T],
    *,
    key: Callable[[str], str] = str,
    omit: Iterable[str] = (),
    also: Iterable[str] = (),
    words: Mapping[type[StrEnum], Iterable[str]] | None = None,
) -> tuple[_T | None, list[str]]:
    """Return *data* as the dataclass *kind* and no problems, or None and the problems.

    *key* makes a key of a field's name. Fields in *omit* have no key; *also* are keys of the file
    that are read elsewhere. *words* are those of an enumeration that a message lists, if not all.
    """
    reader = _Reader(key=key, omit=frozenset(omit), also=tuple(also), words=dict(words or {}))
    made = reader.table(data, kind, "")
    return (None, reader.problems) if reader.problems else (made, [])


def not_one_of(word: str, words: Iterable[str]) -> str:
    """``'prunes' is not one of build, prune; did you mean prune?``."""
    known = list(words)
    near = f"; {did_you_mean(word, known)}" if nearest(word, known) else ""
    return f"{shown(word)} is not one of {', '.join(known)}{near}"


def below(path: str, name: str) -> str:
    """The path of the key *name* in the table *path*, as TOML writes it: ``vars.x."a b"``."""
    bare = name if _BARE.fullmatch(name) else json.dumps(name)
    return f"{path}.{bare}" if path else bare


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reader:
    key: Callable[[str], str]
    omit: frozenset[str]
    also: tuple[str, ...]
    words: Mapping[type[StrEnum], Iterable[str]]
    problems: list[str] = field(default_factory=list)

    def _wrong(self, path: str, problem: str) -> None:
        self.problems.append(f"{path}: {problem}")

    def _is(self, value: Any, kind: type, path: str) -> bool:
        good = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        if not good:
            self._wrong(path, f"must be {_word(kind)}, not {_described(value)}")
        return good

    def table(self, value: Any, kind: type, path: str) -> Any:
        """Return the table *value* as the dataclass *kind*."""
        if not self._is(value, dict, path):
            return None
        hints = get_type_hints(kind)
        known = {self.key(f.name): f for f in fields(kind) if f.name not in self.omit}
        made = {}
        for name, inner in value.items():
            if name in known:
                own = known[name].name
                made[own] = self.value(inner, hints[own], below(path, name))
            else:
                valid = [*known, *(self.also if not path else ())]
                self._wrong(below(path, name), f"unknown key; {did_you_mean(name, valid)}")
        for name, one in known.items():
            required = one.default is MISSING and one.default_factory is MISSING
            if required and name not in value:
                self._wrong(below(path, name), "is missing")
        return None if self.problems else kind(**made)

    def value(self, value: Any, kind: Any, path: str) -> Any:
        """Return *value* as *kind*, one of the types that fields have."""
        origin, args = get_origin(kind), get_args(kind)
        if origin is types.UnionType:  # X | None: TOML has no null
            return self.value(value, args[0], path)
        if origin is tuple and self._is(value, list, path):
            return tuple(self.value(v, args[0], f"{path}[{n}]") for n, v in enumerate(value))
        if origin is dict and self._is(value, dict, path):
            return {name: self.value(v, args[1], below(path, name)) for name, v in value.items()}
        if is_dataclass(kind):
            return self.table(value, kind, path)  # type: ignore[arg-type]
        return None if origin else self._scalar(value, kind, path)

    def _scalar(self, value: Any, kind: type, path: str) -> Any:
        if kind is float and type(value) is int:
            return self._number(value, path)
        plain = str if issubclass(kind, StrEnum) else kind
        if not self._is(value, plain, path):
            return None
        if plain is str and "\0" in value:
            self._wrong(path, "contains a NUL (U+0000)")
        elif issubclass(kind, StrEnum) and value not in list(kind):
            self._wrong(path, not_one_of(value, self.words.get(kind, kind)))
        else:
            return kind(value)
        return None

    def _number(self, value: int, path: str) -> float | None:
        try:
            return float(value)
        except OverflowError:
            self._wrong(path, "is too large")
            return None


def _word(kind: type) -> str:
    return next(word for one, word in _WORDS if issubclass(kind, one))


def _described(value: Any) -> str:
    """The type of *value* in words, and a scalar itself: ``a text ("abc")``."""
    # The rest are dates and times, whose module pure rooms may not import.
    other = "a time" if type(value).__name__ == "time" else "a date"
    word = next((word for one, word in _WORDS if isinstance(value, one)), other)
    if isinstance(value, list | dict):
        return word
    if isinstance(value, bool):
        return str(value).lower()
    return f"{word} ({shown(value)})"


def shown(value: Any) -> str:
    """Return a scalar as a message shows it: a text in quotes, and at most `_SHOWN` characters."""
    try:
        text = repr(str(value)) if isinstance(value, str) else str(value)
    except ValueError:  # Python prints no whole number of over 4300 digits
        return "too long to show"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
