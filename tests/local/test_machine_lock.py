"""The machine lock is released when its process is killed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from buildkit_bisect.system import machine_lock as module
from buildkit_bisect.system.machine_lock import machine_lock
from tool import environment

pytestmark = [pytest.mark.local, pytest.mark.alone]

HOLD = """
import time
from buildkit_bisect.system.machine_lock import machine_lock
with machine_lock():
    print("locked", flush=True)
    time.sleep(600)
"""


def test_a_killed_process_releases_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    events: list[str] = []
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD], env=environment(), stdout=subprocess.PIPE, text=True
    )

    def kill() -> None:
        events.append("waited")
        holder.kill()

    try:
        assert holder.stdout
        assert holder.stdout.readline() == "locked\n"
        with machine_lock(kill):
            events.append("locked")
    finally:
        holder.kill()
        holder.communicate()
    assert events == ["waited", "locked"]
