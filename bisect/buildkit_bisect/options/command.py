"""Command lines made from the declarations, so that they name only tasks and options that exist.

``inv("bisect", good="R", bad="R")`` makes a whole command and ``words(Bisect, trials=20)`` its
options only; both are for hints. A unit test runs every such call in the package.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from buildkit_bisect.options.groups import named, spoken
from buildkit_bisect.options.option import Form, Option, Position, find, options_of
from buildkit_bisect.options.requests import TASKS, Request
from buildkit_bisect.system import checkout

#: What separates the alternatives of a hint.
_OR = ", or "
_FLAG = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")

#: A value in a hint. True means the option without a value: a switch, or its name.
Value = str | int | float


def inv(task: str, /, *values: str, **options: Value) -> str:
    """Return ``./inv TASK VALUE --option VALUE``; *values* are positional.

    Raises `LookupError` if the task, an option or a positional value does not exist.
    """
    kind = TASKS.get(task)
    if kind is None:
        raise LookupError(f"no task {task!r}")
    placed = [option for option in options_of(kind) if option.position is not Position.NONE]
    if len(values) > len(placed) and not any(o.form is Form.REPEATED for o in placed):
        raise LookupError(f"{task} takes no positional value {values[-1]!r}")
    positional = " ".join(map(shlex.quote, values))
    return " ".join(filter(None, ["./inv", spoken(task), positional, words(kind, **options)]))


def resume(folder: Path) -> str:
    """Return the command that resumes the campaign in *folder*."""
    usual = folder.parent.absolute() == checkout.PROJECT / "results"
    return inv("resume", folder.name if usual else str(folder.absolute()))


def words(kind: type[Request], /, **options: Value) -> str:
    """Return ``--option VALUE --switch``. Raises `LookupError` if *kind* lacks an option."""
    return " ".join(_word(kind, key, value) for key, value in options.items())


def _word(kind: type[Request], key: str, value: Value) -> str:
    option = find(kind, key)
    if value is True:
        return option.flag
    if option.form is Form.SWITCH:
        raise LookupError(f"{option.flag} takes no value, not {value!r}")
    return f"{option.flag} {shlex.quote(str(value))}"


def twin(kind: type[Request], key: str) -> str:
    """Return an option's environment variable. Raises `LookupError` if *kind* lacks the option."""
    return find(kind, key).twin


def applicable(hint: str, kind: type[Request]) -> str:
    """Return the alternatives in *hint* that *kind* can follow; "" if there are none.

    Rooms below the tasks make hints for all of them: ``patch-check`` has no ``--source``. An
    alternative that names an option of another task, and not in a whole command, is left out.
    """
    flags = {option.flag for option in options_of(kind)}
    declared = {option.flag for task in TASKS.values() for option in options_of(task)}

    def fits(part: str) -> bool:
        return "./inv" in part or not (set(_FLAG.findall(part)) & declared) - flags

    return _OR.join(part for part in hint.split(_OR) if fits(part))


#: Options that say which revisions, how the answer is shown, or that nothing stored is used.
_OWN = frozenset({
    *("rev", "revs", "range", "good", "bad", "find-good", "find-fix", "from", "to"),
    *("base", "culprit", "shard"),
    *("format", "json", "fresh"),
})  # fmt: skip

#: A word of a command, as `shlex.quote` writes it: a quoted part may contain spaces.
_SHELL_WORD = r"(?:[^\s'\"]|'[^']*'|\"[^\"]*\")+"

#: A command in a hint: up to the next alternative, or the end.
_COMMAND = re.compile(rf"\./inv ([a-z-]+)((?: (?!\./inv){_SHELL_WORD})*?)(?=;|, | and | \(|$)")


def again(hint: str, command: str) -> str:
    """Return *hint*, with the options of a campaign's *command* in each command that has them too.

    So what follows from a campaign is about the same repository, patches, scenario and cells,
    though what proposes it knows only revisions. What a command in the hint says itself holds.
    """
    given = _given(command)

    def completed(match: re.Match[str]) -> str:
        kind = named(match[1], match[2].split())
        if kind is None:
            return match[0]
        own = {word.partition("=")[0] for word in match[2].split()}
        known = {option.flag for option in options_of(kind)} - own
        more = [shlex.join(words) for flag, words in given if flag in known]
        return " ".join([match[0], *more])

    return _COMMAND.sub(completed, hint) if given else hint


def _given(command: str) -> list[tuple[str, list[str]]]:
    """Return the flag, and the words, of each option that a campaign's command gives."""
    try:
        _, task, *rest = shlex.split(command)
    except ValueError:  # a document may contain anything
        return []
    kind = named(task, rest)
    flags = {option.flag: option for option in options_of(kind)} if kind else {}
    words, found = iter(rest), []
    for word in words:
        flag, joined, _ = word.partition("=")
        option = flags.get(flag)
        if option is None:
            continue
        value = [] if joined or option.form is Form.SWITCH else [next(words, "")]
        if option.name not in _OWN:
            found.append((flag, [word, *value]))
    return found


def reproduce(
    kind: type[Request],
    texts: Iterable[tuple[Option, Sequence[str]]],
    values: Mapping[str, object],
) -> str:
    """Return the command that makes the same request with options only.

    *texts* may come from the command line or the environment; *values* are the parsed values, by
    attribute.
    """
    line = ["./inv", *spoken(kind.task).split()]
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
