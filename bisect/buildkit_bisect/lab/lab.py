"""A campaign's hands: builds variants and runs cells, asking the journal first.

A trial is paid for once on a machine; a build once. Trials hold the machine lock, so none
runs beside a compile, of this campaign or of another.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace

from buildkit_bisect.builds import Builder
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.events import (
    BuildDone,
    BuildProgress,
    BuildSkipped,
    BuildStarted,
    Column,
    Events,
    Said,
    TrialDone,
    TrialStarted,
)
from buildkit_bisect.lab.base_images import ImageRef
from buildkit_bisect.lab.executors import Inline
from buildkit_bisect.lab.journal import Journal
from buildkit_bisect.lab.trial import RUNTIME_AXIS, TrialJob, disk_full, run_trial
from buildkit_bisect.model import (
    Axes,
    Build,
    NoBuild,
    Observation,
    Outcome,
    ToolOutcome,
    Variant,
    Verdict,
)
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.runtime import Kind
from buildkit_bisect.runtime.backend import Backend
from buildkit_bisect.runtime.host import HostBackend
from buildkit_bisect.runtime.snapshotters import Proxy
from buildkit_bisect.scenario import Scenario, outcome
from buildkit_bisect.system import deadlines
from buildkit_bisect.system.machine_lock import machine_lock

#: How often a trial that infrastructure spoiled is run again, and the seconds before each.
RETRY_AFTER = (1.0, 5.0)

#: Outcomes of a cell that its trials do not decide.
_OVERRULES = (ToolOutcome.CONTROL_FAILED, ToolOutcome.NO_BUILD)

#: How many trials of several jobs are under way while the machine is held.
_BATCH = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One observation and whether this campaign paid for it."""

    observation: Observation
    reused: bool
    resumed: bool = False  # it is of an interrupted campaign that this one goes on with


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """What a cell came to. `outcome` is of all trials; the control may have overruled it."""

    variant: Variant
    scenario: Scenario
    axes: Axes
    build: Build | NoBuild
    outcome: Outcome
    counts: Mapping[str, int] = field(default_factory=dict)
    trials: tuple[Trial, ...] = ()
    judged: tuple[Outcome, ...] = ()  # of each trial
    control: Observation | None = None  # what conditions compared with


