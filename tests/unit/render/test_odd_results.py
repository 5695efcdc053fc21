"""What reports say of results that are small, mixed or undecided: each sentence is true of them."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import pytest

import results
import validations
from buildkit_bisect import render
from buildkit_bisect.render.brief import brief
from buildkit_bisect.result import CandidateInfo, CellInfo, Result


def lazy(ref: str, n: int, outcome: str, *, control: bool = False) -> CellInfo:
    """Return one cell: the one with two base images on stargz."""
    return results.cell(ref, n, outcome, control=control, bases="different", snapshotter="stargz")


def said(result: Result) -> str:
    """Return the report as a reader sees it, without the script that reproduces it."""
    return html.unescape(re.sub(r"</?\w+>", " ", render.markdown(result)))


def search(**changes: object) -> Result:
    info = results.bisect().bisect
    assert info
    return results.bisect(bisect=replace(info, **changes))  # type: ignore[arg-type]


def note(result: Result) -> str:
    """Return the legend below the matrix."""
    return next(line for line in said(result).splitlines() if re.match(r" (❌|✅|⏭|⚠)", line))


def test_a_legend_has_no_word_on_controls_where_there_are_none() -> None:
    assert "A control is" not in note(results.only(lazy("v1", 1, "cached")))
    assert "A control is" in note(results.only(*results.row("v1", 1, "cached", "cached")))


def test_a_legend_explains_counts_only_where_there_are_any() -> None:
    assert "k of n" in note(results.only(lazy("v1", 1, "cached")))
    assert "k of n" not in note(results.only(lazy("v1", 1, "skip (build)")))
    assert "k of n" not in render.markdown(results.many(200))  # only symbols have room


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ([lazy("v1", 1, "cached")], "no control was run"),
        (results.row("v1", 1, "skip (build)", "skip (build)"), "no control could be tested"),
        ([lazy("v1", 1, "cached", control=True)],
         "the control, which the bug cannot affect, is good"),
        ([lazy("v1", 1, "layers-dropped", control=True)],
         "the control, which the bug cannot affect, is not good"),
    ],
)  # fmt: skip
def test_controls_below_the_table(cells: list[object], says: str) -> None:
    assert says in said(results.only(*cells)).partition("buildkit-bisect")[0]


def test_a_scenario_without_controls_lacks_none() -> None:
    bare = results.scenario(axes={"bases": {"values": ("different", "same"), "controls": ()}})
    made = replace(results.only(results.cell("v1", 1, "cached", bases="same")), scenarios=(bare,))
    assert "control" not in said(made).partition("<details>")[0]


def test_a_name_keeps_its_case_at_the_beginning_of_a_clause() -> None:
    made = results.only(
        lazy("v1", 1, "skip (build)"), lazy("v2", 2, "cached"),
        lazy("v3", 3, "layers-dropped"),
    )  # fmt: skip
    assert "- Could not be tested: v1" in said(made)
    assert "V1" not in said(made)


def test_a_row_names_each_set_of_patches_with_its_own_revision() -> None:
    """Not each of the sets on each of the revisions: p alone does not help v1."""
    made = results.only(
        *results.row("v1", 1, "layers-dropped", "layers-dropped"),
        *results.row("v2", 2, "layers-dropped", "cached"),
        *results.row("v1", 1, "cached", "layers-dropped", patches=("p",)),
        *results.row("v2", 2, "cached", "cached", patches=("p",)),
        *results.row("v1", 1, "cached", "cached", patches=("p", "q")),
        *results.row("v2", 2, "cached", "export-failed", patches=("p", "q")),
    )
    assert "each of 2 patched revisions <br><sub>v2 + p; v1 + p + q" in (
        html.unescape(render.markdown(made)).replace("revisions<br>", "revisions <br>")
    )
    assert "in each unpatched revision, 1 or 2 of the 2 tested cells are bad" in said(made)


def test_outcomes_without_a_place_say_in_how_many_cells() -> None:
    axes = {"bases": {"values": tuple("abcde"), "controls": ()}}
    cells = [results.cell("v1", 1, "layers-dropped", bases=base) for base in "abcd"]
    cells.append(results.cell("v1", 1, "export-failed", bases="e"))
    cells.append(results.cell("v1", 1, "cached", bases="f"))
    made = replace(results.only(*cells), scenarios=(results.scenario(axes=axes),))
    assert "Broken in v1: layers dropped in 4 of 6 cells; export failed with bases e" in said(made)


def test_an_outcome_has_one_name_in_a_report() -> None:
    """Also one without a label, and of a commit whose build ran as another one's."""
    outcomes = (
        {"name": "cached", "verdict": "good", "means": "from the cache", "label": "step cached"},
        {"name": "export-failed", "verdict": "bad", "means": "an error"},
    )
    candidates = (
        CandidateInfo(sha=results.sha(138), reason="bad: export-failed (2 of 2)"),
        CandidateInfo(sha=results.sha(500), reason="good: cached (2 of 2)"),
    )
    made = replace(
        search(status="range", first_bad="", candidates=candidates, reason="export-failed 3 of 3"),
        scenarios=(results.scenario(outcomes=outcomes),),
    )
    for text in (said(made), html.unescape(render.html(made).partition("<script")[0])):
        assert "bad: export failed (2 of 2)" in text
        assert "good: step cached (2 of 2)" in text
        assert "export-failed" not in text.partition("Reproduce")[0].replace("(export-failed)", "")


