"""One trial: an empty daemon, the scenario's steps, and the observation."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, time_ns

from buildkit_bisect import buildctl
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.events import Column
from buildkit_bisect.lab import context, machine_kind, serving, steps
from buildkit_bisect.lab.machine_kind import MachineKind
from buildkit_bisect.model import Axes, Build, Observation, RuntimeKind, StepResult, Variant
from buildkit_bisect.runtime import DaemonFailed, Runtime, UnsupportedClient, snapshotters
from buildkit_bisect.runtime.backend import Backend, Order
from buildkit_bisect.runtime.host import HostBackend
from buildkit_bisect.runtime.registry import Registry, serve
from buildkit_bisect.runtime.snapshotters import Proxy
from buildkit_bisect.scenario import (
    RUNTIME_AXIS,
    Action,
    Scenario,
    build_step,
    mirrors,
    uses_registry,
)
from buildkit_bisect.scenario.outputs import any_readable
from buildkit_bisect.system import cache_limit, machine, paths, pipes, tomltext
from buildkit_bisect.system.announce import shown_otherwise
from buildkit_bisect.system.deadlines import Deadlines

#: Raise it when trials change what they do: earlier trials then do not count.
FORMAT = 1

#: The same for trials that build: raise it when what a build did is read in another way.
PROGRESS_FORMAT = 2

#: The same for trials whose builds write outputs: raise it when these are read in another way.
OUTPUTS_FORMAT = 3

#: The same for trials whose rules are about the daemon: earlier ones did not record its state.
DAEMON_FORMAT = 1

#: The same for trials whose rules are about the time or order of vertices.
TIMES_FORMAT = 1

#: The same for trials whose rules are about the bytes that a build transferred.
BYTES_FORMAT = 1

#: The same for trials whose rules are about the daemon's log: earlier ones hid where it is cut.
DAEMON_LOG_FORMAT = 1

#: The same for trials that list requests: earlier ones kept fewer.
REQUESTS_FORMAT = 1

_NO_SPACE = "no space left on device"

#: Bytes; with less free space, a failed trial failed for lack of space.
_LEAST_FREE = 2**20

#: Seconds by which the wall clock may drift from the monotonic one in a trial; NTP slews less.
_JUMP = 5.0


#: How a client reports that its daemon went away, and seconds for the daemon's process to end then.
_LOST = re.compile(r"\bEOF\b|Unavailable|connection re(set|fused)|error reading from server")
_ENDS = 0.5

#: How Go reports an end that the program did not choose. buildx starts the daemon again at once.
_PANIC = re.compile(r"(?m)^(panic|fatal error): ")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialJob:
    """Everything that a worker needs to run one trial; it can be pickled."""

    build: Build
    scenario: Scenario
    axes: Axes
    images: Mapping[str, str]  # image name -> ref
    image_digests: Mapping[str, str]
    registry: str  # address; "" if the scenario pulls public images
    of: Variant
    backend: Backend = field(default_factory=HostBackend)
    proxies: Mapping[str, Proxy] = field(default_factory=dict)  # by snapshotter
    campaign: str = ""  # labels what a killed trial leaves on an Engine
    variant: Mapping[str, str] = field(default_factory=dict)  # environment for scripts
    deadlines: Deadlines = field(default_factory=Deadlines)
    machine: MachineKind | None = None  # that runs it; None: this one

    @property
    def column(self) -> Column:
        """The cell, as events name it."""
        control = self.scenario.is_control(self.axes)
        return Column(scenario=self.scenario.name, axes=self.axes, control=control)

    def _mounting(self) -> dict[str, str]:
        asked = [*(value for _, value in self.axes), self.scenario.daemon.snapshotter]
        if self.machine is None:
            return snapshotters.programs(asked)
        name = snapshotters.FUSE_OVERLAYFS
        return {name: self.machine.mounting} if name in asked else {}

    @property
    def key(self) -> str:
        """A digest of what determines a trial's result: jobs with equal keys are one cell."""
        parts: dict[str, object] = {
            "format": FORMAT,
            "buildkitd": self.build.buildkitd_sha256,
            "buildctl": self.build.buildctl_sha256,
            "scenario": self.scenario.run_digest,
            # One trial counts for `--runtime docker` and for a matrix with a runtime axis.
            "axes": tuple(a for a in self.axes if a[0] != RUNTIME_AXIS),
            "images": sorted((k, v or self.images[k]) for k, v in self.image_digests.items()),
            "runtime": self.backend.kind,
            "machine": self.machine.fingerprint if self.machine else machine.fingerprint(),
        }
        parts |= _formats(self.scenario)
        if self.scenario.context.busybox:
            parts["busybox"] = self.machine.busybox if self.machine else machine_kind.busybox()
        if found := self.backend.fingerprint():
            parts["engine"] = found
        used = [self.proxies[value] for _, value in self.axes if value in self.proxies]
        if used:
            parts["proxies"] = [proxy.version for proxy in used]
        if self.backend.kind is RuntimeKind.HOST and (mounting := self._mounting()):
            parts["programs"] = mounting
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def described(variant: Variant) -> dict[str, str]:
    """Return what scripts find in their environment about *variant*."""
    return {
        "BKBISECT_REVISION": variant.revision.sha or variant.revision.describe,
        "BKBISECT_REF": variant.revision.ref,
        "BKBISECT_PATCHES": ",".join(p.name for p in variant.patches),
    }


