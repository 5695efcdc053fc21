"""The help of ``./inv`` for its tasks, and errors for invalid options."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from buildkit_bisect import __version__
from buildkit_bisect.system import checkout
from tool import inv

pytestmark = pytest.mark.local


@pytest.mark.parametrize(
    "words",
    [
        "patch new --help",
        "--help patch new",
        "patch-new --help",
        "patch-new x -h",
        "help patch new",
    ],
)
def test_help_for_a_task_of_two_words(words: str) -> None:
    done = inv(*words.split())
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: ./inv patch new NAME [--options]")
    assert "--from-worktree" in done.stdout


@pytest.mark.parametrize("words", ["patch --help", "patch -h", "--help patch", "help patch"])
def test_help_for_the_first_word(words: str) -> None:
    done = inv(*words.split())
    assert (done.code, done.stderr) == (0, "")
    for task in ("patch check", "patch list", "patch new"):
        assert f"\n  {task} " in done.stdout


def test_help_without_a_required_argument_or_for_an_unknown_name() -> None:
    assert "patch" not in inv("report", "--help").stdout.splitlines()[0]
    assert inv("report", "--help").code == 0
    unknown = inv("--help", "nothing")
    assert (unknown.code, unknown.stdout) == (2, "")
    assert unknown.stderr == "error: no task 'nothing' (try: ./inv list)\n"
    assert inv("help", "matrx").stderr == "error: no task 'matrx' (try: ./inv matrix)\n"


@pytest.mark.parametrize("words", ["", "help", "-h", "--help", "list", "--version", "version"])
def test_the_first_words_that_people_try(words: str) -> None:
    done = inv(*words.split())
    assert (done.code, done.stderr) == (0, "")
    assert __version__ in done.stdout or "matrix" in done.stdout
    assert "--core-opts" not in done.stdout
    assert "--write-pyc" not in done.stdout, "options of Invoke that nobody needs here"


def test_bare_inv_is_quick_and_answers_the_four_questions(tmp_path: Path) -> None:
    env = {"BKBISECT_CACHE_DIR": str(tmp_path / "cache"), "BKBISECT_OUT": str(tmp_path / "out")}
    spent = []
    for _ in range(3):
        before = os.times()
        done = inv(env=env, cold=True)
        after = os.times()
        spent.append(sum(after[2:4]) - sum(before[2:4]))
    assert done.code == 0
    assert done.stdout.count("?  ") == 4
    assert list(tmp_path.iterdir()) == [], "it creates nothing"
    assert min(spent) < 1, "seconds of CPU, as other tests may run beside this one"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("matrix --rev v0.26.0", "matrix has no option --rev (try: --revs, or ./inv matrix"),
        ("validate --patch x", "validate has no option --patch (try: --patches, or"),
        ("run --reop x", "run has no option --reop (try: --repo, or"),
        ("matrx", "no task 'matrx' (try: ./inv matrix)"),
        ("diff a", "diff needs ID ID (try: "),
        ("run --fresh=1", "--fresh takes no value, not '1' (try: --fresh)"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_right_word(words: str, message: str) -> None:
    done = inv(*words.split())
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("run --rev", "--rev"),
        ("run --script-timeout", "--script-timeout"),
        ("test -k", "-k"),
    ],
)
def test_an_option_without_its_value_is_refused(words: str, option: str) -> None:
    done = inv(*words.split())
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {option} needs a value (try: ")


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("run --trials 1 --rev master --trials 0", "--trials"),
        ("run --rev=v0.25.0 --rev=v0.26.0", "--rev"),
        ("patch new --base v0.25.0 --base v0.26.0 my-fix", "--base"),
    ],
)
def test_an_option_given_twice_is_refused(words: str, option: str) -> None:
    done = inv(*words.split())
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {option} is given twice (try: it once; ")


def test_a_repeatable_option_and_a_value_like_an_option() -> None:
    axes = ("--axis", "a=1", "--axis", "a=1", "--scenario", "run", "--repo", "/nowhere")
    done = inv("matrix", *axes)
    assert done.code == 2
    assert "twice" not in done.stderr


#: The modules that tasks import when they run.
COMMANDS = sorted(
    set(
        re.findall(
            r"from buildkit_bisect\.cli import (\w+)$",
            (checkout.PROJECT / "tasks.py").read_text(),
            re.MULTILINE,
        )
    )
)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_imports_what_it_needs(command: str) -> None:
    """Other tests start tasks in a process in which all modules are imported."""
    code = f"import buildkit_bisect.cli.{command}"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=120)
