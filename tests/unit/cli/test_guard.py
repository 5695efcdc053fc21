"""What ends early names a command that goes on, and one that can."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import NoReturn

import pytest

from buildkit_bisect.campaign import record
from buildkit_bisect.cli import guard
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.options.command import inv
from buildkit_bisect.options.requests import Build, Matrix, Request, Status
from buildkit_bisect.system import checkout

USUAL = checkout.PROJECT / "results" / "20260821-101500-matrix"


def said(
    error: BaseException,
    kind: type[Request],
    begun: Path | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> str:
    def fail() -> NoReturn:
        raise error

    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(record, "_begun", [begun] if begun else [])
    assert guard.guarded(fail, kind) != guard.DONE
    return capsys.readouterr().err


KEPT = "interrupted; completed builds and trials are kept: "


@pytest.mark.parametrize(
    ("kind", "begun", "expected"),
    [
        (Matrix, USUAL, f"{KEPT}./inv resume 20260821-101500-matrix\n"),
        (Matrix, Path("/srv/out/x-matrix"), f"{KEPT}./inv resume /srv/out/x-matrix\n"),
        (Matrix, None, f"{KEPT}the same command again\n"),
        (Build, None, f"{KEPT}the same command again\n"),
        (Status, None, "interrupted.\n"),
    ],
)
def test_interrupted(
    kind: type[Request],
    begun: Path | None,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert said(KeyboardInterrupt(), kind, begun, monkeypatch, capsys) == expected


@pytest.mark.parametrize(
    ("begun", "expected"),
    [(USUAL, "./inv resume 20260821-101500-matrix"), (None, "the same command again")],
)
def test_hints_of_other_rooms_resume_only_what_has_begun(
    begun: Path | None,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failed = InfraFailed("no answer", hint=f"{inv('doctor')}, then {inv('resume')}")
    shown = said(failed, Matrix, begun, monkeypatch, capsys)
    assert shown == f"error: no answer (try: ./inv doctor, then {expected})\n"
    full = said(OSError(errno.ENOSPC, "disk full"), Matrix, begun, monkeypatch, capsys)
    assert f"free some space there, then {expected}; ./inv clean" in full


def test_a_campaign_has_begun_once_its_record_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "_begun", [])
    assert record.begun() is None
    record.begin(tmp_path, "matrix", "./inv matrix")
    assert record.begun() == tmp_path
