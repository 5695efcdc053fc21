"""Reads a request from the command line and the environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from buildkit_bisect.options.command import reproduce
from buildkit_bisect.options.option import Given, options_of
from buildkit_bisect.options.requests import Request

R = TypeVar("R", bound=Request)


def read(kind: type[R], given: Mapping[str, Given], env: Mapping[str, str]) -> R:
    """Return the request for the *given* options, by keyword, and the environment *env*.

    Raises `BadInput` for an invalid value.
    """
    options = options_of(kind)
    if unknown := given.keys() - {option.key for option in options}:
        raise LookupError(f"{kind.task} has no options {', '.join(sorted(unknown))}")
    texts = [
        (option, found) for option in options if (found := option.texts(given.get(option.key), env))
    ]
    values: dict[str, Any] = {option.attribute: option.parse(option, t) for option, t in texts}
    return kind(**values, command=reproduce(kind, texts, values))
