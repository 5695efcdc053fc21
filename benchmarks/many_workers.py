"""Simulates builds and trials on many machines, event by event. Pure.

A worker has one build or one trial at a time. Four parts exist once, and serve one after another:
the scheduler, the store, the link to home, and the process at home that keeps every trial. Each is
one number, the time at which it is free again, so a simulation library would not make this shorter.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

_INFINITE = float("inf")


class Place(StrEnum):
    """Which worker a trial goes to."""

    ANY = "any"  # that is free
    NEAR = "near"  # one that has its build, as long as there is a trial for it
    BUILDER = "builder"  # the one that compiled its build; so there is one


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """A distinct build, and the seconds of each trial that needs it."""

    go: str  # minor version
    warm: float  # seconds
    cold: float  # on a worker that has compiled nothing with this Go
    trials: Sequence[float] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """The machines and what connects them. By default nothing but work takes time."""

    workers: int
    place: Place = Place.NEAR
    warm: bool = False  # workers begin with a filled Go cache
    stored: bool = False  # the store has every build at the start
    beside: float = 0.0  # seconds of a build beside its compile
    build_bytes: float = 0.0
    store: float = _INFINITE  # bytes/s, for all workers together
    link: float = _INFINITE  # bytes/s, of one worker
    task: float = 0.0  # seconds of the scheduler
    evidence: float = 0.0  # bytes of a trial
    home: float = _INFINITE  # bytes/s
    keep: float = 0.0  # seconds of the process at home, for a trial
    report: float = 0.0  # seconds at home after the last trial


@dataclass(kw_only=True, slots=True)
class Line:
    """Serves one request after another. Requests come in order of time."""

    free: float = 0.0
    busy: float = 0.0  # seconds so far

    def serve(self, now: float, seconds: float) -> float:
        """Return when a request made *now* is served."""
        self.free = max(self.free, now) + seconds
        self.busy += seconds
        return self.free


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a simulated campaign took."""

    wall: float  # seconds until the report is written
    compiled: int
    cold: int
    trials: int
    pulls: int
    moved: float  # bytes to and from the store
    worked: float  # seconds of all workers, in builds and trials
    bounds: dict[str, float]  # by part: the seconds below which it does not go

    @property
    def bound(self) -> str:
        """The part that makes the most seconds necessary."""
        return max(self.bounds, key=lambda name: self.bounds[name])


def simulate(builds: Sequence[Build], cluster: Cluster) -> Outcome:
    """Build everything, and run every trial."""
    return _Simulation(builds, cluster).run()


@dataclass(slots=True)
class _Worker:
    builds: dict[int, None] = field(default_factory=dict)  # in the order of arrival
    go: set[str] = field(default_factory=set)
    at: int | None = None  # the build whose trials it runs


