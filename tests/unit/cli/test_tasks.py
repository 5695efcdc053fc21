"""tasks.py through the real program: the tasks, their help and their requests."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from invoke.collection import Collection
from invoke.loader import FilesystemLoader
from invoke.parser import Parser

from buildkit_bisect.cli import guard, invoking
from buildkit_bisect.cli.line import normal
from buildkit_bisect.cli.program import Inv
from buildkit_bisect.options.groups import spoken
from buildkit_bisect.options.option import Form, Given, Position, options_of
from buildkit_bisect.options.reading import read
from buildkit_bisect.options.requests import TASKS, Bisect, Request
from buildkit_bisect.system import checkout

TASK = pytest.mark.parametrize("task", TASKS)


@pytest.fixture(scope="module")
def collection() -> Collection:
    module, _ = FilesystemLoader(start=str(checkout.PROJECT)).load("tasks")
    return Collection.from_module(module)


def run(*words: str) -> None:
    """Run ``./inv`` with *words*; it exits only with an error."""
    argv = ["inv", "--search-root", str(checkout.PROJECT), *words]
    Inv().run(normal(argv), exit=False)


def test_what_follows_two_dashes_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("plan", "matrix", "--", "--revs", "v0.24.0")
    assert ended.value.code == 2
    assert "-- hides what follows it: '--revs v0.24.0'" in capsys.readouterr().err


def asked(collection: Collection, *words: str) -> tuple[type[Request], dict[str, Given]]:
    """Return the request type for a command line, and the options that Invoke passes."""
    (context,) = Parser(contexts=collection.to_contexts()).parse_argv(normal(["inv", *words])[1:])
    task = collection[context.name]
    assert isinstance(task, invoking.RequestTask)
    return task.kind, context.as_kwargs


def test_tasks_and_requests_agree(collection: Collection) -> None:
    found = {}
    for name in collection.task_names:
        task = collection[name]
        assert isinstance(task, invoking.RequestTask)
        found[name] = task.kind
    assert found == TASKS


@TASK
def test_a_task_takes_the_request_it_is_declared_with(task: str) -> None:
    tree = ast.parse((checkout.PROJECT / "tasks.py").read_text())
    (function,) = [
        f for f in tree.body if isinstance(f, ast.FunctionDef) and f.name == task.replace("-", "_")
    ]
    (decorator,) = function.decorator_list
    assert isinstance(decorator, ast.Call)
    (argument,) = function.args.args
    assert argument.annotation
    assert ast.unparse(decorator.args[0]) == ast.unparse(argument.annotation)
    assert ast.unparse(decorator.args[0]) == f"requests.{TASKS[task].__name__}"


@TASK
def test_help_shows_every_option_with_its_value_its_help_and_its_default(
    task: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(task, "--help")
    output = capsys.readouterr().out
    assert output.startswith(f"Usage: ./inv {spoken(task)}")
    assert max(map(len, output.splitlines())) <= 100
    lines = output.partition("\nOptions:\n")[2].rstrip()
    # Entries are indented by two; lines indented further continue the entry above.
    entries = [" ".join(e.split()) for e in re.split(r"\n(?=  \S)", "\n" + lines)[1:]]
    wanted = [f"{one.usage} {one.description}" for one in options_of(TASKS[task])]
    assert entries == (wanted or ["none"])
    for entry in entries if wanted else []:
        usage, _, text = entry.partition(" ")
        if usage == "-k":
            text = text.partition(" ")[2]
        assert re.fullmatch(r"\S.*\S \((default: .+|.*required.*)\)", text), entry


@TASK
def test_the_example_in_a_tasks_description_is_valid(task: str, collection: Collection) -> None:
    description = inspect.getdoc(collection[task]) or ""
    assert description.partition("\n")[0] == description, "one line, as --list shows it"
    assert description
    _, found, example = description.partition("./inv ")
    if not found:
        return
    words = shlex.split(example)
    if task == "plan":
        assert words.pop(0) == "plan"
    kind, given = asked(collection, *words)
    assert task in (kind.task, "plan")
    read(kind, given, {})


@pytest.mark.parametrize(
    "command",
    [
        "./inv matrix --revs v1,v2+p --repo '/a b' --axis=bases=same --axis=x=1,2 --fresh",
        "./inv bisect --good v1 --bad v2 --find-fix --confidence 0.9 --deadline step=5,clone=9",
        "./inv boundaries --from v1 --to v2 --releases --script ./t.sh --jobs 2",
        "./inv validate --patches a --checks cells --runtime host,docker --trials 7",
        "./inv run --rev v1 --snapshotter-socket a=/s:/r --images public",
    ],
)
def test_the_command_of_a_request_makes_the_same_request(
    command: str, collection: Collection
) -> None:
    kind, given = asked(collection, *shlex.split(command)[1:])
    request = read(kind, given, {})
    assert request.command == command
    # Values from the environment are written as options too.
    texts: dict[str, Any] = {o.twin: given[o.key] for o in options_of(kind) if given[o.key]}
    env = {
        name: " ".join(value) if isinstance(value, list) else str(value)
        for name, value in texts.items()
    }
    assert read(kind, {}, {k: "1" if v == "True" else v for k, v in env.items()}) == request


def test_arguments_are_as_declared_each_time_they_are_read(collection: Collection) -> None:
    task = collection["bisect"]
    for _ in range(2):
        arguments = task.get_arguments()
        assert [a.names for a in arguments] == [(o.name,) for o in options_of(Bisect)]
        assert all(a.help for a in arguments)
    for name, kind in TASKS.items():
        for argument, option in zip(
            collection[name].get_arguments(), options_of(kind), strict=True
        ):
            assert argument.takes_value is (option.form is not Form.SWITCH)
            assert argument.positional is (option.position is Position.REQUIRED)


def test_an_error_in_an_option_is_one_line_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        run("matrix", "--trials", "many")
    assert ended.value.code == guard.BAD_INPUT
    output = capsys.readouterr().err
    assert output == "error: --trials 'many' is not an integer (try: --trials 1)\n"


def test_plan_runs_the_next_task(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setenv("BKBISECT_DRY_RUN", "")
    with pytest.raises(SystemExit) as ended:
        run("plan", "boundaries", "--from", "v1")
    assert ended.value.code == guard.BAD_INPUT
    assert "boundaries needs both endpoints" in capsys.readouterr().err
    assert read(Bisect, {}, os.environ).dry_run


def imported(path: Path) -> Iterator[str]:
    """Yield the modules that the one at *path* imports when it is loaded."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_list_and_help_import_neither_git_nor_docker_nor_a_runtime() -> None:
    package = checkout.PROJECT / "bisect" / "buildkit_bisect"
    todo, seen = [checkout.PROJECT / "tasks.py", package / "cli" / "program.py"], set()
    outside = set()
    while todo:
        for name in imported(todo.pop()):
            if not name.startswith("buildkit_bisect"):
                outside.add(name.partition(".")[0])
                continue
            parts = name.split(".")[1:]
            for at in range(len(parts) + 1):
                base = package.joinpath(*parts[:at])
                for file in (base / "__init__.py", base.with_suffix(".py")):
                    if file.is_file() and file not in seen:
                        seen.add(file)
                        todo.append(file)
    rooms = {file.relative_to(package).parts[0] for file in seen}
    assert {"options", "cli", "system", "model.py"} <= rooms
    assert not rooms & {"source", "engine", "runtime", "lab", "campaign", "builds", "render"}
    assert not outside & {"git", "docker", "subprocess", "socket", "jinja2", "rich", "urllib"}
