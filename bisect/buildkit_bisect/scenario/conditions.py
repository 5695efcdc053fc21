"""Whether conditions hold of a trial: yes, no, or not known. Pure.

What a trial did not record is not known: a step that did not run, a file of an output that was too
large, a comparison without a control. Neither a condition nor its opposite holds then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from buildkit_bisect import solve_status
from buildkit_bisect.model import (
    FileFacts,
    Observation,
    OutputFacts,
    StepResult,
    Verdict,
    Vertex,
    VertexState,
)
from buildkit_bisect.scenario import bounds, cache_config, document_path, metrics, pattern, runs
from buildkit_bisect.scenario.definition import Condition, Kept, Step, VertexIs

#: Characters of the daemon's warnings and errors that a trial keeps.
DAEMON_LOG_LIMIT = 16 * 1024

#: Whether something holds; None if it is not known.
Known = bool | None


def holds_in_trial(
    condition: Condition,
    verdict: Verdict,
    steps: Mapping[str, Step],
    seen: Observation,
    control: Observation | None,
    *,
    compared: Mapping[Condition, Known],
    negated: bool = False,
) -> Known:
    """Whether *condition* of a rule with *verdict* holds of the trial *seen*.

    *compared* has the conditions that compare all trials with the control's. *negated* if the
    opposite is asked for: then without ``runs`` another number of runs counts.
    """
    given = (verdict, steps, seen, control)
    if condition.not_ is not None:
        inner = condition.not_
        return _not(holds_in_trial(inner, *given, compared=compared, negated=not negated))
    if condition.any:
        return _any(
            holds_in_trial(one, *given, compared=compared, negated=negated) for one in condition.any
        )
    if metrics.relative(condition):
        return compared.get(condition)
    if not condition.step:
        return _daemon(condition, seen)
    step = steps[condition.step]
    needed = runs.needed(condition, verdict, step.repeat, negated)
    each = [
        None if (run := seen.step(name)) is None else holds(condition, run, control, seen)
        for name in step.runs
    ]
    if each.count(True) >= needed:
        return True
    return False if len(each) - each.count(False) < needed else None


def holds(
    condition: Condition,
    step: StepResult,
    control: Observation | None,
    seen: Observation | None = None,
) -> Known:
    """Whether every fact that *condition* names holds of *step*, one run of the step it names.

    *seen* is the trial, for conditions that compare two steps.
    """
    facts = [
        _exited(step, condition.exit) if condition.exit else True,
        _searched(condition.stderr, step.stderr, solve_status.MESSAGES_LIMIT),
        _vertex(step, condition.vertex) is condition.is_ if condition.is_ else True,
        _logged(step, condition) if condition.log else True,
        _took(step, condition) if condition.took else True,
        _before(step, condition) if condition.before else True,
        _layers(step, control, condition.inner_layers) if condition.inner_layers else True,
        metrics.within(step, condition) if condition.metric else True,
        _file(condition, step, seen) if condition.file else True,
        _image(condition, step, seen) if condition.image else True,
    ]
    return all_known(facts)


def all_known(facts: Iterable[Known]) -> Known:
    """Whether all *facts* hold."""
    found = list(facts)
    return False if False in found else None if None in found else True


def _any(facts: Iterable[Known]) -> Known:
    return _not(all_known([_not(fact) for fact in facts]))


def _not(fact: Known) -> Known:
    return None if fact is None else not fact


def _searched(wanted: str, text: str, limit: int) -> Known:
    """Whether *wanted* is in *text*; of one that was shortened to *limit* more may be unknown."""
    if not wanted or pattern.found(wanted, text):
        return True
    return None if len(text) >= limit else False


def _daemon(condition: Condition, seen: Observation) -> Known:
    died = None if not seen.daemon else seen.daemon == condition.daemon
    return all_known([
        died if condition.daemon else True,
        _searched(condition.daemon_log, seen.daemon_log, DAEMON_LOG_LIMIT),
    ])  # fmt: skip


def _exited(step: StepResult, wanted: str) -> bool:
    if wanted == "late":
        return step.timed_out
    if wanted in ("ok", "failed"):
        return (step.exit != 0 or step.timed_out) == (wanted == "failed")
    low, _, high = wanted.partition("-")
    return not step.timed_out and int(low) <= step.exit <= int(high or low)


def _named(step: StepResult, wanted: str) -> list[Vertex]:
    return [v for v in step.vertices if pattern.found(wanted, v.name)]


def _vertex(step: StepResult, wanted: str) -> VertexIs | None:
    states = {v.state for v in _named(step, wanted)}
    if not states:
        return VertexIs.ABSENT
    if VertexState.FAILED in states:
        return VertexIs.FAILED
    if VertexState.RAN in states:
        return VertexIs.RAN
    return VertexIs.CACHED if states == {VertexState.CACHED} else None


def _logged(step: StepResult, condition: Condition) -> Known:
    return _any(
        _searched(condition.log, vertex.log, solve_status.LOG_LIMIT)
        for vertex in _named(step, condition.vertex)
    )


def _took(step: StepResult, condition: Condition) -> Known:
    """Whether one of the vertices took longer, or each took less; there must be one."""
    longer, bound = bounds.took(condition.took)
    times = [vertex.took for vertex in _named(step, condition.vertex)]
    if longer:
        return _any(None if time is None else time > bound for time in times)
    return all_known(None if time is None else time < bound for time in times) if times else False


def _before(step: StepResult, condition: Condition) -> Known:
    """Whether each vertex ended before any of the others started; there must be some of both."""
    earlier, later = _named(step, condition.vertex), _named(step, condition.before)
    if not earlier or not later:
        return False
    return all_known(
        None if one.ended is None or other.began is None else one.ended <= other.began
        for one in earlier
        for other in later
        if one.digest != other.digest
    )


def _layers(step: StepResult, control: Observation | None, wanted: Kept) -> Known:
    found = _kept(step, control)
    return None if found is None else found is wanted


def _kept(step: StepResult, control: Observation | None) -> Kept | None:
    """How many inner records kept their layers; None if there is nothing to compare with."""
    other = control.step(step.id) if control else None
    if step.export is None or other is None or other.export is None:
        return None
    here, wanted = cache_config.kept(step.export, other.export)
    if not wanted:
        return None
    return Kept.ALL if here == wanted else Kept.SOME if here else Kept.NONE


def _output(step: StepResult, condition: Condition) -> OutputFacts | None:
    """The output that *condition* is about; None if the step did not write it."""
    fit = [
        output
        for output in step.outputs
        if condition.output in ("", output.name) and (condition.file or output.documents)
    ]
    return fit[0] if fit else None


def _same(condition: Condition, seen: Observation | None) -> StepResult | None:
    return seen.step(condition.same_as) if seen else None


def _file(condition: Condition, step: StepResult, seen: Observation | None) -> Known:
    output = _output(step, condition)
    if output is None:
        return None
    file = _at(output, condition.file)
    if file is None:
        if output.left_out:
            return None
        return condition.exists is False
    facts: list[Known] = [
        condition.exists is not False,
        file.mode == int(condition.mode, 8) if condition.mode else True,
        file.mtime == condition.mtime if condition.mtime is not None else True,
        _content(condition.content, file) if condition.content else True,
    ]
    if condition.same_as:
        other = _same(condition, seen)
        there = _output(other, _anywhere(condition, other)) if other else None
        facts += [_same_file(file, there)]
    return all_known(facts)


def _anywhere(condition: Condition, other: StepResult) -> Condition:
    """*condition* for the step that it compares with, whose output may have another name."""
    known = any(output.name == condition.output for output in other.outputs)
    return condition if known else Condition(file=condition.file, image=condition.image)


def _at(output: OutputFacts, path: str) -> FileFacts | None:
    plain = "/".join(part for part in path.split("/") if part not in ("", "."))
    return next((f for f in output.files if f.path == plain), None)


def _content(wanted: str, file: FileFacts) -> Known:
    if file.kind not in ("file", "link"):
        return False
    if file.text is None:
        return None
    whole = len(file.text.encode(errors="replace")) >= file.size
    return pattern.found(wanted, file.text) or (False if whole else None)


def _same_file(file: FileFacts, output: OutputFacts | None) -> Known:
    other = _at(output, file.path) if output else None
    if output is None or (other is None and output.left_out):
        return None
    if other is None or (file.kind, file.size) != (other.kind, other.size):
        return False
    if file.kind == "file":
        return file.sha256 == other.sha256 if file.sha256 and other.sha256 else None
    return file.text == other.text


def _image(condition: Condition, step: StepResult, seen: Observation | None) -> Known:
    found = _named_value(condition, step)
    if found is None:
        return None
    facts: list[Known] = []
    if condition.exists is not None:
        facts += [bool(found) is condition.exists]
    if condition.matches:
        facts += [any(pattern.found(condition.matches, document_path.text(v)) for v in found)]
    if condition.same_as:
        other = _same(condition, seen)
        there = None if other is None else _named_value(_anywhere(condition, other), other)
        facts += [None if there is None else bool(found) and found == there]
    return all_known(facts)


def _named_value(condition: Condition, step: StepResult) -> list[Any] | None:
    """What ``image`` names, in a list, empty if it names nothing; None if it is not known."""
    output = _output(step, condition)
    if output is None or document_path.document(condition.image) in output.too_large:
        return None
    try:
        return [document_path.value(output.documents, condition.image)]
    except document_path.Absent:
        return []
