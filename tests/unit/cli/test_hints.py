"""Command lines and options in messages, hints, docstrings and documents: all of them exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from buildkit_bisect.cli import error_table
from buildkit_bisect.options import requests
from buildkit_bisect.options.command import twin
from buildkit_bisect.options.option import options_of
from buildkit_bisect.options.requests import TASKS
from buildkit_bisect.system import checkout

PACKAGE = checkout.PROJECT / "bisect" / "buildkit_bisect"

#: Not converted yet: names tasks and options literally.
PENDING = "search/"

#: Below `options`, so it cannot import `inv`: it may name a task literally, but no option.
BELOW = "system/"

#: Where options are declared: a help text may name another option.
DECLARATIONS = tuple(f"options/{name}.py" for name in (
    "shared", "campaign_requests", "patch_requests", "result_requests", "upkeep_requests",
))  # fmt: skip

#: What makes command lines, and reads calls that do.
MAKERS = ("options/command.py", "cli/error_table.py")

#: Options of other programs, in prose about git, docker, apt-get and so on.
FOREIGN = frozenset({
    "--address", "--all", "--batch", "--git", "--grep", "--kill-child", "--no-install-recommends",
    "--numstat", "--parents", "--privileged", "--raw", "--since",
})  # fmt: skip

#: Options of ours that git, buildx and buildctl have too, each an argument of its own there.
SHARED = frozenset({"--before", "--builder", "--format", "--local", "--name"})

#: Of Invoke itself, and what stands for an option.
STANDING = frozenset({"--help", "--list", "--core-opts", "--option", "--options", "--switch"})

#: What may stand behind ``./inv`` where no task does.
NO_TASK = ("TASK", "...", "--help", "--list", "of")

OPTIONS = {task: {o.flag for o in options_of(kind)} for task, kind in TASKS.items()}
ANY = set().union(*OPTIONS.values())

_COMMAND = re.compile(r"\./inv\b")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]\b")


@dataclass(frozen=True, kw_only=True)
class Text:
    """What a module says somewhere; ``{}`` for what is put in."""

    path: str
    line: int
    said: str
    doc: bool

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.said[:80]!r}"


def flat(node: ast.expr) -> str:
    """A literal's text."""
    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.JoinedStr(values=values):
            return "".join(map(flat, values))
    return "{}"


def texts(path: Path) -> Iterator[Text]:
    """Every literal of a module."""
    tree = ast.parse(path.read_text())
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    inside = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    name = path.relative_to(checkout.PROJECT if path.name == "tasks.py" else PACKAGE).as_posix()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in inside:
            yield Text(path=name, line=node.lineno, said=flat(node), doc=id(node) in docs)


FILES = [*sorted(PACKAGE.rglob("*.py")), checkout.PROJECT / "tasks.py"]
TEXTS = [text for path in FILES for text in texts(path)]


def segments(said: str) -> Iterator[tuple[str, str]]:
    """The commands in a text, as a task and what follows it; with no task, what is around them."""
    first, *commands = _COMMAND.split(said)
    yield "", first
    for command in commands:
        # A comma, a semicolon or a parenthesis ends a command, and prose goes on.
        end = re.search(r"[,;()`]|$", command)
        assert end
        words = command[: end.start()].split()
        yield task_of(words), " ".join(words)
        yield "", command[end.start() :]


def task_of(words: list[str]) -> str:
    """Which task a command is for: ``plan`` and ``patch`` stand before the name of one."""
    first, *more = [word.strip("'\".:") for word in words] or ["..."]
    if first == "plan" and more and more[0] in TASKS:
        return more[0]
    if first == "patch" and more:
        return "TASK" if more[0] in ("TASK", "--help", "-h") else f"patch-{more[0]}"
    return "TASK" if "{}" in first else first


def mistakes(said: str, *, whole: bool = False) -> list[str]:
    """Tasks and options that a text names and that do not exist; *whole*: it is one option."""
    found = []
    for task, rest in segments(said):
        if task and task not in (*TASKS, *NO_TASK):
            found.append(f"./inv {task}")
        known = OPTIONS[task] if task in TASKS else ANY | FOREIGN
        # One word alone is an argument of some program, unless it is a hint.
        if " " in said or whole:
            found += [o for o in _OPTION.findall(rest) if o not in known | STANDING]
    return found


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("try ./inv resume --trials 20", ["--trials"]),
        ("./inv doctor, or --images public", []),
        ("./inv doctor --images public", ["--images"]),
        ("./inv clean --cache makes it anew; ./inv bisekt", ["./inv bisekt"]),
        ("--repo PATH of a clone, or --sauce module", ["--sauce"]),
        ("run: ./inv patch new NAME --from-branch REF", []),
        ("./inv patch-new NAME --from-brunch REF", ["--from-brunch"]),
        ("./inv --help TASK; sudo ./inv ...", []),
        ("./inv plan matrix --revs master", []),
        ("./inv plan clean --revs master", ["--revs"]),
        ("git merge-base --all; ./inv clean --all", ["--all"]),
        ("--quiet", []),
    ],
)
def test_mistakes_are_found(said: str, wrong: list[str]) -> None:
    assert mistakes(said) == wrong


