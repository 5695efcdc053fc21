"""``status`` of a campaign in another process."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tool

pytestmark = [pytest.mark.local, pytest.mark.alone]

CAMPAIGN = """
import sys, time
from pathlib import Path
from buildkit_bisect.campaign import record
from buildkit_bisect.events import *
from buildkit_bisect.live import Recorder
from buildkit_bisect.model import Verdict
folder = Path(sys.argv[1])
columns = tuple(Column(scenario="s", axes=(("snapshotter", n),)) for n in ("stargz", "overlayfs"))
record.begin(folder, "matrix", "./inv matrix --revs v0.24.0")
events = Recorder(folder / record.EVENTS)
events.emit(Planned(kind="matrix", rows=("v0.24.0",), columns=columns, trials=3))
events.emit(BuildStarted(row="v0.24.0", expected=800))
events.emit(BuildProgress(row="v0.24.0", done=400, expected=800))
while not (folder / "go on").exists():
    time.sleep(0.05)
events.emit(BuildDone(row="v0.24.0", seconds=3, reused=False))
events.emit(Finished(status="done", finding="Nothing is broken.", folder=str(folder)))
events.close()
record.end(folder, "done", "")
"""


@pytest.fixture
def campaign(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    folder = tmp_path / "20260101-000000-matrix"
    folder.mkdir()
    child = subprocess.Popen([sys.executable, "-c", CAMPAIGN, str(folder)])
    wait(lambda: "BuildProgress" in read(folder / "events.jsonl"))
    yield child, folder
    child.kill()
    child.wait()


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def wait(for_: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not for_():
        assert time.monotonic() < end
        time.sleep(0.05)


def status(folder: Path, *words: str) -> str:
    done = tool.inv("status", *words, "--out", str(folder.parent))
    assert done.code == 0, done.stderr
    return done.stdout


def test_a_running_campaign_is_listed_and_shown(
    campaign: tuple[subprocess.Popen[bytes], Path],
) -> None:
    _, folder = campaign
    assert status(folder).startswith(f"{folder.name}  running\n    ./inv matrix --revs v0.24.0")
    shown = status(folder, folder.name)
    assert "building 400 of 800 packages" in shown
    assert "0 done, 0 running, 2 left" in shown


def test_a_watcher_sees_the_end(campaign: tuple[subprocess.Popen[bytes], Path]) -> None:
    child, folder = campaign
    words = ("status", folder.name, "--watch", "--out", str(folder.parent))
    with subprocess.Popen(
        tool.argv(*words), env=tool.environment(), stdout=subprocess.PIPE, text=True
    ) as watcher:
        assert watcher.stdout
        first = watcher.stdout.readline()
        assert first.startswith("matrix: 1 variant x 2 cells")
        (folder / "go on").touch()
        rest, _ = watcher.communicate(timeout=60)
    assert "done: Nothing is broken." in rest
    assert watcher.returncode == 0
    child.wait(timeout=20)
    assert "  done" in status(folder)


def test_watching_a_killed_campaign_ends(
    campaign: tuple[subprocess.Popen[bytes], Path],
) -> None:
    child, folder = campaign
    child.kill()
    child.wait()
    assert "stopped before it finished: ./inv resume" in status(folder, folder.name, "--watch")
    assert f"{folder.name}  killed" in status(folder)
