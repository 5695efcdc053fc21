"""What a campaign says of a test script: what is hashed, and what is probably missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from buildkit_bisect.campaign import compose, scripts
from buildkit_bisect.cli.campaigns import scripted
from buildkit_bisect.cli.plans import show_plan
from buildkit_bisect.errors import BadInput
from buildkit_bisect.events import Planned, Said
from buildkit_bisect.options.reading import read
from buildkit_bisect.options.requests import Run
from buildkit_bisect.scenario import Scenario, from_script, load


def scenario(folder: Path, text: str) -> Scenario:
    for name in ("a.sh", "b.sh"):
        (folder / name).write_text(name)
    script = folder / "t.sh"
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
    return from_script(str(script), timeout=5)


def test_the_declared_files_are_said(tmp_path: Path) -> None:
    made = scenario(tmp_path, '# bkbisect-files: a.sh b.sh\n. "${0%/*}/a.sh"')
    assert list(scripts.said([made])) == [
        Said(text="hashed: the script t.sh and 2 files: a.sh and b.sh")
    ]
    assert list(scripts.said([load("single-chain"), scenario(tmp_path, "exit 0")])) == []


def test_the_path_of_a_dockerfiles_scenario_is_apart_from_what_is_cleaned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "buildkit-bisect"))
    (tmp_path / "Dockerfile").write_text("FROM alpine:3.20\n")
    given = {"rev": "v1", "dockerfile": str(tmp_path / "Dockerfile"), "expect": "ok"}
    made = scripted(read(Run, given, env={}))
    assert made
    summary, path = scripts.said([made])
    assert summary.text == "alpine:3.20 is a local image of busybox."
    assert path.text == "the scenario of this Dockerfile"
    assert Path(path.path).is_file()
    assert Path(path.path).is_relative_to(tmp_path / "buildkit-bisect" / "one-line")


def test_files_that_are_named_and_not_declared_are_a_warning(tmp_path: Path) -> None:
    made = scenario(tmp_path, '. "${0%/*}/a.sh"; . "${0%/*}/b.sh"')
    (said,) = scripts.said([made])
    assert said.warning
    assert said.text == (
        "t.sh names a.sh and b.sh, which are beside it and not hashed: after a change, stored"
        " trials would still count; if it needs that, put # bkbisect-files: a.sh b.sh into it"
    )
    assert list(scripts.warnings([made])) == [said]


def test_the_plan_and_the_result_name_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = scenario(tmp_path, "# bkbisect-files: a.sh")
    names = [file.name for file in made.files]
    planned = Planned(kind="run", rows=(), columns=(), trials=1)
    show_plan(Run(), planned, script=names)
    assert capsys.readouterr().out.startswith("hashed the script t.sh and 1 file: a.sh\n")
    show_plan(Run(), planned, script=names[:1])
    assert capsys.readouterr().out.startswith("hashed the script t.sh alone\n")
    show_plan(Run(json=True), planned, script=names)
    assert json.loads(capsys.readouterr().out)["hashed"] == ["t.sh", "a.sh"]
    show_plan(Run(json=True), planned)
    assert "hashed" not in json.loads(capsys.readouterr().out)
    info = compose.scenario_info(made, {})
    assert [(f["name"], f["mode"]) for f in info.files] == [("t.sh", "0755"), ("a.sh", "0644")]
    assert info.files[1]["sha256"] == made.files[1].sha256
    assert compose.scenario_info(load("single-chain"), {}).files == ()


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"script_files": "a.sh"}, "--script-files"),
        ({"script_bad": "127"}, "--script-bad"),
        ({"outcome": ["3=slow:bad"]}, "--outcome"),
    ],
)
def test_options_of_a_script_need_one(given: dict[str, str | list[str]], option: str) -> None:
    request = read(Run, {"rev": "v1", **given}, env={})
    with pytest.raises(BadInput, match=f"^{option} needs --script "):
        scripted(request)


def test_the_options_of_a_request_are_used(tmp_path: Path) -> None:
    made = scenario(tmp_path, "exit 0")
    given = {
        "rev": "v1",
        "script": str(tmp_path / "t.sh"),
        "script_files": f"{tmp_path}/a.sh,{tmp_path}/b.*",
        "script_timeout": "5",
        "script_bad": "127",
        "outcome": ["3=slow:bad"],
    }
    found = scripted(read(Run, given, env={}))
    assert found
    assert [file.name for file in found.files] == ["t.sh", "a.sh", "b.sh"]
    names = [rule.name for rule in found.outcomes]
    assert "slow" in names
    assert "program-not-found" not in names
    assert "program-not-found" in [rule.name for rule in made.outcomes]
