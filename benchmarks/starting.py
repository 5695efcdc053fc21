"""Seconds from the start of `./inv matrix` to its first cell, where nothing is built yet.

    .venv/bin/python benchmarks/starting.py --write docs/performance.md

Each run has an empty cache, but Go and the modules that it downloads: these are taken from the
user's own cache, so that the network is not measured. Two ways take turns:

- before: BuildKit builds the base images, as it does those that do more than copy;
- now: they are made without it.

Needs root, an idle machine, and some minutes a run, in which BuildKit is compiled from nothing.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import section
import stopping

from buildkit_bisect.system import paths
from buildkit_bisect.system.checkout import PROJECT

WAYS = ("before", "now")
SHARED = ("gomod", "toolchains")

#: What Python runs: the program, and before it what makes every scenario need a BuildKit.
_NOW = "from buildkit_bisect.__main__ import main; main()"
_BEFORE = (
    f"from buildkit_bisect.scenario import plain_image as p; p.all_of = lambda _: None; {_NOW}"
)

#: Seconds for a task to end after an interrupt.
_ENDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Start:
    """A run up to its first cell."""

    seconds: float
    compiled: int  # BuildKits before it


@contextmanager
def empty_cache() -> Iterator[dict[str, str]]:
    """Provide an environment with an empty cache, but what is downloaded."""
    shared = {name: paths.cache(name).resolve() for name in SHARED}
    with tempfile.TemporaryDirectory(prefix="starting-", dir=paths.cache_root().parent) as folder:
        root = Path(folder) / "cache"
        root.mkdir()
        for name, path in shared.items():
            (root / name).symlink_to(path)
        yield {**os.environ, "BKBISECT_CACHE_DIR": str(root)}


def start(way: str, rev: str, scenario: str) -> Start:
    """Run a matrix until its first cell, then end it."""
    words = ["matrix", "--source", "module", "--revs", rev, "--scenario", scenario]
    code = _BEFORE if way == "before" else _NOW
    with empty_cache() as env, tempfile.TemporaryDirectory() as out:
        began = time.monotonic()
        with subprocess.Popen(
            [sys.executable, "-c", code, "--search-root", str(PROJECT), *words,
             "--trials", "1", "--out", out],
            env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        ) as child:  # fmt: skip
            said: list[str] = []
            took = None
            for line in child.stderr or ():
                said.append(line)
                if line.startswith(f"cell {rev}, "):
                    took = time.monotonic() - began
                    child.send_signal(signal.SIGINT)
                    break
            for _ in child.stderr or ():  # the task does not wait for us
                pass
            child.wait(_ENDS)
        if took is None:
            raise SystemExit(f"no cell: {''.join(said[-5:])}")
        builds = list(Path(env["BKBISECT_CACHE_DIR"]).glob("builds/*/build.json"))
        return Start(seconds=took, compiled=len(builds))


def table(found: dict[str, list[Start]]) -> str:
    """Return the medians as a table."""
    middle = {way: median(one.seconds for one in starts) for way, starts in found.items()}
    lines = [
        "| | BuildKits compiled | first cell after | divided by before |",
        "| --- | ---: | ---: | ---: |",
    ]
    for way in WAYS:
        ratio = middle[way] / middle["before"]
        compiled = max(one.compiled for one in found[way])
        lines.append(f"| {way} | {compiled} | {middle[way]:.0f} s | {ratio:.2f} x |")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rev", default="v0.26.0")
    parser.add_argument("--scenario", default="cross-stage-lazy")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--write", type=Path, metavar="DOCUMENT")
    options = parser.parse_args(words)
    stopping.removes_on_sigterm()
    found: dict[str, list[Start]] = {way: [] for way in WAYS}
    for _ in range(options.rounds):
        for way in WAYS:
            took = start(way, options.rev, options.scenario)
            found[way].append(took)
            print(f"{way}: {took.seconds:.0f} s, {took.compiled} compiled", flush=True)
    section.put(options.write, "starting", table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
