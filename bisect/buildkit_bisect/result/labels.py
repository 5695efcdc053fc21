"""What a cell is and shows, in words: the labels of its scenario for axis values and outcomes."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from buildkit_bisect import scenario as scenarios
from buildkit_bisect.phrases import labelled
from buildkit_bisect.result.document import Result, ScenarioInfo
from buildkit_bisect.scenario import Scenario

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
    given = scenario.labels.get(axis, {}).get(value) or _of_axis(scenario.name, axis, value)
    if given:
        return given
    first = next(iter(scenario.axes), "") == axis
    return value if first and len(value) >= _SPEAKS else f"{axis} {value}"


def outcome_labels(scenario: ScenarioInfo) -> dict[str, str]:
    """Return the label of each outcome of *scenario* that has one: ``{"ran": "step ran again"}``.

    A hyphen in a label is U+2010, as reports show a hyphen in an outcome's name as a space.
    """
    labels = {}
    for outcome in scenario.outcomes:
        name, means = outcome["name"], outcome["means"]
        if label := outcome.get("label") or _of_outcome(scenario.name, name, means):
            labels[name] = label.replace("-", "\N{HYPHEN}")
    return labels


def _of_axis(name: str, axis: str, value: str) -> str:
    """Return a label of a shipped scenario: results of earlier versions contain none."""
    shipped = _shipped(name)
    known = shipped.axes.get(axis) if shipped else None
    return known.labels.get(value, "") if known else ""


def _of_outcome(name: str, outcome: str, means: str) -> str:
    """Return the same for an outcome, if it means the same."""
    shipped = _shipped(name)
    rules = shipped.outcomes if shipped else ()
    return next((r.label or "" for r in rules if (r.name, r.means) == (outcome, means)), "")


@functools.cache
def _shipped(name: str) -> Scenario | None:
    return scenarios.load(name) if name in scenarios.names() else None
