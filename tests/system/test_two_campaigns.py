"""Two concurrent campaigns on one cache: both are right, and neither waits long for the other."""

from __future__ import annotations

import itertools
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from buildkit_bisect.system import paths
from golang_repo import GolangRepo, buildkit_like
from tool import argv, environment, figure

pytestmark = [pytest.mark.system, pytest.mark.alone]

SCRIPT = """#!/bin/sh
sleep 0.4
"$BKBISECT_BUILDKITD" > seen
"""

TRIALS = 12
REVISIONS = "v0.1.0,v0.2.0,master"

#: Seconds of the two programs' own work between waits, in Python and SQLite, on a machine that runs
#: two campaigns. All trials of the other campaign together take more than twice that.
OWN = 8.0


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> GolangRepo:
    return buildkit_like(tmp_path_factory.mktemp("repo") / "upstream", broken=False)


def test_two_campaigns_share_a_cache_and_take_turns(repo: GolangRepo, tmp_path: Path) -> None:
    cache, script = tmp_path / "cache", tmp_path / "script"
    cache.mkdir()
    for name in ("toolchains", "gocache", "gomod"):
        (cache / name).symlink_to(paths.cache(name))
    script.write_text(SCRIPT)
    script.chmod(0o755)
    words = ("matrix", "--repo", str(repo.path), "--revs", REVISIONS, "--script", str(script),
             "--trials", str(TRIALS), "--fresh")  # fmt: skip
    outs = [tmp_path / name for name in ("one", "two")]
    running = [
        subprocess.Popen(
            argv(*words, "--out", str(out)), env=environment({"BKBISECT_CACHE_DIR": str(cache)}),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for out in outs
    ]  # fmt: skip
    for child in running:
        _, stderr = child.communicate(timeout=600)
        assert child.returncode == 0, stderr

    for out in outs:
        (result,) = (json.loads(p.read_text()) for p in out.glob("*/result.json"))
        assert [c["counts"] for c in result["cells"]] == [{"script-good": TRIALS}] * 3

    longest = 0.0
    for mine, other in (outs, outs[::-1]):
        waits, work = _waits(mine), _work(other)
        longest = max(longest, *waits)
        assert max(waits) <= max(work) + OWN
    # They alternated: a campaign that ran alone would not have waited.
    assert longest > 0.3
    figure(
        "longest wait of one of two campaigns on one cache before a build or a trial",
        f"{longest:.1f} s; the other's longest build or trial took"
        f" {max(_work(outs[0]) + _work(outs[1])):.1f} s",
    )


def _events(out: Path) -> list[dict[str, Any]]:
    (file,) = out.glob("*/events.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def _pairs(out: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return each event with the previous one."""
    return list(itertools.pairwise(_events(out)))


def _waits(out: Path) -> list[float]:
    """Return the seconds before each trial, and of each build that the other campaign made."""
    return [
        after["t"] - before["t"]
        for before, after in _pairs(out)
        if after["event"] == "TrialStarted"
        or (before["event"] == "BuildStarted" and after.get("reused"))
    ]


def _work(out: Path) -> list[float]:
    """Return the seconds of each build and each trial."""
    return [
        after["t"] - before["t"]
        for before, after in _pairs(out)
        if before["event"] in ("BuildStarted", "TrialStarted")
    ]
