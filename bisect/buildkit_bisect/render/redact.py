"""Prepares a result for publication: no paths, no machine names, no secrets, no evidence files."""

from __future__ import annotations

from typing import Any

from buildkit_bisect import result
from buildkit_bisect.render import text
from buildkit_bisect.result import Result

#: Keys of command lines, in which absolute paths become ``PATH``.
_COMMANDS = ("command", "reproduce", "hint")

#: Keys of files beside the result, which are not published.
_FILES = ("evidence", "log")

#: Key of the name of the machine that ran a trial.
_WHO = "worker"


def cleaned(full: Result) -> Result:
    """Return *full* with every text cleaned, and without references to evidence."""
    return result.structure(_walk("", result.unstructure(full)))


def _walk(key: str, value: Any) -> Any:
    match value:
        case dict() if key == "diffs":
            # Unchanged or not at all: the patch's digest must match the diff that is sent.
            return {k: v for k, v in value.items() if text.plain(k) and text.plain(v)}
        case str():
            return _text(key, value)
        case dict():
            return {k: _walk(k, v) for k, v in value.items()}
        case list() | tuple():
            return [_walk(key, v) for v in value]
    return value


def _text(key: str, value: str) -> str:
    if key in _FILES or key == _WHO:
        return ""
    if key == "repo" and value.startswith("/"):
        return "PATH"
    return text.command(value) if key in _COMMANDS else text.clean(value)
