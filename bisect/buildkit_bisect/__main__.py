"""Invoke's program, with our exit code for a command line that it cannot parse."""

from __future__ import annotations

import os
import sys

from invoke.exceptions import CollectionNotFound, ParseError
from invoke.program import Program

from buildkit_bisect import __version__
from buildkit_bisect.errors import printable


class Inv(Program):
    """``./inv``: bad input is 2 here, as for every other mistake of that kind."""

    def parse_core(self, argv: list[str] | None) -> None:
        """Parse invoke's own options."""
        with _told():
            super().parse_core(argv)

    def parse_tasks(self) -> None:
        """Parse task names and their options."""
        with _told():
            super().parse_tasks()


class _told:  # noqa: N801 - reads as a statement
    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ParseError):
            print(
                f"error: {printable(str(error).strip())} (try: ./inv --list, ./inv --help TASK)",
                file=sys.stderr,
            )
            sys.exit(2)
        if isinstance(error, CollectionNotFound):
            print("error: no tasks.py here (try: run ./inv of the checkout)", file=sys.stderr)
            sys.exit(2)


#: Tasks that take a campaign's id, and do without one. Invoke knows required positional
#: arguments only, so `./inv status ID` is read as `./inv status --id ID`.
_OPTIONAL_ID = ("resume", "status")


#: `./inv patch new NAME` reads better than Invoke's one word, `patch-new`; both are taken.
_OF_PATCH = ("check", "list", "new")


def with_ids(argv: list[str]) -> list[str]:
    """*argv* with ``--id`` put before the id of a task that may go without.

    And the two words of ``patch new`` as the task's one.
    """
    out: list[str] = []
    for word in argv:
        if out[-1:] == ["patch"] and word in _OF_PATCH and not out[-2].startswith("--"):
            out[-1] = f"patch-{word}"
            continue
        if out and out[-1] in _OPTIONAL_ID and not word.startswith("-"):
            out.append("--id")
        out.append(word)
    return out


def main() -> None:
    """Run; never returns."""
    try:
        Inv(name="inv", binary="inv", version=__version__).run(with_ids(sys.argv))
        sys.stdout.flush()
    except BrokenPipeError:  # `--list | head` is no error; a task's own is caught by its guard
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
