"""Paths into the JSON documents of an image: ``config.config.Labels.marker``. Pure.

A path is the name of a document, keys after dots, and numbers of a list in brackets, of which -1 is
the last one. A key with other characters is in quotes: ``manifest.annotations."a.b"``.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from typing import Any

#: What an image has; `layers` are descriptors with their ``diff_id``, `attestations` have
#: ``predicate_type`` and ``statement``.
DOCUMENTS = ("index", "manifest", "config", "layers", "attestations", "layout")

_KEY = re.compile(r'\.(?:([A-Za-z0-9_/-]+)|"([^"\\]+)")|\[(-?[0-9]{1,4})\]')
_FIRST = re.compile(r"[a-z]+")

#: Characters of a path.
_LONGEST = 500


class Absent(Exception):
    """A document has nothing at a path."""


def problem(path: str) -> str:
    """Why *path* is invalid; "" if it is valid."""
    if len(path) > _LONGEST:
        return f"longer than {_LONGEST} characters"
    first = _FIRST.match(path)
    if not first or first[0] not in DOCUMENTS:
        return f"{path!r} does not begin with one of {', '.join(DOCUMENTS)}"
    if not _steps(path):
        example = "config.config.Labels.marker or config.history[-1].created_by"
        return f"{path!r} is not a path such as {example}; quote a key that has dots"
    return ""


def document(path: str) -> str:
    """The document that the valid *path* begins with."""
    return str(_steps(path)[0])


def value(documents: Mapping[str, Any], path: str) -> Any:
    """What is at the valid *path*. Raises `Absent`."""
    found: Any = documents
    for step in _steps(path):
        try:
            found = _element(found, step) if isinstance(step, int) else _member(found, step)
        except LookupError:
            raise Absent from None
    return found


def text(found: Any) -> str:
    """A value as conditions search it: a string as it is, anything else as JSON."""
    return found if isinstance(found, str) else json.dumps(found, sort_keys=True)


def jq(path: str) -> str:
    """The valid *path* as a jq filter, relative to an object with all documents."""
    return "." + "".join(f"[{json.dumps(step)}]" for step in _steps(path))


def _element(found: Any, number: int) -> Any:
    if not isinstance(found, list):
        raise Absent
    return found[number]


def _member(found: Any, key: str) -> Any:
    if not isinstance(found, Mapping):
        raise Absent
    return found[key]


@functools.cache
def _steps(path: str) -> tuple[str | int, ...]:
    """The keys of a path and the numbers of lists; empty if it is invalid."""
    first = _FIRST.match(path)
    if not first:
        return ()
    steps: list[str | int] = [first[0]]
    at = first.end()
    while at < len(path):
        key = _KEY.match(path, at)
        if not key:
            return ()
        steps.append(int(key[3]) if key[3] else key[1] or key[2])
        at = key.end()
    return tuple(steps)
