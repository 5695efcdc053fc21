"""What a command takes whose builds and trials are all stored, as a user starts it.

    ./inv run --source module --rev v0.26.0 --scenario single-chain
    .venv/bin/python benchmarks/warm_reruns.py --write docs/performance.md

The first command makes, once, the trials that are copied here: `stored_machine` puts a repository
with 125 releases, a build of each and three trials of each of their 500 cells into a cache of its
own. So no figure is about BuildKit: each is what this tool adds. Commands that build with
a patch were run once before, with texts for programs and copies of trials.

Each row is a whole process, the median of several, and its ratio to a bare Python that only imports
the tool, which takes turns with it. A rerun that builds or runs anything is an error. Exits with 1
if a goal is missed. Needs root, and an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import section
import stopping
import stored_machine

from buildkit_bisect.lab.trial import TrialJob
from buildkit_bisect.model import Axes, Observation
from buildkit_bisect.scenario import Scenario
from buildkit_bisect.system import paths
from buildkit_bisect.system.checkout import PROJECT

#: Seconds: of any command, and of one with 500 cells.
ANY, MANY = 2.0, 4.0

REFERENCE, SCENARIO = "v0.26.0", "single-chain"
RELEASES, TRIALS = 125, 3

#: The release from which on the cell of a search is bad, and the last one of the search.
_CULPRIT, _SEARCHED = 9, 16

#: Releases of the repository for commands that build with a patch.
_APART = 30

_BARE = (sys.executable, "-c", "import buildkit_bisect.cli.program, buildkit_bisect.cli.campaigns")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A command, and the seconds that it may take."""

    name: str
    words: tuple[str, ...]
    goal: float = ANY
    codes: tuple[int, ...] = (0,)


def rows(repo: Path, tags: Sequence[str], out: Path) -> list[Row]:
    """Return the commands to measure; those of campaigns write to *out*."""
    where = ("--repo", str(repo), "--scenario", SCENARIO, "--out", str(out))
    narrow = ("--axis", "compression=gzip")
    search = (*where, *narrow, "--trials", str(TRIALS))
    few, last = ",".join(tags[:13]), tags[_SEARCHED]
    return [
        Row(name="help", words=("--help",)),
        Row(name="list", words=("list",)),
        Row(name="help of a task", words=("help", "bisect")),
        Row(name="completion of a word", words=("--complete", "bash", "2", "inv", "matrix", "--")),
        Row(name="run", words=("run", "--rev", tags[0], *where)),
        Row(name="matrix of 13 releases", words=("matrix", "--revs", few, *where)),
        Row(name="matrix of 500 cells", words=("matrix", "--revs", ",".join(tags), *where),
            goal=MANY),
        Row(name="bisect", words=("bisect", "--good", tags[0], "--bad", last, "--no-verify",
                                  *search)),
        Row(name="boundaries", words=("boundaries", "--from", tags[0], "--to", last, *search)),
        Row(name="plan matrix", words=("plan", "matrix", "--revs", few, *where)),
        Row(name="plan bisect", words=("plan", "bisect", "--good", tags[0], "--bad", last,
                                       *search)),
        Row(name="build", words=("build", "--rev", tags[0], "--repo", str(repo))),
        Row(name="warm", words=("warm", "--from", tags[0], "--to", last, "--repo", str(repo))),
        Row(name="scenario check", words=("scenario", "check", SCENARIO)),
        Row(name="patch check", words=("patch", "check", "--repo", str(repo), "--revs",
                                       ",".join(tags[:3])), codes=(0, 1, 4)),
        Row(name="status", words=("status", "--out", str(out))),
        Row(name="report", words=("report", "latest", "--out", str(out))),
        Row(name="diff", words=("diff", "latest", "latest", "--out", str(out))),
    ]  # fmt: skip


def changing_rows(root: Path, out: Path) -> list[Row]:
    """Return the commands that build with a patch: of a repository below *root* of its own.

    It has 30 releases, so that a patch is checked against as many branches as of BuildKit's.
    """
    repo = root / "apart.git"
    tags = stored_machine.repository(repo, _APART, apart=True)
    fix = root / "fix"
    fix.mkdir()
    name = f"solver/n{_CULPRIT}.go"
    (fix / "patch.toml").write_text('title = "Remove the culprit"\n')
    (fix / "fix.patch").write_text(
        f"diff --git a/{name} b/{name}\ndeleted file mode 100644\n--- a/{name}\n+++ /dev/null\n"
        f"@@ -1,3 +0,0 @@\n-package solver\n-\n-const N{_CULPRIT} = {_CULPRIT}\n"
    )
    asked = (
        *("--repo", str(repo), "--scenario", SCENARIO, "--axis", "compression=gzip"),
        *("--trials", str(TRIALS), "--out", str(out)),
    )
    last = tags[_SEARCHED]  # also the base: the search ran it, and its revert is the fix
    return [
        Row(name="bisect with the revert", words=("bisect", "--good", tags[0], "--bad", last,
                                                  *asked)),
        Row(name="validate", words=("validate", "--patches", str(fix), "--base", last,
                                    "--checks", "cells", *asked)),
    ]  # fmt: skip


