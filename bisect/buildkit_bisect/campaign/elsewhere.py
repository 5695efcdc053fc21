"""Who builds and runs trials for a campaign: this machine, or the workers of a scheduler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, closing
from dataclasses import dataclass

from buildkit_bisect.builds import Builder
from buildkit_bisect.errors import BadInput
from buildkit_bisect.lab import base_images
from buildkit_bisect.lab.ahead import Crew, Here
from buildkit_bisect.lab.executors import executor
from buildkit_bisect.lab.machine_kind import MachineKind
from buildkit_bisect.model import RuntimeKind
from buildkit_bisect.options.choices import Images
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.scenario import Scenario
from buildkit_bisect.system.announce import announce
from buildkit_bisect.workers import dask, parcels


@dataclass(frozen=True, kw_only=True, slots=True)
class Hands:
    """What a lab builds and runs trials with."""

    builder: Builder
    executor: Executor
    crew: Crew
    machine: MachineKind | None = None  # of the workers; None: this one


def check(request: Campaign, scenarios: Sequence[Scenario]) -> None:
    """Raise `BadInput` for what workers cannot do, `Missing` without a scheduler or workers.

    With ``--dry-run`` nothing is asked of the scheduler.
    """
    option = words(Campaign, executor=request.executor)
    alone = {
        words(Campaign, runtime=",".join(request.runtime)): request.runtime != (RuntimeKind.HOST,),
        words(Campaign, registry=True): bool(request.registry),
        words(Campaign, snapshotter_socket=True): bool(request.snapshotter_socket),
        words(Campaign, jobs=request.jobs): request.jobs > 1,
    }
    if given := next((name for name, is_given in alone.items() if is_given), ""):
        raise BadInput(
            f"{given} is of one machine and cannot be combined with {option}",
            hint="leave out one of them",
        )
    for scenario in scenarios:
        parcels.of_scenario(scenario)
        if request.images is Images.LOCAL and base_images.needs_buildkit(scenario):
            raise BadInput(
                f"the base images of {scenario.name} are built by a BuildKit, so each worker would"
                " have others",
                hint=f"{words(Campaign, images='public')}, or Dockerfiles that only copy",
            )
    dask.needed()
    if not request.dry_run:
        from buildkit_bisect.workers.link import DaskLink  # noqa: PLC0415 - imports Dask

        with announce(f"connecting to {request.executor}"):
            DaskLink(request.executor).close()


def hands(
    builder: Builder,
    request: Campaign,
    scenarios: Sequence[Scenario],
    say: Callable[[str], None],
    stack: ExitStack,
) -> Hands:
    """Return who works for a campaign until the end of *stack*. Raises as `check`."""
    if not request.executor:
        trials = stack.enter_context(executor(request.jobs))
        return Hands(builder=builder, executor=trials, crew=Here(trials, request.jobs))
    from buildkit_bisect.workers.crew import Workers  # noqa: PLC0415 - imports Dask

    workers = stack.enter_context(closing(Workers(request.executor, builder, say)))
    workers.check(scenarios)
    say(workers.said)
    return Hands(
        builder=workers.builder,
        executor=workers.executor,
        crew=workers,
        machine=workers.kind,
    )
