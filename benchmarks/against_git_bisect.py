"""Seconds from a question to its commit: `./inv bisect` beside `git bisect run`.

    benchmarks/against_git_bisect.py --repo ~/src/buildkit --keep DIR --write docs/performance.md

The same range, test script (`label_leak.sh`), versions of Go and machine, one after the other:

- cold: both begin without a Go cache, a build or a trial;
- warm: each begins with the Go cache that the other left when it was cold, and nothing else.

Ours has a cache directory of its own, with links to what builds do not change: Go modules and
toolchains, the mirror, the inputs of commits, tools. Git works in a plain clone that is there, and
`git_bisect_step.sh` is what it runs: both programs, with the flags of our builds but with
debug information, as a developer would build them, by the Go that the commit's Dockerfile names
(*one Go*: by the newest of them). Git follows first parents, then bisects the merge that it found;
with ``--walk whole`` it bisects all commits at once.

Each run is a line of ``DIR/runs.jsonl``, and the table is made of all of them: so rows, ranges and
ways may be measured apart. Exits with 1 if the answers differ, or a goal is missed. Needs root, an
idle machine, about 12 GB, and an hour and a half for everything.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

import section
import stopping

from buildkit_bisect import events as ev
from buildkit_bisect.builds import Recipe
from buildkit_bisect.golang.provision import Toolchains
from buildkit_bisect.golang.toolchain import host_arch, wanted
from buildkit_bisect.live import recorder
from buildkit_bisect.source import GitSource
from buildkit_bisect.system import paths

#: Goals for the proven commit: our seconds divided by git's to its unproven one.
GOALS = {"cold": 0.5, "warm": 0.3}

RANGES = ("v0.28.0..v0.32.0", "v0.26.0..v0.32.2")
ROWS = ("cold", "warm")
OURS, GIT, ONE_GO = "./inv bisect", "git bisect run", "git bisect run, one Go"
WAYS = {"ours": OURS, "git": GIT, "one-go": ONE_GO}

#: Of our cache, what a build does not change.
SHARED = ("gomod", "inputs", "mirrors", "toolchains", "tools")

HERE = Path(__file__).resolve().parent
TEST = HERE / "label_leak.sh"
STEP = HERE / "git_bisect_step.sh"

_FOUND = re.compile(r"^([0-9a-f]{40}) is the first \w+ commit$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One bisection. Times are seconds since its start, *parts* those of each kind of work."""

    between: str
    row: str
    way: str
    found: str  # commit id
    to_commit: float  # the last commit that the answer needed was tested
    proven: float  # 0: never
    whole: float
    builds: int
    trials: int
    steps: int
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where everything is."""

    repo: str
    keep: Path
    walk: str
    tests: Path

    def left(self, between: str, way: str) -> Path:
        """Return the folder with the Go cache that a cold run left."""
        return self.keep / f"{between}-{way}"


# --- ours


def ours(bench: Bench, between: str, row: str, gocache: Path | None) -> Run:
    """Bisect by this tool. Keeps the Go cache of a cold run."""
    with tempfile.TemporaryDirectory(prefix="against-", dir=bench.keep) as folder:
        root = Path(folder) / "cache"
        root.mkdir()
        for name in SHARED:
            (root / name).symlink_to(paths.cache(name).resolve())
        if gocache:
            _link(gocache, root / "gocache")
        out = Path(folder) / "out"
        began = time.time()
        _run(
            [HERE.parent / "inv", "bisect", between, "--repo", bench.repo, "--script", bench.tests],
            ["--out", out, "--source", "git"],
            env={"BKBISECT_CACHE_DIR": str(root)},
        )
        whole = time.time() - began
        if row == "cold":
            _replace(root / "gocache", bench.left(between, "ours"))
        (result,) = out.glob("*/result.json")
        found = json.loads(result.read_text())["bisect"]
        shutil.copytree(result.parent, bench.keep / "campaigns" / result.parent.name)
        tells = Timeline(began=began)
        for event, now in recorder.events(result.parent / "events.jsonl"):
            tells.take(event, now)
    return Run(
        between=between,
        row=row,
        way=OURS,
        found=found.get("first_bad", ""),
        to_commit=tells.to_commit - began,
        proven=tells.last_step - began,
        whole=whole,
        builds=tells.builds,
        trials=tells.trials,
        steps=tells.steps,
        parts=tells.parts(began + whole),
    )


class Timeline:
    """Where the seconds of a campaign went, by its recorded events."""

    def __init__(self, *, began: float) -> None:
        self.builds = self.trials = self.steps = 0
        self.to_commit = self.last_step = self._first = began
        self._began = began
        self._seen: set[str] = set()
        self._step: tuple[str, float] = ("", began)  # what its builds are for, and its start
        self._built = self._package = began
        self._tried: float | None = None  # the start of the trial that runs
        self._spent: dict[str, float] = {}
        self._work = 0.0  # builds and trials of the steps

    def take(self, event: ev.Event, now: float) -> None:
        """Take in an event and its time."""
        match event:
            case ev.StepAsked():
                if not self.steps:
                    self._first = now
                self.steps += 1
                self._step = (_kind(event), now)
            case ev.StepDone():
                self.last_step = now
                if event.row not in self._seen:
                    self._seen.add(event.row)
                    self.to_commit = now
            case ev.TrialStarted():
                self._tried = now
            case ev.TrialDone() if self._tried is not None:  # not one of an equal build
                self.trials += 1
                self._add("trials", now - self._tried)
                self._tried = None
            case ev.Worked() if event.what.startswith("waiting"):
                self._spent["waiting"] = self._spent.get("waiting", 0.0) + event.seconds
            case _:
                self._take_build(event, now)

    def _take_build(self, event: ev.Event, now: float) -> None:
        match event:
            case ev.BuildStarted():
                self._built = self._package = now
            case ev.BuildProgress():
                self._package = now
            case ev.BuildDone(reused=False):
                self._build(event.seconds, now)
            case _:
                pass

    def _build(self, seconds: float, now: float) -> None:
        """Take in a build that has ended, whose `go build` took *seconds*."""
        self.builds += 1
        kind = self._step[0] if self.last_step < self._step[1] else "the revert"
        self._add(kind, now - self._built)
        self._spent["links"] = self._spent.get("links", 0.0) + min(seconds, now - self._package)
        around = now - self._built - seconds
        self._spent["trees"] = self._spent.get("trees", 0.0) + around

    def _add(self, kind: str, seconds: float) -> None:
        self._spent[kind] = self._spent.get(kind, 0.0) + seconds
        if self.last_step < self._step[1]:
            self._work += seconds

    def parts(self, ended: float) -> dict[str, float]:
        """Return the seconds of each part of a run that has *ended*; `links` are within builds."""
        return {
            "start": self._first - self._began,
            **self._spent,
            "orchestration": self.last_step - self._first - self._work,
            "after": ended - self.last_step,
        }


def _kind(event: ev.StepAsked) -> str:
    """Return what a step is for, by what it says."""
    if not event.why.startswith("gate:"):
        return "builds"
    return "merge base" if "merge base" in event.why else "ends"


# --- git


def git(bench: Bench, between: str, row: str, gocache: Path | None, *, one_go: bool = False) -> Run:
    """Bisect by `git bisect run`. Keeps the Go cache of a cold run."""
    good, bad = between.split("..")
    with tempfile.TemporaryDirectory(prefix="against-", dir=bench.keep) as folder:
        work = Path(folder)
        clone, own = work / "clone", work / "gocache"
        _run(["git", "clone", "--quiet", "--shared", bench.repo, clone])
        compilers(bench, between, work, one_go=one_go)
        if gocache:
            _link(gocache, own)
        env = {
            "AGAINST": str(work),
            "TEST": str(bench.tests),
            "TAGS": Recipe(goarch=host_arch()).tags,
            "GOCACHE": str(own),
        }
        began = time.time()
        found = _bisect(clone, good, bad, env, first_parent=bench.walk == "first-parent")
        parents = _git(clone, "rev-list", "--parents", "-n", "1", found).split()[1:]
        if bench.walk == "first-parent" and len(parents) > 1:
            found = _bisect(clone, parents[0], found, env)
        whole = time.time() - began
        if row == "cold" and not one_go:
            _replace(own, bench.left(between, "git"))
        steps = [[float(t) for t in line.split()[1:]] for line in (work / "log").open()]
    links = sum(built - compiled for _, compiled, built, _ in steps)
    builds = sum(built - start for start, _, built, _ in steps)
    trials = sum(end - built for _, _, built, end in steps)
    return Run(
        between=between,
        row=row,
        way=ONE_GO if one_go else GIT,
        found=found,
        to_commit=whole,
        proven=0.0,
        whole=whole,
        builds=len(steps),
        trials=sum(end > built for _, _, built, end in steps),
        steps=len(steps),
        parts={
            "builds": builds,
            "links": links,
            "trials": trials,
            "orchestration": whole - builds - trials,
        },
    )


def _bisect(
    clone: Path, good: str, bad: str, env: Mapping[str, str], *, first_parent: bool = False
) -> str:
    """Return the commit that `git bisect run` names."""
    flags = ["--first-parent"] if first_parent else []
    _git(clone, "bisect", "start", *flags, bad, good)
    shown = _run(["git", "bisect", "run", STEP], cwd=clone, env=env)
    _git(clone, "bisect", "reset")
    found = _FOUND.search(shown)
    if not found:
        raise SystemExit(f"git bisect run names no commit:\n{shown[-2000:]}")
    return found[1]


def compilers(bench: Bench, between: str, folder: Path, *, one_go: bool) -> None:
    """Write a `go-MINOR` into *folder* for each Go that commits of the range name."""
    source = GitSource.open(bench.repo)
    good, bad = (source.resolve(ref).sha for ref in between.split(".."))
    commits = [good, *source.parents([bad], [good])]
    found: dict[str, str] = {}
    newest = (0, 0)
    for sha in {go: sha for sha, go in source.go_versions(commits).items()}.values():
        revision = source.revision(sha, ref=sha[:12])
        want = wanted(*(source.read(revision, name) for name in ("Dockerfile", "go.mod")))
        found[".".join(map(str, want.minor))] = Toolchains().find(want).go
        newest = max(newest, want.minor)
    for minor, own in found.items():
        program = folder / f"go-{minor}"
        go = found[".".join(map(str, newest))] if one_go else own
        program.write_text(f'#!/bin/sh\nexec "{go}" "$@"\n')
        program.chmod(0o755)


# --- both


def _run(
    *words: Sequence[object], cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Return what a command printed; its output goes to the terminal too. Ends with the process."""
    argv = [str(word) for part in words for word in part]
    kept = {k: v for k, v in os.environ.items() if k not in ("GOFLAGS", "GOROOT")}
    lines = []
    with subprocess.Popen(
        argv,
        cwd=cwd,
        env={**kept, **(env or {})},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as child:
        assert child.stdout
        try:
            for line in child.stdout:
                lines.append(line)
                sys.stdout.write(f"  {line}")
                sys.stdout.flush()
        except BaseException:
            os.killpg(child.pid, signal.SIGTERM)
            raise
    if child.returncode:
        raise SystemExit(f"{' '.join(argv)} exited with {child.returncode}")
    return "".join(lines)


def _git(clone: Path, *words: str) -> str:
    return subprocess.run(
        ["/usr/bin/env", "git", *words], cwd=clone, check=True, text=True, stdout=subprocess.PIPE
    ).stdout


def _link(folder: Path, target: Path) -> None:
    subprocess.run(["/usr/bin/env", "cp", "-al", str(folder), str(target)], check=True)


def _replace(folder: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    folder.rename(target)


def measure(bench: Bench, between: str, row: str, way: str) -> Run:
    """Measure one way, and store what it took."""
    gocache = None
    if row == "warm":
        gocache = bench.left(between, "git" if way == "ours" else "ours")
        if not gocache.is_dir():
            raise SystemExit(f"{gocache} does not exist: measure the cold row first, with --keep")
    print(f"{between}, {row}: {WAYS[way]}", flush=True)
    if way == "ours":
        run = ours(bench, between, row, gocache)
    else:
        run = git(bench, between, row, gocache, one_go=way == "one-go")
    with (bench.keep / "runs.jsonl").open("a") as file:
        file.write(json.dumps(asdict(run)) + "\n")
    return run


def stored(keep: Path) -> list[Run]:
    """Return all runs that were measured."""
    file = keep / "runs.jsonl"
    return [Run(**json.loads(line)) for line in file.read_text().splitlines()]


def groups(runs: Sequence[Run]) -> Iterator[tuple[str, str, dict[str, list[Run]]]]:
    """Yield range, row, and the runs of each way."""
    for between, row in dict.fromkeys((r.between, r.row) for r in runs):
        these = [r for r in runs if (r.between, r.row) == (between, row)]
        yield between, row, {w: f for w in WAYS.values() if (f := [r for r in these if r.way == w])}


def table(runs: Sequence[Run]) -> str:
    """Return the medians of all runs, and where their seconds went, as two tables."""
    lines = [
        "| range | caches | | to the commit | proven | all | / git | builds | trials |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for between, row, ways in groups(runs):
        base = median(r.to_commit for r in ways[GIT]) if GIT in ways else 0.0
        for way, found in ways.items():
            proven = median(r.proven for r in found)
            ratio = f"{(proven or median(r.to_commit for r in found)) / base:.2f} x" if base else ""
            lines.append(
                f"| {between} | {row} | `{way}` | {median(r.to_commit for r in found):.0f} s |"
                f" {f'{proven:.0f} s' if proven else 'never'} |"
                f" {median(r.whole for r in found):.0f} s | {ratio} |"
                f" {median(r.builds for r in found):g} | {median(r.trials for r in found):g} |"
            )
    names = dict.fromkeys(PARTS)
    shown = " | ".join([*PARTS.values(), "links, of the builds", "orchestration, each step"])
    head = [f"| range | caches | | {shown} |", f"| --- | --- | --- |{' ---: |' * (len(PARTS) + 2)}"]
    lines += ["", "Where the seconds go:", "", *head]
    for between, row, ways in groups(runs):
        for way, found in ways.items():
            parts = " | ".join(_part(found, name) for name in names)
            each = median(r.parts["orchestration"] / r.steps for r in found)
            lines.append(
                f"| {between} | {row} | `{way}` | {parts} | {_part(found, 'links')} |"
                f" {1000 * each:.0f} ms |"
            )
    return "\n".join(lines)


#: Parts of a run, and what the table calls them.
PARTS = {
    "start": "start",
    "ends": "builds of the ends",
    "merge base": "of the merge base",
    "builds": "of the search",
    "the revert": "of the revert",
    "trials": "trials",
    "waiting": "waiting",
    "orchestration": "orchestration",
}


def _part(runs: Sequence[Run], name: str) -> str:
    seconds = [r.parts[name] for r in runs if name in r.parts]
    return f"{median(seconds):.1f} s" if seconds else ""


def wrong(runs: Sequence[Run]) -> list[str]:
    """Return what is not as it should be: other answers, and goals that are missed."""
    found = []
    for between, row, ways in groups(runs):
        answers = {r.found for each in ways.values() for r in each}
        if len(answers) > 1:
            found.append(f"{between}, {row}: different answers: {', '.join(sorted(answers))}")
        if OURS in ways and GIT in ways:
            proven = median(r.proven for r in ways[OURS])
            ratio = proven / median(r.to_commit for r in ways[GIT])
            if ratio > GOALS[row]:
                found.append(f"{between}, {row}: {ratio:.2f} x of git; {GOALS[row]} is the goal")
    return found


@contextmanager
def _kept(keep: Path | None) -> Iterator[Path]:
    """Provide the folder for Go caches and runs."""
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="against-", dir=paths.cache_root().parent) as folder:
        yield Path(folder)


def main(words: Sequence[str] | None = None) -> int:
    """Measure, and print or write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repo", required=True, help="a clone of moby/buildkit")
    parser.add_argument("--ranges", default=",".join(RANGES), help="GOOD..BAD, with commas")
    parser.add_argument("--rows", default=",".join(ROWS), help="cold, warm, or both")
    parser.add_argument("--ways", default=",".join(WAYS), help="ours, git, one-go, with commas")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--walk", choices=("first-parent", "whole"), default="first-parent")
    parser.add_argument("--test", type=Path, default=TEST, help="another test script")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where runs and Go caches stay")
    parser.add_argument("--write", type=Path, metavar="DOCUMENT")
    options = parser.parse_args(words)
    stopping.removes_on_sigterm()
    with _kept(options.keep) as keep:
        bench = Bench(repo=options.repo, keep=keep, walk=options.walk, tests=options.test.resolve())
        for _ in range(options.rounds):
            for between in options.ranges.split(","):
                for row in options.rows.split(","):
                    for way in options.ways.split(","):
                        if row == "warm" and way == "one-go":
                            continue  # ours has no builds of other commits by that Go
                        run = measure(bench, between, row, way)
                        print(
                            f"{run.found}: {run.to_commit:.0f} s, proven {run.proven:.0f} s,"
                            f" {run.builds} builds, {run.parts}",
                            flush=True,
                        )
        runs = stored(keep)
    section.put(options.write, "against-git-bisect", table(runs))
    missed = wrong(runs)
    for line in missed:
        print(line)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
