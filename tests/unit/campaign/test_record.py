"""Whether a campaign still runs, according to its record."""

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


def recorded(out: Path, **facts: object) -> Path:
    """Return the folder of a campaign whose record says that it is running."""
    folder = out / "k"
    record.begin(make_folder(folder), "matrix", "./inv matrix")
    data = json.loads((folder / "campaign.json").read_text())
    data = {k: v for k, v in {**data, **facts}.items() if v is not None}
    (folder / "campaign.json").write_text(json.dumps(data))
    return folder


def make_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def without_recent_events(folder: Path) -> Path:
    old = time.time() - 3600
    os.utime(folder / "campaign.json", (old, old))
    return folder


def test_a_campaign_of_this_process_is_running(tmp_path: Path) -> None:
    folder = recorded(tmp_path)
    assert record.read(without_recent_events(folder)).status == "running"
    with pytest.raises(BadInput, match=f"k is running, as process {os.getpid()}"):
        results.resume(Resume(id="k", out=tmp_path))


def test_a_campaign_is_killed_if_its_process_id_was_reused(tmp_path: Path) -> None:
    folder = recorded(tmp_path, owner=f"{owner.machine()}:{os.getpid()}:1")
    assert record.read(folder).status == "killed"


@pytest.mark.parametrize("pid", [1, os.getpid(), 2**22 + 1], ids=["init", "own", "none"])
def test_a_record_without_an_owner_is_running_if_its_process_is_this_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pid: int
) -> None:
    folder = recorded(tmp_path, owner=None, pid=pid)
    assert record.read(folder).status == "killed"
    monkeypatch.setattr(owner, "is_ours", lambda other: other == pid)
    assert record.read(folder).status == "running"


def test_a_campaign_on_another_machine_is_running_if_its_events_are_recent(
    tmp_path: Path,
) -> None:
    folder = recorded(tmp_path, owner=ELSEWHERE)
    assert record.read(folder).status == "running"
    assert record.read(without_recent_events(folder)).status == "killed"
    (folder / record.EVENTS).touch()
    assert record.read(folder).status == "running"


def test_a_campaign_on_another_machine_is_resumed_only_by_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(tmp_path, owner=ELSEWHERE)
    started: list[str] = []
    monkeypatch.setattr(os, "execv", lambda _, argv: started.extend(argv))
    monkeypatch.setattr(os, "chdir", lambda _: None)
    monkeypatch.setitem(os.environ, "BKBISECT_RESUMED", "")
    monkeypatch.setitem(os.environ, record.KEPT, "")
    with pytest.raises(BadInput, match="no unfinished campaign"):
        results.resume(Resume(out=tmp_path))
    results.resume(Resume(id="k", out=tmp_path))
    assert "matrix" in started
    assert os.environ[record.KEPT] == str(tmp_path / "k" / "patches")