def _formats(scenario: Scenario) -> dict[str, int]:
    """Return the formats that apply to trials of *scenario*, by their names in a trial's key."""
    asked = [c for rule in scenario.outcomes for c, _ in rule.leaves()]
    actions = {step.action for step in scenario.steps}
    applying = {
        "progress": (PROGRESS_FORMAT, Action.BUILD in actions),
        "outputs": (OUTPUTS_FORMAT, any_readable(scenario)),
        "requests": (REQUESTS_FORMAT, Action.REQUESTS in actions),
        "daemon": (DAEMON_FORMAT, any(c.daemon for c in asked)),
        "daemon log": (DAEMON_LOG_FORMAT, any(c.daemon_log for c in asked)),
        "times": (TIMES_FORMAT, any(c.took or c.before for c in asked)),
        "bytes": (BYTES_FORMAT, any(c.metric == "bytes" for c in asked)),
    }
    return {name: number for name, (number, applies) in applying.items() if applies}


def run_trial(job: TrialJob) -> Observation:
    """Run *job* from an empty state; only its evidence remains, in the cache.

    Failures of the build under test are observations and raise nothing. Failures of anything
    else are reported in ``infra``.
    """
    try:
        with shown_otherwise():
            return _run(job)
    except OSError as error:  # mostly a full disk, before or after the steps
        return Observation(steps=(), seconds=0.0, infra=_reason(error))


def _alive(daemon: Runtime, result: StepResult) -> bool:
    """Return whether *daemon* runs after a step; its process may end a moment after the step."""
    until = monotonic() + (_ENDS if _LOST.search(result.stderr) else 0.0)
    while (alive := daemon.alive()) and monotonic() < until:
        time.sleep(0.05)
    return alive


def disk_full() -> bool:
    """Return whether the cache's disk is too full for any trial to succeed."""
    return shutil.disk_usage(paths.cache_root()).free < _LEAST_FREE


def _reason(error: OSError) -> str:
    named = f"{error.filename}: " if error.filename else ""
    return f"{named}{error.strerror or error}"


