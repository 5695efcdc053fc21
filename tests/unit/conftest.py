"""Unit tests start no process and touch no network: one that does by accident fails."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import pytest


@pytest.fixture(autouse=True)
def _no_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*args: Any, **_: Any) -> NoReturn:
        raise AssertionError(f"a unit test reached outside: {args[1:2]}")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("buildkit_bisect.system.machine.fingerprint", lambda: "test machine")
    monkeypatch.setattr("buildkit_bisect.system.machine.version", lambda program: f"{program} 1")
