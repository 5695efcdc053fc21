"""What is offered at the cursor, and the words that the shells hand over."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from buildkit_bisect import scenario
from buildkit_bisect.cli import candidates, completion
from buildkit_bisect.errors import BadInput
from buildkit_bisect.options.choices import Shell
from buildkit_bisect.options.option import Form, options_of
from buildkit_bisect.options.requests import TASKS, Completion
from buildkit_bisect.patch import patches
from buildkit_bisect.source import refs
from buildkit_bisect.system import checkout


@pytest.fixture(autouse=True)
def known_refs(monkeypatch: pytest.MonkeyPatch) -> None:
    by_repo = {"": ["master", "v0.26.1", "v0.25.0"], "/src": ["mine"]}
    monkeypatch.setattr(refs, "newest", lambda repo="": by_repo[repo])


def offered(*words: str) -> list[str]:
    return [one.word for one in candidates.candidates(words[:-1], words[-1])]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("mat",), ["matrix"]),
        (("mer",), ["merge"]),
        (("merge", "l"), ["latest"]),
        (("merge", "latest", "l"), ["latest"]),
        (("merge", "latest", "--o"), ["--out"]),
        (("merge", "latest", "--out", "x", "l"), []),
        (("matrix", "--sh"), ["--shard"]),
        (("li",), ["list"]),
        (("pat",), ["patch"]),
        (("sce",), ["scenario"]),
        (("scenario", ""), ["check", "learn", "new"]),
        (("scenario", "learn", "x", "--goo"), ["--good"]),
        (("patch", ""), ["check", "export", "list", "new"]),
        (("patch", "check", "--re"), ["--revs", "--repo"]),
        (("help", "bi"), ["bisect"]),
        (("help", "help"), []),
        (("--help", "va"), ["validate"]),
        (("plan", "b"), ["bisect", "boundaries"]),
        (("plan", "matrix", "--revs", "v0.26"), ["v0.26.1"]),
        (("matrix", "--re"), ["--revs", "--rebuild-arg", "--repo", "--registry"]),
        (("matrix", "--revs", "v0.25.0", "--rev"), []),
        (("matrix", "--revs", "m"), ["master"]),
        (("matrix", "--repo", "/src", "--revs", ""), ["mine"]),
        (("matrix", "--repo=/src", "--revs="), ["--revs=mine"]),
        (("matrix", "--revs", "v0.25.0,v"), ["v0.25.0,v0.26.1"]),
        (("run", "--rev", "master+record-ctx-opts-"), ["master+record-ctx-opts-fallback"]),
        (("run", "--runtime", "host,d"), ["host,docker"]),
        (("run", "--images="), ["--images=local", "--images=public"]),
        (("run", "--images=local,"), []),
        (("run", "--axis", "snap"), ["snapshotter="]),
        (("run", "--axis", "snapshotter=s"), ["snapshotter=stargz"]),
        (("run", "--axis", "snapshotter=native,s"), ["snapshotter=native,stargz"]),
        (("run", "--axis=snapshotter=s"), ["--axis=snapshotter=stargz"]),
        (("run", "--axis", "a=1", "--ax"), ["--axis"]),
        (("bisect", "--bad-when", "layers-d"), ["layers-dropped"]),
        (("run", "--deadline", "comp"), ["compile="]),
        (("run", "--out", ""), ["<folders>"]),
        (("run", "--out=x"), ["<folders>"]),
        (("build", "--save", ""), ["<files>"]),
        (("run", "--trials", ""), []),
        (("completion", ""), ["bash", "zsh", "fish"]),
        (("status", "--wat"), ["--watch"]),
        (("nothing", ""), []),
    ],
)
def test_what_is_offered(words: tuple[str, ...], found: list[str]) -> None:
    assert offered(*words) == found


def test_all_scenarios_patches_and_axes_are_offered() -> None:
    assert offered("run", "--scenario", "") == [*scenario.names(), scenario.LIBRARY]
    assert offered("run", "--scenario", "library/") == scenario.library()
    assert offered("validate", "--patches", "") == patches.names()
    axes = {name for one in scenario.names() for name in scenario.load(one).axes}
    assert set(offered("matrix", "--axis", "")) == {f"{name}=" for name in axes}
    one = scenario.load("warm-reexport")
    found = offered("matrix", "--scenario", "warm-reexport", "--axis", "")
    assert found == [f"{name}=" for name in one.axes], "those of the named scenario"


def test_campaigns_are_offered_newest_first(tmp_path: Path) -> None:
    for name in ("20260101-000000-matrix", "20260102-000000-bisect"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "campaign.json").touch()
    both = ["20260102-000000-bisect", "20260101-000000-matrix"]
    for task in ("report", "status", "post", "resume"):
        assert offered(task, "--out", str(tmp_path), "--id", "2") == both or task == "post"
    assert offered("diff", "--out", str(tmp_path), "20260101") == both[1:]
    assert offered("merge", "--out", str(tmp_path), "--result", "20260101") == both[1:]


def test_tasks_and_options_have_a_description() -> None:
    for one in candidates.candidates([], ""):
        assert one.text.endswith("."), one
    for task in TASKS:
        for one in candidates.candidates([task], "--"):
            assert one.text, (task, one)


def test_every_placeholder_of_a_value_has_values_or_none_on_purpose() -> None:
    for kind in TASKS.values():
        for option in options_of(kind):
            if option.form is not Form.SWITCH:
                assert option.value in candidates.SOURCES or re.fullmatch(
                    r"[a-z-]+(\|[a-z-]+)+", option.value
                ), option.usage


def test_alternatives_of_an_option_are_values_that_it_takes() -> None:
    for kind in TASKS.values():
        for option in options_of(kind):
            if "|" in option.value and option.value not in candidates.SOURCES:
                for value in option.value.split("|"):
                    option.parse(option, [value])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("./inv ", [""]),
        ("./inv mat", ["mat"]),
        ("./inv matrix ", ["matrix", ""]),
        ("A=1 B=2 /x/inv run --re", ["run", "--re"]),
        ("inv run --repo '/a b' --out '/c d", ["run", "--repo", "/a b", "--out", "/c d"]),
        ('inv run --repo "/a b', ["run", "--repo", "/a b"]),
        (r"inv run --repo /a\ b", ["run", "--repo", "/a b"]),
    ],
)
def test_words_of_an_unfinished_line(line: str, words: list[str]) -> None:
    assert completion.split(line) == words


def test_a_shell_that_splits_at_equals_signs_gets_the_last_part(
    capsys: pytest.CaptureFixture[str],
) -> None:
    completion.main(["inv", "--complete", "line", "=:", "./inv run --axis=snapshotter=s"])
    assert capsys.readouterr().out == "stargz\t\n"
    completion.main(["inv", "--complete", "line", "", "./inv run --axis=snapshotter=s"])
    assert capsys.readouterr().out == "--axis=snapshotter=stargz\t\n"


def test_what_cannot_be_read_offers_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    completion.main(["inv", "--complete", "words", "run", "--scenario", "nothing", "--axis", ""])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("shell", Shell)
def test_a_script_starts_this_checkout(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert completion.completion(Completion(shell=shell)) == 0
    script = capsys.readouterr().out
    assert str(checkout.PROJECT / "inv") in script
    assert "@" not in script.replace("${(@", "")


def test_an_unknown_shell() -> None:
    with pytest.raises(BadInput, match="no completion for 'bsh'") as raised:
        completion.completion(Completion(shell="bsh"))  # noqa: S604 - an option of ours
    assert raised.value.hint.startswith("./inv completion bash")