def test_tasks_and_options_in_texts_exist() -> None:
    found = {str(text): mistakes(text.said) for text in TEXTS}
    assert {text: wrong for text, wrong in found.items() if wrong} == {}


def test_hints_that_are_one_option_alone_exist() -> None:
    hints = [
        (path.name, node.lineno, flat(node.value))
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.keyword) and node.arg in ("hint", "fix")
    ]
    assert len(hints) > 100
    assert [(*h, mistakes(h[2], whole=True)) for h in hints if mistakes(h[2], whole=True)] == []


def literal(said: str) -> bool:
    """Whether a text names a task or an option of ours."""
    return names_option(said) or any(task in TASKS for task, _ in segments(said))


def names_option(said: str) -> bool:
    """Whether a text names an option of ours."""
    argument = re.fullmatch(r"(--[a-z-]+)(=.*)?", said)
    if argument and argument[1] in SHARED:
        return False
    return any(o in ANY for o in _OPTION.findall(said))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("df -h; ./inv clean", True),
        ("./inv TASK --help", False),
        ("docker login, or another --push", True),
        ("--push", True),
        ("--push=REGISTRY", True),
        ("leave out --builder dockerfile", True),
        ("--builder", False),
        ("--format=%H %T", False),
        ("--graph", False),
    ],
)
def test_literal_names_are_found(said: str, expected: bool) -> None:
    assert literal(said) == expected


def test_texts_name_options_through_their_declarations() -> None:
    found = [
        str(text)
        for text in TEXTS
        if not text.path.startswith(PENDING) and text.path not in DECLARATIONS and not text.doc
        if (names_option if text.path.startswith(BELOW) else literal)(text.said)
    ]
    assert found == []


def calls() -> Iterator[tuple[str, ast.Call, str]]:
    """Every call that makes a command line, and what it is called there."""
    for path in FILES:
        name = path.relative_to(checkout.PROJECT).as_posix()
        if name.endswith(MAKERS):
            continue
        tree = ast.parse(path.read_text())
        ours = {
            alias.asname or alias.name: alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "buildkit_bisect.options.command"
            for alias in node.names
        }
        for node in ast.walk(tree):
            name_of = node.func if isinstance(node, ast.Call) else None
            if isinstance(name_of, ast.Name) and name_of.id in ours:
                assert isinstance(node, ast.Call)
                yield f"{name}:{node.lineno}", node, ours[name_of.id]


def test_calls_that_make_command_lines_name_what_exists() -> None:
    made: dict[str, int] = {}
    for where, call, called in calls():
        made[called] = made.get(called, 0) + 1
        if called == "reproduce":
            continue
        assert not any(k.arg is None for k in call.keywords), f"{where}: names no option"
        try:
            if called == "twin":
                kind, key = call.args
                assert isinstance(key, ast.Constant)
                assert isinstance(key.value, str)
                twin(getattr(requests, ast.unparse(kind).rpartition(".")[2]), key.value)
            else:
                error_table.command_line(called, call, lambda _: "X")
        except LookupError as wrong:
            pytest.fail(f"{where}: {wrong}")
    assert made["inv"] > 20
    assert made["words"] > 30
    assert made["twin"] >= 2


@pytest.mark.parametrize("call", ['inv("resume", trials=20)', 'words(Clean, rev="R")', 'inv("x")'])
def test_a_call_that_names_what_does_not_exist_is_found(call: str) -> None:
    node = ast.parse(call, mode="eval").body
    assert isinstance(node, ast.Call)
    assert isinstance(node.func, ast.Name)
    with pytest.raises(LookupError):
        error_table.command_line(node.func.id, node, lambda _: "X")


@pytest.mark.parametrize(
    "page", sorted(p.relative_to(checkout.PROJECT).as_posix() for p in [
        checkout.PROJECT / "README.md", *(checkout.PROJECT / "docs").glob("*.md")
    ])
)  # fmt: skip
def test_commands_in_documents_exist(page: str) -> None:
    lines = (checkout.PROJECT / page).read_text().splitlines()
    wrong = {line: mistakes(line) for line in lines if "./inv" in line}
    assert {line: found for line, found in wrong.items() if found} == {}
