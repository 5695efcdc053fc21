"""Invoke's program, with our exit code for a command line that it cannot parse."""

from __future__ import annotations

import sys

from invoke.exceptions import CollectionNotFound, ParseError
from invoke.program import Program

from buildkit_bisect import __version__


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
                f"error: {str(error).strip()} (try: ./inv --list, ./inv --help TASK)",
                file=sys.stderr,
            )
            sys.exit(2)
        if isinstance(error, CollectionNotFound):
            print("error: no tasks.py here (try: run ./inv of the checkout)", file=sys.stderr)
            sys.exit(2)


def main() -> None:
    """Run; never returns."""
    Inv(name="inv", binary="inv", version=__version__).run()


if __name__ == "__main__":
    main()
