"""Whether a campaign still runs, by what it left in its folder."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from buildkit_bisect.campaign import record
from buildkit_bisect.cli import results
from buildkit_bisect.errors import BadInput
from buildkit_bisect.options.requests import Resume
from buildkit_bisect.system import owner

ELSEWHERE = f"{owner.machine()}0:1:1"


def noted(out: Path, **facts: object) -> Path:
    """The folder of a campaign that says that it runs."""
    folder = out / "k"
    record.begin(folder_made(folder), "matrix", "./inv matrix")
    data = json.loads((folder / "campaign.json").read_text())
    data = {k: v for k, v in {**data, **facts}.items() if v is not None}
    (folder / "campaign.json").write_text(json.dumps(data))
    return folder


def folder_made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def quiet(folder: Path) -> Path:
    old = time.time() - 3600
    os.utime(folder / "campaign.json", (old, old))
    return folder


def test_ours_runs(tmp_path: Path) -> None:
    folder = noted(tmp_path)
    assert record.read(quiet(folder)).status == "running"
    with pytest.raises(BadInput, match=f"k is running, as process {os.getpid()}"):
        results.resume(Resume(id="k", out=tmp_path))


def test_another_process_with_the_same_id_does_not_run_it(tmp_path: Path) -> None:
    folder = noted(tmp_path, owner=f"{owner.machine()}:{os.getpid()}:1")
    assert record.read(folder).status == "killed"


@pytest.mark.parametrize("pid", [1, os.getpid(), 2**22 + 1], ids=["init", "own", "none"])
def test_a_record_of_before_runs_where_its_process_is_this_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pid: int
) -> None:
    folder = noted(tmp_path, owner=None, pid=pid)
    assert record.read(folder).status == "killed"
    monkeypatch.setattr(owner, "is_ours", lambda asked: asked == pid)
    assert record.read(folder).status == "running"


def test_one_that_cannot_be_seen_runs_while_it_says_something(tmp_path: Path) -> None:
    folder = noted(tmp_path, owner=ELSEWHERE)
    assert record.read(folder).status == "running"
    assert record.read(quiet(folder)).status == "killed"
    (folder / record.EVENTS).touch()
    assert record.read(folder).status == "running"


def test_one_that_cannot_be_seen_is_resumed_where_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted(tmp_path, owner=ELSEWHERE)
    started: list[str] = []
    monkeypatch.setattr(os, "execv", lambda _, argv: started.extend(argv))
    monkeypatch.setattr(os, "chdir", lambda _: None)
    monkeypatch.setitem(os.environ, "BKBISECT_RESUMED", "")
    with pytest.raises(BadInput, match="no unfinished campaign"):
        results.resume(Resume(out=tmp_path))
    results.resume(Resume(id="k", out=tmp_path))
    assert "matrix" in started
