"""Command lines made from declarations, so that they name only what exists.

``inv("bisect", good="R", bad="R")`` is a whole command and ``words(Bisect, trials=20)`` the bare
options, both for hints. A unit test finds every such call in the package and makes it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence

from buildkit_bisect.options.option import Form, Option, Position, find, options_of
from buildkit_bisect.options.requests import TASKS, Request

#: A value in a hint. True stands for the option alone: a switch, or a mere mention.
Value = str | int | float


def inv(task: str, /, *values: str, **options: Value) -> str:
    """``./inv TASK VALUE --option VALUE``; *values* are positional ones.

    Raises `LookupError` for a task, an option or a positional value that does not exist.
    """
    kind = TASKS.get(task)
    if kind is None:
        raise LookupError(f"there is no task {task!r}")
    if len(values) > sum(o.position is not Position.NONE for o in options_of(kind)):
        raise LookupError(f"{task} takes no value {values[-1]!r} without an option")
    positional = " ".join(map(shlex.quote, values))
    return " ".join(filter(None, ["./inv", task, positional, words(kind, **options)]))


def words(kind: type[Request], /, **options: Value) -> str:
    """``--option VALUE --switch``. Raises `LookupError` for one that *kind* does not have."""
    return " ".join(_word(kind, key, value) for key, value in options.items())


def _word(kind: type[Request], key: str, value: Value) -> str:
    option = find(kind, key)
    if value is True:
        return option.flag
    if option.form is Form.SWITCH:
        raise LookupError(f"{option.flag} takes no value, so not {value!r}")
    return f"{option.flag} {shlex.quote(str(value))}"


def twin(kind: type[Request], key: str) -> str:
    """The environment twin of an option. Raises `LookupError` where *kind* does not have it."""
    return find(kind, key).twin


def reproduce(
    kind: type[Request],
    texts: Iterable[tuple[Option, Sequence[str]]],
    values: Mapping[str, object],
) -> str:
    """The command that asks the same again, wherever the *texts* of the options came from.

    *values* are what they were parsed to, by attribute.
    """
    line = ["./inv", kind.task]
    for option, given in texts:
        value = values[option.attribute]
        if not option.repeats:
            continue
        if option.write:
            line += option.write(option, value)
        elif option.form is Form.SWITCH:
            line += [option.flag] if value else []
        elif option.position is Position.REQUIRED:
            line += given
        else:
            line += [option.flag, *given]
    return shlex.join(line)
