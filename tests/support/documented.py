"""Finds the commands of ours that a text shows, as a reader would type them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from buildkit_bisect.options.groups import GROUPS, spoken
from buildkit_bisect.options.option import Form, Option, Position, options_of
from buildkit_bisect.options.requests import TASKS
from buildkit_bisect.system import checkout

#: Documents; docs/errors.md is generated from the hints in the code, which are tested there.
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "results/*.md", "results/*/README.md", "patches/*.md")
    for path in checkout.PROJECT.glob(pattern)
    if path.name != "errors.md"
)

#: A word in capitals, or several: ID, A,B, KEY=VALUE, OWNER/NAME. Or a variable of a shell.
_PLACEHOLDER = re.compile(r"(?:[a-z-]+=)?[A-Z][A-Z_]*(?:[,.=:/][A-Z][A-Z_]*)*|\$.*")

#: What may follow ``./inv`` instead of a task.
_NO_TASK = re.compile(r"TASK|\.\.\.|of|list|-.*")

#: The patch that documents make with ``patch new``; a shipped one stands for it elsewhere.
READERS_PATCH = "my-fix"

_ENDS = frozenset("();<>|&")


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A command line; *mention* if it only names a task, in a sentence."""

    where: str  # "README.md:14"
    words: tuple[str, ...]  # without ./inv
    env: Mapping[str, str] = field(default_factory=dict)
    mention: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {shlex.join(self.words)}"

    @property
    def task(self) -> str:
        """The task's name in `TASKS`; "" if it is none."""
        words = [word for word in self.words if word != "plan"] or ["plan"]
        grouped = words[0] in GROUPS and len(words) > 1
        name = f"{words[0]}-{words[1]}" if grouped else words[0]
        return name if name in TASKS else ""


def in_page(path: Path) -> Iterator[Command]:
    """Yield the commands of a Markdown document, in code blocks and in sentences."""
    name = path.relative_to(checkout.PROJECT).as_posix()
    yield from in_text(path.read_text(), name)


def in_text(text: str, name: str) -> Iterator[Command]:
    """Yield the commands in *text*: in code blocks (and Markdown tables) whole lines count."""
    prose: list[str] = []
    fenced = False
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        fence = line.lstrip().startswith("```")
        fenced = fenced != fence
        if fence or not (fenced or line.startswith("    ")):
            prose.append("" if fence else line)
            continue
        prose.append("")
        yield from in_line(line, f"{name}:{number}")
    joined = "\n".join(prose)
    for span in re.finditer(r"(`+)((?:(?!\n\n)[^`])+)\1", joined):
        number = joined.count("\n", 0, span.start()) + 1
        yield from in_line(" ".join(span[2].split()), f"{name}:{number}", span=True)


def in_line(line: str, where: str, *, span: bool = False) -> Iterator[Command]:
    """Yield the commands in a line of shell; in a *span* of a sentence a bare task is a mention."""
    line = re.sub(r"\[(--[^\]]*)\]", r"\1", line)  # optional parts
    line = re.sub(r",\.{3}(?=,)", "", line)  # "v0.20.2,...,master"
    before, *texts = re.split(r"(?<![\w/])\./inv(?=\s|$)", line)
    for text in texts:
        words = _until_its_end(text)
        env = dict(re.findall(r"\b(BKBISECT_\w+)=(\S+)(?=(?: [A-Z_]+=\S+)* $)", before))
        before = text
        if words[:1] == ["help"]:  # bare `./inv` has a description beside it
            words = [*words[1:], "--help"] if len(words) == 2 else ["--help"]
        named = next((word for word in words if word != "plan"), "plan")
        if words and not _NO_TASK.fullmatch(named.strip("[]")):
            made = Command(where=where, words=tuple(words), env=env)
            yield replace(made, mention=span and not env and _bare(made))


def benchmarks(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each file in benchmarks/ in *text*, with the options that follow it."""
    for found in re.finditer(r"\bbenchmarks/([\w.]+\w)([^`\n|&;]*)", text):
        yield found[1], re.findall(r"(?<=\s)--[a-z-]+", found[2])


def _bare(command: Command) -> bool:
    """Whether *command* is a task's name and nothing else."""
    return set(command.words) <= {"plan", command.task, *spoken(command.task).split()}


def _until_its_end(text: str) -> list[str]:
    """Return the words of the command that *text* starts with."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    try:
        for word in lexer:
            if set(word) <= _ENDS:
                break
            words.append(word)
    except ValueError:  # the quote around the whole line ends here
        pass
    return words


def filled(command: Command, home: Path, campaign: str) -> list[str]:
    """Return the words with an example for each placeholder, and paths below *home*.

    Options with an unknown name stay, for the program to refuse.
    """
    options = options_of(TASKS[command.task]) if command.task else []
    flags = {option.flag: option for option in options}
    positions = [o for o in options if o.position is not Position.NONE]
    made: list[str] = []
    pending: Option | None = None
    names = {"plan", command.task, *spoken(command.task).split()}
    for word in command.words:
        name, equals, value = word.partition("=")
        if pending:
            made.append(_value(pending, word, home, campaign))
            pending = None
        elif word in flags and flags[word].form is not Form.SWITCH:
            made.append(word)
            pending = flags[word]
        elif equals and name in flags:
            made.append(f"{name}={_value(flags[name], value, home, campaign)}")
        elif word.startswith("-") or word in names or not positions:
            made.append(word)
        else:
            made.append(_value(positions[0], word, home, campaign))
            positions = positions[1:] or positions
    return made


def _value(option: Option, text: str, home: Path, campaign: str) -> str:
    """Return a value that exists in the test's world: *home*, one *campaign*, shipped patches."""
    own = _PLACEHOLDER.fullmatch(text) or text == option.example
    if option.key in ("id", "before", "after") and "/" not in text:
        return campaign
    if own and option.key in ("publish", "out", "save", "templates", "into"):
        return str(home / option.key)
    if option.key == "patches":
        text = text.replace(READERS_PATCH, option.example)
    text = option.example if _PLACEHOLDER.fullmatch(text) else text
    return str(home / text[2:]) if text.startswith("~/") else text
