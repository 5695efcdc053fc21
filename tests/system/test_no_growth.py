"""A thousand trials in one campaign: memory, descriptors and children stay what they were."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from golang_repo import GolangRepo
from tool import argv, environment, figure

from buildkit_bisect import paths

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

TRIALS = 1000

#: From this trial on nothing may grow: imports, caches and the allocator have settled.
SETTLED = 100

#: MiB that may come on top: the observations themselves are kept, about 3 KiB each.
SLACK = 16.0

#: MiB that the campaign may have at any time.
MOST = 300.0

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


@dataclass(frozen=True, kw_only=True)
class Sample:
    trials: int
    rss: float  # MiB
    descriptors: int
    children: int


def samples(child: subprocess.Popen[bytes], out: Path) -> Iterator[Sample]:
    """What the campaign holds, every fifth of a second until it ends."""
    proc = Path(f"/proc/{child.pid}")
    page = os.sysconf("SC_PAGE_SIZE") / 2**20
    told, read = 0, 0
    while child.poll() is None:
        time.sleep(0.2)
        for events in out.glob("*/events.jsonl"):
            with events.open() as lines:
                lines.seek(read)
                new = lines.read()
                read = lines.tell()
            told += new.count('"TrialDone"')
        try:
            yield Sample(
                trials=told,
                rss=int((proc / "statm").read_text().split()[1]) * page,
                descriptors=len(list((proc / "fd").iterdir())),
                children=sum(len(p.read_text().split()) for p in proc.glob("task/*/children")),
            )
        except OSError:  # it has ended between the look and the question
            return


def typical(of: list[Sample], what: str) -> float:
    """The lowest of ten neighbours: what is held between trials, not in the middle of one."""
    return float(min(getattr(s, what) for s in of))


def test_a_thousand_trials_do_not_grow(tmp_path: Path) -> None:
    repo = GolangRepo.create(tmp_path / "upstream")
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
    with (tmp_path / "said").open("wb") as said, subprocess.Popen(
        argv(*words), env=environment({"BKBISECT_CACHE_DIR": str(cache)}),
        stdout=said, stderr=said, start_new_session=True,
    ) as child:  # fmt: skip
        try:
            seen = list(samples(child, out))
        finally:
            child.kill()
    took = time.monotonic() - began
    assert child.returncode == 0, (tmp_path / "said").read_text()
    (result,) = out.glob("*/result.json")
    (cell,) = json.loads(result.read_text())["cells"]
    assert (cell["outcome"], len(cell["trials"])) == ("built", TRIALS)

    running = [s for s in seen if SETTLED <= s.trials < TRIALS]
    assert len(running) >= 40, "too few samples to tell"
    first, last = running[:10], running[-10:]
    figures = {w: (typical(first, w), typical(last, w)) for w in ("rss", "descriptors", "children")}
    most = max(s.rss for s in seen)
    figure(
        f"{TRIALS:,} trials in one campaign, trial {first[0].trials} → {last[-1].trials}",
        ", ".join(
            f"{name} {figures[what][0]:.0f} → {figures[what][1]:.0f}{unit}"
            for what, name, unit in (
                ("rss", "memory", f" MiB (most {most:.0f})"),
                ("descriptors", "file descriptors", ""),
                ("children", "child processes", ""),
            )
        )
        + f"; {took:.0f} s",
    )
    assert most < MOST
    assert figures["rss"][1] - figures["rss"][0] < SLACK
    assert figures["descriptors"][1] <= figures["descriptors"][0]
    assert figures["children"][1] <= figures["children"][0]
    # Not only the lowest: no trial late in the campaign holds more than an early one did.
    early = [s for s in running if s.trials < TRIALS // 2]
    late = [s for s in running if s.trials >= TRIALS // 2]
    for what in ("descriptors", "children"):
        assert max(getattr(s, what) for s in late) <= max(getattr(s, what) for s in early) + 1
    assert not list((cache / "tmp").iterdir())
