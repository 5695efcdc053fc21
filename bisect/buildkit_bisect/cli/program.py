"""Invoke's program with our help and messages; an invalid command line exits with 2."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence

from invoke.config import Config
from invoke.exceptions import CollectionNotFound, Exit, ParseError
from invoke.program import Program
from invoke.terminals import pty_size

from buildkit_bisect import __version__
from buildkit_bisect.cli import home, line
from buildkit_bisect.cli.columns import columns
from buildkit_bisect.cli.guard import BAD_INPUT
from buildkit_bisect.cli.line import Role
from buildkit_bisect.errors import printable
from buildkit_bisect.options.groups import GROUPS, spoken
from buildkit_bisect.options.option import Form, Position, options_of
from buildkit_bisect.options.requests import TASKS, Plan


class _OwnSettings(Config):
    """Invoke's settings without the user's files: they are for other programs.

    Under another user's HOME they also cannot be read.
    """

    def load_system(self, merge: bool = True) -> None:
        """Load nothing."""

    def load_user(self, merge: bool = True) -> None:
        """Load nothing."""


class Inv(Program):
    """``./inv``. An invalid command line exits with 2, as all bad input does."""

    def __init__(self) -> None:
        super().__init__(
            name="buildkit-bisect", binary="inv", version=__version__, config_class=_OwnSettings
        )

    def parse_core(self, argv: list[str] | None) -> None:
        """Parse Invoke's own options, without what it does to Python.

        It forbids Python to store compiled modules, for the sake of ``tasks.py``; then most of this
        package would be compiled at each start, for a second.
        """
        forbidden = sys.dont_write_bytecode
        with _ParseErrors():
            super().parse_core(argv)
        sys.dont_write_bytecode = forbidden

    def parse_tasks(self) -> None:
        """Parse task names and their options, after a check that names what would be right.

        Handles ``--help`` after a task.
        """
        program = {name: arg.takes_value for name, arg in self.initial_context.flags.items()}
        words = list(line.read(self.core.unparsed, program))
        if left := self.core.remainder:
            _refuse(f"-- hides what follows it: {left[:60]!r} (try: leave out --)")
        asked = next((word.task for word in words if word.role is Role.HELP), "")
        if asked:
            self.core[0].args.help.value = asked
            self.core.unparsed.clear()
        elif found := line.problem(words):
            _refuse(found)
        with _ParseErrors():
            super().parse_tasks()

    def parse_cleanup(self) -> None:
        """Handle ``--help`` and ``--list``."""
        asked = self.args.help.value
        if asked in GROUPS:
            self._print_group_help(asked)
            raise Exit
        if isinstance(asked, str) and asked not in TASKS:
            _refuse(line.no_task(asked))
        with _ParseErrors():
            super().parse_cleanup()

    def print_help(self) -> None:
        """Print how to start, and all tasks by what they are for."""
        print(home.usage(pty_size()[0]))

    def no_tasks_given(self) -> None:
        """Print the questions, a command for each, and what is cached already."""
        print(home.screen(pty_size()[0]))
        raise Exit

    def print_task_help(self, name: str) -> None:
        """Print what a task does, and each option with its value, help and default."""
        options = options_of(TASKS[name])
        given = [o.value for o in options if o.position is Position.REQUIRED]
        for option in options:
            if option.position is Position.OPTIONAL:
                several = option.form is Form.REPEATED
                given.append(f"{option.value}..." if several else f"[{option.value}]")
        given += ["TASK"] if name == Plan.task else []
        named = any(o.position is not Position.REQUIRED for o in options)
        words = [spoken(name), *given, *(["[--options]"] if named else [])]
        print(f"Usage: ./inv {' '.join(words)}\n")
        for text in columns([("", self._first_line(name))], pty_size()[0]):
            print(f"  {text.strip()}")
        print("\nOptions:")
        self.print_columns([(o.usage, o.description) for o in options] or [("none", "")])

    def print_columns(self, tuples: Sequence[tuple[str, str | None]]) -> None:
        """Print names and descriptions, for ``--list`` and ``--help``."""
        for text in columns([(name, text or "") for name, text in tuples], pty_size()[0]):
            print(text)
        print()

    def _print_group_help(self, group: str) -> None:
        print(f"Usage: ./inv {group} TASK [--options]\n\nTasks:")
        for word in GROUPS[group]:
            print(f"  {group} {word:5}  {self._first_line(f'{group}-{word}')}")
        print(f"\n./inv {group} TASK --help prints the options of a task.")

    def _first_line(self, task: str) -> str:
        return (inspect.getdoc(self.collection[task]) or "").partition("\n")[0]


class _ParseErrors:
    """Prints Invoke's parse errors as ours, and exits with 2."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ParseError):
            _refuse(f"{str(error).strip()} (try: ./inv list, ./inv help TASK)")
        if isinstance(error, CollectionNotFound):
            _refuse("no tasks.py found (try: ./inv of the checkout)")


def _refuse(message: str) -> None:
    print(f"error: {printable(message)}", file=sys.stderr)
    sys.exit(BAD_INPUT)
