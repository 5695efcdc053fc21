"""Reads a command line by the declarations of the options, before Invoke does. Pure.

Invoke's messages for a wrong word name neither the task nor a word that would be right.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from buildkit_bisect.nearest import nearest
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.groups import GROUPS, spoken
from buildkit_bisect.options.option import Form, Option, Position, options_of
from buildkit_bisect.options.requests import TASKS, Bisect, Campaign, Plan

HELP = ("--help", "-h")

#: `./inv WORD` for options of the program itself: people try the word first.
_WORDS = {"help": "--help", "list": "--list", "version": "--version"}

#: By task: the option of an optional positional value. Invoke's positional arguments are always
#: required, so `./inv status ID` is parsed as `./inv status --id ID`.
OPTIONAL = {
    task: option
    for task, kind in TASKS.items()
    for option in options_of(kind)
    if option.position is Position.OPTIONAL
}

#: Options of other programs, and ours that mean the same: those that the task has are named.
_MEANT: Mapping[str, Sequence[str]] = {
    "old": ("good",),
    "new": ("bad",),
    "start": ("good", "from"),
    "end": ("bad", "to"),
    **dict.fromkeys(("since", "after"), ("good", "from")),
    **dict.fromkeys(("until", "before"), ("bad", "to")),
    **dict.fromkeys(("commit", "ref", "sha", "tag", "version"), ("rev", "revs", "good", "base")),
    **dict.fromkeys(("cmd", "command", "exec", "test"), ("script",)),
    **dict.fromkeys(("clone", "dir", "git", "path", "url"), ("repo",)),
    **dict.fromkeys(("count", "repeat", "runs"), ("trials",)),
    **dict.fromkeys(("parallel", "workers"), ("jobs",)),
    **dict.fromkeys(("force", "no-cache", "rerun"), ("fresh", "yes")),
    **dict.fromkeys(("pr", "pull", "apply", "fix"), ("patches",)),
    **dict.fromkeys(("bases", "snapshotter", "warm", "worker"), ("axis",)),
    "timeout": ("deadline", "script-timeout"),
    "all": ("cache",),
}

#: Words that follow ``git bisect``; here one command does it all.
_GIT_BISECT = ("start", "good", "bad", "old", "new", "run", "reset", "skip", "log", "replay")

_DASHES = ("-", "–", "—")  # noqa: RUF001 - text editors and chats replace two dashes


class Role(StrEnum):
    """What a word of the command line is."""

    TASK = "task"
    OPTION = "option"
    VALUE = "value"  # of the option before it
    POSITIONAL = "positional"
    HELP = "help"
    PROGRAM = "program"  # an option of the program itself, or its value
    UNKNOWN = "unknown"  # an option that the task does not have
    STRAY = "stray"  # anything else


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """A word of the command line."""

    text: str  # of an option, the part before the equals sign
    role: Role
    task: str = ""  # the task it belongs to; "" before the first one
    option: Option | None = None
    attached: str | None = None  # the part of an option after the equals sign


def normal(argv: Sequence[str]) -> list[str]:
    """Return *argv* (the program's name first) as Invoke parses it.

    ``help TASK`` becomes ``--help TASK``, ``patch new`` becomes ``patch-new``, and ``--id`` comes
    before an optional positional value; before each, if there may be several.
    """
    out: list[str] = []
    several: Option | None = None  # what the words up to the next option are values of
    for word in argv:
        first = len(out) == 1 or (len(out) == 3 and out[1] == "--search-root")  # noqa: PLR2004
        group = out[-1] if out[-1:] and out[-1] in GROUPS else ""
        if group and (out[-2] in HELP or not out[-2].startswith("--")):
            if word in GROUPS[group]:
                out[-1] = f"{group}-{word}"
                continue
            if word in HELP:
                out[-1:] = [word, group]
                continue
        if word.startswith(_DASHES):
            several = None
        elif several:
            out.append(several.flag)
        elif out and out[-1] in OPTIONAL:
            optional = OPTIONAL[out[-1]]
            several = optional if optional.form is Form.REPEATED else None
            out.append(optional.flag)
        out.append(_WORDS.get(word, word) if first else word)
    return out


def read(given: Sequence[str], program: Mapping[str, bool]) -> Iterator[Word]:
    """Yield each word in *given*, a normal command line without the program's name.

    *program*: the options of the program itself, and whether each takes a value. What follows
    ``--`` is left out.
    """
    end = list(given).index("--") if "--" in given else len(given)
    return _Reader(program, given[:end]).words()


class _Reader:
    """Reads words from left to right, as Invoke's parser does."""

    def __init__(self, program: Mapping[str, bool], given: Sequence[str]) -> None:
        self._program = program
        self._left = list(given)
        self._task = ""
        self._flags: Mapping[str, Option] = {}
        self._open = 0  # positional values that the task still needs

    def words(self) -> Iterator[Word]:
        """Yield each word."""
        while self._left:
            text = self._left.pop(0)
            name, equals, value = text.partition("=")
            if name not in self._flags and not text.startswith("--") and text[:2] in self._flags:
                name, equals, value = text[:2], "=", text[2:]  # -kNAME
            if name in self._flags:
                yield from self._option(name, value if equals else None)
            elif text in HELP and self._task:
                yield self._word(Role.HELP, text)
            elif name in self._program:
                yield self._word(Role.PROGRAM, name)
                if self._program[name] and not equals and self._left:
                    yield self._word(Role.PROGRAM, self._left.pop(0))
            elif text.startswith(_DASHES):
                yield self._word(Role.UNKNOWN, name)
            else:
                yield self._plain(text)

    def _option(self, name: str, attached: str | None) -> Iterator[Word]:
        option = self._flags[name]
        self._open -= option.position is Position.REQUIRED
        yield self._word(Role.OPTION, name, option, attached)
        takes = option.form is not Form.SWITCH and attached is None
        if takes and self._left and self._left[0] not in self._flags:
            yield self._word(Role.VALUE, self._left.pop(0), option)

    def _plain(self, text: str) -> Word:
        if self._open > 0:
            self._open -= 1
            return self._word(Role.POSITIONAL, text)
        if text not in TASKS:
            return self._word(Role.STRAY, text)
        self._task, options = text, options_of(TASKS[text])
        self._flags = {one.flag: one for one in options}
        self._open = sum(one.position is Position.REQUIRED for one in options)
        return self._word(Role.TASK, text)

    def _word(
        self, role: Role, text: str, option: Option | None = None, attached: str | None = None
    ) -> Word:
        return Word(role=role, text=text, task=self._task, option=option, attached=attached)


def problem(line: Sequence[Word]) -> str:
    """Return what is wrong with a command line and what to try, in one line; "" if nothing is."""
    seen: set[tuple[str, str]] = set()
    for at, word in enumerate(line):
        after = line[at + 1] if at + 1 < len(line) else None
        match word.role:
            case Role.UNKNOWN:
                return _unknown(word)
            case Role.STRAY:
                return _stray(word, line[:at], after)
            case Role.VALUE if _from_git(word):
                return _one_command(line[at:])
            case Role.OPTION if word.option:
                if found := _misused(word, word.option, after, seen):
                    return found
                if word.option.form is Form.VALUE:
                    seen.add((word.task, word.text))
            case Role.TASK:
                own = [one for one in line[at + 1 :] if one.task == word.task]
                if found := _incomplete(word.task, own) or _unplanned(word.task, line[at + 1 :]):
                    return found
    return ""


def no_task(name: str) -> str:
    """Return the message for a task that does not exist."""
    found = [f"./inv {spoken(task)}" for task in nearest(name, [*TASKS, "help", "list"])]
    return f"no task {name!r} (try: {', or '.join(found) if found else './inv list'})"


def _unknown(word: Word) -> str:
    wrong = "-" * (len(word.text) - len(word.text.lstrip("-"))) + word.text.lstrip("-–—")  # noqa: RUF001
    if not word.task:
        near = nearest(wrong, {o.flag for kind in TASKS.values() for o in options_of(kind)})
        exact = [task for task, kind in TASKS.items() if word.text in _flags(task)]
        if exact:
            return f"{word.text} comes after a task (try: ./inv {spoken(exact[0])} {word.text})"
        own = nearest(wrong, ["--help", "--list", "--version"])
        return f"no option {word.text} (try: {', or '.join((own or near)[:2] or ['./inv help'])})"
    flags = _flags(word.task)
    missing = f"{spoken(word.task)} has no option {word.text}"
    name = wrong.lstrip("-")
    meant = [f"--{one}" for one in _MEANT.get(name, ()) if f"--{one}" in flags]
    meant = [f"{one} {name}=VALUE" if one == words(Campaign, axis=True) else one for one in meant]
    found = meant or nearest(wrong, flags)
    others = [spoken(task) for task in TASKS if word.text in _flags(task)]
    if (
        others
        and not meant
        and not any(one.startswith(wrong) or wrong.startswith(one) for one in found)
    ):
        return f"{missing}; {_some(others)} (try: ./inv {spoken(word.task)} --help)"
    tried = ", or ".join([*found, f"./inv {spoken(word.task)} --help"])
    return f"{missing} (try: {tried})"


def _some(tasks: Sequence[str]) -> str:
    shown = ", ".join(tasks[:3]) + (", ..." if len(tasks) > 3 else "")  # noqa: PLR2004
    return f"{shown} {'has' if len(tasks) == 1 else 'have'} it"


def _stray(word: Word, before: Sequence[Word], after: Word | None) -> str:
    if not word.task:
        second = after and word.text in GROUPS and after.role is Role.STRAY
        return no_task(f"{word.text} {after.text}" if after and second else word.text)
    last = before[-1]
    if found := _without_dashes(last, word) or _without_dashes(word, after) or _apart(last, word):
        return found
    optional = OPTIONAL.get(word.task)
    once = optional is not None and optional.form is not Form.REPEATED
    named = optional is not None and optional.flag in [one.text for one in before]
    missing = optional is not None and not (once and named)
    if last.role is Role.OPTION and last.option and last.option.form is Form.SWITCH:
        whole = f"./inv {spoken(word.task)} {shlex.quote(word.text)} {last.text}"
        tried = whole if missing else last.text
        return f"{last.text} takes no value, not {word.text!r} (try: {tried})"
    if optional and missing:
        return (
            f"{word.text!r} must come right after {spoken(word.task)}"
            f" (try: {optional.flag} {word.text})"
        )
    near = [f"./inv {spoken(task)}" for task in nearest(word.text, TASKS)]
    tried = ", or ".join([f"./inv {spoken(word.task)} --help", *near[:1]])
    return f"{word.text!r} is neither a task nor an option of {spoken(word.task)} (try: {tried})"


def _without_dashes(name: Word, value: Word | None) -> str:
    """Return the message for ``trials 20``; "" if *name* is not the name of an option."""
    free = name.option is None or name.option == OPTIONAL.get(name.task)
    option = f"--{name.text}"
    if value is None or not free or option not in _flags(name.task):
        return ""
    return f"{name.text!r} lacks its two dashes (try: {option} {value.text})"


def _apart(last: Word, word: Word) -> str:
    """Return the message for *word* after a space that ends a list or a range; "" for others."""
    option, value = last.option, last.attached if last.role is Role.OPTION else last.text
    if not option or not value or option.form is Form.SWITCH:
        return ""
    what = f"{word.text!r} follows a space"
    if "," in option.value:
        joined = f"{value.rstrip(',')},{word.text.lstrip(',')}"
        return f"{what}; a list has none (try: {option.flag} {joined})"
    if ".." in option.value and ".." not in value:
        joined = f"./inv {spoken(word.task)} {value}..{word.text}"
        return f"{what}; two dots join both ends (try: {joined})"
    return ""


def _from_git(word: Word) -> bool:
    return (
        word.task == Bisect.task
        and word.option == OPTIONAL[Bisect.task]
        and word.text in _GIT_BISECT
    )


def _one_command(line: Sequence[Word]) -> str:
    """Return the message for ``bisect start`` and the like; *line* begins with the second word."""
    word, *more = line
    strays = [one.text for one in more if one.role is Role.STRAY]
    script = words(Bisect, script=strays[0] if strays else "./test.sh")
    shown = f" {script}" if word.text == "run" else ""
    return (
        f"{word.text!r} is a step of git bisect; here one command does all of them"
        f" (try: {inv('bisect', good='v0.24.0', bad='v0.26.0')}{shown})"
    )


def _misused(word: Word, option: Option, after: Word | None, seen: set[tuple[str, str]]) -> str:
    """Return what is wrong with a known option."""
    if option.form is Form.SWITCH:
        given = word.attached
        return f"{word.text} takes no value, not {given!r} (try: {word.text})" if given else ""
    if word.attached is None and (after is None or after.role is not Role.VALUE):
        return f"{word.text} needs a value (try: {option.sample})"
    if not (after.text if word.attached is None and after else word.attached):
        return f"the value of {word.text} is empty (try: {option.sample}, or leave out {word.text})"
    if (word.task, word.text) in seen:
        return (
            f"{word.text} is given twice (try: it once; ./inv --help {spoken(word.task)}"
            " shows which options may be repeated)"
        )
    return ""


def _incomplete(task: str, own: Sequence[Word]) -> str:
    """Return which positional values are missing; not if help is asked for, or a word is wrong."""
    required = [o for o in options_of(TASKS[task]) if o.position is Position.REQUIRED]
    given = [one for one in own if one.role is Role.POSITIONAL and one.text]
    named = {one.text for one in own if one.role is Role.OPTION}
    wrong = any(one.role in (Role.HELP, Role.UNKNOWN, Role.PROGRAM) for one in own)
    missing = [o for o in required[len(given) :] if o.flag not in named]
    if wrong or not missing:
        return ""
    values, examples = zip(*((o.value, o.example) for o in required), strict=True)
    also = [o.sample for o in options_of(TASKS[task]) if o.required and o not in required][:1]
    shown = " ".join([*examples, *also])
    return f"{spoken(task)} needs {' '.join(values)} (try: ./inv {spoken(task)} {shown})"


def _unplanned(task: str, after: Sequence[Word]) -> str:
    """Return what is wrong with what follows ``plan``, which sets an option of the next task."""
    if task != Plan.task or any(one.role in (Role.HELP, Role.PROGRAM) for one in after):
        return ""
    planned = next((one.text for one in after if one.role is Role.TASK), "")
    if not planned:
        wrong = any(one.role in (Role.STRAY, Role.UNKNOWN) for one in after)
        return "" if wrong else f"plan needs a task after it (try: {inv('plan')} matrix)"
    if words(Campaign, dry_run=True) in _flags(planned):
        return ""
    return f"{spoken(planned)} has no plan (try: ./inv {spoken(planned)} --help)"


def _flags(task: str) -> set[str]:
    return {one.flag for one in options_of(TASKS[task]) if one.position is not Position.REQUIRED}
