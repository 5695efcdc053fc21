"""What each condition of a rule must satisfy; each message names the key."""

from __future__ import annotations

import re
from collections.abc import Iterable

from buildkit_bisect.scenario import (
    alternatives,
    bounds,
    document_path,
    metrics,
    outputs,
    pattern,
    runs,
)
from buildkit_bisect.scenario.definition import Action, Condition, Scenario, Step, VertexIs
from buildkit_bisect.scenario.require import require, require_known, require_path
from buildkit_bisect.system.typed import not_one_of

_EXIT = re.compile(r"|ok|failed|late|[0-9]{1,3}(-[0-9]{1,3})?")
_MODE = re.compile(r"|0?[0-7]{3,4}")

#: How deep ``any`` and ``not`` may be in each other.
_DEEPEST = 5

#: Keys of a condition about the daemon.
_OF_DAEMON = ("daemon", "daemon_log")

#: Keys that are regular expressions.
_PATTERNS = ("stderr", "vertex", "log", "before", "content", "matches", "daemon_log")

#: What `vertex` may be asked, beside that.
_OF_VERTEX = ("is_", "log", "took", "before")
_NOUNS = {"took": "time"}

#: What `file` and `image` may be asked, beside that.
_OF_FILE = ("content", "mode", "mtime", "exists", "same_as")
_OF_IMAGE = ("matches", "exists", "same_as")

_NEEDS = "exit, stderr, vertex, inner_layers, metric, file, image"


def check_condition(scenario: Scenario, condition: Condition, where: str, depth: int = 0) -> None:
    """Raise `BadInput` for the first error in *condition*, whose key is *where*."""
    if not (condition.any or condition.not_):
        _check_leaf(scenario, condition, where)
        return
    require(depth < _DEEPEST, where, f"any and not are nested more than {_DEEPEST} times")
    alone = condition in (Condition(any=condition.any), Condition(not_=condition.not_))
    key = "any" if condition.any else "not"
    require(alone, where, f"{key} must be the only key of a condition")
    for number, one in enumerate(condition.any):
        check_condition(scenario, one, f"{where}.any[{number}]", depth + 1)
    if condition.not_ is not None:
        check_condition(scenario, condition.not_, f"{where}.not", depth + 1)


def _given(condition: Condition, key: str) -> bool:
    return getattr(condition, key) not in ("", None, ())


def _check_leaf(scenario: Scenario, condition: Condition, where: str) -> None:
    for key in _PATTERNS:
        wrong = pattern.problem(getattr(condition, key))
        require(not wrong, f"{where}.{key}", f"not a valid RE2 regular expression: {wrong}")
    if any(_given(condition, key) for key in _OF_DAEMON):
        mine = Condition(daemon=condition.daemon, daemon_log=condition.daemon_log)
        require(
            condition == mine, where, "daemon and daemon_log are of no step: write two conditions"
        )
        return
    require(
        bool(condition.step), where, f"needs step with {_NEEDS}; or daemon, daemon_log, any, not"
    )
    _check_step(scenario, condition, where)


def _check_step(scenario: Scenario, condition: Condition, where: str) -> None:
    for other in scenario.steps:
        run = condition.step in other.runs[1:]
        require(
            not run, f"{where}.step", f"{condition.step!r} is a run of {other.id!r}; name that step"
        )
    steps = {step.id: step for step in scenario.steps}
    require_known(condition.step, steps, f"{where}.step", "step")
    step = steps[condition.step]
    wrong = runs.problem(condition, step.repeat)
    require(not wrong, f"{where}.runs", wrong)
    require(
        bool(_EXIT.fullmatch(condition.exit)),
        f"{where}.exit",
        f"{condition.exit!r} is not ok, failed, late, a status (125) or a range (1-124)",
    )
    empty = condition.exit and not alternatives.statuses(condition.exit)
    require(not empty, f"{where}.exit", f"can never match: {condition.exit!r} is an empty range")
    _check_vertex(condition, step, where)
    only = Condition(step=condition.step, runs=condition.runs)
    require(condition != only, where, f"needs {_NEEDS.replace(', image', ' or image')}")
    exports = any(e.get("type") in ("local", "registry") for e in step.exports)
    if condition.inner_layers is not None:
        require(exports, where, f"can never match: {step.id} exports no cache")
    _check_metric(scenario, condition, step, where)
    _check_output(steps, condition, step, where)


