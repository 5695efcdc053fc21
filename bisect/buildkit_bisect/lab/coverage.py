"""Which functions of the daemon a reproducer runs: one trial of a build that counts them.

The instrumented build has a key of its own, and its trial is not stored: what it shows is no
evidence. Only the names of the functions are kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from buildkit_bisect.builds import Builder
from buildkit_bisect.builds.compile import go_env
from buildkit_bisect.errors import BisectError, InfraFailed
from buildkit_bisect.golang.provision import Toolchains
from buildkit_bisect.golang.toolchain import GoWanted, parse_version
from buildkit_bisect.lab.trial import TrialJob, run_trial
from buildkit_bisect.model import Build, NoBuild, Variant
from buildkit_bisect.runtime.host import HostBackend
from buildkit_bisect.system import paths, process
from buildkit_bisect.system.announce import announce
from buildkit_bisect.system.machine_lock import machine_lock

#: Part of every key: increment it when stored lists are not comparable with new ones.
FORMAT = 1

#: ``github.com/moby/buildkit/solver/jobs.go:12:  (*Solver).NewJob  83.3%``
_LINE = re.compile(r"^github\.com/moby/buildkit/(.+)/[^/]+\.go:\d+:\s+(\S+)\s+(\d+\.\d)%$")

#: Seconds of ``go tool covdata``, which may have to be compiled first.
_READING = 300.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Covered:
    """What ran: functions as ``solver.Solver.NewJob``, by directory, receiver and name."""

    functions: frozenset[str] = frozenset()
    seconds: float = 0.0  # that the build and the trial took, also if the list was stored
    reused: bool = False
    trouble: str = ""  # why there is no list


def covered(
    builder: Builder,
    variant: Variant,
    job_of: Callable[[Build], TrialJob],
    waiting: Callable[[], None],
) -> Covered:
    """Return what a trial of *variant*'s instrumented daemon runs; *job_of* makes it from a build.

    A failure is not raised: a search does without the list.
    """
    started = time.monotonic()
    counting = replace(builder, recipe=replace(builder.recipe, cover=True))
    try:
        with announce(f"compiling an instrumented {variant.label}") as work:
            build = counting.build(variant, work.progress)
        if isinstance(build, NoBuild):
            return Covered(seconds=time.monotonic() - started, trouble=build.reason)
        job = job_of(build)
        stored = paths.cache("coverage") / f"{_key(job)}.json"
        if stored.is_file():
            known = json.loads(stored.read_text())
            return Covered(
                functions=frozenset(known["functions"]), seconds=known["seconds"], reused=True
            )
        functions, ran = _run(job, counting, waiting)
        # A build made by an earlier search is part of what the list costs; waiting is not.
        seconds = build.seconds_here + ran
        draft = stored.with_name(f".{stored.name}.{os.getpid()}")
        draft.write_text(json.dumps({"functions": sorted(functions), "seconds": round(seconds, 1)}))
        draft.replace(stored)
    except (BisectError, OSError, ValueError) as error:
        return Covered(seconds=time.monotonic() - started, trouble=str(error))
    return Covered(functions=functions, seconds=seconds)


def _run(
    job: TrialJob, builder: Builder, waiting: Callable[[], None]
) -> tuple[frozenset[str], float]:
    """Run one trial; return the functions that it counted, and seconds. Raises `BisectError`."""
    with paths.scratch("counters") as counters:
        with machine_lock(waiting):
            started = time.monotonic()
            with announce("running the reproducer on the instrumented build"):
                seen = run_trial(replace(job, backend=HostBackend(counters=counters)))
        if seen.infra or seen.no_daemon or seen.unsupported:
            raise InfraFailed(seen.infra or seen.no_daemon or seen.unsupported)
        functions = _read(counters, job.build, builder)
        return functions, time.monotonic() - started


def _key(job: TrialJob) -> str:
    # What a build made is believed no longer than the build: another may have its key.
    parts = [FORMAT, job.build.key, job.build.buildkitd_sha256, job.scenario.run_digest, job.axes]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _read(counters: os.PathLike[str], build: Build, builder: Builder) -> frozenset[str]:
    """Return the functions that *counters* have seen. Raises `ProcessError`."""
    version = parse_version(build.go)
    assert version
    toolchain = Toolchains(say=builder.say, deadlines=builder.deadlines).find(
        GoWanted(minor=version[:2], patch=version[2])
    )
    with paths.scratch("gotmp") as tmp, announce("reading which functions ran"):
        done = process.run(
            [toolchain.go, "tool", "covdata", "func", "-i", os.fspath(counters)],
            timeout=_READING,
            cwd=tmp,
            env=go_env(toolchain, builder.recipe, tmp=tmp),
        )
    return parse(done.stdout)


def parse(report: str) -> frozenset[str]:
    """Return the functions that ran, from what ``go tool covdata func`` prints."""
    found = set()
    for line in report.splitlines():
        match = _LINE.match(line)
        if match and float(match[3]):
            found.add(f"{match[1]}.{re.sub(r'[()*]', '', match[2])}")
    return frozenset(found)
