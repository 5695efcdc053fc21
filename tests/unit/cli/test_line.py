"""Mistakes in a command line: one line that names what would be right."""

from __future__ import annotations

import shlex

import pytest

from buildkit_bisect.cli import line
from buildkit_bisect.cli.line import Role
from buildkit_bisect.options.groups import spoken
from buildkit_bisect.options.requests import TASKS

PROGRAM = {"--help": True, "-h": True, "--list": True, "--version": False}


def problem(command: str) -> str:
    return line.problem(list(line.read(line.normal(shlex.split(command))[1:], PROGRAM)))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("inv matrix --rev v0.26.0", "matrix has no option --rev (try: --revs, or"),
        ("inv validate --patch x", "validate has no option --patch (try: --patches, or"),
        ("inv run --reop x", "run has no option --reop (try: --repo, or"),
        ("inv run --dry_run", "run has no option --dry_run (try: --dry-run, or"),
        ("inv run -rev v0.26.0", "run has no option -rev (try: --rev, or"),
        ("inv run –rev v0.26.0", "run has no option –rev (try: --rev, or"),  # noqa: RUF001
        ("inv run --REV=v0.26.0", "run has no option --REV (try: --rev, or"),
        ("inv run --culprit x", "run has no option --culprit; validate has it (try: ./inv run"),
        ("inv clean --zzz", "clean has no option --zzz (try: ./inv clean --help)"),
        ("inv patch check --rev x", "patch check has no option --rev (try: --revs, or"),
        ("inv matrx", "no task 'matrx' (try: ./inv matrix)"),
        ("inv Bisect --good x", "no task 'Bisect' (try: ./inv bisect"),
        ("inv patchcheck", "no task 'patchcheck' (try: ./inv patch check"),
        ("inv hlep", "no task 'hlep' (try: ./inv help)"),
        ("inv qqq", "no task 'qqq' (try: ./inv list)"),
        ("inv --repo x matrix", "--repo comes after a task (try: ./inv build --repo)"),
        ("inv --hlep", "no option --hlep (try: --help)"),
        (
            "inv matrix --trials 3 --revs v0.24.0, v0.26.0",
            "'v0.26.0' follows a space; a list has none (try: --revs v0.24.0,v0.26.0)",
        ),
        (
            "inv matrix --revs v0.24.0 v0.26.0",
            "'v0.26.0' follows a space; a list has none (try: --revs v0.24.0,v0.26.0)",
        ),
        (
            "inv matrix --revs=v0.24.0 v0.26.0",
            "'v0.26.0' follows a space; a list has none (try: --revs v0.24.0,v0.26.0)",
        ),
        ("inv merge --out c a", "'a' must come right after merge (try: --result a)"),
        ("inv merge a --json b", "--json takes no value, not 'b' (try: ./inv merge b --json)"),
        ("inv run --fresh 1", "--fresh takes no value, not '1' (try: ./inv run 1 --fresh)"),
        ("inv run v1 --fresh 1", "--fresh takes no value, not '1' (try: --fresh)"),
        (
            "inv patch check --verbose 'a b'",
            "--verbose takes no value, not 'a b' (try: ./inv patch check 'a b' --verbose)",
        ),
        (
            "inv bisect v0.24.0 v0.26.0",
            (
                "'v0.26.0' follows a space; two dots join both ends"
                " (try: ./inv bisect v0.24.0..v0.26.0)"
            ),
        ),
        ("inv run --fresh=1", "--fresh takes no value, not '1' (try: --fresh)"),
        ("inv clean everything", "'everything' is neither a task nor an option of clean (try: "),
        ("inv status --watch x", "--watch takes no value, not 'x' (try: ./inv status x --watch)"),
        ("inv status --out a b", "'b' must come right after status (try: --id b)"),
        ("inv diff a", "diff needs ID ID (try: ./inv diff 20260821-101500-matrix 2026"),
        ("inv post --issue 1", "post needs ID (try: ./inv post latest --issue "),
        ("inv run --rev", "--rev needs a value (try: --rev v0.26.0)"),
        ("inv run --rev --trials 3", "--rev needs a value (try: --rev v0.26.0)"),
        ("inv run --trials 3 --trials 4", "--trials is given twice (try: it once; "),
        ("inv post ''", "post needs ID (try: ./inv post latest --issue "),
        ("inv patch new", "patch new needs NAME (try: ./inv patch new my-fix --from-worktree "),
        ("inv patch chekc x", "no task 'patch chekc' (try: ./inv patch check"),
        ("inv patch", "no task 'patch' (try: ./inv patch check"),
        (
            "inv bisect v0.24.0 v0.26.0",
            "'v0.26.0' follows a space; two dots join both ends (try: ./inv bisect v0.24.0..v0.2",
        ),
        ("inv boundaries v0.24.0 v0.26.0", "'v0.26.0' follows a space; two dots join both"),
        ("inv bisect v0.24.0..v0.26.0 v0.27.0", "'v0.27.0' is neither a task nor an option of"),
        ("inv bisect start", "'start' is a step of git bisect; here one command does all of them"),
        ("inv bisect good v0.24.0", "'good' is a step of git bisect; here one command does all"),
        ("inv bisect run ./t.sh", "'run' is a step of git bisect; here one command does all"),
        ("inv bisect --old a --new b", "bisect has no option --old (try: --good, or"),
        ("inv boundaries --since a", "boundaries has no option --since (try: --from, or"),
        ("inv matrix --snapshotter stargz", "matrix has no option --snapshotter (try: --axis sn"),
        ("inv matrix --no-cache", "matrix has no option --no-cache (try: --fresh, or"),
        ("inv bisect --cmd x", "bisect has no option --cmd (try: --script, or"),
        ("inv clean --all", "clean has no option --all (try: --cache, or"),
        ("inv matrix revs v0.24.0", "'revs' lacks its two dashes (try: --revs v0.24.0)"),
        ("inv run v0.24.0 trials 3", "'trials' lacks its two dashes (try: --trials 3)"),
        ("inv matrix --revs ''", "the value of --revs is empty (try: --revs v0.25.0,master, or l"),
        ("inv matrix --revs=", "the value of --revs is empty (try: "),
        ("inv bisect --script '' --good a", "the value of --script is empty (try: "),
        ("inv run ''", "the value of --rev is empty (try: "),
        ("inv plan", "plan needs a task after it (try: ./inv plan matrix)"),
        ("inv plan doctor", "doctor has no plan (try: ./inv doctor --help)"),
        ("inv plan matrix --rev x", "matrix has no option --rev (try: --revs, or"),
    ],
)
def test_a_mistake_names_what_would_be_right(command: str, message: str) -> None:
    found = problem(command)
    assert found.startswith(message)
    assert "\n" not in found


