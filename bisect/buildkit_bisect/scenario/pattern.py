"""Regular expressions in scenario files: RE2's, which match in linear time.

A scenario is untrusted, and a pattern such as ``(a+)+$`` would keep Python's own matcher busy
forever. RE2 has no lookaround and no backreferences. Pure.
"""

from __future__ import annotations

import functools
from typing import Any

import re2

#: Characters that a pattern may have.
LONGEST = 1000


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


def found(pattern: str, text: str) -> bool:
    """Whether *pattern*, which must be valid, matches anywhere in *text*.

    ``^`` and ``$`` match at the ends of each line, as grep has it in scripts that reproduce a cell.
    Otherwise ``$`` would not match before a file's last line break: RE2's is only the very end.
    """
    plain = text.encode(errors="replace").decode()  # JSON may contain lone surrogates
    return _compiled(f"(?m){pattern}").search(plain) is not None


@functools.cache
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False  # otherwise RE2 writes to stderr
    return re2.compile(pattern, options=options)
