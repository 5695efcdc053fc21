"""What each step did at both ends, in words, for ends that no fact tells apart. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from buildkit_bisect.model import StepResult, VertexState
from buildkit_bisect.phrases import listed, plural
from buildkit_bisect.scenario.definition import Action, Scenario, Step
from buildkit_bisect.scenario.learned import Both, Difference, End, Kind

#: Facts that no rule can be made of, and what they are called.
_NO_RULES = {Kind.DAEMON: "the daemon's log", Kind.RECORDS: "numbers of cache records",
             Kind.DIGEST: "digests"}  # fmt: skip

_STATES = {VertexState.CACHED: "CACHED", VertexState.RAN: "ran", VertexState.FAILED: "failed"}


def only(found: Sequence[Difference]) -> str:
    """Return what the facts of *found* are about, if none of them can be a rule; else ""."""
    kinds = {one.kind for one in found}
    if not kinds or any(one.good or one.bad for one in found) or not kinds <= _NO_RULES.keys():
        return ""
    return listed([name for kind, name in _NO_RULES.items() if kind in kinds])


def lacks_output(scenario: Scenario, cells: Sequence[Both]) -> bool:
    """Whether *scenario* has builds and no trial of either end recorded an output of one."""
    return any(step.action is Action.BUILD for step in scenario.steps) and not any(
        result.outputs
        for cell in cells
        for end in (cell.good, cell.bad)
        for trial in end.trials
        for result in trial.steps
    )


def did(scenario: Scenario, cells: Sequence[Both], good: str, bad: str) -> Iterator[str]:
    """Yield a line for each end in each cell: ``v0.24.0: first exits 0, 3 ran``.

    *good* and *bad* are the names of both ends.
    """
    for cell in cells:
        where = "".join(f" {name}={value}" for name, value in cell.axes)
        for name, end in ((good, cell.good), (bad, cell.bad)):
            parts = [text for step in scenario.steps if (text := _step(step, end))]
            count = plural(len(end.usable), "trial")
            yield f"{name}{where} ({count}): {'; '.join(parts) or 'no step ran'}"


def _step(step: Step, end: End) -> str:
    """Return what *step* did in all trials, or in how many it did what; "" if it never ran."""
    ways = Counter(
        _result(step, found) for trial in end.usable for run in step.runs
        if (found := trial.step(run))
    )  # fmt: skip
    if len(ways) == 1:
        return f"{step.id} {next(iter(ways))}"
    total = sum(ways.values())
    each = [f"{text} ({count} of {total})" for text, count in ways.most_common()]
    return f"{step.id} {' or '.join(each)}" if each else ""


def _result(step: Step, result: StepResult) -> str:
    exits = "timed out" if result.timed_out else f"exits {result.exit}"
    if step.action is not Action.BUILD:
        return exits
    states = Counter(vertex.state for vertex in result.vertices)
    counts = [f"{states[state]} {word}" for state, word in _STATES.items() if states[state]]
    return f"{exits}, vertices: {listed(counts) if counts else 'none'}"
