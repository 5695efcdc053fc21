"""Invoke's program, with exit code 2 for invalid command lines."""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence

from invoke.exceptions import CollectionNotFound, Exit, ParseError
from invoke.parser.context import ParserContext
from invoke.program import Program
from invoke.terminals import pty_size

from buildkit_bisect import __version__
from buildkit_bisect.cli.columns import columns
from buildkit_bisect.errors import printable
from buildkit_bisect.options.option import Position, options_of
from buildkit_bisect.options.requests import TASKS


class Inv(Program):
    """``./inv``. An invalid command line exits with 2, as all bad input does."""

    def parse_core(self, argv: list[str] | None) -> None:
        """Parse Invoke's own options."""
        with _ParseErrors():
            super().parse_core(argv)

    def parse_tasks(self) -> None:
        """Parse task names and their options.

        Handles ``--help`` after a task, and rejects an option with a value that is given twice:
        Invoke would take both for the name or the argument of a task.
        """
        seen: set[tuple[str, str]] = set()
        for task, option in options(self.core.unparsed, self._make_parser().contexts):
            if option in _HELP:
                self.core[0].args.help.value = task
                self.core.unparsed.clear()
                break
            if (task, option) in seen:
                print(
                    f"error: {option} is given twice (try: it once; ./inv --help {task}"
                    " shows which options may be repeated)",
                    file=sys.stderr,
                )
                sys.exit(2)
            seen.add((task, option))
        with _ParseErrors():
            super().parse_tasks()

    def parse_cleanup(self) -> None:
        """Handle ``--help`` and ``--list``."""
        if self.args.help.value == "patch":
            self._print_patch_help()
            raise Exit
        with _ParseErrors():
            super().parse_cleanup()

    def print_task_help(self, name: str) -> None:
        """Print what a task does, and each option with its value, help and default."""
        options = options_of(TASKS[name])
        given = [o.value for o in options if o.position is Position.REQUIRED]
        words = [name, *given, *(["[--options]"] if options else [])]
        print(f"Usage: {self.binary} [--core-opts] {' '.join(words)} [other tasks here ...]\n")
        print(f"  {self._first_line(name)}\n\nOptions:")
        self.print_columns([(o.usage, o.description) for o in options] or [("none", "")])

    def print_columns(self, tuples: Sequence[tuple[str, str | None]]) -> None:
        """Print names and descriptions, for ``--list`` and ``--help``."""
        for line in columns([(name, text or "") for name, text in tuples], pty_size()[0]):
            print(line)
        print()

    def _print_patch_help(self) -> None:
        print("Usage: inv patch TASK [--options]\n\nTasks:")
        for word in _PATCH_TASKS:
            print(f"  patch {word:5}  {self._first_line(f'patch-{word}')}")
        print("\n./inv patch TASK --help prints the options of a task.")

    def _first_line(self, task: str) -> str:
        return (inspect.getdoc(self.collection[task]) or "").partition("\n")[0]


class _ParseErrors:
    """Prints Invoke's parse errors as ours, and exits with 2."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ParseError):
            print(
                f"error: {printable(_said(error))} (try: ./inv --list, ./inv --help TASK)",
                file=sys.stderr,
            )
            sys.exit(2)
        if isinstance(error, CollectionNotFound):
            print("error: no tasks.py found (try: ./inv of the checkout)", file=sys.stderr)
            sys.exit(2)


#: Invoke's error for an option at the end without its value names the class of the argument.
_NO_VALUE = re.compile(r"Flag <\w+: ([\w-]+).*> needed value")


def _said(error: ParseError) -> str:
    found = _NO_VALUE.match(str(error))
    if not found:
        return str(error).strip()
    name = found[1].replace("_", "-")
    return f"-{name} needs a value" if len(name) == 1 else f"--{name} needs a value"


def options(words: Sequence[str], tasks: Mapping[str, ParserContext]) -> Iterator[tuple[str, str]]:
    """Yield each ``--help``, and each option that takes one value, with its task's name."""
    task = ""
    left = iter(words)
    pending = next(left, None)
    while pending is not None and pending != "--":
        word, pending = pending, next(left, None)
        option, equals, _ = word.partition("=")
        known = tasks[task].flags if task else {}
        if option in known:
            if known[option].takes_value and not equals and pending not in known:
                pending = next(left, None)
            if known[option].takes_value and known[option].kind is not list:
                yield task, option
        elif task and option in _HELP:
            yield task, option
        elif word in tasks:
            task = word


#: By task: the option of an optional positional value. Invoke's positional arguments are always
#: required, so `./inv status ID` is parsed as `./inv status --id ID`.
_OPTIONAL = {
    task: option.flag
    for task, kind in TASKS.items()
    for option in options_of(kind)
    if option.position is Position.OPTIONAL
}

_HELP = ("--help", "-h")

#: `./inv patch new NAME` reads better than Invoke's one word, `patch-new`; both work.
_PATCH_TASKS = sorted(t.removeprefix("patch-") for t in TASKS if t.startswith("patch-"))


def with_ids(argv: list[str]) -> list[str]:
    """Return *argv* with ``--id`` inserted before an optional positional value.

    ``patch new`` becomes ``patch-new``, and ``patch --help`` becomes ``--help patch``.
    """
    out: list[str] = []
    for word in argv:
        if out[-1:] == ["patch"] and (out[-2] in _HELP or not out[-2].startswith("--")):
            if word in _PATCH_TASKS:
                out[-1] = f"patch-{word}"
                continue
            if word in _HELP:
                out[-1:] = [word, "patch"]
                continue
        if out and out[-1] in _OPTIONAL and not word.startswith("-"):
            out.append(_OPTIONAL[out[-1]])
        out.append(word)
    return out


def main() -> None:
    """Run the program; Invoke exits with the task's code."""
    try:
        Inv(name="inv", binary="inv", version=__version__).run(with_ids(sys.argv))
        sys.stdout.flush()
    except BrokenPipeError:  # `--list | head` is not an error; `guarded` catches a task's own
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
