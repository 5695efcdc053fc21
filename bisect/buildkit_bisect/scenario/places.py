"""Where steps write on the machine, and that no step writes through what another one left. Pure.

A build decides what is in a ``local`` output, so also where links in it lead. buildctl, which runs
as root, would follow them if another output, or a cache, were in the same folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from buildkit_bisect.scenario import build_step
from buildkit_bisect.scenario.definition import Action, Scenario, Step
from buildkit_bisect.scenario.require import require

_CHANGES = (Action.WRITE, Action.DELETE, Action.RENAME, Action.MKDIR)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Use:
    """A path in a trial's own directory that a step reads or writes."""

    where: str
    step: Step
    path: PurePosixPath
    local: bool = False  # written as a `local` output
    named: bool = False  # read as the output of another step


def check(scenario: Scenario) -> None:
    """Raise `BadInput` for the first path that a step may not use; the paths are valid."""
    _check_context(scenario)
    uses = [u for n, step in enumerate(scenario.steps) for u in _uses(scenario, step, n)]
    for local in (use for use in uses if use.local):
        again = bool(local.step.parallel) and local.step.repeat > 1
        require(not again, local.where, "runs of a parallel step would write to it at once")
        for other in uses:
            if other is local or _apart(local.path, other.path) or _in_turn(local, other):
                continue
            first, last = sorted((local, other), key=uses.index)
            require(
                False,
                last.where,
                f"{str(last.path)!r} and {str(first.path)!r} of {first.where}: the folder of a"
                " local output is its own",
            )


def _check_context(scenario: Scenario) -> None:
    building = {s.parallel for s in scenario.steps if s.action is Action.BUILD and s.parallel}
    for index, step in enumerate(scenario.steps):
        require(
            step.action not in _CHANGES or step.parallel not in building,
            f"steps[{index}].parallel",
            f"{step.action} changes the build context, and a build runs at the same time",
        )


def _apart(one: PurePosixPath, other: PurePosixPath) -> bool:
    return not (one.is_relative_to(other) or other.is_relative_to(one))


def _in_turn(local: _Use, other: _Use) -> bool:
    """Whether *other* is the same folder, never used at the same time: it is emptied between."""
    together = local.step is other.step or (
        bool(local.step.parallel) and local.step.parallel == other.step.parallel
    )
    return local.path == other.path and (other.local or other.named) and not together


def _uses(scenario: Scenario, step: Step, index: int) -> Iterator[_Use]:
    at = f"steps[{index}]"
    if step.action is Action.DELETE_BLOB:
        yield _Use(where=f"{at}.cache", step=step, path=PurePosixPath(step.cache))
    if step.action is not Action.BUILD:
        return
    for key in ("exports", "imports", "outputs"):
        for number, entry in enumerate(getattr(step, key)):
            for name in ("dest", "src"):
                if name in entry:
                    yield _Use(
                        where=f"{at}.{key}[{number}].{name}",
                        step=step,
                        path=PurePosixPath(entry[name]),
                        local=(key, name, entry["type"]) == ("outputs", "dest", "local"),
                    )
    for name, path, named in build_step.read_folders(scenario, step):
        where = f"{at}.contexts.{name}"
        yield _Use(where=where, step=step, path=PurePosixPath(path), named=named)
