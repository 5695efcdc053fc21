"""``report`` and ``diff`` on existing folders."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import results
from buildkit_bisect import result
from buildkit_bisect.campaign import record
from buildkit_bisect.cli import results as commands
from buildkit_bisect.errors import BadInput
from buildkit_bisect.options.choices import Format
from buildkit_bisect.options.requests import Diff, Report, Resume
from buildkit_bisect.result import Result


def campaign(folder: Path, document: Result) -> str:
    folder.mkdir()
    result.write(document, folder)
    return str(folder)


def test_diff_fails_if_a_cell_got_worse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    today = results.matrix()
    first = today.cells[0]
    worse = results.cell("v0.24.0", 241, "layers-dropped", control=True)
    cells = (replace(worse, revision=first.revision, axes=first.axes), *today.cells[1:])
    before = campaign(tmp_path / "before", today)
    after = campaign(tmp_path / "after", replace(today, cells=cells))
    assert commands.diff(Diff(before=before, after=after)) == 1
    assert capsys.readouterr().out.endswith("36 cells: 1 worse, 35 same\n")
    assert commands.diff(Diff(before=after, after=before)) == 0
    assert "1 better" in capsys.readouterr().out
    assert commands.diff(Diff(before=before, after=before)) == 0
    with pytest.raises(BadInput, match="two campaigns"):
        commands.diff(Diff(before=before))


def test_campaigns_are_found_by_id_or_by_folder(tmp_path: Path) -> None:
    campaign(tmp_path / "a", results.matrix())
    request = Diff(before="a", after=str(tmp_path / "a"), out=tmp_path)
    assert commands.diff(request) == 0


def test_report_writes_files_or_a_strategy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = campaign(tmp_path / "m", results.matrix())
    assert commands.report(Report(id=folder, format=Format.GITHUB_MATRIX)) == 0
    assert len(json.loads(capsys.readouterr().out)["include"]) == 6
    folder = campaign(tmp_path / "b", results.bisect())
    assert commands.report(Report(id=folder)) == 0
    written = capsys.readouterr().out.split()
    names = ["report.md", "report.html", "matrix.svg", "timeline.svg", "junit.xml"]
    assert written == [f"{folder}/{name}" for name in names]
    assert all(Path(path).is_file() for path in written)


def test_report_links_to_the_page_that_publish_names(tmp_path: Path) -> None:
    folder = campaign(tmp_path / "m", results.matrix())
    page = "https://me.example/{id}/report.html"
    copy = tmp_path / "copy"
    assert commands.report(Report(id=folder, publish=page, copy=str(copy))) == 0
    there = "https://me.example/20261124-043000-matrix/report.html"
    assert there in (copy / "report.md").read_text()
    assert result.read(copy).page == there
    assert not result.read(Path(folder)).page, "the campaign's own document stays"


def test_a_copy_of_reports_cannot_be_resumed(tmp_path: Path) -> None:
    folder = campaign(tmp_path / "published", results.matrix())
    with pytest.raises(BadInput, match="is a copy of a campaign's reports"):
        commands.resume(Resume(id=folder))


@pytest.mark.parametrize(
    ("given", "then"),
    [
        ({}, {}),
        ({"BKBISECT_STORE": "oci://a/b"}, {"BKBISECT_STORE_KEY": "/k.pub"}),
        ({"BKBISECT_STORE": "oci://a/b", "BKBISECT_STORE_KEY": "/other"}, {}),
    ],
)
def test_a_signature_that_was_required_is_required_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], then: dict[str, str]
) -> None:
    (tmp_path / "a").mkdir()
    record.begin(tmp_path / "a", "run", "./inv run --rev a", store_key="/k.pub")
    record.end(tmp_path / "a", "failed", "")
    environment = dict(given)
    monkeypatch.setattr("os.execv", lambda *_: None)
    monkeypatch.setattr("os.environ", environment)
    monkeypatch.setattr("os.chdir", lambda _: None)
    commands.resume(Resume(id="a", out=tmp_path))
    stores = {name: value for name, value in environment.items() if "STORE" in name}
    assert stores == given | then


@pytest.mark.parametrize(
    ("given", "then"),
    [({}, "dask://127.0.0.1:1"), ({"BKBISECT_EXECUTOR": "local"}, "local")],
)
def test_a_campaign_goes_on_where_it_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], then: str
) -> None:
    (tmp_path / "a").mkdir()
    record.begin(tmp_path / "a", "run", "./inv run --rev a", executor="dask://127.0.0.1:1")
    record.end(tmp_path / "a", "failed", "")
    environment = dict(given)
    monkeypatch.setattr("os.execv", lambda *_: None)
    monkeypatch.setattr("os.environ", environment)
    monkeypatch.setattr("os.chdir", lambda _: None)
    commands.resume(Resume(id="a", out=tmp_path))
    assert environment["BKBISECT_EXECUTOR"] == then


@pytest.mark.parametrize(
    ("command", "resumed"),
    [
        ("./inv scenario learn D --good a --bad b", True),
        ("./inv scenario-learn D --good a --bad b", True),  # of an earlier version
        ("./inv run --rev a", True),
        ("./inv scenario new D --from f", False),
        ("./inv clean --cache", False),
        ("sh run --rev a", False),
        ("./inv", False),
        ("", False),
    ],
)
def test_only_the_command_of_a_campaign_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, resumed: bool
) -> None:
    text = {"kind": "matrix", "command": command, "status": "failed", "reason": "", "pid": 1}
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / record.FILE).write_text(json.dumps(text))
    ran: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda _, argv: ran.append(argv))
    monkeypatch.setattr("os.environ", {})
    if resumed:
        commands.resume(Resume(id="a", out=tmp_path))
        assert ran[0][5:-2] == command.split()[1:]
        return
    with pytest.raises(BadInput, match="not the command of a campaign"):
        commands.resume(Resume(id="a", out=tmp_path))
    assert ran == []