def _check_vertex(condition: Condition, step: Step, where: str) -> None:
    asked = [key for key in _OF_VERTEX if _given(condition, key)]
    paired = bool(condition.vertex) == bool(asked)
    require(paired, where, "vertex must be used together with is, log, took or before")
    if condition.took:
        wrong = bounds.took_problem(condition.took)
        require(not wrong, f"{where}.took", wrong)
    extra = next((key for key in asked if key != "is_"), "")
    absent = condition.is_ is VertexIs.ABSENT and extra
    has = "started before no other" if extra == "before" else f"has no {_NOUNS.get(extra, extra)}"
    require(not absent, where, f"can never match: a vertex that is absent {has}")
    builds = step.action is Action.BUILD
    require(builds or not condition.vertex, where, f"can never match: {step.id} is not a build")


def _check_metric(scenario: Scenario, condition: Condition, step: Step, where: str) -> None:
    bounded = [key for key in ("over", "under") if _given(condition, key)]
    if not condition.metric:
        require(not bounded, where, f"{''.join(bounded[:1])} needs metric")
        return
    names = metrics.names(step)
    at = f"{where}.metric"
    require(condition.metric in names, at, not_one_of(condition.metric, names))
    require(len(bounded) == 1, where, "metric needs one of over and under")
    key = bounded[0]
    wrong = bounds.limit_problem(getattr(condition, key), over=key == "over")
    require(not wrong, f"{where}.{key}", wrong)
    if not metrics.relative(condition):
        return
    controlled = any(axis.controls for axis in scenario.axes.values())
    require(controlled, f"{where}.{key}", "can never match: no axis has controls")
    require(not condition.runs, f"{where}.runs", "is not for a comparison with the control")
    alone = Condition(
        step=condition.step, metric=condition.metric, over=condition.over, under=condition.under
    )
    require(
        condition == alone, where, "compares all trials: write other facts as another condition"
    )


def _check_output(steps: dict[str, Step], condition: Condition, step: Step, where: str) -> None:
    """Check the facts about files and images, and that *step* has an output with them."""
    of = "file" if condition.file else "image"
    asked = [key for key in dict.fromkeys((*_OF_FILE, *_OF_IMAGE)) if _given(condition, key)]
    require(
        not (condition.file and condition.image), where, "has file and image: write two conditions"
    )
    if not (condition.file or condition.image):
        extra = [*asked, *(["output"] if condition.output else [])]
        require(not extra, where, f"{extra[0] if extra else ''} needs file or image")
        return
    known = _OF_FILE if of == "file" else _OF_IMAGE
    odd = next((key for key in asked if key not in known), "")
    require(not odd, f"{where}.{odd}", f"is not for {of}; {of} takes {', '.join(known)}")
    require(bool(asked), where, f"{of} needs one of {', '.join(known)}")
    others = [key for key in asked if key != "exists"]
    gone = condition.exists is False and others
    require(not gone, where, f"can never match: what does not exist has no {', '.join(others)}")
    if condition.file:
        require_path(condition.file, f"{where}.file", "the output")
    else:
        wrong = document_path.problem(condition.image)
        require(not wrong, f"{where}.image", wrong)
    require(
        bool(_MODE.fullmatch(condition.mode)),
        f"{where}.mode",
        f"{condition.mode!r} is not permission bits such as 0755",
    )
    _check_written(condition, step, of, where)
    if condition.same_as:
        _check_same(steps, condition, of, where)


def _check_written(condition: Condition, step: Step, of: str, where: str) -> None:
    """Check that *step* has one output that can be read for *condition*."""
    names = [output.name for output in outputs.readable(step, of)]
    require(
        bool(names), where, f"can never match: {step.id} has no output with {outputs.WANTED[of]}"
    )
    if condition.output:
        require(condition.output in names, f"{where}.output", not_one_of(condition.output, names))
    several = len(set(names)) > 1 and not condition.output
    require(
        not several, where, f"{step.id} has several outputs: output must be one of {_words(names)}"
    )


def _check_same(steps: dict[str, Step], condition: Condition, of: str, where: str) -> None:
    require_known(condition.same_as, steps, f"{where}.same_as", "step")
    other = steps[condition.same_as]
    once = other.id != condition.step or other.repeat > 1
    require(once, f"{where}.same_as", "is the step itself, which runs once")
    names = [output.name for output in outputs.readable(other, of)]
    at = f"{where}.same_as"
    require(bool(names), at, f"can never match: {other.id} has no output with {outputs.WANTED[of]}")
    one = len(set(names)) == 1 or condition.output in names
    require(one, at, f"{other.id} has several outputs: output must be one of {_words(names)}")


def _words(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))