def shown(
    trials: Mapping[tuple[str, Axes], Sequence[Observation]],
) -> Callable[[TrialJob, str], Observation]:
    """Return what a job shows: a recorded trial, a good one without the culprit's file."""

    def of(job: TrialJob, built_from: str) -> Observation:
        axes = job.axes
        if f"n{_CULPRIT}.go" not in built_from:
            axes = _good(axes)
        return trials[job.scenario.name, axes][0]

    return of


def _good(axes: Axes) -> Axes:
    """Return the axis values of the cell that is good."""
    return tuple((k, "estargz" if k == "compression" else v) for k, v in axes)


def observed(
    trials: Mapping[tuple[str, Axes], Sequence[Observation]],
) -> stored_machine.Observed:
    """Return what cells show: the recorded trials, but good ones before the culprit."""

    def of(scenario: Scenario, axes: Axes, number: int) -> Sequence[Observation]:
        if number < _CULPRIT:
            axes = _good(axes)
        # A search proves its answer with further trials.
        return [*trials[scenario.name, axes]] * (4 if number <= _SEARCHED else 1)

    return of


def run(argv: Sequence[str], codes: Sequence[int] = (0,)) -> float:
    """Return the seconds of a process. Raises `SystemExit` unless its code is one of *codes*."""
    env = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "BKBISECT_CACHE_DIR")}
    started = time.monotonic()
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    if done.returncode not in codes:
        raise SystemExit(f"{' '.join(argv)[:200]} exited {done.returncode}: {done.stderr[-1000:]}")
    return seconds


def made(out: Path) -> list[str]:
    """Return the campaigns below *out* that built or ran something."""
    found = []
    for path in out.glob("*/result.json"):
        document = json.loads(path.read_text())
        builds = [cell["build"]["reused"] for cell in document["cells"] if cell["build"]]
        trials = [trial["reused"] for cell in document["cells"] for trial in cell["trials"]]
        if not all(builds + trials):
            found.append(path.parent.name)
    return found


def measured(chosen: Sequence[Row], rounds: int, out: Path) -> dict[str, tuple[float, float]]:
    """Return the median seconds of each row and of a bare Python beside it."""
    found = {}
    for row in chosen:
        argv = [str(PROJECT / "inv"), *row.words]
        run(argv, row.codes)
        taken = [(run(argv, row.codes), run(_BARE)) for _ in range(rounds)]
        found[row.name] = (median(t for t, _ in taken), median(bare for _, bare in taken))
        print(
            f"{row.name}: {found[row.name][0]:.2f} s, bare {found[row.name][1]:.2f} s", flush=True
        )
    if wrong := made(out):
        raise SystemExit(f"not everything was stored for {', '.join(wrong)}")
    return found


def table(found: Mapping[str, tuple[float, float]]) -> str:
    """Return the rows as a table."""
    lines = ["| command | seconds | / imports alone |", "| --- | ---: | ---: |"]
    lines += [f"| {name} | {own:.2f} | {own / bare:.1f} x |" for name, (own, bare) in found.items()]
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", default="", help="names of rows, with commas; all by default")
    parser.add_argument("--write", type=Path, metavar="DOCUMENT")
    options = parser.parse_args(words)
    stopping.removes_on_sigterm()
    trials = stored_machine.recorded(REFERENCE, [SCENARIO], TRIALS)
    with tempfile.TemporaryDirectory(prefix="warm-", dir=paths.cache_root().parent) as folder:
        root = Path(folder)
        with stored_machine.own_cache(root, ("registry", "toolchains", "tools")):
            repo, out = root / "repo.git", root / "results"
            tags = stored_machine.repository(repo, RELEASES)
            count = stored_machine.fill(repo, tags, [SCENARIO], observed(trials))
            print(f"stored {count} trials of {len(tags)} releases", flush=True)
            asked = [name for name in options.rows.split(",") if name]
            changing = changing_rows(root, out)
            for row in changing:
                stored_machine.made_once(row.words, shown(trials))
            shutil.rmtree(out)  # what was made is not what is measured
            every = [*rows(repo, tags, out), *changing]
            chosen = [r for r in every if not asked or r.name in asked]
            found = measured(chosen, options.rounds, out)
    section.put(options.write, "warm-reruns", table(found))
    missed = [row for row in chosen if found[row.name][0] > row.goal]
    for row in missed:
        print(f"{row.name} takes {found[row.name][0]:.2f} s, and {row.goal:g} s is the goal")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
