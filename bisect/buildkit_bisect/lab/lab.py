"""Builds variants and runs cells for a campaign, after a look in the journal.

Builds and trials that this machine has completed are reused.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import reduce
from operator import and_

from buildkit_bisect.builds import Builder
from buildkit_bisect.events import (
    BuildDone,
    BuildProgress,
    BuildSkipped,
    BuildStarted,
    Events,
    Said,
    TrialDone,
)
from buildkit_bisect.lab.ahead import Ahead, AtOnce, Crew, Here, Means, Wanted, controls_beside
from buildkit_bisect.lab.base_images import ImageRef
from buildkit_bisect.lab.cell import Cell, Origin, Recalled, Trial
from buildkit_bisect.lab.coverage import Covered, covered
from buildkit_bisect.lab.journal import Journal
from buildkit_bisect.lab.machine_kind import MachineKind
from buildkit_bisect.lab.runner import Runner
from buildkit_bisect.lab.stored import Stored
from buildkit_bisect.lab.trial import TrialJob, described
from buildkit_bisect.model import (
    Axes,
    Build,
    NoBuild,
    Observation,
    Outcome,
    RuntimeKind,
    ToolOutcome,
    Variant,
    Verdict,
)
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.runtime.backend import Backend
from buildkit_bisect.runtime.host import HostBackend
from buildkit_bisect.runtime.snapshotters import Proxy
from buildkit_bisect.scenario import RUNTIME_AXIS, Scenario, metrics, outcome
from buildkit_bisect.system import deadlines
from buildkit_bisect.system.announce import shown_otherwise

#: Trials of a control that match no rule, before the control has failed.
_CONTROL_TRIALS = 3

#: A cell: the commit or module version, names of patches, the scenario's name, axis values.
_Place = tuple[str, tuple[str, ...], str, Axes]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Visit:
    """What finds and judges the stored trials of a cell that was run."""

    key: str
    scenario: Scenario
    controls: tuple[Observation, ...] | None
    judged: tuple[Outcome, ...] | None = None  # of all that were stored then; None if of some


class Lab:
    """Runs everything that takes time: builds and trials."""

    def __init__(
        self,
        *,
        builder: Builder,
        images: Mapping[str, Mapping[str, ImageRef]],
        registry: str,
        journal: Journal,
        executor: Executor,
        crew: Crew | None = None,
        machine: MachineKind | None = None,
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
        self._stored = Stored(journal, campaign, fresh=fresh, resumed=frozenset(resumed))
        self.crew = crew or Here(executor, AtOnce())
        self._runner = Runner(executor, events, self.crew.running)
        self._machine = machine
        self._emit = events.emit
        self._backends = {backend.kind: backend for backend in backends}
        self._usual = backends[0].kind
        self._proxies = dict(proxies or {})
        self._limits = limits or {}
        self._controls: dict[tuple[str, str, Axes], Cell] = {}
        self._visited: dict[_Place, _Visit] = {}
        self._made: dict[str, Build | NoBuild] = {}
        self._failed: dict[str, BaseException] = {}  # builds that were made ahead
        self._digests: dict[str, str] = {}  # of scenarios, by name
        self.build_seconds = 0.0

    def build(self, variant: Variant) -> Build | NoBuild:
        """Return the binaries of *variant*, or why it did not build. Raises `InfraFailed`."""
        label = variant.label
        if label in self._made:
            return self._made[label]
        if label in self._failed:
            raise self._failed.pop(label)
        known = self._builder.cached(variant)
        if known is None:
            self._emit(BuildStarted(row=label))
        started = time.monotonic()
        with shown_otherwise():
            made = known or self._builder.build(
                variant, lambda n, of: self._emit(BuildProgress(row=label, done=n, expected=of))
            )
        if known is None:
            self.build_seconds += time.monotonic() - started
        self._take(variant, made)
        return made

    def _take(self, variant: Variant, made: Build | NoBuild | BaseException) -> None:
        """Keep what a build came to, and tell it; an error for the one who asks for the build."""
        label = variant.label
        match made:
            case BaseException():
                self._failed[label] = made
                return
            case Build():
                self._emit(BuildDone(row=label, seconds=made.seconds, reused=made.reused))
            case NoBuild(stage=stage, reason=reason, infra=infra):
                self._emit(BuildSkipped(row=label, stage=stage, reason=reason, infra=infra))
        self._made[label] = made

    def ahead(self, wanted: Sequence[Wanted]) -> Iterator[Wanted]:
        """Make what *wanted* lacks, several at once; yield each one when `cell` will find it.

        Nothing is made with a crew of one. It never raises for a cell: `cell` does.
        """
        if self.crew.cells == 1:
            yield from wanted
        else:
            yield from Ahead(self.crew, self._means()).made(wanted)

    def cell(
        self,
        variant: Variant,
        scenario: Scenario,
        axes: Axes,
        trials: int,
        *,
        after: int = 0,
        of: Mapping[str, int] | None = None,
    ) -> Cell:
        """Return a cell with its trials *after* + 1 to *after* + *trials*; its control runs first.

        With *of*, so many stored trials of each of those campaigns count, and all of this one.
        """
        build = self.build(variant)
        if isinstance(build, NoBuild):
            kind = ToolOutcome.INFRA if build.infra else ToolOutcome.NO_BUILD
            because = kind.because(f"{build.stage}: {build.reason}")
            return Cell(variant=variant, scenario=scenario, axes=axes, build=build, outcome=because)
        controls: tuple[Observation, ...] | None = None
        overruled: Outcome | None = None
        control_axes = scenario.control_of(axes)
        if control_axes is not None:
            count = controls_beside(scenario, after + trials)
            beside = self._control(variant, scenario, control_axes, count)
            controls = tuple(trial.observation for trial in beside.trials)
            if beside.outcome.verdict is Verdict.INFRA:
                overruled = beside.outcome
            elif beside.outcome.verdict is not Verdict.GOOD:
                shown = ", ".join(f"{k}={v}" for k, v in control_axes)
                overruled = ToolOutcome.CONTROL_FAILED.because(
                    f"the control ({shown}) is {beside.outcome.name} "
                    f"({beside.outcome.reason}), so this cell proves nothing"
                )
        job = self._job(variant, build, scenario, axes)
        revision = variant.revision.sha or variant.revision.describe
        place = (revision, tuple(p.name for p in variant.patches), scenario.name, axes)
        key = job.key
        visit = _Visit(key=key, scenario=scenario, controls=controls)
        self._visited[place] = visit
        control = controls[0] if controls else None
        ran, judged = self._trials(job, key, trials, after=after, control=control, of=of)
        together = [trial.observation for trial in ran]
        if metrics.comparisons(scenario):  # all trials together may show more than each alone
            stored = self._stored.trials(key, of, slice(after))
            earlier = [trial.observation for trial in stored]
            together = [*earlier, *together]
            judged = outcome.judge_all(scenario, together, controls)[len(earlier) :]
        some = after or of is not None or self._stored.fresh or any(seen.infra for seen in together)
        if not some:
            self._visited[place] = replace(visit, judged=judged)
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
            controls=controls,
        )

    def stored(self, variant: Variant, scenario: Scenario, axes: Axes) -> int:
        """Return how many trials of a cell are known already; 0 if it was not built yet."""
        build = self._builder.cached(variant)
        if not isinstance(build, Build):
            return 0
        return self._stored.count(self._job(variant, build, scenario, axes).key)

    def recalled(self, variant: Variant, scenario: Scenario, axes: Axes) -> Recalled | None:
        """Return what the stored trials of a cell show; None without any, or without its control.

        Builds and runs nothing.
        """
        build = self._builder.cached(variant)
        if not isinstance(build, Build):
            return None
        controls: list[Observation] | None = None
        control_axes = scenario.control_of(axes)
        if control_axes is not None:
            beside = self._stored.trials(
                self._job(variant, build, scenario, control_axes).key, None
            )
            seen = [trial.observation for trial in beside]
            judged = outcome.judge_all(scenario, seen, None)
            pairs = zip(seen, judged, strict=True)
            controls = [one for one, each in pairs if each.verdict is Verdict.GOOD]
            if not controls:
                return None
        key = self._job(variant, build, scenario, axes).key
        trials = [trial.observation for trial in self._stored.trials(key, None)]
        if not trials:
            return None
        combined, counts = outcome.combine(outcome.judge_all(scenario, trials, controls))
        _, last = self._stored.journal.rows(key)[-1]
        return Recalled(verdict=combined.verdict, counts=counts, campaign=last)

    def _control(self, variant: Variant, scenario: Scenario, axes: Axes, count: int) -> Cell:
        """Return a control with *count* trials or more, of which the first is evidence.

        A trial that matches no rule is no evidence, so it does not fail a control at once.
        """
        asked = (variant.label, scenario.name, axes)
        known = self._controls.get(asked)
        if known is None or len(known.trials) < count:
            for earlier in range(_CONTROL_TRIALS):
                control = self.cell(variant, scenario, axes, count, after=earlier)
                if control.outcome.verdict is not Verdict.WEAK:
                    break
            self._controls[asked] = control
        return self._controls[asked]

    def known(
        self, revision: str, patches: tuple[str, ...], scenario: str, axes: Axes
    ) -> list[Outcome] | None:
        """Return the outcomes of all stored trials of a cell, by any campaign, oldest first.

        Also with ``fresh``. None if this lab did not run the cell.
        """
        visit = self._visited.get((revision, patches, scenario, axes))
        if visit is None:
            return None
        if visit.judged and len(visit.judged) == len(self._stored.journal.rows(visit.key)):
            return list(visit.judged)  # the cell has all of them, and rows are only added
        stored = [row.observation for row in self._stored.journal.trials(visit.key)]
        return list(outcome.judge_all(visit.scenario, stored, visit.controls))

    def together(
        self, variants: Sequence[Variant], scenario: Scenario, axes: Axes
    ) -> Mapping[str, int]:
        """Return how many trials of this cell each campaign ran of every one of *variants*.

        It is the smallest number of each campaign, so that all variants count as many. A campaign
        that did not run one of them is not in it.
        """
        ran = [
            self._stored.journal.campaigns(self._job(v, build, scenario, axes).key)
            for v in variants
            if isinstance(build := self.build(v), Build)
        ]
        return reduce(and_, ran) if ran else {}

    def covered(self, variant: Variant, scenario: Scenario, axes: Axes) -> Covered:
        """Return which functions one trial of an instrumented build runs, on the host.

        Neither that build nor its trial is ever evidence for a cell.
        """
        waiting = Said(text="waiting for another campaign on this machine")
        found = covered(
            self._builder,
            variant,
            lambda build: self._job(variant, build, scenario, axes),
            lambda: self._emit(waiting),
        )
        self.build_seconds += 0.0 if found.reused else found.seconds
        return found

    @property
    def trial_seconds(self) -> float:
        """Seconds that trials took so far, not counting reused ones."""
        return self._runner.seconds

    def host_facts(self) -> dict[str, str]:
        """Return the facts about the machines that run trials, and their Engine, for results."""
        engine = {k: v for each in self._backends.values() for k, v in each.facts().items()}
        return {**self.crew.host(), **engine}

    def seconds(self, started: float) -> dict[str, float]:
        """Return the durations for a result; *started* (monotonic) is the campaign's start."""
        return {
            "total": time.monotonic() - started,
            "builds": self.build_seconds,
            "trials": self.trial_seconds,
        }

    def add_patch(self, patch: Patch) -> None:
        """Add *patch* to those that variants may name."""
        self._builder.patches = (*self._builder.patches, patch)

    def _job(self, variant: Variant, build: Build, scenario: Scenario, axes: Axes) -> TrialJob:
        # Images, controls and cells are kept by its name.
        digest = self._digests.setdefault(scenario.name, scenario.run_digest)
        assert digest == scenario.run_digest, f"two scenarios are called {scenario.name}"
        images = self._images[scenario.name]
        return TrialJob(
            build=build,
            scenario=scenario,
            axes=axes,
            images={name: image.ref for name, image in images.items()},
            image_digests={name: image.digest for name, image in images.items()},
            registry=self._registry,
            backend=self._backends[RuntimeKind(dict(axes).get(RUNTIME_AXIS, self._usual))],
            proxies=self._proxies,
            of=variant,
            campaign=self._stored.campaign,
            deadlines=deadlines.of(self._limits, scenario.deadlines),
            machine=self._machine,
            variant=described(variant),
        )

    def _trials(
        self,
        job: TrialJob,
        key: str,
        wanted: int,
        *,
        after: int,
        control: Observation | None,
        of: Mapping[str, int] | None,
    ) -> tuple[list[Trial], tuple[Outcome, ...]]:
        """Return trials of a cell, and the outcome of each alone; *key* is that of *job*."""
        trials = self._stored.trials(key, of, slice(after, after + wanted))
        judged = [
            self._emit_trial(job, trial, control, number, wanted)
            for number, trial in enumerate(trials, 1)
        ]
        missing = range(len(trials) + 1, wanted + 1)
        for observation in self._runner.run(job, missing):
            self._stored.add(key, observation)
            trials.append(Trial(observation=observation, origin=Origin.NOW))
            judged.append(self._emit_trial(job, trials[-1], control, len(trials), wanted))
        return trials, tuple(judged)

    def _means(self) -> Means:
        return Means(
            builder=self._builder,
            emit=self._emit,
            built=lambda v: self._made.get(v.label) or self._builder.cached(v),
            build=self.build,
            take=self._take,
            job=self._job,
            trials=self._stored,
            spent=self._spent,
        )

    def _spent(self, builds: float, trials: float) -> None:
        self.build_seconds += builds
        self._runner.seconds += trials

    def _emit_trial(
        self, job: TrialJob, trial: Trial, control: Observation | None, number: int, of: int
    ) -> Outcome:
        controls = None if control is None else (control,)
        (judged,) = outcome.judge_all(job.scenario, [trial.observation], controls)
        self._emit(
            TrialDone(
                row=job.of.label,
                column=job.column,
                number=number,
                of=of,
                outcome=judged.name,
                verdict=judged.verdict,
                seconds=trial.observation.seconds,
                reused=trial.reused,
            )
        )
        return judged
