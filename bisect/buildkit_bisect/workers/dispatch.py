"""Gives orders to workers: as many at once as there are workers, and again where one fails.

It knows of Dask only what `Link` says. Orders are never lost: each ends with an answer or an error.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from buildkit_bisect.errors import BisectError, InfraFailed
from buildkit_bisect.options.command import inv
from buildkit_bisect.workers.facts import Facts
from buildkit_bisect.workers.orders import Answer, Order

#: Workers that an order is tried on, one after another, if each fails.
TRIES = 3

#: Times that a lost scheduler is waited for in one campaign.
LOSSES = 5

#: Orders in a row that a worker fails at before it gets no more.
STRIKES = 3

#: Seconds between two looks at which workers there are, and without any before orders fail.
LOOK, ALONE = 2.0, 60.0

#: Seconds more between two looks for each worker: what a look transfers grows with them.
LOOK_EACH = 0.01


class Lost(Exception):
    """The connection to the scheduler is lost."""


class Link(Protocol):
    """A connection to a scheduler."""

    def workers(self) -> Mapping[str, Facts]:
        """Return the usable workers by address. Raises `Lost`."""
        ...

    def submit(self, order: Order, among: Collection[str], /) -> Future[Answer]:
        """Have a worker *among* these addresses do *order*, any if there are none.

        A future that is cancelled means that the scheduler is lost. Raises `Lost`.
        """
        ...

    def again(self) -> bool:
        """Connect again, for a bounded time; return whether that worked."""
        ...


@dataclass(kw_only=True, eq=False)
class _Task:
    """An order, and how far it is."""

    order: Order
    result: Future[Answer] = field(default_factory=Future)
    failed: set[str] = field(default_factory=set)  # addresses of workers that failed at it
    tries: int = 0
    running: Future[Answer] | None = None
    among: frozenset[str] = frozenset()  # workers that may be doing it

    def __repr__(self) -> str:
        return f"<{self.order.what}>"


class Dispatch:
    """Orders that wait and run. Its thread ends with `close`."""

    def __init__(self, link: Link, where: str, say: Callable[[str], None]) -> None:
        """*say* gets warnings, each once, from another thread."""
        self._link = link
        self._where = where
        self._say = say
        self._events: queue.Queue[tuple[_Task | None, Future[Answer] | None]] = queue.Queue()
        self._waiting: list[_Task] = []
        self._tasks: set[_Task] = set()  # that run
        self._workers: Mapping[str, Facts] = link.workers()
        self._holders: dict[str, set[str]] = {}  # key of a build -> addresses that have it
        self._strikes: Counter[str] = Counter()  # address -> orders failed in a row
        self._out: set[str] = set()  # addresses that get nothing more
        self._losses = 0
        self._looked = self._alone = time.monotonic()
        self._error: BisectError | None = None  # why nothing can be done any more
        self._over = False
        self.seen: dict[str, Answer] = {}  # the last answer of each worker, by address
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def usable(self) -> Mapping[str, Facts]:
        """The workers that may be given something now, by address."""
        return {a: facts for a, facts in self._workers.items() if a not in self._out}

    def submit(self, order: Order) -> Future[Answer]:
        """Begin *order*. The future has an answer, also of a worker that failed, or `InfraFailed`.

        If it is cancelled, so is the order.
        """
        task = _Task(order=order)
        task.result.add_done_callback(lambda _: self._events.put((task, None)))
        self._events.put((task, None))
        return task.result

    def close(self) -> None:
        """Cancel what waits and runs, and end the thread."""
        self._over = True
        self._events.put((None, None))
        self._thread.join(10)

    def _run(self) -> None:
        try:
            while not self._over:
                self._take()
                self._look()
                self._give()
        except BaseException as error:
            self._fail(InfraFailed(f"giving work to workers failed: {error!r}"))
            raise
        finally:
            for task in [*self._tasks, *self._waiting]:
                if task.running:
                    task.running.cancel()
                task.result.cancel()

    def _take(self) -> None:
        """Take in what happened, for at most `LOOK` seconds."""
        until = time.monotonic() + LOOK
        while True:
            try:
                left = max(0.0, until - time.monotonic())
                task, future = self._events.get(timeout=left)
            except queue.Empty:
                return
            if task is None:
                return
            if future is not None:
                self._ended(task, future)
            elif task.result.done():
                self._dropped(task)
            elif self._error:
                with suppress(InvalidStateError):
                    task.result.set_exception(self._error)
            else:
                self._waiting.append(task)
            until = time.monotonic()  # and what else is there already

    def _dropped(self, task: _Task) -> None:
        """Forget a task that has its answer, or that nobody wants any more."""
        if task in self._waiting:
            self._waiting.remove(task)
        if task.running and task.result.cancelled():
            self._tasks.discard(task)
            running, task.running = task.running, None
            running.cancel()

    def _ended(self, task: _Task, future: Future[Answer]) -> None:
        if task.running is not future:  # cancelled here
            return
        task.running = None
        self._tasks.discard(task)
        if task.result.done():
            return
        if future.cancelled():
            self._waiting.insert(0, task)
            self._lost()
            return
        if error := future.exception():
            self._settle(task, Answer(trouble=_said(error)))
            return
        answer = future.result()
        if answer.failed:
            self._failed(task, answer)
            return
        self._strikes.pop(answer.address, None)
        self._holders.setdefault(_build(task.order, answer), set()).add(answer.address)
        self._settle(task, answer)

    def _failed(self, task: _Task, answer: Answer) -> None:
        """Try *task* on another worker, if there is one and it was not tried too often."""
        task.tries += 1
        task.failed.add(answer.address)
        self._strikes[answer.address] += 1
        others = self.usable.keys() - task.failed
        unfit = answer.full or self._strikes[answer.address] >= STRIKES
        if unfit and answer.address in self.usable and len(self.usable) > 1:
            self._out.add(answer.address)
            self._say(f"worker {answer.worker} gets no more work: {answer.failed}")
        if others and task.tries < TRIES:
            self._waiting.insert(0, task)
        else:
            self._settle(task, answer)

    def _settle(self, task: _Task, answer: Answer) -> None:
        if answer.address:
            self.seen[answer.address] = answer
        with suppress(InvalidStateError):  # cancelled
            task.result.set_result(answer)

    def _lost(self) -> None:
        """Wait for the scheduler, and have all that ran run again."""
        for task in self._tasks:
            task.running = None
        self._waiting[:0] = self._tasks
        self._tasks.clear()
        self._losses += 1
        if self._losses == 1:
            self._say(f"lost the scheduler at {self._where}; waiting for it")
        back = self._losses <= LOSSES and self._link.again()
        if not back:
            times = f"{self._losses} times" if self._losses > LOSSES else "and it did not come back"
            self._fail(
                InfraFailed(f"the scheduler at {self._where} was lost {times}", hint=inv("resume"))
            )
            return
        self._workers, self._looked = {}, 0.0
        self._alone = time.monotonic()

    def _look(self) -> None:
        """Look which workers there are; without any for a while, nothing can be done."""
        now = time.monotonic()
        if self._error or now - self._looked < max(LOOK, len(self._workers) * LOOK_EACH):
            return
        try:
            self._workers = self._link.workers()
        except Lost:
            self._lost()
            return
        self._looked = time.monotonic()
        self._alone = self._looked if self.usable else self._alone
        if self._looked - self._alone > ALONE and (self._waiting or self._tasks):
            hint = f"{inv('worker', self._where)}, then {inv('resume')}"
            self._fail(InfraFailed(f"no worker is left at {self._where}", hint=hint))
        for task in list(self._tasks):
            if task.among and not task.among & self._workers.keys():
                self._deserted(task)

    def _deserted(self, task: _Task) -> None:
        """Every worker that may have done *task* is gone."""
        self._tasks.discard(task)
        running, task.running = task.running, None
        if running:
            running.cancel()
        task.tries += 1
        if task.tries < TRIES:
            self._waiting.insert(0, task)
        else:
            self._settle(task, Answer(trouble=f"{task.tries} workers ended while they did it"))

    def _fail(self, error: InfraFailed) -> None:
        self._error = error
        for task in [*self._tasks, *self._waiting]:
            if task.running:
                task.running.cancel()
                task.running = None
            with suppress(InvalidStateError):
                task.result.set_exception(error)
        self._tasks.clear()
        self._waiting.clear()

    def _give(self) -> None:
        """Submit what workers are free for."""
        usable = self.usable
        everyone, busy = frozenset(usable), set[frozenset[str]]()
        for task in list(self._waiting):
            if self._error or len(self._tasks) >= len(usable):
                return
            able = self._able(task, usable, everyone)
            if able in busy:
                continue
            if able is not everyone and self._busy(able):
                busy.add(able)
                continue
            # The resources of an order keep it from workers of another kind and version.
            anywhere = able is everyone and not self._out
            try:
                task.running = self._link.submit(task.order, () if anywhere else able)
            except Lost:
                self._lost()
                return
            task.among = able
            self._waiting.remove(task)
            self._tasks.add(task)
            task.running.add_done_callback(partial(self._done, task))

    def _busy(self, able: frozenset[str]) -> bool:
        return sum(other.among <= able for other in self._tasks) >= len(able)

    def _done(self, task: _Task, future: Future[Answer]) -> None:
        self._events.put((task, future))

    def _able(
        self, task: _Task, usable: Mapping[str, Facts], everyone: frozenset[str]
    ) -> frozenset[str]:
        """Return the workers that may do *task*.

        A trial is run where its build is, unless others can pull it from a store.
        """
        job = task.order.job
        if job is not None:
            holders = self._holders.get(job.build.key, set())
            have = frozenset(a for a in holders if a in usable and a not in task.failed)
            if have and not any(usable[address].shares for address in have):
                return have
        return (everyone - task.failed or everyone) if task.failed else everyone


def _build(order: Order, answer: Answer) -> str:
    if order.job is not None:
        return order.job.build.key
    return getattr(answer.made, "key", "")


def _said(error: BaseException) -> str:
    """Return what Dask says of an order that no worker answered, in one line."""
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}"


def unanswered(answer: Answer) -> Answer:
    """Return *answer* with its trouble named as that of its worker."""
    who = f"worker {answer.worker}: " if answer.worker else ""
    return replace(answer, trouble=f"{who}{answer.trouble}" if answer.trouble else "")
