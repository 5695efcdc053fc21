"""Parts of a matrix: ``2/5`` is the second of five."""

from __future__ import annotations

import re
from dataclasses import dataclass

from buildkit_bisect.errors import BadInput
from buildkit_bisect.options.option import Option

#: The most parts that a matrix is cut into.
MOST = 10_000

_SHARD = re.compile(r"(\d{1,6})/(\d{1,6})", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """One of several parts."""

    number: int  # from 1
    of: int

    def __str__(self) -> str:
        """Return ``2 of 5``."""
        return f"{self.number} of {self.of}"


def shard(option: Option, given: str) -> Shard:
    """Return the part that ``I/N`` names. Raises `BadInput` if there is none."""
    found = _SHARD.fullmatch(given)
    if not found:
        raise BadInput(
            f"--{option.name} {given[:40]!r} is not I/N", hint=f"--{option.name} {option.example}"
        )
    number, of = map(int, found.groups())
    if of > MOST:
        raise BadInput(
            f"--{option.name} {given}: at most {MOST} shards", hint=f"--{option.name} 1/{MOST}"
        )
    if not 1 <= number <= of:
        raise BadInput(
            f"--{option.name} {given}: there is no shard {number} of {of}",
            hint=f"--{option.name} 1/{max(of, 1)}",
        )
    return Shard(number=number, of=of)
