"""`status`, `resume` and `report` with damaged or hostile files of campaigns."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from buildkit_bisect import events as ev
from buildkit_bisect.campaign import find, record
from buildkit_bisect.cli import results
from buildkit_bisect.errors import BadInput
from buildkit_bisect.live import recorder
from buildkit_bisect.options.requests import Report, Resume, Status

RECORD = {"kind": "matrix", "command": "./inv matrix --revs v0.26.0", "status": "killed",
          "reason": "", "pid": 0}  # fmt: skip
LONE = "\ud800"
TITLE = "\x1b]0;PWNED\x07"


def campaign(out: Path, name: str, text: str | None = None, **changes: Any) -> Path:
    folder = out / name
    folder.mkdir()
    body = json.dumps({**RECORD, **changes}) if text is None else text
    (folder / "campaign.json").write_text(body)
    return folder


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, "\0", '{"pid": 1}'])
def test_an_invalid_record_is_rejected(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput, match="damaged"):
        record.read(campaign(tmp_path, "a", text))


@pytest.mark.parametrize(
    "change",
    [
        {"resumed": 5}, {"resumed": [5]}, {"resumed": ["a\0"]}, {"resumed": "abc"}, {"cwd": 5},
        {"cwd": "/a\0"}, {"cwd": LONE}, {"cwd": None}, {"command": "./inv matrix \0"},
        {"command": f"./inv matrix {LONE}"}, {"kind": LONE}, {"status": LONE}, {"reason": LONE},
        {"pid": -1}, {"pid": 10**400}, {"pid": True}, {"pid": float("inf")},
    ],
)  # fmt: skip
def test_a_record_with_invalid_values_is_rejected(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="damaged"):
        record.read(campaign(tmp_path, "a", **change))


def test_the_name_of_a_folder_may_be_invalid_utf8(tmp_path: Path) -> None:
    assert record.read(campaign(tmp_path, "a", cwd="/x\udcff")).cwd == "/x\udcff"


def test_a_damaged_record_hides_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    campaign(tmp_path, "2026-a", "")
    campaign(tmp_path, "2026-b")
    campaign(tmp_path, f"2026-c\n{TITLE}", "{")
    assert results.status(Status(out=tmp_path)) == 0
    printed = capsys.readouterr()
    assert printed.out == "2026-b  killed\n    ./inv matrix --revs v0.26.0\n"
    first, second = printed.err.splitlines()
    assert first == f"warning: {tmp_path}/2026-a/campaign.json is damaged; ignoring it"
    assert "\x1b" not in second


def test_resume_takes_the_newest_readable_campaign(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign(tmp_path, f"2026-b{TITLE}", command=f"./inv matrix --revs '{TITLE}v0.26.0'")
    campaign(tmp_path, "2026-c", "")
    ran: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, argv: ran.append(argv))
    monkeypatch.setenv(record.RESUMED, "")
    monkeypatch.setenv(record.KEPT, "")
    results.resume(Resume(out=tmp_path))
    assert ran[0][-2:] == ["--out", str(tmp_path)]
    warning, resuming = capsys.readouterr().err.splitlines()
    assert "2026-c" in warning
    assert resuming == "resuming 2026-b\\x1b]0;PWNED\\x07: ./inv matrix --revs 'v0.26.0'"


def test_a_resumed_campaign_is_not_resumed_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    campaign(tmp_path, "2026-a", status="interrupted")
    campaign(tmp_path, "2026-b", status="done", resumed=["2026-a"])
    assert [r.status for r in record.campaigns(tmp_path)] == ["resumed", "done"]
    with pytest.raises(BadInput, match="no unfinished campaign"):
        results.resume(Resume(out=tmp_path))
    assert results.status(Status(out=tmp_path)) == 0
    assert "2026-a  resumed" in capsys.readouterr().out
    campaign(tmp_path, "2026-c", status="failed", resumed=["2026-a", "2026-b"])
    assert [r.status for r in record.campaigns(tmp_path)] == ["resumed", "done", "failed"]


def test_names_with_control_characters_are_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    campaign(tmp_path, f"2026{TITLE}\nfake  done", status=f"done{TITLE}", reason="a\nb")
    results.status(Status(out=tmp_path))
    assert capsys.readouterr().out == (
        "2026\\x1b]0;PWNED\\x07\\nfake  done  done: a b\n    ./inv matrix --revs v0.26.0\n"
    )


def test_report_paths_with_control_characters_are_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options reject such a path, but the project's own folder may have one."""
    folder = tmp_path / f"2026{TITLE}"
    folder.mkdir()
    published = Path(__file__).parents[3] / "results" / "issue-6893" / "bisect-refused"
    (folder / "result.json").write_bytes((published / "result.json").read_bytes())
    monkeypatch.setattr(find, "find", lambda *_: folder)
    assert results.report(Report()) == 0
    printed = capsys.readouterr().out
    assert "2026\\x1b]0;PWNED\\x07/report.md\n" in printed
    assert "\x1b" not in printed


def test_a_record_is_synced_before_it_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    sync, replace = os.fsync, Path.replace

    def fsync(fd: int) -> None:
        calls.append("sync")
        sync(fd)

    def rename(self: Path, to: Path) -> Path:
        calls.append("rename")
        return replace(self, to)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", rename)
    record.begin(tmp_path, "matrix", "./inv matrix")
    record.end(tmp_path, "done", "")
    assert calls == ["sync", "rename"] * 2
    assert record.read(tmp_path).status == "done"


def test_events_are_read_up_to_an_incomplete_character(tmp_path: Path) -> None:
    path = tmp_path / record.EVENTS
    whole = recorder.line(ev.Said(text="größer"), 1.0).encode()
    path.write_bytes(whole + whole[: whole.index(b"\xc3") + 1])
    assert list(recorder.events(path)) == [(ev.Said(text="größer"), 1.0)]


@pytest.mark.parametrize(
    "line",
    [
        '{"t": 1e999, "event": "Said", "text": "x"}',
        '{"t": "nan", "event": "Said", "text": "x"}',
        '{"t": ' + "9" * 400 + ', "event": "Said", "text": "x"}',
        '{"t": 1, "event": "Said", "text": "\\ud800"}',
        '{"t": 1, "event": "BuildDone", "row": "x", "seconds": "inf", "reused": false}',
        '{"t": 1, "event": "BuildProgress", "row": "x", "done": Infinity, "expected": 1}',
        '{"t": 1, "event": ' + "[" * 100_000,
        '{"t": [], "event": "Said", "text": "x"}',
    ],
)
def test_an_invalid_event_is_skipped(tmp_path: Path, line: str) -> None:
    path = tmp_path / record.EVENTS
    path.write_text(line + "\n" + recorder.line(ev.Said(text="x"), 2.0))
    assert recorder.replay(path).last == 2.0
