r"""A bisection by one worker and by three: rounds, builds, and seconds to the proven commit.

    benchmarks/several_workers.py --repo ~/src/buildkit --gocache DIR --write docs/scaling.md

A Dask scheduler, a store (a registry on loopback) and workers, all of this machine. Each worker has
a cache of its own, which begins with copies of the Go modules, toolchains and the Go cache *DIR*.
Because three workers share the cores of one machine, each configuration is measured twice:

- with a quota (cgroup ``cpu``) of half a core for each worker, so that three have three times
  what one has, as three machines have; home, the scheduler and the store have the rest of two;
- with none: three workers have what one has, the cores of this machine.

And each with builds that are compiled, then again by new workers without a Go cache, which pull the
same builds from the store. The search asks for as many commits at once as there are workers, and
ends with the proof. Needs root, an idle machine and about half an hour. Exits with 1 if the
searches find different commits.
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
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import section
import stopping

from buildkit_bisect import events as ev
from buildkit_bisect.live import recorder
from buildkit_bisect.runtime import registry
from buildkit_bisect.system import paths

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests" / "support"))

import cluster  # noqa: E402
from tool import argv, environment  # noqa: E402

#: Of a cache, what no build changes.
_SHARED = ("gomod", "inputs", "mirrors", "toolchains", "tools")

_V1, _V2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
_PERIOD = 100_000  # µs

TEST = Path(__file__).resolve().parent / "label_leak.sh"


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One bisection."""

    workers: int
    cores: str
    begins: str  # with what
    found: str  # commit id
    rounds: int
    builds: int
    pulled: int
    trials: int
    seconds: float  # from the first ask to the last commit that was run


def rounds(events: Iterable[tuple[ev.Event, float]]) -> tuple[int, float]:
    """Return the rounds of a search, and the seconds from its first ask to its last verdict."""
    count, open_round, first, last = 0, False, 0.0, 0.0
    for event, now in events:
        match event:
            case ev.StepAsked():
                first = first or now
                count += not open_round
                open_round = True
            case ev.StepDone():
                open_round, last = False, now
            case _:
                pass
    return count, last - first


@contextmanager
def limited(name: str, cores: float) -> Iterator[Path | None]:
    """Provide the file that takes processes into a new cgroup with *cores*; none for 0."""
    if not cores:
        yield None
        return
    old = (_V1 / "cpu.cfs_quota_us").exists()
    group = (_V1 if old else _V2) / name
    group.mkdir()
    quota = int(cores * _PERIOD)
    if old:
        (group / "cpu.cfs_period_us").write_text(str(_PERIOD))
        (group / "cpu.cfs_quota_us").write_text(str(quota))
    else:
        (group / "cpu.max").write_text(f"{quota} {_PERIOD}")
    try:
        yield group / "cgroup.procs"
    finally:
        cluster.soon(lambda: not (group / "cgroup.procs").read_text(), what=group)
        group.rmdir()


def inside(processes: Path | None, words: list[str]) -> list[str]:
    """Return a command line of *words* that joins the cgroup before it starts anything."""
    if not processes:
        return words
    return ["/bin/sh", "-c", 'echo $$ >"$0"; exec "$@"', str(processes), *words]


def own_cache(root: Path, gocache: Path | None) -> Path:
    """Return a new cache below *root*, with a copy of *gocache* by hard links."""
    cache = root / "cache"
    cache.mkdir(parents=True)
    for name in _SHARED:
        (cache / name).symlink_to(paths.cache(name).resolve())
    if gocache:
        subprocess.run(
            ["/usr/bin/env", "cp", "-al", str(gocache), str(cache / "gocache")], check=True
        )
    return cache