class Lab:
    """Everything that costs time goes through here."""

    def __init__(
        self,
        *,
        builder: Builder,
        images: Mapping[str, Mapping[str, ImageRef]],
        registry: str,
        journal: Journal,
        executor: Executor,
        events: Events,
        campaign: str,
        backends: Sequence[Backend] = (HostBackend(),),
        proxies: Mapping[str, Proxy] | None = None,
        limits: Mapping[str, float] | None = None,
        fresh: bool = False,
        resumed: Collection[str] = (),
    ) -> None:
        self._builder = builder
        self._images = images
        self._registry = registry
        self._journal = journal
        self._executor = executor
        self._emit = events.emit
        self._campaign = campaign
        self._backends = {backend.kind: backend for backend in backends}
        self._usual = backends[0].kind
        self._proxies = dict(proxies or {})
        self._limits = limits or {}
        self._fresh = fresh
        self._resumed = frozenset(resumed)  # campaigns that this one goes on with
        self._ours: dict[str, list[Observation]] = {}  # what this campaign ran, by trial key
        self._controls: dict[tuple[str, str, Axes], Cell] = {}
        self._made: dict[str, Build | NoBuild] = {}
        self._unfit = False  # the canary failed as well: further tries would only take time
        self.build_seconds = 0.0
        self.trial_seconds = 0.0

    def build(self, variant: Variant) -> Build | NoBuild:
        """The binaries of *variant*, or why there are none. Raises `InfraFailed`."""
        label = variant.label
        if label in self._made:
            return self._made[label]
        known = self._builder.cached(variant)
        if known is None:
            self._emit(BuildStarted(row=label))
        started = time.monotonic()
        made = known or self._builder.build(
            variant,
            lambda done, expected: self._emit(
                BuildProgress(row=label, done=done, expected=expected)
            ),
        )
        if known is None:
            self.build_seconds += time.monotonic() - started
        if isinstance(made, Build):
            self._emit(BuildDone(row=label, seconds=made.seconds, reused=made.reused))
        else:
            self._emit(BuildSkipped(row=label, stage=made.stage, reason=made.reason))
        self._made[label] = made
        return made

    def cell(
        self,
        variant: Variant,
        scenario: Scenario,
        axes: Axes,
        trials: int,
        *,
        after: int = 0,
        of: Collection[str] | None = None,
    ) -> Cell:
        """Trials *after* + 1 to *after* + *trials* of a cell; a trial of its control before it.

        Where *of* is given, stored trials of other campaigns than these and this do not count.
        """
        build = self.build(variant)
        if isinstance(build, NoBuild):
            because = ToolOutcome.NO_BUILD.because(f"{build.stage}: {build.reason}")
            return Cell(variant=variant, scenario=scenario, axes=axes, build=build, outcome=because)
        control: Observation | None = None
        overruled: Outcome | None = None
        control_axes = scenario.control_of(axes)
        if control_axes is not None:
            beside = self._control(variant, scenario, control_axes)
            control = beside.trials[0].observation
            if beside.outcome.verdict is Verdict.INFRA:
                overruled = beside.outcome
            elif beside.outcome.verdict is not Verdict.GOOD:
                shown = ", ".join(f"{k}={v}" for k, v in control_axes)
                overruled = ToolOutcome.CONTROL_FAILED.because(
                    f"the control ({shown}) is {beside.outcome.name}: this cell proves nothing"
                )
        ran = self._trials(
            variant,
            self._job(variant, build, scenario, axes),
            trials,
            after=after,
            control=control,
            of=of,
        )
        judged = tuple(outcome.judge(scenario, t.observation, control) for t in ran)
        combined, counts = outcome.combine(judged)
        return Cell(
            variant=variant,
            scenario=scenario,
            axes=axes,
            build=build,
            outcome=overruled or combined,
            counts=counts,
            trials=tuple(ran),
            judged=judged,
            control=control,
        )

    def _control(self, variant: Variant, scenario: Scenario, axes: Axes) -> Cell:
        """One trial of a control, asked for once a campaign."""
        asked = (variant.label, scenario.name, axes)
        if asked not in self._controls:
            self._controls[asked] = self.cell(variant, scenario, axes, 1)
        return self._controls[asked]

    def together(self, variants: Sequence[Variant], scenario: Scenario, axes: Axes) -> set[str]:
        """The last campaign that ran this cell of all *variants*; none where none did."""
        ran = [
            self._journal.campaigns(self._job(v, build, scenario, axes).key)
            for v in variants
            if isinstance(build := self.build(v), Build)
        ]
        return {max(both)} if ran and (both := set.intersection(*ran)) else set()

    def engine_facts(self) -> dict[str, str]:
        """What results say of the Docker Engine that trials ran on; empty without one."""
        return {k: v for backend in self._backends.values() for k, v in backend.facts().items()}

    def seconds(self, started: float) -> dict[str, float]:
        """What the campaign that began at *started* (monotonic) took, for its result."""
        return {
            "total": time.monotonic() - started,
            "builds": self.build_seconds,
            "trials": self.trial_seconds,
        }

    def add_patch(self, patch: Patch) -> None:
        """Let variants name *patch* from now on."""
        self._builder.patches = (*self._builder.patches, patch)

    def _job(self, variant: Variant, build: Build, scenario: Scenario, axes: Axes) -> TrialJob:
        images = self._images[scenario.name]
        return TrialJob(
            build=build,
            scenario=scenario,
            axes=axes,
            images={name: image.ref for name, image in images.items()},
            image_digests={name: image.digest for name, image in images.items()},
            registry=self._registry,
            backend=self._backends[Kind(dict(axes).get(RUNTIME_AXIS, self._usual))],
            proxies=self._proxies,
            of=variant,
            campaign=self._campaign,
            deadlines=deadlines.of(self._limits, scenario.deadlines),
            variant={
                "BKBISECT_REVISION": variant.revision.sha or variant.revision.describe,
                "BKBISECT_REF": variant.revision.ref,
                "BKBISECT_PATCHES": ",".join(p.name for p in variant.patches),
            },
        )

    def _trials(
        self,
        variant: Variant,
        job: TrialJob,
        wanted: int,
        *,
        after: int,
        control: Observation | None,
        of: Collection[str] | None,
    ) -> list[Trial]:
        ours = self._ours.setdefault(job.key, [])
        # With --fresh only what this campaign ran counts, and what it ran before it was killed.
        known = None if of is None else {*of, self._campaign, *self._resumed}
        counted = self._resumed if self._fresh else known
        stored = self._journal.trials(job.key, counted)
        before = self._journal.trials(job.key, self._resumed) if self._resumed else []
        if self._fresh:
            stored += ours
        ran = [
            Trial(observation=o, reused=o not in ours, resumed=o in before)
            for o in stored[after:][:wanted]
        ]
        where = Column(
            scenario=job.scenario.name, axes=job.axes, control=job.scenario.is_control(job.axes)
        )

        def tell(number: int, trial: Trial) -> None:
            told = outcome.judge(job.scenario, trial.observation, control)
            self._emit(
                TrialDone(
                    row=variant.label,
                    column=where,
                    number=number,
                    of=wanted,
                    outcome=told.name,
                    verdict=told.verdict,
                    seconds=trial.observation.seconds,
                    reused=trial.reused,
                )
            )

        for number, trial in enumerate(ran, 1):
            tell(number, trial)
        missing = range(len(ran) + 1, wanted + 1)
        for observation in self._run(job, variant, where, missing):
            if not observation.infra:
                self._journal.add(job.key, observation, self._campaign)
                ours.append(observation)
            ran.append(Trial(observation=observation, reused=False))
            tell(len(ran), ran[-1])
        return ran

    def _run(
        self, job: TrialJob, variant: Variant, column: Column, numbers: range
    ) -> Iterator[Observation]:
        """Run what is missing; each observation comes as soon as it is there.

        The machine is held for a batch, not for all: another campaign has its turn in between.
        """
        waiting = Said(text="waiting for another campaign on this machine")
        batch = 1 if isinstance(self._executor, Inline) else _BATCH
        for first in range(numbers.start, numbers.stop, batch):
            with machine_lock(lambda: self._emit(waiting)):
                started = time.monotonic()
                futures = []
                for number in numbers[first - numbers.start :][:batch]:
                    self._emit(
                        TrialStarted(
                            row=variant.label, column=column, number=number, of=numbers[-1]
                        )
                    )
                    futures.append(self._executor.submit(run_trial, job))
                for future in futures:
                    yield self._settle(job, future)
                self.trial_seconds += time.monotonic() - started

    def _settle(self, job: TrialJob, future: Future[Observation]) -> Observation:
        """The observation, after further tries where infrastructure failed.

        Raises `InfraFailed` on a full disk.
        """
        observation = future.result()
        for pause in () if self._unfit else RETRY_AFTER:
            if not observation.infra:
                break
            text = f"infrastructure failed ({observation.infra}); trying again"
            self._emit(Said(text=text, warning=True))
            time.sleep(pause)
            observation = self._executor.submit(run_trial, job).result()
        if not observation.infra:
            self._unfit = False
            return observation
        if disk_full():  # nor will any other trial be more than that, before somebody helps
            raise InfraFailed(
                f"the disk of the cache is full ({observation.infra})",
                hint="free some space there, then ./inv resume",
            )
        return replace(observation, infra=f"{observation.infra}{self._canary(job)}")

    def _canary(self, job: TrialJob) -> str:
        """What the cell's control says now, to tell the machine from something about this cell.

        "" where the cell has no control, or is one.
        """
        axes = job.scenario.control_of(job.axes)
        if axes is None:
            return ""
        shown = ", ".join(f"{k}={v}" for k, v in axes)
        self._emit(Said(text=f"canary: the control ({shown}) once more", warning=True))
        seen = self._executor.submit(run_trial, replace(job, axes=axes)).result()
        self._unfit = bool(seen.infra)
        if seen.infra:
            return f"; the canary ({shown}) fails too: {seen.infra}"
        told = outcome.judge(job.scenario, seen, None)
        return f"; the canary ({shown}) was {told.name} right after it"


def merge(parts: Sequence[Cell]) -> Cell:
    """Several visits to one cell as one, every trial counted once."""
    if len(parts) == 1:
        return parts[0]
    judged = tuple(o for part in parts for o in part.judged)
    combined, counts = outcome.combine(judged) if judged else (parts[-1].outcome, Counter())
    overruled = [p.outcome for p in parts if p.outcome.name in _OVERRULES]
    return replace(
        parts[0],
        outcome=overruled[-1] if overruled else combined,
        counts=counts,
        trials=tuple(t for part in parts for t in part.trials),
        judged=judged,
        control=parts[0].control,
    )
