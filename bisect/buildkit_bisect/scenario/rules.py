"""What the rules of a scenario must satisfy: each is valid, and can match."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import ToolOutcome, Verdict
from buildkit_bisect.scenario import pattern, runs
from buildkit_bisect.scenario.definition import Action, Condition, Rule, Scenario, VertexIs
from buildkit_bisect.scenario.require import (
    require,
    require_known,
    require_label,
    require_name,
    require_word,
)

_EXIT = re.compile(r"|ok|failed|late|[0-9]{1,3}(-[0-9]{1,3})?")
#: Verdicts that a rule may give.
VERDICTS = (Verdict.GOOD, Verdict.BAD, Verdict.WEAK)
#: Statuses that ``exit`` can name are below the first; a timeout has none, so it gets the second.
_STATUSES, _LATE = 1000, -1
#: Conditions of a rule: each is compared with all others.
_MOST = 100


def check_rules(scenario: Scenario) -> None:
    """Raise `BadInput` for the first error in the outcomes of *scenario*; steps are valid."""
    above: list[tuple[str, Mapping[Condition, int]]] = []
    verdicts: dict[str, Verdict] = {}
    repeats = {step.id: step.repeat for step in scenario.steps}
    for index, rule in enumerate(scenario.outcomes):
        where = f"outcomes[{index}]"
        require_name(rule.name, f"{where}.name")
        free = rule.name not in set(ToolOutcome)
        require(free, f"{where}.name", f"{rule.name!r} is reserved")
        require(bool(rule.means.strip()), f"{where}.means", "must not be empty")
        require_word(rule.verdict, VERDICTS, f"{where}.verdict")
        # Trials are counted by the names of their outcomes.
        other = verdicts.setdefault(rule.name, rule.verdict)
        require(
            other is rule.verdict, f"{where}.verdict", f"{rule.name!r} above is {other}: not both"
        )
        few = 0 < len(rule.all) <= _MOST
        require(few, f"{where}.all", f"must have 1 to {_MOST} conditions")
        for number, condition in enumerate(rule.all):
            _check_condition(scenario, condition, f"{where}.all[{number}]")
        least = _needed(rule, repeats)
        _check_contradiction(least, repeats, where)
        for name, fewer in above:
            # A rule whose conditions include those of an earlier one only holds if that one does.
            shadowed = all(n <= least.get(facts, 0) for facts, n in fewer.items())
            require(not shadowed, where, f"can never match: {name!r} above always matches first")
        above.append((rule.name, least))
    for index, rule in enumerate(scenario.outcomes):
        if rule.label is not None:
            require_label(rule.label, f"outcomes[{index}].label")
            require(not _taken(scenario, rule), f"outcomes[{index}].label", "must not repeat")


def _taken(scenario: Scenario, rule: Rule) -> bool:
    """Whether reports would call another outcome like *rule*, or *rule* itself in two ways."""
    others = [r for r in scenario.outcomes if r.name != rule.name]
    names = {r.name.replace("-", " ") for r in others} | {r.label for r in others}
    reserved = {name.replace("-", " ") for name in ToolOutcome}
    twice = {r.label for r in scenario.outcomes if r.name == rule.name} != {rule.label}
    return rule.label in names | reserved or twice


def _needed(rule: Rule, repeats: Mapping[str, int]) -> dict[Condition, int]:
    """The facts of each condition of *rule*, and in how many runs they must hold."""
    least: dict[Condition, int] = {}
    for c in rule.all:
        facts = replace(c, runs="")
        count = runs.needed(c, rule.verdict, repeats[c.step])
        least[facts] = max(count, least.get(facts, 0))
    return least


def _check_condition(scenario: Scenario, condition: Condition, where: str) -> None:
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
    empty = condition.exit and not _statuses(condition.exit)
    require(not empty, f"{where}.exit", f"can never match: {condition.exit!r} is an empty range")
    patterns = {"stderr": condition.stderr, "vertex": condition.vertex, "log": condition.log}
    for key, text in patterns.items():
        wrong = pattern.problem(text)
        require(not wrong, f"{where}.{key}", f"not a valid RE2 regular expression: {wrong}")
    paired = bool(condition.vertex) == (condition.is_ is not None or bool(condition.log))
    require(paired, where, "vertex must be used together with is or log")
    absent = condition.is_ is VertexIs.ABSENT and condition.log
    require(not absent, where, "can never match: a vertex that is absent has no log")
    fact = condition.exit or condition.stderr or condition.vertex or condition.inner_layers
    require(bool(fact), where, "needs exit, stderr, vertex or inner_layers")
    builds = step.action is Action.BUILD
    require(builds or not condition.vertex, where, f"can never match: {step.id} is not a build")
    exports = any(e.get("type") in ("local", "registry") for e in step.exports)
    if condition.inner_layers is not None:
        require(exports, where, f"can never match: {step.id} exports no cache")


def _check_contradiction(
    least: Mapping[Condition, int], repeats: Mapping[str, int], where: str
) -> None:
    """Two conditions on a step clash if no run fulfils both, and too few runs are left for that."""
    for (one, n), (other, m) in combinations(least.items(), 2):
        clash = one.step == other.step and n + m > repeats[one.step] and _exclusive(one, other)
        require(not clash, where, f"can never match: contradictory conditions on step {one.step!r}")


def _exclusive(one: Condition, other: Condition) -> bool:
    """Whether no run of a step fulfils both."""
    return bool(
        (one.exit and other.exit and _statuses(one.exit).isdisjoint(_statuses(other.exit)))
        or (one.is_ and other.is_ and one.vertex == other.vertex and one.is_ != other.is_)
        or (one.vertex == other.vertex and _absent_with_log(one, other))
        or (one.inner_layers and other.inner_layers and one.inner_layers != other.inner_layers)
    )


def _absent_with_log(one: Condition, other: Condition) -> bool:
    return bool(
        (one.is_ is VertexIs.ABSENT and other.log) or (other.is_ is VertexIs.ABSENT and one.log)
    )


@functools.cache
def _statuses(wanted: str) -> frozenset[int]:
    """The exit statuses that *wanted* is about; `_LATE` is that of a timeout."""
    if wanted in ("ok", "late"):
        return frozenset({0} if wanted == "ok" else {_LATE})
    if wanted == "failed":
        return frozenset({*range(1, _STATUSES), _LATE})
    low, _, high = wanted.partition("-")
    return frozenset(range(int(low), int(high or low) + 1))


def together(scenario: Scenario, one: Rule, other: Rule) -> bool:
    """Return whether one trial may match both rules, as far as their conditions show."""
    repeats = {step.id: step.repeat for step in scenario.steps}
    least = _needed(one, repeats)
    for facts, count in _needed(other, repeats).items():
        least[facts] = max(count, least.get(facts, 0))
    try:
        _check_contradiction(least, repeats, "")
    except BadInput:
        return False
    return True
