"""Whether conditions hold of a trial: yes, no, or not known. Pure.

Neither a condition nor its opposite holds if it is not known. There are two reasons: it does not
apply, as to a step that did not run, to the output of a build that failed, or to a cell without a
control; or it is open, since the trial did not record it: a file of an output that was too large.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from buildkit_bisect.model import (
    FileFacts,
    Observation,
    OutputFacts,
    StepResult,
    Verdict,
    Vertex,
    VertexState,
)
from buildkit_bisect.scenario import (
    bounds,
    cache_config,
    document_path,
    kept_text,
    metrics,
    pattern,
    runs,
)
from buildkit_bisect.scenario.definition import Condition, Kept, Step, VertexIs

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
    hoped: bool = False,
) -> Known:
    """Whether *condition* of a rule with *verdict* holds of the trial *seen*.

    *compared* has the conditions that compare all trials with the control's. *negated* if the
    opposite is asked for: then without ``runs`` another number of runs counts. If *hoped*, what is
    open is as the rule needs it.
    """
    given = (verdict, steps, seen, control)
    more: dict[str, Any] = {"compared": compared, "hoped": hoped}
    if condition.not_ is not None:
        return _not(holds_in_trial(condition.not_, *given, **more, negated=not negated))
    if condition.any:
        return _any(holds_in_trial(c, *given, **more, negated=negated) for c in condition.any)
    hope = not negated if hoped else None
    if not condition.step:
        return _or(_daemon(condition, seen), hope)
    step = steps[condition.step]
    if metrics.relative(condition):
        applies = metrics.succeeded(step, seen)
        return _or(compared.get(condition), hope) if applies else None
    needed = runs.needed(condition, verdict, step.repeat, negated)
    each = [
        None if (run := seen.step(name)) is None else _in_run(condition, run, control, seen, hope)
        for name in step.runs
    ]
    if each.count(True) >= needed:
        return True
    return False if len(each) - each.count(False) < needed else None


def _or(known: Known, hope: Known) -> Known:
    return hope if known is None else known


def _in_run(
    condition: Condition,
    run: StepResult,
    control: Observation | None,
    seen: Observation,
    hope: Known,
) -> Known:
    """Whether *condition* holds of one run; *hope* if that is open."""
    known = holds(condition, run, control, seen)
    return hope if known is None and _applies(condition, run, control, seen) else known


def _applies(
    condition: Condition, run: StepResult, control: Observation | None, seen: Observation
) -> bool:
    """Whether what *condition* is about exists, recorded or not."""
    if condition.inner_layers and (control is None or control.step(run.id) is None):
        return False
    if condition.same_as and ((other := _same(condition, seen)) is None or _failed(other)):
        return False
    if not _failed(run):
        return True
    # A step that failed has texts too, but nothing else of which a part was not recorded.
    if condition.log and not _named(run, condition.vertex):
        return False
    rest = replace(condition, stderr="", log="")
    return rest != condition and holds(rest, run, control, seen) is True


def _failed(step: StepResult) -> bool:
    return step.exit != 0 or step.timed_out


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
        _searched(condition.stderr, kept_text.of_messages(step.stderr))
        if condition.stderr
        else True,
        _vertex(step, condition.vertex, condition.is_) if condition.is_ else True,
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


def _searched(wanted: str, parts: list[kept_text.Part]) -> Known:
    return kept_text.searched(wanted, parts) if wanted else True


def _daemon(condition: Condition, seen: Observation) -> Known:
    died = None if not seen.daemon else seen.daemon == condition.daemon
    return all_known([
        died if condition.daemon else True,
        _searched(condition.daemon_log, kept_text.of_daemon_log(seen.daemon_log)),
    ])  # fmt: skip


def _exited(step: StepResult, wanted: str) -> bool:
    if wanted == "late":
        return step.timed_out
    if wanted in ("ok", "failed"):
        return _failed(step) == (wanted == "failed")
    low, _, high = wanted.partition("-")
    return not step.timed_out and int(low) <= step.exit <= int(high or low)


def _named(step: StepResult, wanted: str) -> list[Vertex]:
    return [v for v in step.vertices if pattern.found(wanted, v.name)]


def _told(step: StepResult) -> bool:
    """Whether the progress of *step* has every vertex that the build came to.

    Not of a build that was cut short, nor of one that failed before it told of any.
    """
    return not step.timed_out and (step.exit == 0 or bool(step.vertices))


def _vertex(step: StepResult, name: str, wanted: VertexIs) -> Known:
    states = {v.state for v in _named(step, name)}
    for state, found in (
        (VertexState.FAILED, VertexIs.FAILED),
        (VertexState.RAN, VertexIs.RAN),
    ):
        if state in states:
            return wanted is found
    if states == {VertexState.CACHED}:
        return wanted is VertexIs.CACHED
    if states and wanted is VertexIs.ABSENT:
        return False
    # There are none, or some of them never started.
    if not _told(step):
        return None
    if wanted is VertexIs.CACHED and (states or _failed(step)):
        return None  # the build did not come to them: whether the cache has them is not known
    return wanted is VertexIs.ABSENT


def _logged(step: StepResult, condition: Condition) -> Known:
    named = _named(step, condition.vertex)
    if not named and not _told(step):
        return None
    return _any(_searched(condition.log, kept_text.of_log(vertex.log)) for vertex in named)


def _took(step: StepResult, condition: Condition) -> Known:
    """Whether one of the vertices took longer, or each took less; there must be one."""
    longer, bound = bounds.took(condition.took)
    times = [vertex.took for vertex in _named(step, condition.vertex)]
    if not times:
        return False if _told(step) else None
    if longer:
        return _any(None if time is None else time > bound for time in times)
    return all_known(None if time is None else time < bound for time in times)


def _before(step: StepResult, condition: Condition) -> Known:
    """Whether each vertex ended before any of the others started; there must be two of them."""
    pairs = [
        (one, other)
        for one in _named(step, condition.vertex)
        for other in _named(step, condition.before)
        if one.digest != other.digest
    ]
    if not pairs:
        return False if _told(step) else None
    return all_known(
        None if one.ended is None or other.began is None else one.ended <= other.began
        for one, other in pairs
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
    if file is None and condition.exists is False and _below(output, condition.file):
        return False  # a directory without an entry of its own
    if file is None:
        return None if _unsure(output, condition.file) else condition.exists is False
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


def _plain(path: str) -> str:
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _at(output: OutputFacts, path: str) -> FileFacts | None:
    plain = _plain(path)
    return next((f for f in output.files if f.path == plain), None)


def _unsure(output: OutputFacts, path: str) -> bool:
    """Whether a file that is not listed may be there all the same.

    Links are not followed: ``bin/sh`` may be ``usr/bin/sh``.
    """
    plain = _plain(path)
    linked = any(f.kind == "link" and plain.startswith(f"{f.path}/") for f in output.files)
    return bool(output.left_out) or linked or _below(output, path)


def _below(output: OutputFacts, path: str) -> bool:
    """Whether the output has files below *path*, which so is a directory."""
    return any(f.path.startswith(f"{_plain(path)}/") for f in output.files)


def _content(wanted: str, file: FileFacts) -> Known:
    if file.kind not in ("file", "link"):
        return False
    if file.text is None:
        return None
    return kept_text.searched(wanted, kept_text.of_file(file))


def _same_file(file: FileFacts, output: OutputFacts | None) -> Known:
    other = _at(output, file.path) if output else None
    if output is None or (other is None and _unsure(output, file.path)):
        return None
    if other is None or file.kind != other.kind:
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
