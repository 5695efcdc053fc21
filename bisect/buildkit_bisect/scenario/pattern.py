"""Regular expressions of scenario files: RE2's, whose time grows with the text and no faster.

A scenario is a stranger's file, and a pattern such as ``(a+)+$`` would keep Python's own
matcher busy for ever. RE2 has no look-around and no back references. Pure.
"""

from __future__ import annotations

import functools
from typing import Any

import re2

#: Characters of a pattern.
LONGEST = 1000


def problem(pattern: str) -> str:
    """Why *pattern* cannot be one; "" where it can."""
    if len(pattern) > LONGEST:
        return f"longer than {LONGEST} characters"
    try:
        _compiled(pattern)
    except (re2.error, UnicodeError) as error:
        said = error.args[0] if error.args else error
        return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    return ""


def found(pattern: str, text: str) -> bool:
    """Whether *pattern*, which has no `problem`, is found anywhere in *text*."""
    plain = text.encode(errors="replace").decode()  # JSON may bring halves of characters
    return _compiled(pattern).search(plain) is not None


@functools.cache
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False  # else it writes to stderr by itself
    return re2.compile(pattern, options=options)
