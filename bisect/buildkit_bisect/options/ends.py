"""Both ends of a history, as two options."""

from __future__ import annotations

from dataclasses import dataclass

from buildkit_bisect.options import parse
from buildkit_bisect.options.option import option


@dataclass(frozen=True, kw_only=True)
class OfEnds:
    """A revision without the failure, and one with it."""

    good: str = option(
        parse.text,
        default="",
        required=True,
        value="REV",
        help="revision without the failure",
        example="v0.24.0",
    )
    bad: str = option(
        parse.text,
        default="",
        required=True,
        value="REV",
        help="revision with the failure",
        example="v0.26.0",
    )
