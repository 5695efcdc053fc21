"""What a cell is, in words: from the labels that its scenario gives to axis values."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from buildkit_bisect import scenario as scenarios
from buildkit_bisect.phrases import labelled
from buildkit_bisect.result.document import Result, ScenarioInfo

#: An axis value of this length needs no axis name; ``yes`` and ``no`` do.
_SPEAKS = 4


def cell_label(scenario: ScenarioInfo, axes: Mapping[str, str]) -> str:
    """Return ``lazy snapshotter (stargz), two base images`` for a cell of *scenario*.

    Axes with one value in the whole scenario are left out, unless there is no other. A cell of a
    scenario without axes has no label: `words_of` names it.
    """
    return ", ".join(axis_labels(scenario, axes))


def words_of(result: Result, name: str, axes: Mapping[str, str]) -> str:
    """Return a cell of the scenario *name* as ``cross-stage-lazy: lazy snapshotter (stargz)``."""
    scenario = next((s for s in result.scenarios if s.name == name), None)
    values = " ".join(f"{axis} {value}" for axis, value in sorted(axes.items()))
    label = cell_label(scenario, axes) if scenario else values
    return labelled(name, label)


def heading(scenario: ScenarioInfo, axes: Mapping[str, str]) -> tuple[str, ...]:
    """Return the parts of a column's heading below the scenario's name; never empty."""
    return axis_labels(scenario, axes) or ("outcome",)


def axis_labels(scenario: ScenarioInfo, axes: Mapping[str, str]) -> tuple[str, ...]:
    """Return the parts of `cell_label`, one per axis, in the order of the scenario."""
    known = [name for name in scenario.axes if name in axes]
    varying = [name for name in known if len(scenario.axes[name]["values"]) > 1]
    rest = [name for name in axes if name not in scenario.axes]
    names = (varying or known) + rest
    return tuple(axis_label(scenario, name, axes[name]) for name in names)


def axis_label(scenario: ScenarioInfo, axis: str, value: str) -> str:
    """Return the label of one axis value; without one ``bases different``.

    The name of the scenario's first axis is left out then if the value says enough: ``stargz``.
    """
    given = scenario.labels.get(axis, {}).get(value) or _shipped(scenario.name, axis, value)
    if given:
        return given
    first = next(iter(scenario.axes), "") == axis
    return value if first and len(value) >= _SPEAKS else f"{axis} {value}"


@functools.cache
def _shipped(name: str, axis: str, value: str) -> str:
    """Return a label of a shipped scenario: results of earlier versions contain none."""
    if name not in scenarios.names():
        return ""
    known = scenarios.load(name).axes.get(axis)
    return known.labels.get(value, "") if known else ""