class _Simulation:
    def __init__(self, builds: Sequence[Build], cluster: Cluster) -> None:
        self._builds, self._cluster = builds, cluster
        self._workers = [_Worker() for _ in range(cluster.workers)]
        self._scheduler, self._store, self._home, self._keeper = Line(), Line(), Line(), Line()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._scheduled = 0
        self._now = self._last = self._worked = 0.0
        self._uncompiled: dict[str, deque[int]] = {}  # by Go
        self._left: dict[int, deque[float]] = {}  # trials of each build that is ready
        self._took = [0.0] * len(builds)  # seconds of the builds compiled so far
        self._runners = [0] * len(builds)  # workers that run a build's trials
        self._waiting: list[_Worker] = []
        self._compiled = self._cold = self._trials = self._pulls = 0

    def run(self) -> Outcome:
        for number, build in enumerate(self._builds):
            if self._cluster.stored:
                self._open(number)
            else:
                self._uncompiled.setdefault(build.go, deque()).append(number)
        for worker in self._workers:
            self._next(worker)
        while self._events:
            self._now, _, step = heapq.heappop(self._events)
            step()
        return self._outcome()

    def _at(self, when: float, step: Callable[[], None]) -> None:
        self._scheduled += 1  # events of one moment keep their order
        heapq.heappush(self._events, (when, self._scheduled, step))

    def _open(self, number: int) -> None:
        if self._builds[number].trials:
            self._left[number] = deque(self._builds[number].trials)

    def _next(self, worker: _Worker) -> None:
        """Give *worker* something to do."""
        if self._uncompiled:
            self._compile(worker)
        elif (number := self._choose(worker)) is not None:
            self._start(worker, number)
        else:
            self._move(worker, None)
            self._waiting.append(worker)

    # --- builds ---

    def _compile(self, worker: _Worker) -> None:
        # A Go that the worker has compiled with; or else the one that has waited longest.
        go = next((one for one in self._uncompiled if one in worker.go), None)
        go = go or next(iter(self._uncompiled))
        waiting = self._uncompiled.pop(go)
        number = waiting.popleft()
        if waiting:
            self._uncompiled[go] = waiting
        build = self._builds[number]
        cold = not self._cluster.warm and go not in worker.go
        worker.go.add(go)
        worker.builds[number] = None
        self._compiled += 1
        self._cold += cold
        seconds = self._cluster.beside + (build.cold if cold else build.warm)
        self._worked += seconds
        self._took[number] = seconds
        began = self._scheduler.serve(self._now, self._cluster.task)
        self._at(began + seconds, lambda: self._push(worker, number))

    def _push(self, worker: _Worker, number: int) -> None:
        self._at(self._transferred(), lambda: self._ready(worker, number))

    def _ready(self, worker: _Worker, number: int) -> None:
        self._last = max(self._last, self._now)
        self._open(number)
        woken, self._waiting = [worker, *self._waiting], []
        for one in woken:
            self._next(one)

    def _transferred(self) -> float:
        """Return when the store has sent or received one build."""
        cluster = self._cluster
        served = self._store.serve(self._now, cluster.build_bytes / cluster.store)
        slower = cluster.build_bytes / cluster.link - cluster.build_bytes / cluster.store
        return served + max(0.0, slower)

    # --- trials ---

    def _start(self, worker: _Worker, number: int) -> None:
        self._move(worker, number)
        seconds = self._left[number].popleft()
        if not self._left[number]:
            del self._left[number]
        began = self._scheduler.serve(self._now, self._cluster.task)
        if number in worker.builds:
            self._at(began + seconds, lambda: self._end(worker, seconds))
        else:
            worker.builds[number] = None
            self._at(began, lambda: self._pull(worker, seconds))

    def _choose(self, worker: _Worker) -> int | None:
        """Return the build of the trial that *worker* runs next; None if there is none for it."""
        if self._cluster.place is Place.ANY:
            return next(iter(self._left), None)
        if worker.at in self._left:
            return worker.at
        there = next((one for one in worker.builds if one in self._left), None)
        if there is not None or self._cluster.place is Place.BUILDER or not self._left:
            return there
        return max(self._left, key=lambda one: len(self._left[one]) / (self._runners[one] + 1))

    def _move(self, worker: _Worker, number: int | None) -> None:
        if worker.at is not None:
            self._runners[worker.at] -= 1
        if number is not None:
            self._runners[number] += 1
        worker.at = number

    def _pull(self, worker: _Worker, seconds: float) -> None:
        self._pulls += 1
        self._at(self._transferred() + seconds, lambda: self._end(worker, seconds))

    def _end(self, worker: _Worker, seconds: float) -> None:
        cluster = self._cluster
        self._trials += 1
        self._worked += seconds
        sent = self._home.serve(self._now, cluster.evidence / cluster.home)
        kept = self._keeper.serve(self._now, cluster.keep)
        self._last = max(self._last, sent, kept)
        self._next(worker)

    # --- the end ---

    def _outcome(self) -> Outcome:
        cluster = self._cluster
        return Outcome(
            wall=self._last + cluster.report,
            compiled=self._compiled,
            cold=self._cold,
            trials=self._trials,
            pulls=self._pulls,
            moved=(self._pulls + self._compiled) * cluster.build_bytes,
            worked=self._worked,
            bounds={
                "workers": self._worked / cluster.workers,
                "longest chain": max(map(self._chain, range(len(self._builds))), default=0.0),
                "scheduler": self._scheduler.busy,
                "store": self._store.busy,
                "home's link": self._home.busy,
                "home's process": self._keeper.busy,
                "report": cluster.report,
            },
        )

    def _chain(self, number: int) -> float:
        """Return the seconds of a build, and of the trials that nobody can run beside it."""
        trials = self._builds[number].trials
        alone = self._cluster.place is Place.BUILDER
        return self._took[number] + (sum(trials) if alone else max(trials, default=0.0))
