"""Every command that README, the documents, the help texts and the hints show is run.

Campaigns run with ``--dry-run`` on a generated repository that has upstream's releases, the other
tasks on a recorded campaign; all through the real program. So an unknown option, scenario, axis,
patch, revision or file in a document fails here.
"""

from __future__ import annotations

import ast
import inspect
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from invoke.collection import Collection
from invoke.loader import FilesystemLoader
from invoke.parser import Parser

import documented
import results
from buildkit_bisect import result
from buildkit_bisect.campaign import record
from buildkit_bisect.cli import error_table, invoking
from buildkit_bisect.cli.line import normal
from buildkit_bisect.cli.program import Inv
from buildkit_bisect.events import Finished
from buildkit_bisect.live import Recorder
from buildkit_bisect.options import requests
from buildkit_bisect.options.option import Position, options_of
from buildkit_bisect.options.reading import read
from buildkit_bisect.options.requests import TASKS, Request
from buildkit_bisect.system import checkout
from documented import Command
from golang_repo import GolangRepo, words

pytestmark = [
    pytest.mark.local,
    pytest.mark.timeout(120),
    # Of the Docker client, which finds no Engine; a task ends its process before that matters.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

#: Tasks that are not run here, and why. Their options and values are checked all the same.
NOT_RUN = {
    "build": "it compiles BuildKit; its revision and its patches are resolved",
    "check": "it runs for minutes, in CI",
    "doctor": "it installs packages",
    "merge": "it needs results of shards; test_merge.py runs it",
    "resume": "it replaces this process by the campaign's command",
    "test": "it would run this test",
    "worker": "it works until it is ended",
}

#: Commands that need what their reader adds before, by document and text.
READERS_OWN = {
    ("CONTRIBUTING.md", "restart-keeps-cache"): "a scenario of the worked example",
    ("CONTRIBUTING.md", "host-json"): "a runtime of the worked example",
    ("docs/usage.md", "minisign.pub"): "the reader's public key",
    ("docs/usage.md", "minisign.key"): "the reader's secret key",
    ("CONTRIBUTING.md", "--last"): "an option of the worked example",
}

#: What a dry run may answer instead of a plan, and why.
NO_PLAN = {
    "cannot plan a bisection without a good endpoint": "--find-good needs trials first",
    "solver/exporter.go: No such file or directory": "shipped patches do not apply to this"
    " repository; test_patches_apply.py is about that",
}

#: Upstream's releases: the number of the last patch release, by minor version.
RELEASES = {
    14: 1, 15: 2, 16: 0, 17: 3, 18: 2, 19: 0, 20: 2, 21: 1, 22: 0,
    23: 2, 24: 0, 25: 2, 26: 3, 27: 1, 28: 1, 29: 0, 30: 0, 31: 2, 32: 2,
}  # fmt: skip

#: Commits of upstream in results/; here they are tags of merges with these names.
MERGES = {"6c0aa8c8f": "v0.24.0", "5c274d29a": "v0.25.2"}

CAMPAIGN = "20260821-101500-matrix"

COMMANDS = [command for page in documented.PAGES for command in documented.in_page(page)]


@cache
def tasks() -> Collection:
    """Return the tasks of tasks.py."""
    module, _ = FilesystemLoader(start=str(checkout.PROJECT)).load("tasks")
    return Collection.from_module(module)


def upstream(path: Path) -> GolangRepo:
    """Create a repository with upstream's releases and release branches, and a pull request."""
    repo = GolangRepo.create(path)
    for minor, last in RELEASES.items():
        for patch in range(last + 1):
            name = f"v0.{minor}.{patch}"
            repo.commit(name, {"util/words/words.go": words(name)})
            repo.tag(name, annotated=False)
            for merge in (m for m, at in MERGES.items() if at == name):
                repo.branch(f"for-{merge}")
                repo.commit(f"in {merge}", {"solver/more.go": "package solver\n"})
                repo.switch("master")
                repo.merge(merge, f"for-{merge}")
                repo.tag(merge, annotated=False)
        repo.git("branch", f"v0.{minor}")
    repo.git("tag", "v0.32.0-rc1", "v0.32.0~1")
    repo.commit("tip", {"util/words/tip.go": "package words\n"})
    repo.branch("my-fix")
    repo.commit("words: fix", {"util/words/words.go": words("fixed")})
    repo.git("update-ref", "refs/pull/7107/head", "my-fix")
    repo.switch("master")
    return repo


@dataclass(frozen=True, kw_only=True)
class World:
    """The directory in which commands run, and which is the reader's home too."""

    home: Path
    into: Path  # of new patches
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def check(self, command: Command) -> None:
        """Run *command*, or check it as far as `NOT_RUN` says. Fails if it is refused."""
        assert command.task, f"{command}: no such task"
        if command.mention:
            return
        line = documented.filled(command, self.home, CAMPAIGN)
        if command.task == "patch-new":
            self.monkeypatch.setenv("BKBISECT_INTO", str(self.into))
        if command.task == "patch-export":
            self.monkeypatch.delenv("BKBISECT_INTO", raising=False)
        if command.task == "scenario-new" and "--help" not in line:
            new = next(n for n, word in enumerate(line) if word == "my-issue")
            line[new] = str(self.into.parent / "scenarios" / "my-issue")
        for name, value in command.env.items():
            self.monkeypatch.setenv(name, value)
        if command.task in NOT_RUN and "--help" not in line:
            parsed(line)
            if command.task != "build":
                return
            line = as_run(line)
        code, _, errors = self.run(line)
        if code == 2 and any(text in errors for text in NO_PLAN):
            return
        assert code == 0, f"{command}\nas ./inv {' '.join(line)}\n{errors}"

    def run(self, line: list[str]) -> tuple[int, str, str]:
        """Run the program; return its exit code and its output."""
        self.capsys.readouterr()
        code: object = 0
        try:
            argv = ["inv", "--search-root", str(checkout.PROJECT), *line]
            Inv().run(normal(argv), exit=False)
        except SystemExit as ended:
            code = ended.code or 0
        seen = self.capsys.readouterr()
        assert isinstance(code, int)
        return code, seen.out, seen.err


def as_run(line: list[str]) -> list[str]:
    """Return a `run` of what a build's command builds."""
    kept = [n for n, word in enumerate(line) if word in ("--rev", "--repo", "--patches")]
    return ["run", *(word for n in kept for word in line[n : n + 2])]


def parsed(line: list[str]) -> Request:
    """Return the request of a command line, which is not run."""
    (context,) = Parser(contexts=tasks().to_contexts()).parse_argv(normal(["inv", *line])[1:])
    task = tasks()[context.name]
    assert isinstance(task, invoking.RequestTask)
    return read(task.kind, context.as_kwargs, {})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Upstream's repository, a contributor's clone of it, a campaign, and a reader's files."""
    root = tmp_path_factory.mktemp("home")
    repo = upstream(root / "upstream")
    clone = root / "src" / "buildkit"
    repo.git("clone", "--quiet", "--no-local", str(repo.path), str(clone))
    own = GolangRepo(path=clone)
    for branch in ("my-fix", *(f"v0.{minor}" for minor in RELEASES)):
        own.git("branch", "--quiet", branch, f"origin/{branch}")
    (clone / "util" / "words" / "words.go").write_text(words("mine"))
    folder = root / "results" / CAMPAIGN
    folder.mkdir(parents=True)
    result.write(results.matrix(), folder)
    record.begin(folder, "matrix", "./inv matrix")
    record.end(folder, "done", "")
    recorder = Recorder(folder / record.EVENTS)
    recorder.emit(Finished(status="done", finding="Broken.", folder=str(folder)))
    recorder.close()
    for path in (checkout.PROJECT / "results").glob("issue-*/*/result.json"):
        copy = root / path.relative_to(checkout.PROJECT)
        copy.parent.mkdir(parents=True)
        shutil.copy(path, copy)
    for entry in checkout.PROJECT.iterdir():
        if entry.name not in ("results", "inv") and not entry.name.startswith("."):
            (root / entry.name).symlink_to(entry)
    (root / "fix.diff").write_text(own.git("diff"))
    (root / ".gitconfig").write_text("[user]\nname = A. Reader\nemail = reader@example.org\n")
    script = root / "my-test.sh"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    (root / "Dockerfile").write_text("FROM alpine\nRUN echo stable\n")
    (root / "helper.sh").touch()
    (root / "issue.md").write_text("```Dockerfile\nFROM busybox\nRUN echo x\n```\n")
    (root / "data").mkdir()
    (root / "data" / "a.json").touch()
    return root


@pytest.fixture
def world(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> World:
    monkeypatch.chdir(home)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    for name, value in {
        "HOME": home,
        "BKBISECT_REPO": home / "upstream",
        "BKBISECT_OUT": home / "results",
        "BKBISECT_DRY_RUN": 1,
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    }.items():
        monkeypatch.setenv(name, str(value))
    return World(home=home, into=tmp_path / "patches", monkeypatch=monkeypatch, capsys=capsys)


def theirs(command: Command) -> bool:
    """Whether *command* needs what its reader adds."""
    return any(page in command.where and text in str(command) for page, text in READERS_OWN)


@pytest.mark.parametrize("command", [c for c in COMMANDS if not theirs(c)], ids=str)
def test_a_command_in_a_document(command: Command, world: World) -> None:
    world.check(command)


@pytest.mark.parametrize(
    "page", documented.PAGES, ids=lambda page: page.relative_to(checkout.PROJECT).as_posix()
)
def test_a_benchmark_in_a_document(page: Path) -> None:
    folder = checkout.PROJECT / "benchmarks"
    shared = (folder / "section.py").read_text()
    for name, flags in documented.benchmarks(page.read_text()):
        code = (folder / name).read_text()
        missing = [flag for flag in flags if f'"{flag}"' not in f"{code}{shared}"]
        assert not missing, f"benchmarks/{name} has no {missing}"


def test_a_benchmark_is_found_in_text() -> None:
    text = "Run `.venv/bin/python benchmarks/rounds.py --write docs/x.md`, or benchmarks/a.sh."
    assert list(documented.benchmarks(text)) == [("rounds.py", ["--write"]), ("a.sh", [])]


def test_the_commands_of_readers_are_still_there() -> None:
    unused = [
        key
        for key in READERS_OWN
        if not any(key[0] in c.where and key[1] in str(c) for c in COMMANDS)
    ]
    assert unused == []


def test_the_examples_in_help_texts(world: World) -> None:
    found = [
        command
        for name in TASKS
        for command in documented.in_line(inspect.getdoc(tasks()[name]) or "", f"--help {name}")
    ]
    assert len(found) > 8
    for command in found:
        world.check(command)


def test_what_the_program_prints_without_a_task(world: World) -> None:
    _, output, errors = world.run([])
    for line in f"{output}\n{errors}".splitlines():
        for command in documented.in_line(line, "./inv"):
            world.check(command)


#: Modules that make the command lines of others.
MAKERS = ("error_table.py", "command.py")


def hints() -> Iterator[tuple[str, str]]:
    """Yield every command line that some code makes for a hint, with X for what varies."""
    package = checkout.PROJECT / "bisect" / "buildkit_bisect"
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            called = node.func.id
            if (
                called not in ("inv", "words")
                or not node.args
                or path.name in ("error_table.py", "command.py")
            ):
                continue
            where = f"{path.relative_to(package)}:{node.lineno}"
            try:
                line = error_table.command_line(called, node, lambda _: "X")
            except (LookupError, AttributeError):  # another function of this name
                continue
            if called == "inv":
                yield where, line
                continue
            kind = getattr(requests, ast.unparse(node.args[0]).rpartition(".")[2])
            if all(has_value(k.value) for k in node.keywords):
                task = next(task for task, one in TASKS.items() if issubclass(one, kind))
                position = Position.REQUIRED
                needed = [o.example for o in options_of(TASKS[task]) if o.position is position]
                yield where, f"./inv {' '.join([task, *needed, line])}"


def has_value(node: ast.expr) -> bool:
    """Whether an option of a hint has a value: with True it is only its name."""
    return not (isinstance(node, ast.Constant) and node.value is True)


HINTS = dict.fromkeys(hints())


@pytest.mark.parametrize(("where", "line"), HINTS)
def test_a_hint(where: str, line: str, home: Path) -> None:
    commands = list(documented.in_line(line, where))
    for command in commands:
        assert command.task, line
        parsed(documented.filled(command, home, CAMPAIGN))


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("./inv matrix --revs v0.99.0", "v0.99.0"),
        ("./inv matrix --reop PATH", "--reop"),
        ("./inv run --rev v0.26.0 --axis snapshotter=startgz", "startgz"),
        ("./inv run --rev v0.26.0 --axis nothing=x", "no axis 'nothing'"),
        ("./inv run --rev v0.26.0 --scenario nothing", "unknown scenario"),
        ("./inv run --rev v0.26.0 --scenario bisect/scenarios/nothing", "unknown scenario"),
        ("./inv validate --patches nothing", "nothing"),
        ("./inv matrix --revs master+nothing", "nothing"),
        ("./inv bisect --good v0.24.0 --bad v0.26.0 --script ./other.sh", "other.sh"),
        ("./inv report results/issue-6893/nothing", "no campaign results/issue-6893/nothing"),
        ("./inv patch check --revs v0.99", "v0.99"),
        ("./inv matrix --trials many", "--trials 'many'"),
    ],
)
def test_a_mistake_in_a_document_is_found(line: str, wrong: str, world: World) -> None:
    (command,) = documented.in_text(f"Run `{line}`.", "page.md")
    with pytest.raises(AssertionError, match="error: ") as caught:
        world.check(command)
    assert wrong in str(caught.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Run `./inv status\nID` now.", ["status ID"]),
        ("    ./inv matrix --revs A,B   # why\n", ["matrix --revs A,B"]),
        ("```sh\nsudo ./inv test\n```\n", ["test"]),
        ("`cd x && ./inv check; ./inv test`", ["check", "test"]),
        ('    x="$(./inv matrix --revs a,b)" >> f', ["matrix --revs a,b"]),
        ("    ./inv patch check [--patches A,B]", ["patch check --patches A,B"]),
        ("`./inv TASK --help`, `./inv ...` and ./inv report", []),
        ("`/x/./invoke`", []),
    ],
)
def test_commands_are_found_in_text(text: str, found: list[str]) -> None:
    assert [" ".join(c.words) for c in documented.in_text(text, "page.md")] == found
