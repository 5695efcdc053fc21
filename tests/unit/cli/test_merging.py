"""The ``merge`` task: what it prints, its exit code, and what can be done with its folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from buildkit_bisect import result
from buildkit_bisect.campaign import record
from buildkit_bisect.cli import merging
from buildkit_bisect.cli import results as commands
from buildkit_bisect.options.requests import Diff, Merge, Post, Report, Status
from shared_work import elsewhere, part, seen, whole, written


@pytest.fixture
def out(tmp_path: Path) -> Path:
    for number in (1, 2, 3, 4, 5):
        written(tmp_path / f"shard-{number}", part(number))
    return tmp_path


def request(out: Path, *numbers: int, json: bool = False) -> Merge:
    return Merge(result=tuple(f"shard-{n}" for n in numbers), out=out, json=json)


def merged(out: Path) -> Path:
    (folder,) = out.glob("*-merge*")
    return folder


def test_all_shards(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert merging.merge(request(out, 1, 2, 3, 4, 5)) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.startswith("Broken in 4 of 5 unpatched revisions")
    assert printed.out.endswith(f" Results: {merged(out)}\n")
    names = {"result.json", "campaign.json", "report.md", "report.html", "matrix.svg", "junit.xml"}
    assert names <= {path.name for path in merged(out).iterdir()}
    assert seen(result.read(merged(out))) == seen(whole())


def test_a_missing_shard_is_a_warning(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert merging.merge(request(out, 1, 3, 5)) == 0
    why = "Shards 2 and 4 of 5 are not among the merged results"
    assert capsys.readouterr().err == f"warning: {why}\n"


def test_only_the_document_is_printed(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert merging.merge(request(out, 1, 2, json=True)) == 0
    assert json.loads(capsys.readouterr().out)["id"] == merged(out).name


def test_a_cell_without_a_verdict_is_the_exit_code_of_a_matrix(out: Path) -> None:
    one = part(1)
    broken = replace(one.cells[0], verdict="infra", outcome="infra", trials=(), counts={})
    result.write(replace(one, cells=(broken, *one.cells[1:])), out / "shard-1")
    assert merging.merge(request(out, 1, 2)) == 5


def test_the_summary_of_a_job(out: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    assert merging.merge(request(out, 1, 2)) == 0
    summary = (tmp_path / "summary.md").read_text()
    assert "**Shards 3 to 5 of 5 are not among the merged results" in summary


def test_what_it_writes_is_a_campaign(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(out / "there", elsewhere(part(1), kernel="6.8"))
    both = Merge(result=("shard-1", "there"), out=out, publish="https://x.example/{id}/")
    assert merging.merge(both) == 0
    name = merged(out).name
    assert result.read(merged(out)).page == f"https://x.example/{name}/"
    report = (merged(out) / "report.md").read_text()
    assert commands.report(Report(id=name, out=out)) == 0
    assert (merged(out) / "report.md").read_text() == report
    assert commands.diff(Diff(before="shard-1", after=name, out=out)) == 0
    assert commands.post(Post(id=name, dry_run=True, out=out)) == 0
    capsys.readouterr()
    assert commands.status(Status(out=out)) == 0
    assert f"{name}  done" in capsys.readouterr().out
    assert record.read(merged(out)).status == "done"
    (out / "again").mkdir()
    assert (
        merging.merge(Merge(result=(str(merged(out)), str(out / "shard-2")), out=out / "again"))
        == 0
    )