def _run(job: TrialJob) -> Observation:
    started, clock = monotonic(), Clock.now()
    seen: list[StepResult] = []
    infra = no_daemon = unsupported = log = printed = ""
    alive: bool | None = None
    registries = [Registry(address=job.registry)] if job.registry else []
    with paths.scratch("trial") as home, contextlib.ExitStack() as stack:
        for name in ("work", "context", "evidence"):
            (home / name).mkdir()
        try:
            context.begin(job.scenario, home / "context")
            if uses_registry(job.scenario):
                # A registry per trial, so that the next one does not see what this one pushes.
                registries.append(stack.enter_context(serve(home / "registry")))
            stand = serving.opened(job.scenario, stack)
            bench = steps.Bench(
                scenario=job.scenario,
                axes=job.axes,
                images=job.images,
                registry=registries[-1].address if registries else "",
                work=home / "work",
                context=home / "context",
                evidence=home / "evidence",
                environment=job.variant,
                stand=stand,
            )
            config = [r.config for r in registries] + mirrors.config(job.scenario, bench.text)
            config += [bench.text(job.scenario.daemon.config)]
            place = job.backend.place(job.build, job.of, job.campaign)
            started = monotonic()  # an image is made once; that is not part of the trial
            snapshotter = bench.text(job.scenario.daemon.snapshotter)
            order = Order(
                home=home,
                snapshotter=snapshotter,
                config=tomltext.joined(*config),
                proxy=job.proxies.get(snapshotter),
                loopback=bool(registries or job.scenario.servers),
                deadlines=job.deadlines,
                entitlements=build_step.entitlements(
                    step for group in job.scenario.groups(job.axes) for step in group
                ),
            )
            with place(order) as daemon:
                # One by one, to keep the steps that finish before a daemon fails.
                for result in steps.run_all(bench, daemon):
                    seen.append(result)
                    alive = alive is not False and _alive(daemon, result)
                infra = daemon.trouble()
        except DaemonFailed as error:
            no_daemon = error.message
        except UnsupportedClient as error:
            unsupported = error.message
        except InfraFailed as error:
            infra = error.message
        except OSError as error:
            infra = _reason(error)
        log_file = home / "buildkitd.log"
        if log_file.is_file():
            printed = pipes.excerpt(log_file)  # a daemon may print without end
            log = buildctl.notable(printed.splitlines())
            (home / "evidence" / "buildkitd.log").write_text(printed)
        infra = infra or _infra(job, seen, no_daemon or unsupported, registries) or clock.jumped()
        evidence = keep(home / "evidence", job.key)
    return Observation(
        steps=tuple(seen),
        seconds=monotonic() - started,
        infra=infra,
        no_daemon="" if infra else no_daemon,
        unsupported="" if infra else unsupported,
        evidence=str(evidence),
        daemon_log=log,
        daemon=""
        if alive is None
        else "died"
        if not alive or _PANIC.search(printed)
        else "running",
        facts={
            "runtime": str(job.backend.kind),
            "images": dict(job.image_digests),
            **({"engine": dict(engine)} if (engine := job.backend.facts()) else {}),
        },
        ended=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """The wall clock and the monotonic clock at one moment, in seconds."""

    wall: float
    steady: float

    @classmethod
    def now(cls) -> Clock:
        """Return both clocks now."""
        return cls(wall=time.time(), steady=monotonic())

    def jumped(self, since: Clock | None = None) -> str:
        """Return a message if the clock was set or the machine slept until *since* (now), or ""."""
        end = since or Clock.now()
        jump = (end.wall - self.wall) - (end.steady - self.steady)
        if abs(jump) < _JUMP:
            return ""
        return f"the clock jumped by {jump:+.0f} s during the trial (set, or the machine slept)"


def _infra(
    job: TrialJob,
    seen: list[StepResult],
    skipped: str,
    registries: list[Registry],
) -> str:
    """Return the infrastructure failure that explains a failed trial, or ""."""
    failed = [s for s in seen if s.exit != 0 or s.timed_out]
    if not failed and not skipped:
        return ""
    texts = [skipped, *(s.stderr for s in failed), *(v.error for s in failed for v in s.vertices)]
    # A script may fail for lack of space silently, or report it in another language.
    if disk_full() or any(_NO_SPACE in text.lower() for text in texts):
        return "no space left on the disk"
    dead = [r.address for r in registries if not r.alive()]
    if dead:
        return f"the registry at {dead[0]} no longer responds"
    gone = [ref for ref in job.images.values() if registries and not registries[0].has(ref)]
    return f"the base image {gone[0]} is no longer in the registry" if gone else ""


def keep(made: Path, key: str) -> Path:
    """Move a trial's evidence to its place in the cache, to which results refer."""
    folder = paths.cache("evidence") / key[:32]
    # Never reuse a name: the journal may refer to one whose files are gone.
    target = folder / str(time_ns())
    with cache_limit.using(folder):
        folder.mkdir(exist_ok=True)
        made.rename(target)
    return target
