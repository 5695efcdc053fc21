"""Runs the tool as a user does, and finds what it leaves behind."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import warm
from buildkit_bisect.cli import leftovers
from buildkit_bisect.system import checkout

#: Programs that must not outlive a task.
_DAEMONS = ("buildkitd", "docker-registry", "fuse-overlayfs")

#: File for figures, read here because some tests remove such variables.
_FIGURES = os.environ.get("BKBISECT_FIGURES")

#: Paths that the tool makes; they contain the process ID of the task.
_OURS = re.compile(r"/(?:bkb|trial|registry|images)-(\d+)-\w+")


@dataclass(frozen=True, kw_only=True)
class TaskOutput:
    """The output and exit code of a task."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """Standard output as JSON."""
        loaded: dict[str, Any] = json.loads(self.stdout)
        return loaded

    @property
    def documents(self) -> list[dict[str, Any]]:
        """Standard output as JSON, for a task that prints a list."""
        loaded: list[dict[str, Any]] = json.loads(self.stdout)
        return loaded


def argv(*words: str) -> list[str]:
    """Return the command line of a task."""
    return [str(checkout.PROJECT / "inv"), *words]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return our environment without options that a developer may have set."""
    kept = ("BKBISECT_CACHE_DIR", "BKBISECT_VENV", "BKBISECT_PYTHON")
    env = {k: v for k, v in os.environ.items() if not k.startswith("BKBISECT_") or k in kept}
    return {**env, **(extra or {})}


def inv(
    *words: str, env: Mapping[str, str] | None = None, timeout: float = 1800, cold: bool = False
) -> TaskOutput:
    """Run a task and wait for it: *cold* as ``./inv``, otherwise with its imports done."""
    whole = environment(env)
    # Worker processes end a moment after the task: the pipes of a process are waited for, too.
    workers = "--jobs" in words or "BKBISECT_JOBS" in whole
    if not cold and not workers and warm.suits(whole):
        ended = _warm().run(["--search-root", str(checkout.PROJECT), *words], whole, timeout)
        return TaskOutput(code=ended.code, stdout=ended.stdout, stderr=ended.stderr)
    done = subprocess.run(
        argv(*words), env=whole, capture_output=True, text=True, timeout=timeout, check=False
    )
    return TaskOutput(code=done.returncode, stdout=done.stdout, stderr=done.stderr)


@functools.cache
def _warm() -> warm.Warm:
    return warm.Warm()


def figure(what: str, measured: str) -> None:
    """Report a measurement; ``benchmarks/reliability.py`` writes docs/reliability.md from them."""
    print(f"{what}: {measured}")
    if _FIGURES:
        with Path(_FIGURES).open("a") as file:
            test = os.environ["PYTEST_CURRENT_TEST"].partition("::")[0]
            file.write(json.dumps([Path(test).name, what, measured]) + "\n")


def left_behind() -> list[str]:
    """Return processes, mounts and files of tasks that have ended."""
    found = [str(path) for path in leftovers.find()]
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if Path(words[0]).name in _DAEMONS and any(map(_orphan, words)):
            found.append(f"process {entry.name}: {' '.join(words)}")
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return found + [f"mount {line.split()[4]}" for line in mounts if _orphan(line.split()[4])]


def _orphan(text: str) -> bool:
    """Whether *text* contains a path of the tool whose owner has ended."""
    named = _OURS.search(text)
    return named is not None and not Path(f"/proc/{named[1]}").exists()
