"""All command lines and options in messages, hints, docstrings and documents exist."""

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
from buildkit_bisect.options.groups import GROUPS
from buildkit_bisect.options.option import options_of
from buildkit_bisect.options.requests import TASKS
from buildkit_bisect.system import checkout

PACKAGE = checkout.PROJECT / "bisect" / "buildkit_bisect"

#: Below `options`, so it cannot import `inv`: it may name a task literally, but no option.
BELOW = "system/"

#: Declarations of options: a help text may name another option.
DECLARATIONS = tuple(f"options/{name}.py" for name in (
    "shared", "ends", "one_line", "campaign_requests", "patch_requests", "result_requests",
    "scenario_requests",
    "upkeep_requests",
))  # fmt: skip

#: The module that makes command lines, and the one that evaluates calls of it.
MAKERS = ("options/command.py", "cli/error_table.py")

#: Options of other programs, such as git, docker and apt-get.
FOREIGN = frozenset({
    "--add", "--addr", "--address", "--all", "--allow-insecure-entitlement", "--arg", "--argjson",
    "--bare", "--batch", "--batch-check", "--cacheinfo", "--config", "--exec-path", "--fork",
    "--full-time", "--git", "--git-dir", "--global", "--grep", "--install", "--kill-child",
    "--mount",
    "--mount-proc", "--no-install-recommends", "--no-recursion", "--numstat",
    "--oci-worker-proxy-snapshotter-path", "--oci-worker-snapshotter", "--parents", "--pid",
    "--privileged", "--progress", "--propagation",
    "--raw", "--replace", "--root", "--secret", "--since", "--slurpfile", "--trace", "--verify",
})  # fmt: skip

#: Modules that read other programs' command lines, and so name their options.
READERS = "scenario/paste_"

#: Options of ours that git, buildx and buildctl have too, each an argument of its own there.
SHARED = frozenset({
    "--base", "--before", "--build-arg", "--builder", "--context", "--first-parent",
    "--format", "--local",
    "--name", "--target",
})  # fmt: skip

#: Options of Invoke itself, and placeholders.
GENERIC = frozenset({
    "--complete", "--help", "--list", "--option", "--options", "--search-root", "--switch",
    "--version",
})  # fmt: skip

#: What may follow ``./inv`` instead of a task.
NO_TASK = ("TASK", "...", "--help", "--list", "help", "list", "of")

OPTIONS = {task: {o.flag for o in options_of(kind)} for task, kind in TASKS.items()}
ANY = set().union(*OPTIONS.values())

_COMMAND = re.compile(r"\./inv\b")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]\b")


@dataclass(frozen=True, kw_only=True)
class Text:
    """A literal in a module; ``{}`` for each formatted value."""

    path: str
    line: int
    content: str
    doc: bool

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.content[:80]!r}"


def flat(node: ast.expr) -> str:
    """Return a literal's text."""
    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.JoinedStr(values=values):
            return "".join(map(flat, values))
    return "{}"


def texts(path: Path) -> Iterator[Text]:
    """Yield every literal of a module."""
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
            yield Text(path=name, line=node.lineno, content=flat(node), doc=id(node) in docs)


FILES = [*sorted(PACKAGE.rglob("*.py")), checkout.PROJECT / "tasks.py"]
TEXTS = [text for path in FILES for text in texts(path)]


def segments(content: str) -> Iterator[tuple[str, str]]:
    """Yield each command in a text as its task and the rest; other text with no task."""
    first, *commands = _COMMAND.split(content)
    yield "", first
    for command in commands:
        # A comma, a semicolon or a parenthesis ends a command.
        end = re.search(r"[,;()`]|$", command)
        assert end
        words = command[: end.start()].split()
        yield task_of(words), " ".join(words)
        yield "", command[end.start() :]


def task_of(words: list[str]) -> str:
    """Return the task of a command; ``plan`` and ``patch`` may precede its name."""
    first, *more = [word.strip("'\".:") for word in words] or ["..."]
    if first == "plan" and more and more[0] in TASKS:
        return more[0]
    if first in GROUPS and more:
        return "TASK" if more[0] in ("TASK", "--help", "-h") else f"{first}-{more[0]}"
    return "TASK" if "{}" in first else first


def mistakes(content: str, *, whole: bool = False) -> list[str]:
    """Return the tasks and options in a text that do not exist; *whole*: it is one option."""
    found = []
    for task, rest in segments(content):
        if task and task not in (*TASKS, *NO_TASK):
            found.append(f"./inv {task}")
        known = OPTIONS[task] if task in TASKS else ANY | FOREIGN
        # A single word is an argument of some program, unless it is a hint.
        if " " in content or whole:
            found += [o for o in _OPTION.findall(rest) if o not in known | GENERIC]
    return found


@pytest.mark.parametrize(
    ("content", "wrong"),
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
def test_mistakes_are_found(content: str, wrong: list[str]) -> None:
    assert mistakes(content) == wrong


def test_tasks_and_options_in_texts_exist() -> None:
    texts = [text for text in TEXTS if not text.path.startswith(READERS)]
    found = {str(text): mistakes(text.content) for text in texts}
    assert {text: wrong for text, wrong in found.items() if wrong} == {}


def test_hints_that_are_a_single_option_exist() -> None:
    hints = [
        (path.name, node.lineno, flat(node.value))
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.keyword) and node.arg in ("hint", "fix")
    ]
    assert len(hints) > 100
    assert [(*h, mistakes(h[2], whole=True)) for h in hints if mistakes(h[2], whole=True)] == []


def literal(text: str) -> bool:
    """Whether a text names a task or an option of ours."""
    return names_option(text) or any(task in TASKS for task, _ in segments(text))


def names_option(text: str) -> bool:
    """Whether a text names an option of ours."""
    argument = re.fullmatch(r"(--[a-z-]+)(=.*)?", text)
    if argument and argument[1] in SHARED:
        return False
    return any(o in ANY for o in _OPTION.findall(text))


@pytest.mark.parametrize(
    ("text", "expected"),
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
def test_literal_names_are_found(text: str, expected: bool) -> None:
    assert literal(text) == expected


def test_texts_name_options_through_their_declarations() -> None:
    found = [
        str(text)
        for text in TEXTS
        if text.path not in DECLARATIONS and not text.doc
        if not text.path.startswith(READERS)
        if (names_option if text.path.startswith(BELOW) else literal)(text.content)
    ]
    assert found == []


def calls() -> Iterator[tuple[str, ast.Call, str]]:
    """Yield every call that makes a command line, and the name of the function."""
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


def test_calls_that_make_command_lines_name_existing_options() -> None:
    made: dict[str, int] = {}
    for where, call, called in calls():
        made[called] = made.get(called, 0) + 1
        if called in ("reproduce", "applicable", "resume", "again"):
            continue
        assert not any(k.arg is None for k in call.keywords), f"{where}: ** hides the options"
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
def test_a_call_that_names_an_unknown_option_is_found(call: str) -> None:
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
