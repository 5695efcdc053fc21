"""Messages to another user: whose file it is, and what to do instead."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from buildkit_bisect.campaign import privilege
from buildkit_bisect.cli import access, guard
from buildkit_bisect.errors import Missing
from buildkit_bisect.options.choices import Format
from buildkit_bisect.options.requests import Bisect, Clean, Matrix, Report, Request
from buildkit_bisect.system import checkout, paths

NOBODY = 65534


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY)


def run(error: Exception, kind: type[Request], capsys: pytest.CaptureFixture[str]) -> str:
    def fail() -> int:
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("signal.signal", lambda *_: None)
        assert guard.guarded(fail, kind) == guard.INFRA
    return capsys.readouterr().err


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize(
    ("kind", "place", "hint"),
    [
        (Clean, "cache", "BKBISECT_CACHE_DIR=DIR of your own"),
        (Report, "results", "./inv report ID --copy DIR"),
        (Matrix, "results", "--out DIR of your own"),
        (Clean, "project", "a clone of your own"),
    ],
)
def test_a_file_of_another_user(
    kind: type[Request], place: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    where = {
        "cache": paths.cache_root(),
        "results": checkout.RESULTS,
        "project": checkout.PROJECT,
    }[place]
    file = where / "nowhere" / "file"
    shown = run(PermissionError(13, "Permission denied", str(file)), kind, capsys)
    owner = access._name(where.stat().st_uid)
    assert (
        shown == f"error: {access._name(NOBODY)} cannot use {file}, which belongs to {owner}"
        f" (try: {hint})\n"
    )


def test_an_own_file_keeps_the_words_of_the_system(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = run(OSError(30, "Read-only file system", str(tmp_path / "x")), Clean, capsys)
    assert shown.startswith(f"error: {tmp_path / 'x'}: Read-only file system (try: make it writ")


@pytest.mark.usefixtures("nobody")
def test_trials_need_root_and_plans_do_not() -> None:
    asked = Bisect(good="a", bad="b", command="./inv bisect --good a --bad b")
    with pytest.raises(Missing, match="not running as root") as raised:
        privilege.check(asked)
    assert raised.value.hint == (
        "sudo ./inv bisect --good a --bad b, or ./inv plan bisect --good a --bad b"
    )
    privilege.check(Bisect(good="a", bad="b", dry_run=True))
    privilege.check(Matrix(format=Format.GITHUB_MATRIX))
