"""Command lines in hints."""

from __future__ import annotations

import shlex

import pytest

from buildkit_bisect.options import requests
from buildkit_bisect.options.command import again, applicable, inv, twin, words
from buildkit_bisect.options.option import Given
from buildkit_bisect.options.reading import read
from buildkit_bisect.options.requests import Bisect, Boundaries, Campaign, Clean, Post


def test_a_whole_command() -> None:
    assert inv("doctor") == "./inv doctor"
    assert inv("bisect", good="R", bad="R") == "./inv bisect --good R --bad R"
    assert inv("boundaries", from_="v0.24.0", to="master") == (
        "./inv boundaries --from v0.24.0 --to master"
    )
    assert inv("post", "ID", issue=6893) == "./inv post ID --issue 6893"
    assert inv("resume", "ID") == "./inv resume ID"
    assert inv("scenario-learn", "D", good="R") == "./inv scenario learn D --good R"
    assert inv("patch-list") == "./inv patch list"
    assert inv("clean", cache=True, cache_size=0) == "./inv clean --cache --cache-size 0"


def test_options_only() -> None:
    assert words(Bisect, trials=20, find_fix=True) == "--trials 20 --find-fix"
    assert words(Campaign, axis="KEY=VALUE") == "--axis KEY=VALUE"
    assert words(Boundaries, from_=True) == "--from"


def test_values_are_quoted_for_the_shell() -> None:
    assert inv("run", rev="v1; rm -r .") == "./inv run --rev 'v1; rm -r .'"
    assert inv("report", "$(id)") == "./inv report '$(id)'"


def test_environment_variables() -> None:
    assert twin(Campaign, "dry_run") == "BKBISECT_DRY_RUN"


def test_tasks_and_options_must_exist() -> None:
    with pytest.raises(LookupError, match="no task 'bisekt'"):
        inv("bisekt")
    with pytest.raises(LookupError, match="Resume has no option 'trials'"):
        inv("resume", trials=20)
    with pytest.raises(LookupError, match="Clean has no option 'rev'"):
        words(Clean, rev="R")
    with pytest.raises(LookupError, match="Post has no option 'from'"):
        twin(Post, "from_")
    with pytest.raises(LookupError, match="post takes no positional value 'B'"):
        inv("post", "A", "B")
    with pytest.raises(LookupError, match="--fresh takes no value, not '1'"):
        words(Campaign, fresh="1")


CELL = " --axis=snapshotter=stargz --axis=bases=same --patches p,q"


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (
            inv("bisect", good="a", bad="b^2", find_fix=True),
            "./inv bisect --good a --bad 'b^2' --find-fix --script ./t.sh --repo /src/bk" + CELL,
        ),
        (inv("build", rev="a"), "./inv build --rev a --repo /src/bk --patches p,q"),
        (inv("patch-check"), "./inv patch check --repo /src/bk --patches p,q"),
        (inv("doctor"), "./inv doctor"),
        (
            f"{inv('run', rev='a', patches='r')}, or {inv('doctor')}",
            "./inv run --rev a --patches r --script ./t.sh --repo /src/bk"
            + CELL.replace(" --patches p,q", ", or ./inv doctor"),
        ),
        (
            f"undone; to list all: {inv('boundaries', from_='a', to='b')}",
            "undone; to list all: ./inv boundaries --from a --to b --script ./t.sh --repo /src/bk"
            + CELL,
        ),
        ("--repo PATH, or leave it out", "--repo PATH, or leave it out"),
        ("", ""),
    ],
)
def test_the_next_command_is_about_the_same_repository_patches_and_cells(
    hint: str, expected: str
) -> None:
    given: dict[str, Given] = {
        "repo": "/src/bk",
        "script": "./t.sh",
        "axis": ["snapshotter=stargz", "bases=same"],
        "patches": "p,q",
        "good": "v1",
        "bad": "v2",
        "fresh": True,
        "json": True,
    }
    assert again(hint, read(Bisect, given, {}).command) == expected
    assert again(expected, read(Bisect, given, {}).command) == expected, "no option twice"


@pytest.mark.parametrize("task", ["scenario learn", "scenario-learn"])
def test_a_command_of_two_words_and_of_one(task: str) -> None:
    """A result of an earlier version has the one word."""
    assert again(inv("patch-check"), f"./inv {task} D --good a --bad b --repo /r --trials 3") == (
        "./inv patch check --repo /r"
    )
    given: dict[str, Given] = {"folder": "D", "good": "a", "bad": "b"}
    assert read(requests.ScenarioLearn, given, {}).command.startswith("./inv scenario learn D ")


def test_the_next_command_has_no_range_beside_other_ends() -> None:
    """The command meant by swapped ends would be refused: it gave both ends twice."""
    command = read(Bisect, {"range": "v2..v1", "repo": "/src/bk"}, {}).command
    hint = inv("bisect", good="v1", bad="v2")
    assert again(hint, command) == f"{hint} --repo /src/bk"


@pytest.mark.parametrize("path", ["/a and b", "/a, or b", "/it's; x", "/x (y) z", "/$HOME `id`"])
def test_a_quoted_path_stays_whole(path: str) -> None:
    """A hint is completed when the result is made, and again when it is rendered."""
    given: dict[str, Given] = {"repo": path, "patches": f"{path}.diff", "axis": ["a=b"]}
    command = read(Bisect, {**given, "good": "v1", "bad": "v2"}, {}).command
    once = again(f"{inv('run', rev='a')}, or {inv('doctor')}", command)
    assert again(once, command) == once
    first, rest = once.rsplit(", or ", 1)
    assert rest == "./inv doctor"
    assert shlex.split(first) == [
        *("./inv", "run", "--rev", "a", "--repo", path, "--axis=a=b"),
        *("--patches", f"{path}.diff"),
    ]


def test_a_command_without_options_changes_nothing() -> None:
    for command in ("", "./inv bisect --good a", "./inv nothing --repo x", "'", "./inv"):
        assert again(inv("run", rev="a"), command) == "./inv run --rev a"


@pytest.mark.parametrize(
    ("hint", "kind", "expected"),
    [
        ("--repo PATH, or --source module", requests.Run, None),
        (
            "--repo PATH, or --source module",
            requests.PatchNew,
            "--repo PATH",
        ),
        ("--deadline connect=SECONDS, or --repo PATH", requests.PatchNew, "--repo PATH"),
        ("set DOCKER_HOST, or use --runtime host", requests.Build, "set DOCKER_HOST"),
        ("--source module", requests.PatchNew, ""),
        ("first this, then that; or no --repo, for GitHub's", requests.Run, None),
        ("./inv run --runtime host", requests.PatchCheck, None),
        ("apt-get install -y runc; git --version", requests.Status, None),
    ],
)
def test_hints_name_only_options_of_the_task(
    hint: str, kind: type[requests.Request], expected: str | None
) -> None:
    assert applicable(hint, kind) == (hint if expected is None else expected)
