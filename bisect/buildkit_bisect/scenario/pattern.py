"""Regular expressions in scenario files: RE2's, which match in linear time.

A scenario is untrusted, and a pattern such as ``(a+)+$`` would keep Python's own matcher busy
forever. RE2 has no lookaround and no backreferences. Pure.
"""

from __future__ import annotations

import functools
from typing import Any

import re2

#: What may be beside a cut: all assertions depend on is whether it is a word, a line break or else.
_BESIDE = ("a", "\n", "-")

#: Characters that a pattern may have.
LONGEST = 1000

#: Characters of a text whose answer is remembered.
_SHORT = 200


def problem(pattern: str) -> str:
    """Why *pattern* is invalid; "" if it is valid."""
    if len(pattern) > LONGEST:
        return f"longer than {LONGEST} characters"
    try:
        _compiled(pattern)
    except (re2.error, UnicodeError) as error:
        reason = error.args[0] if error.args else error
        return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
    return ""


def found(pattern: str, text: str, *, before: bool = False, after: bool = False) -> bool:
    """Whether *pattern*, which must be valid, matches anywhere in *text*.

    If more text was *before* or *after* it, which is not known, what matches must do so whatever
    that was: its end is then no end.

    ``^`` and ``$`` match at the ends of each line, as grep has it in scripts that reproduce a cell.
    Otherwise ``$`` would not match before a file's last line break: RE2's is only the very end.
    """
    return (_found_before if len(text) <= _SHORT else _found)(pattern, text, before, after)


def _found(pattern: str, text: str, before: bool, after: bool) -> bool:
    plain = text.encode(errors="replace").decode()  # JSON may contain lone surrogates
    search = _compiled(f"(?m){pattern}").search
    # RE2 looks at what is outside of the part to search in for `^`, `$`, `\b`, `\A` and `\z`.
    return all(
        search(first + plain + last, len(first), len(first) + len(plain)) is not None
        for first in (_BESIDE if before else ("",))
        for last in (_BESIDE if after else ("",))
    )


#: The same names of vertices are in every trial.
_found_before = functools.lru_cache(maxsize=1 << 14)(_found)


@functools.cache
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False  # otherwise RE2 writes to stderr
    return re2.compile(pattern, options=options)
