"""A thousand trials in one campaign: memory, file descriptors and children do not grow."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from buildkit_bisect.system import paths
from golang_repo import GolangRepo
from tool import argv, environment, figure

pytestmark = [pytest.mark.system, pytest.mark.timeout(900), pytest.mark.alone]

TRIALS = 1000

#: Nothing may grow after this trial, when imports, caches and the allocator are stable.
SETTLED = 100

#: MiB by which memory may grow, because observations are kept, about 3 KiB each.
SLACK = 16.0

#: MiB that the campaign may use at any time.
MOST = 300.0

#: Descriptors or children that one sample in the middle of a trial may see and another may not. A
#: leak in one trial of fifty adds up to more in half a campaign.
CHANCE = 8

SCENARIO = """
schema = 1
name = "small"
title = "A daemon, a build, an answer"
issue = "https://example.org"
[[steps]]
id = "build"
action = "build"
dockerfile = "Dockerfile"
[[outcomes]]
name = "built"
verdict = "good"
means = "the build succeeded"
all = [{ step = "build", exit = "ok" }]
"""


#: A program that lists the options that the tool looks for, and reports one vertex of a build.
BUILDCTL = """package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) > 1 && os.Args[len(os.Args)-1] == "--help" {
		fmt.Println("  --progress value  (auto, plain, tty, rawjson)")
		fmt.Println("  --export-cache value")
		fmt.Println("  --frontend value")
		fmt.Println("  --import-cache value")
		fmt.Println("  --local value")
		fmt.Println("  --opt value")
		fmt.Println("  --output value")
		return
	}
	fmt.Fprintln(os.Stderr, `{"vertexes": [{"digest": "sha256:00", "name": "load",` +
		` "started": "2026-01-01T00:00:00Z", "completed": "2026-01-01T00:00:01Z"}]}`)
}
"""


@dataclass(frozen=True, kw_only=True)
class Sample:
    trials: int
    rss: float  # MiB
    descriptors: frozenset[str]  # number and target of each
    children: frozenset[str]  # process ids


def samples(child: subprocess.Popen[bytes], out: Path) -> Iterator[Sample]:
    """Yield the campaign's resources every fifth of a second until it ends."""
    proc = Path(f"/proc/{child.pid}")
    page = os.sysconf("SC_PAGE_SIZE") / 2**20
    done, read = 0, 0
    while child.poll() is None:
        time.sleep(0.2)
        for events in out.glob("*/events.jsonl"):
            with events.open() as lines:
                lines.seek(read)
                new = lines.read()
                read = lines.tell()
            done += new.count('"TrialDone"')
        try:
            yield Sample(
                trials=done,
                rss=int((proc / "statm").read_text().split()[1]) * page,
                descriptors=frozenset(opened(proc / "fd")),
                children=frozenset(
                    pid for p in proc.glob("task/*/children") for pid in p.read_text().split()
                ),
            )
        except OSError:  # the process or one of its threads has ended meanwhile
            continue


def opened(folder: Path) -> Iterator[str]:
    for number in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            yield f"{number.name} {number.readlink()}"


def neighbours(of: list[Sample]) -> list[Sample]:
    """Return the first ten samples, or more until they cover several trials, which may be slow."""
    count = 10
    while count < len(of) and len({s.trials for s in of[:count]}) < 5:
        count += 1
    return of[:count]


def held(of: list[Sample], what: str) -> frozenset[str]:
    """Return what all samples have, that is what is kept across trials."""
    return frozenset.intersection(*(getattr(s, what) for s in of))


def seen_in(of: list[Sample], what: str) -> frozenset[str]:
    return frozenset.union(*(getattr(s, what) for s in of))


def test_a_thousand_trials_use_constant_resources(tmp_path: Path) -> None:
    repo = GolangRepo.create(tmp_path / "upstream")
    repo.commit("buildctl", {"cmd/buildctl/main.go": BUILDCTL})
    scenario, out, cache = (tmp_path / n for n in ("small", "out", "cache"))
    for folder in (scenario, cache):
        folder.mkdir()
    (scenario / "scenario.toml").write_text(SCENARIO)
    (scenario / "Dockerfile").write_text("FROM scratch\n")
    for name in ("toolchains", "gocache", "gomod"):
        (cache / name).symlink_to(paths.cache(name))
    words = ("run", "--rev", "master", "--repo", str(repo.path), "--scenario", str(scenario),
             "--trials", str(TRIALS), "--out", str(out))  # fmt: skip
    began = time.monotonic()
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(
        argv(*words), env=environment({"BKBISECT_CACHE_DIR": str(cache)}),
        stdout=log, stderr=log, start_new_session=True,
    ) as child:  # fmt: skip
        try:
            seen = list(samples(child, out))
        finally:
            child.kill()
    took = time.monotonic() - began
    assert child.returncode == 0, (tmp_path / "log").read_text()
    (result,) = out.glob("*/result.json")
    (cell,) = json.loads(result.read_text())["cells"]
    assert (cell["outcome"], len(cell["trials"])) == ("built", TRIALS)

    running = [s for s in seen if SETTLED <= s.trials < TRIALS]
    assert len(running) >= 40, "too few samples"
    first, last = neighbours(running), neighbours(running[::-1])
    memory = [min(s.rss for s in of) for of in (first, last)]
    counts = {
        what: [len(held(of, what)) for of in (first, last)] for what in ("descriptors", "children")
    }
    most = max(s.rss for s in seen)
    figure(
        f"{TRIALS:,} trials in one campaign, trial {first[0].trials} → {last[0].trials}",
        f"memory {memory[0]:.0f} → {memory[1]:.0f} MiB (most {most:.0f}), "
        + ", ".join(
            f"{name} {counts[what][0]} → {counts[what][1]}"
            for what, name in (("descriptors", "file descriptors"), ("children", "child processes"))
        )
        + f"; {took:.0f} s",
    )
    assert most < MOST
    assert memory[1] - memory[0] < SLACK
    # Compare the descriptors themselves, not their number: a trial opens and closes a lock and
    # pipes all the time, and ten samples may all see them, or one of them may not.
    early = [s for s in running if s.trials < TRIALS // 2]
    late = [s for s in running if s.trials >= TRIALS // 2]
    for what in ("descriptors", "children"):
        assert not held(last, what) - seen_in(early, what)
        # Late trials do not have more than early ones either, except by chance of the samples.
        assert max(len(getattr(s, what)) for s in late) <= CHANCE + max(
            len(getattr(s, what)) for s in early
        )
    assert not list((cache / "tmp").iterdir())
