"""The live screen on a real terminal: it leaves nothing behind and does not use stdout."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping

import pytest

pytestmark = pytest.mark.local

STORY = """
import signal, sys, time
from buildkit_bisect.events import *
from buildkit_bisect.live import Display
from buildkit_bisect.model import Verdict
columns = tuple(Column(scenario="s", axes=(("snapshotter", n),)) for n in ("stargz", "overlayfs"))
with Display() as display:
    display.emit(Planned(kind="matrix", rows=("v0.24.0", "v0.25.0"), columns=columns, trials=3))
    display.emit(BuildStarted(row="v0.24.0", expected=800))
    display.emit(BuildProgress(row="v0.24.0", done=400, expected=800))
    display.emit(Said(text="a warning", warning=True))
    time.sleep(WAIT)
    display.emit(BuildDone(row="v0.24.0", seconds=3, reused=False))
    display.emit(Finished(status="done", finding="Broken in v0.24.0."))
print("the document")
"""


class Terminal:
    """A child whose stderr is a terminal, as in `./inv matrix --json > file`."""

    def __init__(self, wait: float, env: Mapping[str, str] | None = None, width: int = 80) -> None:
        self.ours, theirs = pty.openpty()
        self.resize(width)
        clean = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "COLUMNS", "LINES"}}
        self.child = subprocess.Popen(
            [sys.executable, "-c", STORY.replace("WAIT", str(wait))],
            stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, start_new_session=True,
            env={**clean, "TERM": "xterm-256color", **(env or {})},
        )  # fmt: skip
        os.close(theirs)
        self.stdout = ""

    def resize(self, width: int) -> None:
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))

    def read_until(self, wanted: str, limit: float = 20) -> str:
        seen, end = "", time.monotonic() + limit
        while wanted not in seen:
            assert time.monotonic() < end, seen
            seen += self._read()
        return seen

    def rest(self) -> str:
        seen = ""
        while chunk := self._read():
            seen += chunk
        out, _ = self.child.communicate(timeout=20)
        self.stdout = out.decode()
        os.close(self.ours)
        return seen

    def _read(self) -> str:
        try:
            return os.read(self.ours, 65536).decode(errors="replace")
        except OSError:  # the other end is closed
            return ""


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_the_screen_is_on_stderr_and_the_document_on_stdout() -> None:
    terminal = Terminal(1)
    seen = terminal.rest()
    assert "building 400 of 800 packages" in plain(seen)
    assert "a warning" in plain(seen)
    assert "done: Broken in v0.24.0." in plain(seen)
    assert terminal.stdout == "the document\n"
    assert seen.rfind("\x1b[?25h") > seen.rfind("\x1b[?25l"), "the cursor is shown again"


def test_ctrl_c_restores_the_terminal() -> None:
    terminal = Terminal(60)
    seen = terminal.read_until("400 of 800")
    os.killpg(terminal.child.pid, signal.SIGINT)
    seen += terminal.rest()
    assert terminal.child.returncode != 0
    assert seen.rfind("\x1b[?25h") > seen.rfind("\x1b[?25l")


def test_no_color() -> None:
    seen = Terminal(1, {"NO_COLOR": "1"}).rest()
    assert not re.search(r"\x1b\[(?:\d+;)*(?:3[0-7]|38;[\d;]+)m", seen)
    assert "building 400 of 800 packages" in plain(seen)


def test_a_resized_terminal_is_redrawn() -> None:
    terminal = Terminal(3)
    terminal.read_until("400 of 800")
    terminal.resize(40)
    after = terminal.rest()
    drawn = plain(after.split("\x1b[2J", 1)[1])
    assert drawn
    assert max(len(line) for line in drawn.splitlines()[:8]) <= 40


def test_a_dumb_terminal_gets_lines() -> None:
    seen = Terminal(0.1, {"TERM": "dumb"}).rest()
    assert "\x1b" not in seen
    assert "build v0.24.0: 800 packages to compile" in seen
