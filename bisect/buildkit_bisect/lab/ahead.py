"""Makes the builds and trials of several cells at once, before the cells are asked for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from buildkit_bisect.builds import Builder
from buildkit_bisect.errors import BisectError
from buildkit_bisect.events import BuildStarted, Event, Said, TrialStarted
from buildkit_bisect.lab.executors import nothing_left
from buildkit_bisect.lab.stored import Stored
from buildkit_bisect.lab.trial import TrialJob, run_trial
from buildkit_bisect.model import Axes, Build, NoBuild, Observation, Variant
from buildkit_bisect.scenario import Scenario, metrics
from buildkit_bisect.system import machine
from buildkit_bisect.system.machine_lock import machine_lock

#: Cores that one compile of BuildKit keeps busy. Its largest packages are compiled one after the
#: other, and then it links, on one core.
COMPILE_CORES = 4

#: Trials that run per lock of the machine, so that another campaign gets its turn in between.
_BATCH = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A cell that will be asked for: `Lab.cell` of the same arguments."""

    variant: Variant
    scenario: Scenario
    axes: Axes
    trials: int  # 0: only the build
    after: int = 0
    of: Mapping[str, int] | None = None


class Crew(Protocol):
    """Who makes builds and trials several at once: processes here, or workers elsewhere."""

    @property
    def cells(self) -> int:
        """Cells that are worth asking for at once; with 1, nothing is made ahead."""
        ...

    @property
    def compiles(self) -> int:
        """How many of these cells may need a compile."""
        ...

    @property
    def apart(self) -> bool:
        """Whether a compile and a trial may run at once, since they are on different machines."""
        ...

    def compiling(self, on_wait: Callable[[], None], /) -> AbstractContextManager[None]:
        """Return what is held while builds of `build` run."""
        ...

    def running(self, on_wait: Callable[[], None], /) -> AbstractContextManager[None]:
        """Return what is held while trials of `trial` run."""
        ...

    def build(self, builder: Builder, variant: Variant, /) -> Future[Build | NoBuild]:
        """Begin a build."""
        ...

    def trial(self, job: TrialJob, /) -> Future[Observation]:
        """Begin a trial. Its evidence is in this machine's cache when the future is done."""
        ...

    def host(self) -> Mapping[str, str]:
        """Return the facts about the machines that run trials, for results."""
        ...


@dataclass(frozen=True, slots=True)
class AtOnce:
    """How many cells a campaign asks for at once."""

    cells: int = 1
    compiles: int = 1  # how many of these may need a compile