@contextmanager
def worker(
    at: cluster.Cluster, name: str, cores: float, gocache: Path | None, store: str
) -> Iterator[None]:
    """Provide a worker."""
    folder = at.root / name
    cache = own_cache(folder, gocache)
    words = argv("worker", at.where, "--worker-name", name, "--store", store, "--store-push")
    with limited(f"several-{name}-{os.getpid()}", cores) as processes:
        with (folder / "log").open("wb") as log:
            child = subprocess.Popen(
                inside(processes, words),
                env=environment({"BKBISECT_CACHE_DIR": str(cache)}),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            cluster.soon(lambda: b"waits for work" in (folder / "log").read_bytes(), what=folder)
            yield
        finally:
            child.terminate()
            child.wait(60)


@contextmanager
def workers(
    at: cluster.Cluster, count: int, cores: float, gocache: Path | None, store: str
) -> Iterator[None]:
    """Provide so many workers."""
    if not count:
        yield
        return
    with (
        worker(at, f"w{count}", cores, gocache, store),
        workers(at, count - 1, cores, gocache, store),
    ):
        yield


def bisected(
    options: argparse.Namespace, place: Path, count: int, cores: float, store: str, *, pulls: bool
) -> Run:
    """Bisect with new workers."""
    gocache = None if pulls else options.gocache.resolve()
    with (
        tempfile.TemporaryDirectory(dir=place) as folder,
        cluster.scheduling(Path(folder) / "cluster") as at,
        workers(at, count, cores, gocache, store),
    ):
        out = Path(folder) / "out"
        home = own_cache(Path(folder) / "home", None)
        subprocess.run(
            argv(
                *("bisect", options.range, "--repo", options.repo, "--script", str(options.test)),
                *(
                    "--source",
                    "git",
                    "--trials",
                    "2",
                    "--no-verify",
                    "--out",
                    str(out),
                    *at.executor,
                ),
            ),
            env=environment({"BKBISECT_CACHE_DIR": str(home)}),
            check=True,
        )
        (document,) = out.glob("*/result.json")
        result = json.loads(document.read_text())
        number, seconds = rounds(recorder.events(document.parent / "events.jsonl"))
    builds = {c["build"]["key"]: c["build"]["pulled_from"] for c in result["cells"] if c["build"]}
    return Run(
        workers=count,
        cores=f"{cores:g} each" if cores else f"all {os.cpu_count()} of the machine",
        begins="builds in the store" if pulls else "filled Go caches",
        found=result["bisect"]["first_bad"],
        rounds=number,
        builds=len(builds),
        pulled=sum(bool(where) for where in builds.values()),
        trials=sum(len(cell["trials"]) for cell in result["cells"]),
        seconds=seconds,
    )


def table(runs: Sequence[Run]) -> str:
    """Return the runs as a table, each beside that of one worker."""
    lines = [
        "| begins with | cores | workers | rounds | builds | trials | proven | / one worker |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for run in sorted(runs, key=lambda r: (r.begins, r.cores, r.workers)):
        one = next(r for r in runs if (r.begins, r.cores, r.workers) == (run.begins, run.cores, 1))
        lines.append(
            f"| {run.begins} | {run.cores} | {run.workers} | {run.rounds} | {run.builds} |"
            f" {run.trials} | {run.seconds:.0f} s | {run.seconds / one.seconds:.2f} x |"
        )
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repo", required=True, help="a clone of moby/buildkit")
    parser.add_argument("--range", default="v0.29.0..v0.32.0", help="GOOD..BAD, of one Go")
    parser.add_argument("--test", type=Path, default=TEST, help="another test script")
    parser.add_argument("--gocache", type=Path, required=True, help="one that compiled the range")
    parser.add_argument("--workers", default="1,3", help="how many, with commas, 1 first")
    parser.add_argument("--shares", default="0.5,0", help="cores of each worker; 0: no quota")
    parser.add_argument("--write", type=Path, metavar="DOCUMENT")
    options = parser.parse_args(words)
    stopping.removes_on_sigterm()
    counts = [int(word) for word in options.workers.split(",")]
    shares = [float(word) for word in options.shares.split(",")]
    runs = []
    with tempfile.TemporaryDirectory(prefix="several-", dir=paths.cache_root().parent) as folder:
        for cores in shares:
            for count in counts:
                storage = Path(folder) / f"store-{count}-{cores}"
                with registry.serve(storage) as served:
                    store = f"oci://{served.address}/builds"
                    for pulls in (False, True):
                        began = time.monotonic()
                        run = bisected(options, Path(folder), count, cores, store, pulls=pulls)
                        print(run, f"{time.monotonic() - began:.0f} s in all", flush=True)
                        runs.append(run)
                shutil.rmtree(storage)
    section.put(options.write, "several-workers", table(runs))
    return int(len({run.found for run in runs}) != 1)


if __name__ == "__main__":
    sys.exit(main())