def test_a_range_does_not_say_that_there_is_no_confidence() -> None:
    made = search(status="range", first_bad="", confidence=0.0, reason="with confidence 96 %, two")
    assert "onfidence: none" not in said(made)
    assert "<dt>confidence</dt>" not in render.html(made)
    assert "Confidence: 99.7 %" in said(results.bisect())


def test_a_command_in_a_note_has_the_options_of_the_campaign() -> None:
    line = "./inv boundaries --from a --to b"
    made = replace(
        search(notes=(f"the outcome changed more than once; every change of outcome: {line}",)),
        command="./inv bisect --good a --bad b --repo PATH --patches lazy-variants",
    )
    for text in (said(made), html.unescape(render.html(made))):
        assert f"{line} --repo PATH --patches lazy-variants" in text


def test_one_cell_is_not_each_cell() -> None:
    one = replace(results.bisect(), cells=results.bisect().cells[:1])
    assert "7 commits tested, 3 trials ·" in said(one)


def test_reproducers_of_one_issue() -> None:
    assert " reproducers: cross-stage-lazy" in said(results.two_scenarios())
    assert " reproducer: cross-stage-lazy" in said(results.matrix())


def test_all_trials_of_an_earlier_campaign() -> None:
    made = validations.result(reused=30)
    assert "30 in total, all of them from an earlier campaign" in said(made)
    assert "all of them from an earlier campaign" in render.html(made)


def test_a_validation_of_one_cell() -> None:
    untested = validations.change("untested", "cross-stage-lazy", "stargz", reason="no build")
    made = validations.result(cells=(untested,), status="inconclusive", trials=6)
    assert "could not be tested: 1 of 1 cell |" in said(made)
    assert "6 trials of 1 cell, alternating without and with the patch ·" in said(made)
    control = validations.CELLS[3]
    assert "no worse | 1 control and 3 checks" in said(validations.result(cells=(control,)))


def test_a_validation_without_cells_has_no_table() -> None:
    made = validations.result(status="refused", cells=(), checks=(), trials=0)
    assert brief(made) is None


def test_a_search_that_counted_no_candidates_names_the_ends_only() -> None:
    assert "two base images, 6c0aa8c8f..v0.26.0" in said(results.refused())


def test_a_step_of_a_history_names_its_cells() -> None:
    """``yes: cached`` would be what the axis *warm* of one of two scenarios has."""
    text = said(results.boundaries())
    assert "| two base images: layers dropped 3 of 3; one base image: cached 3 of 3 |" in text
    assert "different stargz" not in text
    assert "skip (build)" in text  # a step without trials says why
    dedup = results.cell("r0", 1, "layers-dropped", scenario="cross-stage-dedup", warm="yes")
    two = results.boundaries()
    two = replace(
        two, cells=(*two.cells, dedup),
        scenarios=(*two.scenarios, results.scenario("cross-stage-dedup")),
    )  # fmt: skip
    assert (
        "| cross-stage-lazy, two base images: layers dropped 3 of 3; cross-stage-lazy, one base "
        "image: cached 3 of 3; cross-stage-dedup: layers dropped 3 of 3 |"
    ) in said(two)
    one = replace(two, cells=(dedup,), scenarios=two.scenarios[1:])
    assert "| layers dropped 3 of 3 |" in said(one)
