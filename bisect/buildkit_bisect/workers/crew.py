"""The workers of a campaign as what builds and runs trials for a lab; see `lab.ahead.Crew`."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, replace
from typing import Any, ParamSpec, Self, TypeVar

from buildkit_bisect.builds import Builder, Progress
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.lab import trial
from buildkit_bisect.lab.machine_kind import MachineKind
from buildkit_bisect.lab.trial import TrialJob
from buildkit_bisect.model import Build, NoBuild, Observation, Variant
from buildkit_bisect.scenario import Scenario
from buildkit_bisect.system import paths
from buildkit_bisect.workers import dask, parcels
from buildkit_bisect.workers.dispatch import Dispatch, Lost, unanswered
from buildkit_bisect.workers.link import DaskLink
from buildkit_bisect.workers.orders import Answer, Order
from buildkit_bisect.workers.parcels import Parcel

P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """The workers of the scheduler at *where* that a campaign uses."""

    apart = True

    def __init__(self, where: str, builder: Builder, say: Callable[[str], None]) -> None:
        """Connect. Raises `Missing` if there is no scheduler, or no worker that can be used."""
        self._link = DaskLink(where)
        self.kind: MachineKind = self._link.chosen.kind
        self.said = self._link.chosen.said
        try:
            self._dispatch = Dispatch(self._link, where, say)
        except Lost:
            self._link.close()
            raise dask.absent(where) from None
        self._files: dict[str, tuple[tuple[Parcel, ...], ...]] = {}  # by a scenario's digest
        self.builder = RemoteBuilder.of(builder, self)
        self.executor = _Trials(self)

    def close(self) -> None:
        """Cancel what runs."""
        self._dispatch.close()
        self._link.close()

    def check(self, scenarios: Iterable[Scenario]) -> None:
        """Raise `BadInput` if *scenarios* have too many files to be sent."""
        for scenario in scenarios:
            self._files_of(scenario)

    @property
    def cells(self) -> int:
        """As many as there are workers."""
        return max(1, len(self._dispatch.usable))

    @property
    def compiles(self) -> int:
        """One on each worker."""
        return self.cells

    def compiling(self, _on_wait: Callable[[], None], /) -> AbstractContextManager[None]:
        """Nothing is held here: each worker locks its own machine."""
        return nullcontext()

    def running(self, _on_wait: Callable[[], None], /) -> AbstractContextManager[None]:
        """See `compiling`."""
        return nullcontext()

    def build(self, builder: Builder, variant: Variant, /) -> Future[Build | NoBuild]:
        """See `Crew`."""
        order = self._order(builder, variant)
        return _then(self._dispatch.submit(order), lambda a: self._built(builder, order, a))

    def trial(self, job: TrialJob, /) -> Future[Observation]:
        """See `Crew`. Where no worker could run it, the observation says why, as ``infra``."""
        order = replace(
            self._order(self.builder, job.of),
            job=job,
            files=self._files_of(job.scenario),
            key=job.key,
        )
        return _then(self._dispatch.submit(order), lambda answer: _observed(job, answer))

    def host(self) -> dict[str, str]:
        """Return the facts that all workers have that did something, and how many they are."""
        seen = [one.host for one in self._dispatch.seen.values() if one.host]
        return common(seen or [one.host for one in self._link.chosen.workers.values()])

    def _order(self, builder: Builder, variant: Variant) -> Order:
        wanted = {patch.digest for patch in variant.patches}
        return Order(
            id=f"bkbisect-{uuid.uuid4()}",
            variant=variant,
            source=builder.source.kind,
            repo=builder.source.where,
            recipe=builder.recipe,
            patches=tuple(p for p in builder.patches if p.ref.digest in wanted),
            deadlines=builder.deadlines,
        )

    def _files_of(self, scenario: Scenario) -> tuple[tuple[Parcel, ...], ...]:
        known = self._files.get(scenario.digest)
        if known is None:
            known = self._files[scenario.digest] = parcels.of_scenario(scenario)
        return known

    def _built(self, builder: Builder, order: Order, answer: Answer) -> Build | NoBuild:
        answer = unanswered(answer)
        if answer.trouble:
            raise InfraFailed(f"cannot {order.what}: {answer.trouble}", hint=answer.hint)
        made = answer.made
        assert made
        if isinstance(made, Build):
            made = replace(made, directory="")
            builder.keep_elsewhere(order.variant, made)
            return made
        if answer.log:
            kept = paths.cache("logs") / f"{order.id}.log"
            kept.write_text(answer.log)
            made = replace(made, log=str(kept))
        return (
            replace(made, reason=f"worker {answer.worker}: {made.reason}") if made.infra else made
        )


class RemoteBuilder(Builder):
    """A builder whose builds are made by workers; the rest is as usual.

    An instrumented build and the BuildKit of base images are for this machine, so made here.
    """

    crew: Workers | None = None  # none in a copy, which is for something else

    @classmethod
    def of(cls, builder: Builder, crew: Workers) -> Self:
        """Return *builder* with the builds of *crew*."""
        made = cls(**{f.name: getattr(builder, f.name) for f in fields(builder)})
        made.crew = crew
        return made

    def build(
        self, variant: Variant, on_progress: Progress = lambda _done, _expected: None
    ) -> Build | NoBuild:
        """See `Builder.build`."""
        if self.crew is None:
            return super().build(variant, on_progress)
        return self.cached(variant) or self.crew.build(self, variant).result()


class _Trials(Executor):
    """Runs trials, and nothing else, on workers."""

    def __init__(self, crew: Workers) -> None:
        self._crew = crew

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run the trial of `run_trial` and its job."""
        assert fn is trial.run_trial
        assert not kwargs
        future: Future[Any] = self._crew.trial(*args)  # type: ignore[arg-type]
        return future


def _observed(job: TrialJob, answer: Answer) -> Observation:
    """Return what came home of a trial; its evidence is in the cache then. Raises `InfraFailed`."""
    answer = unanswered(answer)
    seen = answer.observation
    if seen is None:
        reason = answer.trouble or f"worker {answer.worker}: {answer.failed or 'no build'}"
        return Observation(steps=(), seconds=0.0, infra=reason)
    infra = f"worker {answer.worker}: {seen.infra}" if seen.infra else ""
    try:
        with paths.scratch("evidence") as home:
            parcels.write(answer.evidence, home / "evidence")
            kept = trial.keep(home / "evidence", job.key)
    except OSError as error:
        raise InfraFailed(f"cannot keep the evidence of a worker: {error}") from error
    facts = {**seen.facts, "worker": answer.worker}
    return replace(seen, infra=infra, evidence=str(kept), facts=facts)


def common(hosts: list[Mapping[str, str]]) -> dict[str, str]:
    """Return the facts that are equal on all of *hosts*, and how many they are. Pure."""
    first = hosts[0]
    same = {k: v for k, v in first.items() if all(host.get(k) == v for host in hosts)}
    return {**same, "workers": str(len(hosts))}


def _then(future: Future[Answer], follow: Callable[[Answer], T]) -> Future[T]:
    """Return the future of what *follow* makes of *future*'s answer; cancelling cancels both."""
    after: Future[T] = Future()

    def done(answered: Future[Answer]) -> None:
        if answered.cancelled():
            after.cancel()
        if not after.set_running_or_notify_cancel():
            return
        try:
            after.set_result(follow(answered.result()))
        except BaseException as error:
            after.set_exception(error)

    after.add_done_callback(lambda ended: future.cancel() if ended.cancelled() else None)
    future.add_done_callback(done)
    return after