def here(jobs: int, *, cores: int | None = None) -> AtOnce:
    """Return what *jobs* and the cores of this machine allow: at least one compile."""
    cores = len(os.sched_getaffinity(0)) if cores is None else cores
    return AtOnce(jobs, max(1, min(jobs, cores // COMPILE_CORES)))


class Here:
    """This machine: trials on *executor*, and compiles too where several run at once."""

    apart = False

    def __init__(self, executor: Executor, at_once: AtOnce) -> None:
        self._executor = executor
        self.cells, self.compiles = at_once.cells, at_once.compiles

    def compiling(self, on_wait: Callable[[], None], /) -> AbstractContextManager[None]:
        """One lock for all of them, since each would wait for the others' own."""
        return machine_lock(on_wait)

    def running(self, on_wait: Callable[[], None], /) -> AbstractContextManager[None]:
        """No compile of this or another campaign runs beside a trial."""
        return machine_lock(on_wait)

    def build(self, builder: Builder, variant: Variant, /) -> Future[Build | NoBuild]:
        """See `Crew`. A store is for the caller: what a process says of it would be lost."""
        # What was pulled may lack the signature that the store's key asks for.
        own = builder.own or builder.shared is not None
        compiles = replace(builder, alone=False, shared=None, own=own)
        return self._executor.submit(_build, compiles, variant)

    def trial(self, job: TrialJob, /) -> Future[Observation]:
        """See `Crew`."""
        return self._executor.submit(run_trial, job)

    def host(self) -> Mapping[str, str]:
        """See `Crew`."""
        return machine.facts()


def _build(builder: Builder, variant: Variant) -> Build | NoBuild:
    return builder.build(variant)


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """What a lab lends to those who work ahead of it."""

    builder: Builder
    emit: Callable[[Event], None]
    built: Callable[[Variant], Build | NoBuild | None]  # without a compile
    build: Callable[[Variant], Build | NoBuild]
    take: Callable[[Variant, Build | NoBuild | BaseException], None]  # what `Crew.build` made
    job: Callable[[Variant, Build, Scenario, Axes], TrialJob]
    trials: Stored
    spent: Callable[[float, float], None]  # seconds in which builds and in which trials ran


@dataclass(kw_only=True, slots=True)
class _Cell:
    """Trials with one key in a round."""

    job: TrialJob
    stored: int
    begun: list[Future[Observation]] = field(default_factory=list)


class Ahead:
    """One call of `Lab.ahead`."""

    def __init__(self, crew: Crew, means: Means) -> None:
        self._crew = crew
        self._means = means
        self._building: dict[Future[Build | NoBuild], Variant] = {}
        self._trials: dict[Future[Observation], _Cell] = {}
        self._cells: dict[str, _Cell] = {}  # by key
        self._failed: set[str] = set()  # labels of variants whose build raised

    def made(self, wanted: Sequence[Wanted]) -> Iterator[Wanted]:
        """See `Lab.ahead`."""
        try:
            if self._crew.apart:
                yield from self._settled(wanted)
                return
            for group in self._groups(wanted):
                self._builds(group)
                for batch in _batches(group):
                    if not any(map(self._lacks, batch)):
                        yield from batch  # without a wait for another campaign's trial
                        continue
                    with self._crew.running(self._waiting), nothing_left(self._pending):
                        settled = list(self._settled(batch))
                    yield from settled
        finally:
            for future in self._pending():
                future.cancel()

    def _groups(self, wanted: Sequence[Wanted]) -> Iterator[list[Wanted]]:
        """Yield cells whose missing builds can be made at once; then their trials are run.

        So the first of many rows are complete before the last ones are built.
        """
        group: list[Wanted] = []
        lacking: set[str] = set()
        for one in wanted:
            more = {one.variant.label} if self._means.built(one.variant) is None else set[str]()
            if len(lacking | more) > self._crew.compiles:
                yield group
                group, lacking = [], set()
            group.append(one)
            lacking |= more
        yield group

    def _builds(self, wanted: Sequence[Wanted]) -> None:
        """Make every build, before the first trial."""
        lacking = [v for v in _variants(wanted) if self._means.built(v) is None]
        if self._crew.compiles == 1:
            for variant in lacking:
                try:
                    self._means.build(variant)
                except (BisectError, OSError) as error:
                    self._take(variant, error)
        elif lacking := [variant for variant in lacking if not self._pulled(variant)]:
            waiting = list(lacking)
            with self._crew.compiling(self._waiting), nothing_left(self._pending):
                while waiting or self._building:
                    while waiting and len(self._building) < self._crew.compiles:
                        self._begin_build(waiting.pop(0))
                    self._wait()
            for variant in lacking:
                self._share(variant)

    def _pulled(self, variant: Variant) -> bool:
        """Whether the build of *variant* needs no compile: a store had it, or asking it failed."""
        started = time.monotonic()
        try:
            made = self._means.builder.pulled(variant)
        except (BisectError, OSError) as error:
            self._take(variant, error)
            return True
        self._means.spent(time.monotonic() - started, 0.0)
        if made is None:
            return False
        self._means.emit(BuildStarted(row=variant.label))
        self._take(variant, made)
        return True

    def _share(self, variant: Variant) -> None:
        """Push what was compiled, if there is a store for it."""
        made = self._means.built(variant)
        if made is None or (isinstance(made, Build) and made.reused):
            return
        try:
            self._means.builder.share(variant, made)
        except (BisectError, OSError) as error:
            text = f"warning: cannot push the build of {variant.label}: {error}"
            self._means.emit(Said(text=text, warning=True))

    def _settled(self, wanted: Sequence[Wanted]) -> Iterator[Wanted]:
        """Run what *wanted* lacks; yield each one when nothing of it runs any more."""
        for variant in _variants(wanted):
            if self._means.built(variant) is None and variant.label not in self._failed:
                self._begin_build(variant)
        left = list(wanted)
        while left:
            running = {id(one): self._running(one) for one in left}
            yield from (one for one in left if not running[id(one)])
            left = [one for one in left if running[id(one)]]
            if left:
                self._wait()

    def _lacks(self, wanted: Wanted) -> bool:
        """Whether something of a cell is to be run."""
        build = self._means.built(wanted.variant)
        if not isinstance(build, Build):
            return build is None and wanted.variant.label not in self._failed
        return any(self._left(*each) for each in self._jobs(wanted, build))

    def _running(self, wanted: Wanted) -> bool:
        """Whether something of a cell runs, after its trials were begun if there is a build."""
        if wanted.variant in self._building.values():
            return True
        build = self._means.built(wanted.variant)
        if not isinstance(build, Build):
            return False
        cells = [self._begun(*each) for each in self._jobs(wanted, build)]
        return any(future in self._trials for cell in cells for future in cell.begun)

    def _jobs(
        self, wanted: Wanted, build: Build
    ) -> Iterator[tuple[TrialJob, int, Mapping[str, int] | None]]:
        """Yield the control and the cell, with how many trials each needs, and which count."""
        scenario, count = wanted.scenario, wanted.after + wanted.trials
        if not wanted.trials:
            return
        control = scenario.control_of(wanted.axes)
        if control is not None:
            beside = controls_beside(scenario, count)
            yield self._means.job(wanted.variant, build, scenario, control), beside, None
        yield self._means.job(wanted.variant, build, scenario, wanted.axes), count, wanted.of

    def _begun(self, job: TrialJob, count: int, of: Mapping[str, int] | None) -> _Cell:
        left = self._left(job, count, of)
        cell = self._cells[job.key]
        for number in left:
            self._means.emit(
                TrialStarted(row=job.of.label, column=job.column, number=number, of=count)
            )
            future = self._crew.trial(job)
            cell.begun.append(future)
            self._trials[future] = cell
        return cell

    def _left(self, job: TrialJob, count: int, of: Mapping[str, int] | None) -> range:
        """Return the numbers of the trials that are neither stored nor begun."""
        cell = self._cells.get(job.key)
        if cell is None:
            stored = self._means.trials.count(job.key, of)
            cell = self._cells[job.key] = _Cell(job=job, stored=stored)
        return range(cell.stored + len(cell.begun) + 1, count + 1)

    def _begin_build(self, variant: Variant) -> None:
        self._means.emit(BuildStarted(row=variant.label))
        self._building[self._crew.build(self._means.builder, variant)] = variant

    def _pending(self) -> list[Future[Any]]:
        return [*self._building, *self._trials]

    def _wait(self) -> None:
        """Take in what ends next."""
        started, builds = time.monotonic(), bool(self._building)
        done, _ = wait(self._pending(), return_when=FIRST_COMPLETED)
        spent = time.monotonic() - started
        self._means.spent(spent if builds else 0.0, 0.0 if builds else spent)
        for future in done:
            if variant := self._building.pop(future, None):
                self._take(variant, future.exception() or future.result())
            elif (cell := self._trials.pop(future, None)) and not future.exception():
                self._means.trials.add(cell.job.key, future.result())

    def _waiting(self) -> None:
        self._means.emit(Said(text="waiting for another campaign on this machine"))

    def _take(self, variant: Variant, made: Build | NoBuild | BaseException) -> None:
        if isinstance(made, BaseException):
            self._failed.add(variant.label)
        self._means.take(variant, made)


def _variants(wanted: Sequence[Wanted]) -> list[Variant]:
    return list({one.variant.label: one.variant for one in wanted}.values())


def _batches(wanted: Sequence[Wanted]) -> Iterator[list[Wanted]]:
    """Yield cells with about `_BATCH` trials together."""
    batch: list[Wanted] = []
    for one in wanted:
        batch.append(one)
        if sum(each.trials for each in batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def controls_beside(scenario: Scenario, count: int) -> int:
    """Return how many trials of its control *count* trials of a cell need.

    A comparison needs as many.
    """
    return count if metrics.comparisons(scenario) else 1
