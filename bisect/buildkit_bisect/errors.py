"""The tree of expected errors; each branch is an exit code of the command line.

BisectError
├── BadInput        2   a ref, file, option or patch that the user named is wrong
├── Missing         3   this machine lacks a tool, privilege or resource
├── NoAnswer        4   endpoints refused, or the evidence is inconclusive
└── InfraFailed     5   a registry, disk, engine or network failed; never a verdict

A message says what failed and shows the evidence; ``hint`` is the next command to run.
"""

from __future__ import annotations


class BisectError(Exception):
    """Root of every expected error; printed as one message, without a traceback."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with the hint: cells may run in other processes."""
        return _rebuild, (type(self), self.message, self.hint)

    def __str__(self) -> str:
        """Return the message and hint on one line, as the command line prints them."""
        return f"{self.message} (try: {self.hint})" if self.hint else self.message


class BadInput(BisectError):
    """The user named something that does not exist or is invalid."""

    exit_code = 2


class Missing(BisectError):
    """A tool, privilege or resource that the task needs is not on this machine."""

    exit_code = 3


class NoAnswer(BisectError):
    """The endpoints were refused, or the evidence is inconclusive."""

    exit_code = 4


class InfraFailed(BisectError):
    """The infrastructure failed; this says nothing about BuildKit."""

    exit_code = 5


#: Longest message that is printed, in characters.
LONGEST = 2000


def printable(text: str) -> str:
    """Return *text* escaped and shortened for a terminal: names that users give hold anything."""
    text = "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST * 3 // 4]} ... {text[-300:]}"


def printable_line(text: object) -> str:
    """Return *text*, a name or a path, like `printable`, on one line."""
    return printable(str(text)).replace("\n", "\\n")


def _rebuild(kind: type[BisectError], message: str, hint: str) -> BisectError:
    return kind(message, hint=hint)
