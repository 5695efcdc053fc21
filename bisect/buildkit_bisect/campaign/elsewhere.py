"""Who builds and runs trials for a campaign: this machine, or the workers of a scheduler."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from buildkit_bisect.builds import Builder
from buildkit_bisect.errors import BadInput, Missing
from buildkit_bisect.lab import base_images, machine_kind
from buildkit_bisect.lab.ahead import AtOnce, Crew, Here
from buildkit_bisect.lab.executors import executor
from buildkit_bisect.lab.machine_kind import MachineKind
from buildkit_bisect.model import RuntimeKind
from buildkit_bisect.options.choices import Images
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.scenario import Scenario
from buildkit_bisect.system.announce import announce
from buildkit_bisect.workers import dask, parcels
from buildkit_bisect.workers.choice import Chosen


@dataclass(frozen=True, kw_only=True, slots=True)
class Hands:
    """What a lab builds and runs trials with."""

    builder: Builder
    executor: Executor
    crew: Crew
    machine: MachineKind | None = None  # of the workers; None: this one


def check(request: Campaign, scenarios: Sequence[Scenario]) -> int:
    """Return how many workers there are; 0 with ``--dry-run``, which asks nothing of a scheduler.

    Raises `BadInput` for what workers cannot do, `Missing` without a scheduler or workers.
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
    if request.dry_run:
        return 0
    from buildkit_bisect.workers.link import DaskLink  # noqa: PLC0415 - imports Dask

    with announce(f"connecting to {request.executor}"), closing(DaskLink(request.executor)) as link:
        if request.images is Images.LOCAL and any(scenario.images for scenario in scenarios):
            _check_images(link.chosen)
        return len(link.chosen.workers)


def _check_images(chosen: Chosen) -> None:
    """Raise `Missing` if workers would make other base images than this machine."""
    if chosen.kind.busybox != machine_kind.busybox():
        raise Missing(
            "the busybox of the workers is another than that of this machine, and so are base"
            " images",
            hint=f"{words(Campaign, images='public')}, or the same busybox-static on all",
        )


def hands(
    builder: Builder,
    request: Campaign,
    at_once: AtOnce,
    say: Callable[[str], None],
    stack: ExitStack,
) -> Hands:
    """Return who works for a campaign until the end of *stack*. Raises as `check`."""
    if not request.executor:
        trials = stack.enter_context(executor(request.jobs))
        return Hands(builder=builder, executor=trials, crew=Here(trials, at_once))
    from buildkit_bisect.workers.crew import Workers  # noqa: PLC0415 - imports Dask

    workers = stack.enter_context(closing(Workers(request.executor, builder, say)))
    say(workers.said)
    return Hands(
        builder=workers.builder,
        executor=workers.executor,
        crew=workers,
        machine=workers.kind,
    )


@contextmanager
def builders(where: str, builder: Builder, say: Callable[[str], None]) -> Iterator[Crew]:
    """Provide the workers of the scheduler at *where*, for builds alone; cancel them at the end.

    Raises `Missing` without a scheduler or workers.
    """
    dask.needed()
    from buildkit_bisect.workers.crew import Workers  # noqa: PLC0415 - imports Dask

    with announce(f"connecting to {where}"):
        workers = Workers(where, builder, say)
    with closing(workers):
        say(workers.said)
        yield workers
