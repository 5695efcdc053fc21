"""The step kind ``script``: a program of the scenario's folder. Pure: reads files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from buildkit_bisect.model import Axes
from buildkit_bisect.scenario import program
from buildkit_bisect.scenario.definition import (
    RUNTIME_AXIS,
    Action,
    Scenario,
    ScriptFile,
    Step,
)
from buildkit_bisect.scenario.require import require, require_file
from buildkit_bisect.scenario.script_files import digested

#: Most bytes of the programs of a scenario with their files: scripts that reproduce it have them.
MOST_BYTES = 256 * 1024


def own(step: Step) -> bool:
    """Return whether *step* runs a program of the scenario's folder, not the one of --script."""
    return step.action is Action.SCRIPT and not Path(step.path).is_absolute()


def names(step: Step) -> tuple[str, ...]:
    """Return the paths of the program and the files that it needs, in the scenario's folder."""
    return (step.path, *step.needs) if own(step) else ()


def check(scenario: Scenario, step: Step, where: str) -> None:
    """Raise `BadInput` if the program cannot be started, or one of its files is not there."""
    if step.action is not Action.SCRIPT:
        require(not step.needs, f"{where}.needs", f"is for a script, not for {step.action}")
        return
    require_file(scenario, step.path, f"{where}.path")
    why, hint = program.problem(str(scenario.file(step.path)))
    require(not why, f"{where}.path", f"{step.path!r} {why}: {hint}")
    seen = {step.path}
    for number, name in enumerate(step.needs):
        require_file(scenario, name, f"{where}.needs[{number}]")
        require(name not in seen, f"{where}.needs[{number}]", f"{name!r} is named twice")
        seen.add(name)
    size = sum(scenario.file(name).stat().st_size for name in seen)
    most = f"{step.path!r} and its files have {size} bytes, more than {MOST_BYTES}"
    require(size <= MOST_BYTES, f"{where}.needs", most)


def programs(scenario: Scenario) -> tuple[ScriptFile, ...]:
    """Return the programs of all steps and the files that they need, as they are now.

    Raises OSError.
    """
    used = dict.fromkeys(name for step in scenario.steps for name in names(step))
    return tuple(digested(scenario.file(name), name) for name in used)


def environment(
    axes: Axes, images: Mapping[str, str], *, context: str, work: str, registry: str
) -> dict[str, str]:
    """Return what a program finds in its environment, besides what every user's program does.

    *registry* is the trial's own; "" if it has none.
    """

    def named(kind: str, values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        for name, value in values.items():
            yield f"BKBISECT_{kind}_{name.upper().replace('-', '_')}", value

    chosen = {name: value for name, value in axes if name != RUNTIME_AXIS}
    return {
        "BKBISECT_CONTEXT": context,
        "BKBISECT_WORK": work,
        **({"BKBISECT_REGISTRY": registry} if registry else {}),
        **dict(named("IMAGE", images)),
        **dict(named("AXIS", chosen)),
    }
