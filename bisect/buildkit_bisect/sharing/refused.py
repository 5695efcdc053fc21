"""What a store holds cannot be used. Pure."""

from __future__ import annotations

from buildkit_bisect.errors import printable_line

#: What reading an answer may raise if it is of a form that no check expects.
NONSENSE = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError)


class Refused(Exception):
    """An entry of a store did not verify; the text says why, and may go to a terminal."""


def why(error: Exception) -> str:
    """Return the text of *error*, a `Refused` or one of `NONSENSE`, for a terminal."""
    if isinstance(error, NONSENSE):
        return f"it cannot be read: {type(error).__name__}: {printable_line(error)[:100]}"
    return str(error)
