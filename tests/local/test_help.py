"""The help of ``./inv`` for its tasks, and errors for invalid options."""

from __future__ import annotations

import pytest

from tool import inv

pytestmark = pytest.mark.local


@pytest.mark.parametrize(
    "words", ["patch new --help", "--help patch new", "patch-new --help", "patch-new x -h"]
)
def test_help_for_a_task_of_two_words(words: str) -> None:
    done = inv(*words.split())
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: inv [--core-opts] patch-new")
    assert "--from-worktree" in done.stdout


@pytest.mark.parametrize("words", ["patch --help", "patch -h", "--help patch"])
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
    assert "error: No idea what 'nothing' is!" in unknown.stderr


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
