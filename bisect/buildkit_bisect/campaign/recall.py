"""What this machine knows of a campaign's cells before the campaign begins; nothing is built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager

from buildkit_bisect.campaign import groundwork
from buildkit_bisect.campaign.axes import SNAPSHOTTER_AXIS
from buildkit_bisect.campaign.setup import Setup
from buildkit_bisect.events import Silent
from buildkit_bisect.lab.executors import Inline
from buildkit_bisect.lab.journal import Journal
from buildkit_bisect.lab.lab import Lab
from buildkit_bisect.model import Axes, RuntimeKind, Variant, Verdict
from buildkit_bisect.runtime.snapshotters import STARGZ
from buildkit_bisect.scenario import Scenario


@contextmanager
def _stored_lab(setup: Setup) -> Iterator[Lab | None]:
    """Provide a lab that finds stored trials on the host; None where that takes an Engine.

    A trial in a container, or with a snapshotter of its own, is stored under facts about them
    that only their start finds out.
    """
    request = setup.request
    proxies = {STARGZ, *request.snapshotter_socket} & {*request.axis.get(SNAPSHOTTER_AXIS, ())}
    if tuple(request.runtime) != (RuntimeKind.HOST,) or proxies:
        yield None
        return
    with closing(Journal()) as journal:
        yield Lab(
            builder=setup.builder,
            images={s.name: groundwork.images(setup, s) or {} for s in setup.scenarios},
            registry="",
            journal=journal,
            executor=Inline(),
            events=Silent(),
            campaign="",
            limits=request.deadline,
            fresh=request.fresh,
            resumed=setup.resumed,
        )


def stored(setup: Setup, variants: Sequence[Variant]) -> Mapping[str, tuple[int, ...]]:
    """Return how many trials of each cell are stored, by row; only rows that have some."""
    with _stored_lab(setup) as lab:
        if lab is None:
            return {}
        return counted(setup, variants, lab)


def counted(setup: Setup, variants: Sequence[Variant], lab: Lab) -> Mapping[str, tuple[int, ...]]:
    """Return the same as `stored`, from *lab*."""
    cells = [(s, axes) for s in setup.scenarios for axes in setup.cells(s)]
    found = {v.label: tuple(lab.stored(v, s, axes) for s, axes in cells) for v in variants}
    return {row: counts for row, counts in found.items() if any(counts)}


def lines(
    setup: Setup, ends: Sequence[tuple[Variant, Verdict]], scenario: Scenario, axes: Axes
) -> tuple[str, ...]:
    """Return what earlier campaigns showed of a cell of *ends*, a line each.

    ``v0.24.0 is good (cached 3 of 3, known from 20260821-101500-matrix)``; with a clause if the
    user takes that end for something else.
    """
    with _stored_lab(setup) as lab:
        if lab is None:
            return ()
        found = [(v, given, lab.recalled(v, scenario, axes)) for v, given in ends]
    return tuple(
        f"{variant.label} is {known}{_unlike(given, known.verdict)}"
        for variant, given, known in found
        if known
    )


def _unlike(given: Verdict, known: Verdict) -> str:
    sure = known in (Verdict.GOOD, Verdict.BAD)
    return f", but given as {given}" if sure and known is not given else ""
