"""Runs trials that are not stored yet, and retries them after infrastructure failures.

Trials hold the machine lock, so none runs during a compile of this or another campaign.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager
from dataclasses import replace

from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.events import Events, Said, TrialStarted
from buildkit_bisect.lab.executors import Inline, nothing_left
from buildkit_bisect.lab.trial import TrialJob, disk_full, run_trial
from buildkit_bisect.model import Observation
from buildkit_bisect.options.command import inv
from buildkit_bisect.scenario import outcome
from buildkit_bisect.system.machine_lock import machine_lock

#: Seconds to wait before each retry of a trial after an infrastructure failure.
RETRY_AFTER = (1.0, 5.0)

#: How many trials run per lock of the machine, with several jobs.
_BATCH = 16


class Runner:
    """Runs trials on an executor, one batch at a time."""

    def __init__(
        self,
        executor: Executor,
        events: Events,
        running: Callable[[Callable[[], None]], AbstractContextManager[None]] = machine_lock,
    ) -> None:
        """*running* is held while trials run, see `Crew`."""
        self._executor = executor
        self._running = running
        self._emit = events.emit
        self._unfit = False  # the canary failed too, so retries would only take time
        self._begun: list[Future[Observation]] = []  # in this batch
        self.seconds = 0.0  # that trials took so far

    def run(self, job: TrialJob, numbers: range) -> Iterator[Observation]:
        """Run trials *numbers* of a cell; yield each observation as soon as it is available.

        The machine is locked per batch, so that another campaign gets its turn in between.
        """
        waiting = Said(text="waiting for another campaign on this machine")
        batch = 1 if isinstance(self._executor, Inline) else _BATCH
        for first in range(numbers.start, numbers.stop, batch):
            self._begun = []
            with self._running(lambda: self._emit(waiting)), nothing_left(lambda: self._begun):
                started = time.monotonic()
                for number in numbers[first - numbers.start :][:batch]:
                    self._emit(
                        TrialStarted(
                            row=job.of.label, column=job.column, number=number, of=numbers[-1]
                        )
                    )
                    self._begin(job)
                for future in list(self._begun):
                    yield self._settle(job, future)
                self.seconds += time.monotonic() - started

    def _begin(self, job: TrialJob) -> Future[Observation]:
        self._begun.append(self._executor.submit(run_trial, job))
        return self._begun[-1]

    def _settle(self, job: TrialJob, future: Future[Observation]) -> Observation:
        """Return the observation, after retries if the infrastructure failed.

        Raises `InfraFailed` on a full disk.
        """
        observation = future.result()
        for pause in () if self._unfit else RETRY_AFTER:
            if not observation.infra:
                break
            text = f"infrastructure failed ({observation.infra}); retrying"
            self._emit(Said(text=text, warning=True))
            time.sleep(pause)
            observation = self._begin(job).result()
        if not observation.infra:
            self._unfit = False
            return observation
        if disk_full():  # so every other trial would fail too
            raise InfraFailed(
                f"the disk of the cache is full ({observation.infra})",
                hint=f"free some space there, then {inv('resume')}",
            )
        return replace(observation, infra=f"{observation.infra}{self._canary(job)}")

    def _canary(self, job: TrialJob) -> str:
        """Run the cell's control once, to see whether the machine is at fault or only this cell.

        Returns the result as a clause, or "" if the cell has no control or is one.
        """
        axes = job.scenario.control_of(job.axes)
        if axes is None:
            return ""
        shown = ", ".join(f"{k}={v}" for k, v in axes)
        self._emit(Said(text=f"canary: running the control ({shown}) again", warning=True))
        seen = self._begin(replace(job, axes=axes)).result()
        self._unfit = bool(seen.infra)
        if seen.infra:
            return f"; the canary ({shown}) fails too: {seen.infra}"
        (judged,) = outcome.judge_all(job.scenario, [seen], None)
        return f"; the canary ({shown}) was {judged.name} right after it"
