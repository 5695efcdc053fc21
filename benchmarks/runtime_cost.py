"""The cost of containers: an image from built binaries, and one trial on each runtime.

    .venv/bin/python benchmarks/runtime_cost.py [--trials 5] [--rev v0.25.0]

Starts its own Docker Engines, runs the same cells on host and docker, then on host and buildx, and
compares the medians with the limits. Exits with 1 if a limit is exceeded. Needs an idle machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests" / "support"))

import engine as engines  # noqa: E402
from tool import argv, environment  # noqa: E402

IMAGE_BOUND = 5.0  # seconds
BOUNDS = {"docker": 2.0, "buildx": 4.0}  # times the host runtime's wall time


def document(engine: engines.TestEngine, *words: str) -> dict[str, Any]:
    """Run a task; return its output with --json."""
    done = subprocess.run(
        argv(*words, "--json"),
        env=environment(engine.environment),
        stdout=subprocess.PIPE,
        text=True,
        timeout=3600,
        check=True,
    )
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


def image_seconds(engine: engines.TestEngine, rev: str) -> float:
    """Return the seconds for an image if binaries and base image exist."""
    source = ("build", "--source", "module", "--rev")
    document(engine, *source, rev)
    document(engine, *source, rev, "--image")
    with tempfile.TemporaryDirectory() as folder:
        # With another base it is another image, made from the same binaries.
        base = Path(folder) / "base.tar"
        base.write_bytes(b"\0" * 1024)
        client = engine.client()
        client.api.import_image_from_file(str(base), repository="empty", tag="1")
        client.close()
    made = document(engine, *source, rev, "--image", "--base-image", "empty:1")
    assert not made["image"]["reused"]
    return float(made["image"]["seconds"])


def trial_seconds(
    engine: engines.TestEngine, rev: str, trials: int, runtime: str
) -> dict[str, float]:
    """Return the median seconds of a trial on host and *runtime*, over an eager and a lazy cell."""
    with tempfile.TemporaryDirectory() as out:
        result = document(
            engine,
            *("run", "--rev", rev, "--source", "module", "--scenario", "cross-stage-lazy"),
            *("--axis", "snapshotter=overlayfs,stargz", "--axis", "bases=different"),
            *("--runtime", f"host,{runtime}", "--trials", str(trials), "--fresh"),
            *("--out", out),
        )
    seconds: dict[str, list[float]] = {}
    for cell in result["cells"]:
        seconds.setdefault(cell["axes"]["runtime"], []).extend(
            trial["seconds"] for trial in cell["trials"]
        )
    return {runtime: statistics.median(all_of) for runtime, all_of in seconds.items()}


def main() -> int:
    """Measure and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--rev", default="v0.25.0")
    chosen = parser.parse_args()
    broken = False
    for runtime, bound in BOUNDS.items():
        # On a machine that lacks a capability, `docker` asks for the others and runs runc itself;
        # buildx asks for all and runs the tests' replacement for runc, which costs about 0.1 s per
        # `docker exec`.
        with engines.running(plain=runtime == "docker") as engine:
            if runtime == "docker":
                made = image_seconds(engine, chosen.rev)
                print(f"image from built binaries: {made:.1f} s (bound {IMAGE_BOUND:.0f} s)")
                broken = made > IMAGE_BOUND
            medians = trial_seconds(engine, chosen.rev, chosen.trials, runtime)
        ratio = medians[runtime] / medians["host"]
        broken = broken or ratio > bound
        print(
            f"{runtime}: {medians[runtime]:.2f} s, host {medians['host']:.2f} s: "
            f"{ratio:.1f} x (bound {bound:.0f} x)",
            flush=True,
        )
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
