"""What the rules of a scenario must satisfy: each is valid, and can match."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

from buildkit_bisect.model import ToolOutcome, Verdict
from buildkit_bisect.scenario import alternatives
from buildkit_bisect.scenario.alternatives import Alternative
from buildkit_bisect.scenario.condition_check import check_condition
from buildkit_bisect.scenario.definition import Rule, Scenario
from buildkit_bisect.scenario.require import (
    require,
    require_label,
    require_name,
    require_word,
)

#: Verdicts that a rule may give.
VERDICTS = (Verdict.GOOD, Verdict.BAD, Verdict.WEAK, Verdict.SKIP)
#: Conditions of a rule: each is compared with all others.
_MOST = 100
#: Alternatives of all rules together.
_MOST_TOGETHER = 1000


def check_rules(scenario: Scenario) -> None:
    """Raise `BadInput` for the first error in the outcomes of *scenario*; steps are valid."""
    above: list[tuple[str, Alternative]] = []
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
        few = len(rule.all) > 0 and sum(1 for _ in rule.leaves()) <= _MOST
        require(few, f"{where}.all", f"must have 1 to {_MOST} conditions")
        for number, condition in enumerate(rule.all):
            check_condition(scenario, condition, f"{where}.all[{number}]")
        possible = _possible(rule, repeats, where)
        _check_above(above, possible, where)
        above += [(rule.name, one) for one in possible]
        require(len(above) <= _MOST_TOGETHER, where, "the outcomes so far have too many any")
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


def _possible(rule: Rule, repeats: Mapping[str, int], where: str) -> list[Alternative]:
    """The alternatives of *rule* that can hold; each condition of ``any`` must be in one."""
    try:
        found = alternatives.of(rule, repeats, where)
    except alternatives.TooMany:
        most = f"more than {alternatives.MOST} combinations of any"
        require(False, f"{where}.all", f"has {most}; write several outcomes of one name")
        raise AssertionError from None
    possible = []
    contradictions = alternatives.Contradictions(repeats)
    for one in found:
        clash = contradictions.of(one)
        if clash is None:
            possible.append(one)
        elif len(found) == 1:
            what = f"on step {clash.step!r}" if clash.step else "on the daemon"
            require(False, where, f"can never match: contradictory conditions {what}")
    require(bool(possible), where, "can never match: each combination of any is contradictory")
    used = frozenset[str]().union(*(one.chosen for one in possible))
    for place in sorted({place for one in found for place in one.chosen} - used):
        require(False, place, "can never hold: contradicts the other conditions of the outcome")
    return possible


def _check_above(
    above: list[tuple[str, Alternative]], possible: list[Alternative], where: str
) -> None:
    """Raise `BadInput` if earlier rules match wherever this one, with *possible*, does."""
    by: list[str] = []
    for one in possible:
        first = next((name for name, other in above if alternatives.shadows(other, one)), None)
        if first is None:
            return
        by.append(first)
    names = " or ".join(map(repr, dict.fromkeys(by)))
    require(False, where, f"can never match: {names} above always matches first")


def together(scenario: Scenario, one: Rule, other: Rule) -> bool:
    """Return whether one trial may match both rules, as far as their conditions show."""
    repeats = {step.id: step.repeat for step in scenario.steps}
    try:
        pairs = product(alternatives.of(one, repeats, ""), alternatives.of(other, repeats, ""))
    except alternatives.TooMany:
        return True
    return any(alternatives.contradiction(alternatives.both(*pair), repeats) is None
               for pair in pairs)  # fmt: skip
