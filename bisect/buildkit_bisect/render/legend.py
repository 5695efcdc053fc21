"""What the outcomes of each scenario mean: two scenarios may give one name different meanings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from buildkit_bisect.render import symbols
from buildkit_bisect.result import Result, ScenarioInfo


@dataclass(frozen=True, kw_only=True, slots=True)
class Meaning:
    """An outcome that some cell or trial of a scenario has."""

    symbol: symbols.Symbol
    outcome: str
    verdict: str
    means: str
    option: str = ""  # what options call it, if that is not the outcome's text


@dataclass(frozen=True, kw_only=True, slots=True)
class Legend:
    """The outcomes of one scenario, in the order of its rules."""

    scenario: ScenarioInfo
    meanings: tuple[Meaning, ...]


def legends(result: Result) -> tuple[Legend, ...]:
    """Return a legend for each scenario of which an outcome was seen."""
    seen = {(c.scenario, name) for c in result.cells for name in (c.outcome, *c.counts)}
    made = (
        Legend(
            scenario=scenario,
            meanings=tuple(
                Meaning(
                    symbol=symbols.of(rule["name"], rule["verdict"]),
                    outcome=rule["name"],
                    verdict=rule["verdict"],
                    means=rule["means"],
                    option=_option(rule),
                )
                for rule in scenario.outcomes
                if (scenario.name, rule["name"]) in seen
            ),
        )
        for scenario in result.scenarios
    )
    return tuple(legend for legend in made if legend.meanings)


def _option(rule: Mapping[str, str]) -> str:
    name = rule.get("option", rule["name"])
    return "" if name.replace("-", " ") == rule["name"].replace("-", " ") else name
