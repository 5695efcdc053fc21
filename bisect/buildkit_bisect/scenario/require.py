"""What a key of a ``scenario.toml`` must be; each message names the key. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from buildkit_bisect.errors import BadInput
from buildkit_bisect.nearest import did_you_mean
from buildkit_bisect.scenario.definition import Scenario
from buildkit_bisect.system.typed import not_one_of, shown

_PLAIN = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
#: Longest file name in bytes; the kernel's limit.
_LONGEST_NAME = 255
#: Longest label of an axis value or outcome, in characters: a headline names several.
_LONGEST_LABEL = 40


def require(holds: bool, where: str, message: str) -> None:
    """Raise `BadInput` with the key *where* unless *holds*."""
    if not holds:
        raise BadInput(f"{where}: {message}", hint="docs/scenarios.md")


def require_name(text: str, where: str) -> None:
    """Raise `BadInput` unless *text* is a name for a scenario, step, axis, value or outcome."""
    plain = _PLAIN.fullmatch(text)
    require(bool(plain), where, f"{shown(text)} is not a plain name (a-z, 0-9, -)")


def require_label(label: str, where: str) -> None:
    """Raise `BadInput` unless *label* can stand in a headline."""
    plain = label == " ".join(label.split()) and label.isprintable()
    require(
        plain and 0 < len(label) <= _LONGEST_LABEL,
        where,
        f"must be one line of 1 to {_LONGEST_LABEL} characters, without spaces around it",
    )


def require_word(word: str, words: Iterable[str], where: str) -> None:
    """Raise `BadInput` unless *word* is one of *words*, which the message lists."""
    known = list(words)
    require(word in known, where, not_one_of(word, known))


def require_known(name: str, names: Iterable[str], where: str, what: str) -> None:
    """Raise `BadInput` unless *name* is one of *names*, each a *what* that the file defines."""
    known = list(names)
    require(name in known, where, f"unknown {what} {shown(name)}; {did_you_mean(name, known)}")


def require_path(name: str, where: str, inside: str = "the scenario") -> None:
    """Raise `BadInput` unless *name* is a relative path that does not lead out of *inside*."""
    path = PurePosixPath(name)
    short = all(len(part.encode()) <= _LONGEST_NAME for part in path.parts)
    plain = bool(path.parts) and not path.is_absolute() and ".." not in path.parts and short
    require(plain, where, f"{name!r} is not a path inside {inside}")


def require_file(scenario: Scenario, name: str, where: str) -> None:
    """Raise `BadInput` unless *name* is a file of the scenario or of the one that it extends."""
    require_path(name, where)
    path = scenario.file(name)
    require(path.is_file(), where, f"file {name!r} not found")
    inside = any(path.resolve().is_relative_to(folder) for folder in scenario.folders)
    require(inside, where, f"{name!r} is outside the scenario")
