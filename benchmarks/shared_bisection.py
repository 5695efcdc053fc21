r"""Seconds to a proven commit on a machine that has no builds and a store that has them.

    ./inv warm --from v0.26.0 --to v0.29.0 --repo PATH \
        --store oci://127.0.0.1:5000/builds --store-push
    benchmarks/shared_bisection.py --repo PATH --good v0.26.0 --bad v0.29.0 \
        --scenario library/ignored-copy-negation --store oci://127.0.0.1:5000/builds \
        --write docs/performance.md

The store is a registry on loopback, so its network costs nothing: *MB moved* says what a real one
would carry. The cache is empty, except for the mirror of the repository. *Answered* is when the
commit and its parents have been run, *ended* when the newer end without that commit was, which no
store has: it is compiled with an empty Go cache, and `--no-revert` leaves it out. With `--alone`
the same bisection compiles everything, for comparison. Needs root and an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import section
import stopping

from buildkit_bisect.system import paths

#: Seconds for the answer, with a store.
GOAL = 60.0

_ANSWERS = ("first bad commit: ", "first good commit: ")
_ROOT = Path(__file__).parents[1]


class Counting(threading.Thread):
    """Passes bytes between callers and the registry at *target*, and counts those it sends."""

    def __init__(self, target: str) -> None:
        super().__init__(daemon=True)
        host, _, port = target.partition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.moved = 0

    @property
    def address(self) -> str:
        """``127.0.0.1:PORT``."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def run(self) -> None:
        """Pass every connection, until the process ends."""
        while True:
            caller, _ = self._listener.accept()
            threading.Thread(target=self._passed, args=(caller,), daemon=True).start()

    def _passed(self, caller: socket.socket) -> None:
        with caller, socket.create_connection(self._target) as registry:
            chosen = selectors.DefaultSelector()
            chosen.register(caller, selectors.EVENT_READ, registry)
            chosen.register(registry, selectors.EVENT_READ, caller)
            while True:
                for key, _ in chosen.select():
                    source = key.fileobj
                    assert isinstance(source, socket.socket)
                    data = source.recv(1 << 18)
                    if not data:
                        return
                    if source is registry:
                        self.moved += len(data)
                    key.data.sendall(data)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One bisection."""

    name: str
    candidates: int
    pulled: int
    compiled: int
    trials: int
    answered: float  # seconds
    ended: float
    megabytes: float
    commit: str


@contextmanager
def empty_cache() -> Iterator[Path]:
    """Provide a cache with the user's mirrors and nothing else."""
    mirrors = paths.cache("mirrors").resolve()
    place = paths.cache_root().parent
    with tempfile.TemporaryDirectory(prefix="shared-bisection-", dir=place) as folder:
        root = Path(folder) / "cache"
        root.mkdir()
        (root / "mirrors").symlink_to(mirrors)
        yield root


def bisected(options: argparse.Namespace, name: str, more: Sequence[str], moved: Counting) -> Run:
    """Bisect with an empty cache."""
    before = moved.moved
    with empty_cache() as root, tempfile.TemporaryDirectory() as out:
        command = [
            *(str(_ROOT / "inv"), "bisect", "--good", options.good, "--bad", options.bad),
            *("--repo", options.repo, "--scenario", options.scenario, "--json", "--out", out),
            *(["--find-fix"] if options.find_fix else []),
            *(["--no-verify"] if options.no_revert else []),
            *more,
        ]
        document = Path(out) / "stdout"  # larger than a pipe holds while stderr is read
        began, answered = time.monotonic(), 0.0
        with (
            document.open("w") as stdout,
            subprocess.Popen(
                command,
                stdout=stdout,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "BKBISECT_CACHE_DIR": str(root)},
            ) as process,
        ):
            assert process.stderr
            for line in process.stderr:
                at = time.monotonic() - began
                print(f"{at:7.1f} {line}", end="", flush=True)
                if line.startswith(_ANSWERS):
                    answered = at
        ended = time.monotonic() - began
        result = json.loads(document.read_text() or "{}")
    answer = result.get("bisect") or {}
    if answer.get("status") != "found":
        raise SystemExit(f"{name}: no commit was found")
    builds = {c["build"]["key"]: c["build"]["pulled_from"] for c in result["cells"] if c["build"]}
    return Run(
        name=name,
        candidates=answer["total"],
        pulled=sum(bool(where) for where in builds.values()),
        compiled=sum(not where for where in builds.values()),
        trials=sum(len(cell["trials"]) for cell in result["cells"]),
        answered=answered or ended,  # without a revert they are the same
        ended=ended,
        megabytes=(moved.moved - before) / 1e6,
        commit=answer["first_bad"],
    )


def table(runs: Sequence[Run]) -> str:
    """Return the runs as a table."""
    lines = [
        "| builds | candidates | pulled | compiled | trials | answered | ended | MB moved |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for run in runs:
        counts = f"{run.candidates} | {run.pulled} | {run.compiled} | {run.trials}"
        seconds = f"{run.answered:.0f} s | {run.ended:.0f} s | {run.megabytes:.0f}"
        lines.append(f"| {run.name} | {counts} | {seconds} |")
    if len(runs) > 1:
        ratio = runs[0].answered / runs[1].answered
        lines.append(f"\nWith the store, the answer takes {ratio:.2f} x of the time without it.")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repo", required=True, help="a clone of moby/buildkit")
    parser.add_argument("--good", default="v0.26.0")
    parser.add_argument("--bad", default="v0.29.0")
    parser.add_argument("--find-fix", action="store_true")
    parser.add_argument("--scenario", default="library/ignored-copy-negation")
    parser.add_argument("--store", required=True, help="a store on loopback that `warm` has filled")
    parser.add_argument("--no-revert", action="store_true", help="end with the answer")
    parser.add_argument("--alone", action="store_true", help="then the same without the store")
    parser.add_argument("--write", type=Path, metavar="DOCUMENT")
    options = parser.parse_args(words)
    stopping.removes_on_sigterm()
    host, _, repository = options.store.removeprefix("oci://").partition("/")
    moved = Counting(host)
    moved.start()
    store = ("--store", f"oci://{moved.address}/{repository}")
    runs = [bisected(options, "in a store", store, moved)]
    if options.alone:
        runs.append(bisected(options, "compiled", (), moved))
    if len({run.commit for run in runs}) > 1:
        raise SystemExit("the runs found different commits")
    section.put(options.write, "shared-bisection", table(runs))
    if runs[0].answered > GOAL:
        print(f"the answer took {runs[0].answered:.0f} s, and at most {GOAL:.0f} is the goal")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
