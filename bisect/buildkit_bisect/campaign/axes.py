"""What options add to a scenario's axes: runtimes side by side, snapshotters it does not list."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from buildkit_bisect.errors import BadInput
from buildkit_bisect.lab.trial import RUNTIME_AXIS
from buildkit_bisect.model import RuntimeKind
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.runtime import snapshotters, table
from buildkit_bisect.scenario import Axis, Scenario

SNAPSHOTTER_AXIS = "snapshotter"

#: Eager, so that a failure that needs lazy layers cannot show at it.
FUSE_OVERLAYFS = "fuse-overlayfs"


def extend(scenario: Scenario, request: Campaign) -> Scenario:
    """The scenario with what *request* adds. Raises `BadInput` for what cannot go together."""
    asked = request.axis.get(SNAPSHOTTER_AXIS, ())
    table.check(request.runtime, asked, request.snapshotter_socket)
    return with_snapshotters(
        with_runtimes(scenario, request.runtime), asked, request.snapshotter_socket
    )


def with_runtimes(scenario: Scenario, runtimes: Sequence[RuntimeKind]) -> Scenario:
    """The scenario with an axis more where several runtimes are to be put side by side."""
    if len(runtimes) == 1:
        return scenario
    if RUNTIME_AXIS in scenario.axes:
        raise BadInput(
            f"{scenario.name} has an axis {RUNTIME_AXIS!r} of its own; name one runtime",
            hint=words(Campaign, runtime="host"),
        )
    axis = Axis(values=tuple(str(r) for r in runtimes))
    return replace(scenario, axes={**scenario.axes, RUNTIME_AXIS: axis})


def with_snapshotters(
    scenario: Scenario, asked: Collection[str], sockets: Collection[str]
) -> Scenario:
    """The scenario with the snapshotters *asked* for beyond its own.

    *sockets*: names of the user's own snapshotters. A name that is none of the known ones
    is left out, for whoever checks axes to refuse.
    """
    axis = scenario.axes.get(SNAPSHOTTER_AXIS)
    if axis is None:
        return scenario
    known = (FUSE_OVERLAYFS, snapshotters.STARGZ, *sockets)
    new = [v for v in dict.fromkeys(asked) if v in known and v not in axis.values]
    if not new:
        return scenario
    depending = [name for name, var in scenario.vars.items() if var.axis == SNAPSHOTTER_AXIS]
    if depending:
        raise BadInput(
            f"{scenario.name}: its variable {depending[0]!r} depends on the snapshotter and has no"
            f" value for {new[0]}",
            hint=f"another {words(Campaign, scenario=True)},"
            f" or values.{new[0]} in its [vars.{depending[0]}]",
        )
    controls = [v for v in new if v == FUSE_OVERLAYFS and axis.controls]
    more = Axis(values=(*axis.values, *new), controls=(*axis.controls, *controls))
    return replace(scenario, axes={**scenario.axes, SNAPSHOTTER_AXIS: more})
