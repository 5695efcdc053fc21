"""One cell once: an empty daemon, the scenario's steps, and what was seen."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from buildkit_bisect import buildctl, machine, paths, steps
from buildkit_bisect.daemon import DaemonFailed
from buildkit_bisect.daemon.host import host_runtime
from buildkit_bisect.model import Axes, Build, Observation, StepResult
from buildkit_bisect.registry import Registry
from buildkit_bisect.scenario import Scenario

#: Raise it when a trial does something else than before: stored trials then do not count.
FORMAT = 1

_NO_SPACE = "no space left on device"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialJob:
    """Everything that a worker needs to run one trial; it pickles."""

    build: Build
    scenario: Scenario
    axes: Axes
    images: Mapping[str, str]  # image name -> ref
    image_digests: Mapping[str, str]
    registry: str  # address; "" where the scenario pulls public images
    runtime: str = "host"
    variant: Mapping[str, str] = field(default_factory=dict)  # environment of scripts

    @property
    def key(self) -> str:
        """What decides a trial's result, as far as anything does: equal keys are one cell."""
        parts = {
            "format": FORMAT,
            "buildkitd": self.build.buildkitd_sha256,
            "buildctl": self.build.buildctl_sha256,
            "scenario": self.scenario.run_digest,
            "axes": self.axes,
            "images": sorted((k, v or self.images[k]) for k, v in self.image_digests.items()),
            "runtime": self.runtime,
            "machine": machine.fingerprint(),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def run_trial(job: TrialJob) -> Observation:
    """Run *job* from an empty state; leaves only its evidence, in the cache.

    Raises nothing for what the build under test does: its failures are observations. What
    fails around it is named in ``infra``.
    """
    started = monotonic()
    seen: list[StepResult] = []
    infra = no_daemon = log = ""
    registry = Registry(address=job.registry) if job.registry else None
    with paths.scratch("trial") as home:
        for name in ("work", "context", "evidence"):
            (home / name).mkdir()
        bench = steps.Bench(
            scenario=job.scenario,
            axes=job.axes,
            images=job.images,
            registry=job.registry,
            work=home / "work",
            context=home / "context",
            evidence=home / "evidence",
            environment=job.variant,
        )
        config = (registry.config if registry else "") + bench.text(job.scenario.daemon.config)
        try:
            with host_runtime(
                binaries=Path(job.build.directory),
                home=home,
                snapshotter=bench.text(job.scenario.daemon.snapshotter),
                config=config,
            ) as daemon:
                # One by one, so that what was seen before a daemon fails is kept.
                seen.extend(steps.run_all(bench, daemon))
        except DaemonFailed as error:
            no_daemon = error.message
        except OSError as error:
            infra = f"{error.strerror or error}"
        log_file = home / "buildkitd.log"
        if log_file.is_file():
            log = buildctl.notable(log_file.read_text(errors="replace").splitlines())
            shutil.copy(log_file, bench.evidence / "buildkitd.log")
        infra = infra or _infra(seen, no_daemon, registry)
        evidence = _keep(bench.evidence, job.key)
    return Observation(
        steps=tuple(seen),
        seconds=monotonic() - started,
        infra=infra,
        no_daemon="" if infra else no_daemon,
        evidence=str(evidence),
        daemon_log=log,
        facts={"runtime": job.runtime, "images": dict(job.image_digests)},
    )


def _infra(seen: list[StepResult], no_daemon: str, registry: Registry | None) -> str:
    """What failed around the experiment, where something did; "" otherwise."""
    failed = [s for s in seen if s.exit != 0 or s.timed_out]
    if not failed and not no_daemon:
        return ""
    texts = [no_daemon, *(s.stderr for s in failed), *(v.error for s in failed for v in s.vertices)]
    if any(_NO_SPACE in text.lower() for text in texts):
        return "no space left on the disk"
    if registry and not registry.alive():
        return f"the registry at {registry.address} no longer answers"
    return ""


def _keep(made: Path, key: str) -> Path:
    """Move a trial's evidence to where results refer to it."""
    folder = paths.cache("evidence") / key[:32]
    folder.mkdir(exist_ok=True)
    number = 1 + max((int(p.name) for p in folder.iterdir() if p.name.isdigit()), default=0)
    target = folder / str(number)
    made.rename(target)
    return target
