"""Searches texts of which a trial kept only parts. Pure.

What is left out may contain anything: that a pattern is not in the rest proves nothing, and the end
of a part is no end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from buildkit_bisect import solve_status
from buildkit_bisect.model import FileFacts
from buildkit_bisect.scenario import pattern

#: Characters of the daemon's warnings and errors that a trial keeps.
DAEMON_LOG_LIMIT = 16 * 1024

#: Bytes of a file's text that a trial keeps.
FILE_LIMIT = 8 * 1024

#: The line for the middle of a daemon's log that is too large; `pipes.excerpt`.
_LEFT_OUT = re.compile(r"(?m)\n?^\[\d+ bytes left out\]$\n?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A part of a text, and whether it is cut."""

    text: str
    before: bool = False  # something is left out before it
    after: bool = False  # and after it


def searched(wanted: str, parts: list[Part]) -> bool | None:
    """Whether *wanted*, a valid pattern, is in a text of which *parts* are known."""
    if any(pattern.found(wanted, p.text, before=p.before, after=p.after) for p in parts):
        return True
    return None if any(p.before or p.after for p in parts) else False


def of_messages(text: str) -> list[Part]:
    """Return the part of a step's messages: their end, maybe below a line about the rest."""
    limit = solve_status.MESSAGES_LIMIT
    return [Part(text=text[-limit:], before=len(text) >= limit)]


def of_log(text: str) -> list[Part]:
    """Return the parts of a vertex's log: its beginning and its end; `solve_status.clipped`."""
    half = solve_status.LOG_LIMIT // 2
    if len(text) <= 2 * half:
        return [Part(text=text)]
    return [Part(text=text[:half], after=True), Part(text=text[-half:], before=True)]


def of_daemon_log(text: str) -> list[Part]:
    """Return the parts of the daemon's warnings and errors."""
    return list(_parts(text, cut=len(text) >= DAEMON_LOG_LIMIT))


def _parts(text: str, *, cut: bool) -> Iterator[Part]:
    texts = _LEFT_OUT.split(text)
    last = len(texts) - 1
    for number, part in enumerate(texts):
        yield Part(text=part, before=number > 0, after=number < last or cut)


def of_file(file: FileFacts) -> list[Part]:
    """Return the part of a file whose text is known: its beginning."""
    text = file.text or ""
    cut = file.size > FILE_LIMIT or len(text.encode(errors="replace")) < file.size
    return [Part(text=text, after=cut and file.kind == "file")]