@pytest.mark.parametrize(
    "command",
    [
        "inv",
        "inv --version",
        "inv help matrix",
        "inv status",
        "inv status latest --watch",
        "inv status --id latest",
        "inv diff a b",
        "inv diff a --help",
        "inv post latest --issue=3",
        "inv test -k cache",
        "inv test -kcache",
        "inv plan matrix --revs v0.24.0",
        "inv plan clean",
        "inv plan --help",
        "inv run --rev v1 --axis a=1 --axis b=2 --repo -x",
        "inv patch new my-fix --from-pr 7",
        "inv doctor matrix",
        "inv matrix -- anything --at-all",  # the program refuses it
        "inv bisect --good start --bad run",
    ],
)
def test_a_right_command_line_has_no_problem(command: str) -> None:
    assert problem(command) == ""


@pytest.mark.parametrize(
    ("command", "parsed"),
    [
        ("inv help", "inv --help"),
        ("inv help patch new", "inv --help patch-new"),
        ("inv --search-root /x help matrix", "inv --search-root /x --help matrix"),
        ("inv list", "inv --list"),
        ("inv version", "inv --version"),
        ("inv run --rev list", "inv run --rev list"),
        ("inv patch --help", "inv --help patch"),
        ("inv report latest", "inv report --id latest"),
        ("inv merge a", "inv merge --result a"),
        ("inv merge a b c", "inv merge --result a --result b --result c"),
        ("inv merge a matrix --out c", "inv merge --result a --result matrix --out c"),
        ("inv merge --out c a", "inv merge --out c a"),
        ("inv merge --result a --result b", "inv merge --result a --result b"),
        ("inv report latest matrix", "inv report --id latest matrix"),
    ],
)
def test_words_that_mean_options_of_the_program(command: str, parsed: str) -> None:
    assert line.normal(command.split()) == parsed.split()


def test_every_task_with_one_letter_changed_is_found() -> None:
    for task in TASKS:
        wrong = f"{task[:2]}{task[3:]}"
        assert f"./inv {spoken(task)}" in line.no_task(wrong), wrong


def test_a_value_is_not_read_as_a_task_or_an_option() -> None:
    words = list(line.read(["patch-new", "run", "--from-branch", "--x", "--title=a=b"], PROGRAM))
    roles = [(w.text, w.role, w.attached) for w in words]
    assert roles == [
        ("patch-new", Role.TASK, None),
        ("run", Role.POSITIONAL, None),
        ("--from-branch", Role.OPTION, None),
        ("--x", Role.VALUE, None),
        ("--title", Role.OPTION, "a=b"),
    ]


def test_a_script_for_git_bisect_is_one_for_ours() -> None:
    assert problem("inv bisect run ./t.sh").endswith("--bad v0.26.0 --script ./t.sh)")
