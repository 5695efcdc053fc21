"""Reads a request from the command line and the environment."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, TypeVar

from buildkit_bisect import nearest
from buildkit_bisect.errors import BadInput
from buildkit_bisect.options.command import reproduce
from buildkit_bisect.options.option import Given, options_of
from buildkit_bisect.options.requests import TASKS, Request

R = TypeVar("R", bound=Request)

_PREFIX = "BKBISECT"

#: Variables that are not of an option: of the user, of test scripts, of processes started here.
OTHERS = frozenset(
    f"{_PREFIX}_{name}"
    for name in (
        *("BUILDCTL", "BUILDKITD", "BUILDX", "CACHE_DIR", "CHILD", "KEPT", "LOCK", "PATCHES"),
        *("PYTHON", "REF", "RESUMED", "REVISION", "VENV"),
    )
)


def read(kind: type[R], given: Mapping[str, Given], env: Mapping[str, str]) -> R:
    """Return the request for the *given* options, by keyword, and the environment *env*.

    Raises `BadInput` for an invalid value, and for a misspelled variable.
    """
    if wrong := misspelled(env):
        name, meant = wrong
        raise BadInput(
            f"{name} is set, and nothing reads it",
            hint=f"{meant}={shlex.quote(env[name])}",
        )
    options = options_of(kind)
    if unknown := given.keys() - {option.key for option in options}:
        raise LookupError(f"{kind.task} has no options {', '.join(sorted(unknown))}")
    texts = [
        (option, found) for option in options if (found := option.texts(given.get(option.key), env))
    ]
    values: dict[str, Any] = {option.attribute: option.parse(option, t) for option, t in texts}
    return kind(**values, command=reproduce(kind, texts, values))


def misspelled(env: Mapping[str, str]) -> tuple[str, str] | None:
    """Return a variable in *env* that nothing reads, and the one that it nearly is.

    Other variables with our prefix are left alone: they may be of a test script.
    """
    known = {option.twin for request in TASKS.values() for option in options_of(request)} | OTHERS
    plain = {one.replace("_", "").removeprefix(_PREFIX): one for one in sorted(known)}
    for name in sorted(env):
        own = name.upper().startswith(f"{_PREFIX}_") and name not in known and env[name]
        wanted = name.upper().replace("_", "").removeprefix(_PREFIX)
        if own and (meant := nearest.misspelled(wanted, plain)):
            return name, plain[meant]
    return None
