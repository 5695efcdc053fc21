"""Reports call outcomes by the labels of their scenario; the document keeps the names."""

from __future__ import annotations

from dataclasses import replace

import pytest

import results
import validations
from buildkit_bisect import render
from buildkit_bisect import scenario as scenarios
from buildkit_bisect.campaign.compose import scenario_info
from buildkit_bisect.render import compare
from buildkit_bisect.render.spoken import spoken
from buildkit_bisect.result import Result, ScenarioInfo
from buildkit_bisect.result.labels import outcome_labels

LABELS = {"cached": "RUN re-used", "export-failed": "no export at all", "layers-dropped": "re-lost"}


def called(scenario: ScenarioInfo) -> ScenarioInfo:
    return replace(
        scenario,
        outcomes=tuple({**o, "label": LABELS.get(o["name"], "")} for o in scenario.outcomes),
    )


def labelled(result: Result) -> Result:
    return replace(result, scenarios=tuple(map(called, result.scenarios)))


ALL = [results.matrix(), results.bisect(), results.refused(), results.boundaries(),
       results.merged(),
       replace(validations.result(),
               scenarios=(results.scenario(), results.scenario("cross-stage-dedup")))]  # fmt: skip


@pytest.mark.parametrize("result", ALL)
def test_reports_use_labels_only(result: Result) -> None:
    for text in (render.markdown(labelled(result)), render.html(labelled(result))):
        shown = text.replace("result.json", "").split('<script type="application/json"')[0]
        shown = shown.replace("RUN re\N{HYPHEN}used", "")
        for name in LABELS:  # of the legend, for options
            shown = shown.replace(f"<code>{name}</code>", "")
        for name in ("layers-dropped", "layers dropped", "export-failed", "export failed"):
            assert name not in shown
    labels = {label.replace("-", "\N{HYPHEN}") for label in LABELS.values()}
    assert any(label in render.markdown(labelled(result)) for label in labels)


def test_the_legend_has_the_names_that_options_take() -> None:
    result = labelled(results.matrix())
    assert "**no export at all** (<code>export-failed</code>): " in render.markdown(result)
    assert "no export at all <code>export-failed</code></dt>" in render.html(result)
    assert "<code>export-failed</code>" not in render.markdown(results.matrix())


@pytest.mark.parametrize("result", ALL)
def test_twice_is_the_same_as_once(result: Result) -> None:
    once = spoken(labelled(result))
    assert once != labelled(result)
    assert spoken(once) == once


def test_a_headline_says_what_happened() -> None:
    cells = results.matrix().cells[2:3]
    one = replace(results.matrix(cells=cells), scenarios=(results.scenario(),))
    name = cells[0].outcome
    label = LABELS[name].replace("-", "\N{HYPHEN}")
    assert f": {label} (3 of 3)." in render.finding(labelled(one))


def test_a_comparison_uses_labels_and_compares_names() -> None:
    """An earlier result has no labels; that is no change."""
    old, new = results.matrix(), labelled(results.matrix())
    found = compare.compare(old, new)
    assert {d.change for d in found.differences} == {compare.Change.SAME}
    assert {d.after.outcome for d in found.differences if d.after} & {"re\N{HYPHEN}lost"}


def test_a_result_of_an_earlier_version_has_the_labels_of_the_shipped_scenario() -> None:
    shipped = scenario_info(scenarios.load("single-chain"), {})
    bare = replace(
        shipped,
        outcomes=tuple({k: v for k, v in o.items() if k != "label"} for o in shipped.outcomes),
    )
    assert outcome_labels(bare) == outcome_labels(shipped)
    assert outcome_labels(shipped)["ran"] == "step ran again"
    other = tuple({**o, "means": "something else"} for o in bare.outcomes)
    assert outcome_labels(replace(bare, outcomes=other)) == {}
    assert outcome_labels(replace(bare, name="my-own")) == {}
