"""Axes that options add to a scenario: several runtimes, snapshotters that it does not list."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from dataclasses import replace

from buildkit_bisect.errors import BadInput, Missing
from buildkit_bisect.model import RuntimeKind
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.runtime import all_runtimes, snapshotters
from buildkit_bisect.scenario import RUNTIME_AXIS, Action, Axis, Scenario, ServerKind

SNAPSHOTTER_AXIS = "snapshotter"


def extend(scenario: Scenario, request: Campaign) -> Scenario:
    """Return *scenario* with the axes of *request*. Raises `BadInput` if they conflict."""
    requested = request.axis.get(SNAPSHOTTER_AXIS, ())
    all_runtimes.check(request.runtime, requested, request.snapshotter_socket)
    _check_git(scenario)
    if RuntimeKind.BUILDX in request.runtime:
        _check_buildx(scenario)
    return with_snapshotters(
        with_runtimes(scenario, request.runtime), requested, request.snapshotter_socket
    )


def _check_git(scenario: Scenario) -> None:
    """Raise `Missing` if the daemon, also one in an image made of local packages, gets no git."""
    servers = [name for name, one in scenario.servers.items() if one.kind is ServerKind.GIT]
    if servers and not shutil.which("git"):
        raise Missing(
            f"git is not installed; the server {servers[0]} of {scenario.name} needs it",
            hint="apt-get install -y git",
        )


def _check_buildx(scenario: Scenario) -> None:
    """Raise `Missing` if a step runs buildctl and it cannot reach the builder's container."""
    asks = [step for step in scenario.steps if step.action in (Action.DU, Action.HISTORIES)]
    if asks and not shutil.which("docker"):
        raise Missing(
            f"the docker command is not installed; step {asks[0].id} needs it with"
            f" {words(Campaign, runtime='buildx')}",
            hint="apt-get install -y docker.io",
        )


def with_runtimes(scenario: Scenario, runtimes: Sequence[RuntimeKind]) -> Scenario:
    """Return *scenario* with an axis for *runtimes* if there are several to compare."""
    if len(runtimes) == 1:
        return scenario
    axis = Axis(values=tuple(str(r) for r in runtimes))
    return replace(scenario, axes={**scenario.axes, RUNTIME_AXIS: axis})


def without_runtimes(scenario: Scenario) -> Scenario:
    """Return *scenario* without the axis of runtimes, as it was before `with_runtimes`."""
    axes = {name: axis for name, axis in scenario.axes.items() if name != RUNTIME_AXIS}
    return replace(scenario, axes=axes)


def with_snapshotters(
    scenario: Scenario, requested: Collection[str], sockets: Collection[str]
) -> Scenario:
    """Return *scenario* with the *requested* snapshotters that it does not list.

    *sockets* are the names of the user's own snapshotters. Unknown names are ignored here; the
    check of axes rejects them.
    """
    axis = scenario.axes.get(SNAPSHOTTER_AXIS)
    if axis is None:
        return scenario
    known = (snapshotters.FUSE_OVERLAYFS, snapshotters.STARGZ, *sockets)
    new = [v for v in dict.fromkeys(requested) if v in known and v not in axis.values]
    if not new:
        return scenario
    depending = [name for name, var in scenario.vars.items() if var.axis == SNAPSHOTTER_AXIS]
    if depending:
        raise BadInput(
            f"{scenario.name}: variable {depending[0]!r} depends on the snapshotter and has no"
            f" value for {new[0]!r}",
            hint=f"another {words(Campaign, scenario=True)},"
            f" or values.{new[0]} in its [vars.{depending[0]}]",
        )
    controls = [v for v in new if v == snapshotters.FUSE_OVERLAYFS and axis.controls]
    extended = replace(axis, values=(*axis.values, *new), controls=(*axis.controls, *controls))
    return replace(scenario, axes={**scenario.axes, SNAPSHOTTER_AXIS: extended})
