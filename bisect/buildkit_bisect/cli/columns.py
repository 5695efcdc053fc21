"""Formats names and descriptions in two columns. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

#: A longer name gets its own line.
_LONGEST = 24
_INDENT, _GAP, _NARROWEST = 2, 2, 20


def columns(rows: Sequence[tuple[str, str]], width: int) -> Iterator[str]:
    """Yield lines of at most *width* characters; words such as ``--dry-run`` are not broken."""
    left = max((len(name) for name, _ in rows if len(name) <= _LONGEST), default=_LONGEST)
    start = _INDENT + left + _GAP
    wrap = textwrap.TextWrapper(
        width=max(width - start, _NARROWEST), break_on_hyphens=False, break_long_words=False
    )
    for name, text in rows:
        first, *more = wrap.wrap(text) or [""]
        if len(name) > left:
            yield f"{'':{_INDENT}}{name}"
            more = [first, *more]
        else:
            yield f"{'':{_INDENT}}{name:{left}}{'':{_GAP}}{first}".rstrip()
        yield from (f"{'':{start}}{line}" for line in more)


def wrapped(text: str, width: int) -> list[str]:
    """Return *text* in lines of at most *width* characters, broken at spaces only."""
    return textwrap.wrap(text, max(width, _NARROWEST), break_on_hyphens=False)
