"""``scenario new``: a folder as a whole or nothing, and one line for each error."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

import pastes
from buildkit_bisect import scenario
from buildkit_bisect.cli import scenarios
from buildkit_bisect.errors import BadInput
from buildkit_bisect.options.requests import ScenarioNew
from buildkit_bisect.source import github
from buildkit_bisect.system import web

PLAIN = "```dockerfile\nFROM alpine\nRUN echo x\n```\n```\n$ docker build .\n$ ./more.sh\n```\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "issue.md").write_text(PLAIN)
    return tmp_path


def new(name: str = "mine", from_: str = "issue.md", *, as_json: bool = False) -> int:
    return scenarios.new(ScenarioNew(name=name, from_=from_, json=as_json))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_that_loads(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert new() == 0
    made = scenario.load("./scenarios/mine")
    assert (made.name, [step.id for step in made.steps]) == ("mine", ["build"])
    assert names(here / "scenarios") == ["mine"]
    assert names(here / "scenarios" / "mine") == [
        "Dockerfile", "alpine-image.Dockerfile", "scenario.toml",
    ]  # fmt: skip
    out = capsys.readouterr().out
    assert "not taken: line 7: ./more.sh: './more.sh' is not a command of a build" in out
    assert "./inv run --rev v0.26.0 --scenario scenarios/mine" in out
    assert "every outcome is weak" in " ".join(out.split())


LEARN = "./inv scenario learn scenarios/mine --good R --bad R"


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ("", f", or {LEARN}"),
        ("It fails:\n```\nERROR: failed to solve: lost blob\n```\n", ""),
        ("```\n$ docker build .\n```\nThe step should be cached: `RUN echo x`\n", ""),
    ],
)
def test_rules_are_learned_if_the_text_gives_none(
    more: str, wanted: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "issue.md").write_text(PLAIN + more)
    new(as_json=True)
    assert json.loads(capsys.readouterr().out)["next"] == (
        f"./inv run --rev v0.26.0 --scenario scenarios/mine{wanted}"
    )


def test_what_is_not_taken_is_in_the_file_too(here: Path) -> None:
    new()
    text = (here / "scenarios" / "mine" / "scenario.toml").read_text()
    assert "# not taken: line 7: ./more.sh: './more.sh' is not a command of a build\n" in text


def test_a_path_instead_of_a_name(here: Path) -> None:
    new("other/place/mine")
    assert scenario.load(str(here / "other" / "place" / "mine")).name == "mine"


def test_6893_loads_with_the_cells_of_the_shipped_scenario(here: Path) -> None:
    (here / "issue.md").write_text(pastes.LAZY_EXPORT)
    new()
    made = scenario.load("./scenarios/mine")
    axes = [dict(cell) for cell in made.cells()]
    assert axes == [{"snapshotter": "overlayfs"}, {"snapshotter": "stargz"}]
    assert made.control_of((("snapshotter", "stargz"),)) == (("snapshotter", "overlayfs"),)


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PLAIN.encode())))
    assert new(from_="-") == 0


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    new(as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["folder"] == "scenarios/mine"
    assert found["images"] == {"alpine": "alpine"}
    assert [step["action"] for step in found["steps"]] == ["build"]
    assert found["not_taken"][0]["line"] == 7


@pytest.mark.parametrize(
    "text",
    [
        "https://github.com/moby/buildkit/issues/6893",
        "https://github.com/moby/buildkit/issues/6893#issue-1",
        "http://www.github.com/moby/buildkit/issues/6893?x=1",
        "github.com/moby/buildkit/issues/6893/",
        "moby/buildkit#6893",
    ],
)
def test_an_issue_on_github(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def read(url: str, **_: object) -> bytes:
        asked.append(url)
        return json.dumps({"title": "It fails\n", "body": PLAIN.replace("\n", "\r\n")}).encode()

    monkeypatch.setattr(web, "read", read)
    new(from_=text)
    assert asked == ["https://api.github.com/repos/moby/buildkit/issues/6893"]
    made = scenario.load("./scenarios/mine")
    assert made.issue == "https://github.com/moby/buildkit/issues/6893"
    assert made.title == "It fails"
    assert capsys.readouterr().err == ""


def test_a_comment() -> None:
    found = github.issue("https://github.com/moby/buildkit/issues/6008#issuecomment-3069857324")
    assert found is not None
    assert found.data == "https://api.github.com/repos/moby/buildkit/issues/comments/3069857324"
    assert found.page == "https://github.com/moby/buildkit/issues/6008"


@pytest.mark.parametrize(
    "text", ["issue.md", "https://x.y/moby/buildkit/issues/1", "https://github.com/moby/buildkit"]
)
def test_what_is_no_issue(text: str) -> None:
    assert github.issue(text) is None


def test_a_text_of_another_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "read", lambda *_, **__: PLAIN.encode())
    assert new(from_="https://x.y/repro.sh") == 0


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"<!DOCTYPE html><html>", "https://x.y/z is a web page, not a text"),
        (b"\xff\xfe", "https://x.y/z is not UTF-8 (byte 0)"),
        (b" \n", "https://x.y/z is empty"),
    ],
)
def test_an_address_without_a_text(
    answer: bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "read", lambda *_, **__: answer)
    with pytest.raises(BadInput) as error:
        new(from_="https://x.y/z")
    assert error.value.message == message


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"[]", "moby/buildkit#1: GitHub's answer has no text of an issue"),
        (b"{}", "moby/buildkit#1: GitHub's answer has no text of an issue"),
        (b"{", "moby/buildkit#1: GitHub's answer has no text of an issue"),
        (b'{"title": "x", "body": null}', "moby/buildkit#1 has no text"),
        (b'{"title": "x", "body": ["a"]}', "moby/buildkit#1 has no text"),
    ],
)
def test_an_issue_without_a_text(
    answer: bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "read", lambda *_, **__: answer)
    with pytest.raises(BadInput) as error:
        new(from_="moby/buildkit#1")
    assert error.value.message == message


def test_an_address_that_is_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object, **__: object) -> bytes:
        raise web.NotServed("x: HTTP 404 Not Found")

    monkeypatch.setattr(web, "read", read)
    with pytest.raises(BadInput, match="cannot download moby/buildkit#1: x: HTTP 404"):
        new(from_="moby/buildkit#1")


def test_an_address_that_is_not_served_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(url: str, **__: object) -> bytes:
        raise web.NotServed(f"{url}: HTTP 404 Not Found")

    monkeypatch.setattr(web, "read", read)
    with pytest.raises(BadInput) as error:
        new(from_="https://x.y/z")
    assert error.value.message == "cannot download https://x.y/z: HTTP 404 Not Found"


def test_a_server_that_fails_for_now_is_not_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object, **__: object) -> bytes:
        raise web.NotServedNow("x: HTTP 503")

    monkeypatch.setattr(web, "read", read)
    with pytest.raises(web.NotServedNow):
        new(from_="moby/buildkit#1")


@pytest.mark.parametrize(
    ("name", "from_", "message"),
    [
        ("mine", "", "scenario new takes an issue's text"),
        ("Mine", "issue.md", "'Mine' is not a name of a scenario"),
        ("-x", "issue.md", "'-x' is not a name of a scenario"),
        ("..", "issue.md", "'..' is not a name of a scenario"),
        (".", "issue.md", "'.' is not a name of a scenario"),
        ("mine", "https://", "https:// has no host"),
        ("a/..", "issue.md", "'..' is not a name of a scenario"),
        ("x" * 42, "issue.md", "is not a name of a scenario"),
        ("mine", "nothing.md", "cannot read nothing.md: No such file or directory"),
        ("mine", ".", ". is not a file"),
        ("mine", "http://x.y/z", "cleartext protocols are allowed only on loopback"),
    ],
)
def test_bad_input(name: str, from_: str, message: str, here: Path) -> None:
    with pytest.raises(BadInput) as error:
        new(name, from_)
    assert message in error.value.message
    assert "\n" not in error.value.message
    assert not (here / "scenarios").exists()


def test_a_folder_that_exists_is_left_as_it_is(here: Path) -> None:
    (here / "scenarios" / "mine").mkdir(parents=True)
    with pytest.raises(BadInput, match="scenarios/mine exists already"):
        new()
    assert names(here / "scenarios" / "mine") == []


def test_a_text_that_is_too_long(here: Path) -> None:
    (here / "issue.md").write_bytes(b"x" * (scenarios.LONGEST + 1))
    with pytest.raises(BadInput, match=r"issue\.md is larger than 262144 bytes"):
        new()


def test_a_text_without_a_build(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "issue.md").write_text(
        "```sh\nfor i in 1 2; do\n  docker build .\ndone\ngo run . | buildctl build\n"
        "docker build -t $X .\ndocker build ..\n```\n```\nFROM <IMAGE>\n```\n"
    )
    with pytest.raises(BadInput, match=r"issue\.md: 4 builds were not taken"):
        new()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "line 2", "line 3", "line 4", "line 5", "line 6", "line 7",
    ]  # fmt: skip
    assert not (here / "scenarios").exists()


@pytest.mark.parametrize(
    "line",
    [
        "docker build -t $X .",
        "docker buildx bake",
        "sudo docker compose build",
        "cd x && docker buildx --builder b build $Y",
        "buildctl --addr unix:///x build --opt a=$Z",
    ],
)
def test_no_build_is_invented_for_one_that_is_not_taken(line: str, here: Path) -> None:
    (here / "issue.md").write_text(f"```sh\n{line}\n```\n```\nFROM alpine\nRUN echo x\n```\n")
    with pytest.raises(BadInput, match=r"issue\.md: 1 build was not taken"):
        new()
    assert not (here / "scenarios").exists()


@pytest.mark.parametrize(
    "shown",
    [
        "I ran `docker buildx build --push -t $X/y`",
        "```yaml\n- run: docker build -t x .\n```",
        "```\n+ docker build -t x .\n```",
    ],
)
def test_a_build_that_is_no_line_of_shell_is_not_a_plain_one(shown: str, here: Path) -> None:
    (here / "issue.md").write_text(f"{shown}\n```\nFROM alpine\nRUN echo x\n```\n")
    with pytest.raises(BadInput, match=r"issue\.md: 1 build was not taken"):
        new()


def test_a_dockerfile_and_a_word_about_builds_is_a_plain_one(here: Path) -> None:
    (here / "issue.md").write_text("`docker build` fails\n```\nFROM alpine\nRUN echo x\n```\n")
    assert new() == 0


def test_releases_of_the_text_are_the_next_ones(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "issue.md").write_text(f"Broken in v0.26.0, fine in v0.9.3.\n{PLAIN}")
    new(as_json=True)
    assert json.loads(capsys.readouterr().out)["next"] == (
        "./inv run --rev v0.9.3 --scenario scenarios/mine, or"
        " ./inv scenario learn scenarios/mine --good v0.9.3 --bad v0.26.0"
    )


def test_a_scenario_that_does_not_load_is_not_left(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(name: str) -> scenario.Scenario:
        raise BadInput(f"{name}: steps[0].target: is wrong", hint="docs/scenarios.md")

    monkeypatch.setattr(scenario, "load", load)
    with pytest.raises(BadInput) as error:
        new()
    assert error.value.message == (
        "the scenario would not load: scenarios/mine/scenario.toml: steps[0].target: is wrong"
    )
    assert not (here / "scenarios").exists()
