"""Numbers of a step that conditions have bounds for, and comparisons with the control's. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from buildkit_bisect.model import Observation, StepResult, VertexState
from buildkit_bisect.scenario import bounds, rank
from buildkit_bisect.scenario.definition import Action, Condition, Scenario, Step

#: Types of records in a daemon's cache.
RECORD_TYPES = (
    *("regular", "internal", "frontend"),
    *("source.local", "source.git.checkout", "exec.cachemount"),
)

#: Metrics of every step, and of steps with some actions.
_ALL = ("seconds",)
_OF: Mapping[Action, tuple[str, ...]] = {
    Action.BUILD: ("vertices_run", "bytes"),
    Action.REQUESTS: ("requests", "not_modified", "bytes"),
    Action.DU: (
        *("records", "bytes", "reclaimable", "in_use"),
        *(f"{what}.{kind}" for what in ("records", "bytes") for kind in RECORD_TYPES),
    ),
    Action.HISTORIES: ("histories", "completed", "failed", "running", "steps", "cached_steps"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """What trials and those of the control show about one condition."""

    # False only if the trials show that the bound is kept; None: they show neither
    holds: bool | None
    text: str  # the numbers, or how many trials are needed


def names(step: Step) -> tuple[str, ...]:
    """The metrics that *step* has."""
    return (*_ALL, *of_action(step.action))


def of_action(action: Action) -> tuple[str, ...]:
    """The metrics that only steps with *action*, and maybe others, have."""
    return _OF.get(action, ())


def value(step: StepResult, metric: str) -> float | None:
    """A metric of one run of a step; None if the trial did not record it."""
    if metric == "seconds":
        return step.seconds
    if metric == "vertices_run":
        ran = (VertexState.RAN, VertexState.FAILED)
        return float(sum(vertex.state in ran for vertex in step.vertices))
    # `du` and `histories` leave out what they did not count, but not all.
    none = 0.0 if step.metrics and metric != "bytes" else None
    return step.metrics.get(metric, none)


def within(step: StepResult, condition: Condition) -> bool | None:
    """Whether one run is over or under the number of *condition*."""
    found = value(step, condition.metric)
    if found is None:
        return None
    limit = bounds.limit(condition.over or condition.under)
    return found > limit.number if condition.over else found < limit.number


def relative(condition: Condition) -> bool:
    """Whether *condition* compares with the control."""
    text = condition.over or condition.under
    return bool(condition.metric) and bounds.limit(text).of_control


def comparisons(scenario: Scenario) -> list[Condition]:
    """The conditions of *scenario* that compare with the control, each once."""
    found = (c for rule in scenario.outcomes for c, _ in rule.leaves() if relative(c))
    return list(dict.fromkeys(found))


def of_control(scenario: Scenario) -> dict[Condition, Compared]:
    """The comparisons in a control, which does not differ from itself."""
    itself = Compared(holds=False, text="")
    return dict.fromkeys(comparisons(scenario), itself)


def compare(
    scenario: Scenario, trials: Sequence[Observation], controls: Sequence[Observation]
) -> dict[Condition, Compared]:
    """Compare all trials of a cell with all of its control, for each condition that does."""
    steps = {step.id: step for step in scenario.steps}
    return {
        condition: _compared(
            condition,
            _values(condition, steps[condition.step], trials),
            _values(condition, steps[condition.step], controls),
        )
        for condition in comparisons(scenario)
    }


def succeeded(step: Step, seen: Observation) -> bool:
    """Whether some run of *step* ended well: only such runs are compared with the control's."""
    return bool(_ended_well(step, seen))


def _ended_well(step: Step, seen: Observation) -> list[StepResult]:
    runs = (seen.step(name) for name in step.runs)
    return [run for run in runs if run and run.exit == 0 and not run.timed_out]


def _values(condition: Condition, step: Step, observations: Sequence[Observation]) -> list[float]:
    """One number for each trial that has it: the median of the step's runs that ended well."""
    found = []
    for seen in observations:
        runs = [value(run, condition.metric) for run in _ended_well(step, seen)]
        known = [number for number in runs if number is not None]
        if known and not seen.infra:
            found.append(median(known))
    return found


def _compared(condition: Condition, here: Sequence[float], there: Sequence[float]) -> Compared:
    what = f"{condition.metric} of {condition.step}"
    if not here or not there or rank.smallest(len(here), len(there)) > rank.ALPHA:
        least = rank.enough()
        return Compared(
            holds=None,
            text=f"comparing {what} with the control needs {least} trials of both;"
            f" there are {len(here)}, and {len(there)} of the control",
        )
    limit = bounds.limit(condition.over or condition.under)
    scaled = [limit.number * number for number in there]
    below, above = (scaled, here) if condition.over else (here, scaled)
    shown = f"{what}: median {median(here):g}, of the control {median(there):g}"
    trials = f"{len(here)} and {len(there)} trials"
    if (chance := rank.larger(above, below)) <= rank.ALPHA:
        return Compared(holds=True, text=f"{shown}, p = {chance:.2g} in {trials}")
    # That no difference is seen does not prove that there is none: the opposite must be shown too.
    if (opposite := rank.not_smaller(below, above)) <= rank.ALPHA:
        return Compared(holds=False, text=f"{shown}, p = {opposite:.2g} in {trials}")
    beyond = f"over {condition.over}" if condition.over else f"under {condition.under}"
    return Compared(
        holds=None,
        text=f"{shown}: {trials} show neither that it is {beyond} (p = {chance:.2g}) nor that it"
        f" is not (p = {opposite:.2g})",
    )
