"""Every place that shows a cell's k of n shows all trials that are known of it beside them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

import results
import validations
from buildkit_bisect import render
from buildkit_bisect.render import svg, symbols, validation
from buildkit_bisect.render.clauses import clauses
from buildkit_bisect.result import CellInfo, KnownInfo, Result

DROPPED = KnownInfo(counts={"cached": 17, "layers-dropped": 4}, verdicts={"good": 17, "bad": 4})
MORE = KnownInfo(counts={"cached": 24}, verdicts={"good": 24})
FLAKY = ("cached", "cached", "layers-dropped")
NS = "{http://www.w3.org/2000/svg}"


def one(outcomes: str | tuple[str, ...], known: KnownInfo | None) -> CellInfo:
    return replace(
        results.cell("v0.24.0", 1, outcomes, bases="same", snapshotter="stargz"), known=known
    )


def only(*cells: CellInfo) -> Result:
    return results.matrix(cells=cells)


@pytest.mark.parametrize(
    ("outcomes", "known", "tally", "symbol"),
    [
        ("cached", None, "3 of 3", symbols.GOOD),
        ("cached", KnownInfo(counts={"cached": 3}, verdicts={"good": 3}), "3 of 3", symbols.GOOD),
        ("cached", MORE, "3 of 3 (24 of 24 known on this machine)", symbols.GOOD),
        ("cached", DROPPED, "3 of 3 (flaky: 17 of 21 known on this machine)", symbols.MIXED),
        ("layers-dropped", DROPPED, "3 of 3 (flaky: 4 of 21 known on this machine)",
         symbols.MIXED),
        (FLAKY, DROPPED,
         ("cached 2 of 3, layers dropped 1 of 3"
         " (cached 17 of 21 known on this machine)"), symbols.MIXED),
        ("infra", DROPPED,
         "3 of 3 (cached 17 of 21 known on this machine)", symbols.INFRA),
    ],
)  # fmt: skip
def test_tally(
    outcomes: str | tuple[str, ...], known: KnownInfo | None, tally: str, symbol: symbols.Symbol
) -> None:
    cell = one(outcomes, known)
    assert symbols.tally(cell) == tally
    assert symbols.of_cell(cell) is symbol


def test_a_cell_that_is_flaky_elsewhere_says_so_in_every_report() -> None:
    result = only(one("cached", DROPPED), one_of("v0.25.0", "layers-dropped", MORE))
    assert render.finding(result) == (
        "Broken in 1 of 2 revisions (v0.25.0): layers dropped. 1 cell is flaky."
    )
    assert "1 cell flaky by all trials known on this machine (v0.24.0)" in "".join(clauses(result))
    markdown = render.markdown(result)
    assert "⚠️ cached<br><sub>3 of 3 &#40;flaky: 17 of 21 known on this machine&#41;" in markdown
    assert "*Known on this machine*: all trials of the same binaries" in markdown
    page = render.html(result)
    assert "<small>3 of 3 (flaky: 17 of 21 known on this machine)</small>" in page
    assert '<td class="flaky">' in page
    assert "Known on this machine: all trials of the same binaries" in page
    found = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    assert json.loads(found[1])["cells"][0]["tally"] == (
        "3 of 3 (cached 17 of 21, layers dropped 4 of 21 known on this machine)"
    )
    picture = ET.fromstring(svg.matrix(result))  # noqa: S314 - we have just made it
    texts = [t.text or "" for t in picture.iter(f"{NS}text")]
    assert "3 of 3 (flaky: 17 of 21 known)" in " ".join(texts)
    tooltips = [t.text for g in picture.iter(f"{NS}g") for t in g.findall(f"{NS}title")]
    assert "cached 17 of 21, layers dropped 4 of 21 known on this machine" in tooltips
    assert json.loads(render.json(result))["cells"][0]["known"]["counts"] == DROPPED.counts
    assert "flaky: 17 of 21" not in render.junit(result), "it passed"


def one_of(ref: str, outcome: str, known: KnownInfo) -> CellInfo:
    cell = results.cell(ref, 2, outcome, bases="same", snapshotter="stargz")
    counts = {outcome: sum(known.counts.values())}
    verdicts = {cell.verdict: sum(known.counts.values())}
    return replace(cell, known=KnownInfo(counts=counts, verdicts=verdicts))


def test_a_picture_of_a_flaky_cell_has_room_for_what_is_known() -> None:
    assert symbols.brief(one(FLAKY, DROPPED)) == "cached 2 of 3 (17 of 21 known)"


def test_a_single_cell_that_is_flaky_elsewhere() -> None:
    assert render.finding(only(one("cached", DROPPED))) == (
        "v0.24.0 is good with lazy snapshotter (stargz), one base image: cached (3 of 3)."
        " Flaky: 17 of 21 known on this machine."
    )


def test_a_validation_shows_what_is_known_of_each_side() -> None:
    result = validations.result()
    assert result.validation
    patches = result.validation.patches
    sides = [
        replace(one("layers-dropped", DROPPED), ref="master"),
        replace(one("cached", MORE), ref="master", patches=patches),
    ]
    assert (
        "layers dropped 3 of 3, then cached 3 of 3;"
        " on this machine, flaky: 4 of 21 known without and 24 of 24 known with"
    ) in str(validation.groups(result.validation, sides))
    assert "known" not in str(validation.groups(result.validation, result.cells))


def test_a_control_that_is_flaky_elsewhere_is_named() -> None:
    rows = results.row("v1", 1, "cached", "cached")
    control = next(cell for cell in rows if cell.control)
    rows[rows.index(control)] = replace(control, known=DROPPED)
    assert "1 cell flaky by all trials known on this machine (v1)" in "".join(clauses(only(*rows)))


def test_a_failed_case_of_junit_has_what_is_known() -> None:
    made = render.junit(only(one("layers-dropped", DROPPED)))
    assert "layers dropped 3 of 3 (flaky: 4 of 21 known on this machine)" in made


def test_a_search_shows_what_is_known_of_its_commits() -> None:
    result = results.bisect()
    assert result.bisect
    step = result.bisect.steps[0]
    cell = replace(
        results.cell("x", 1, "layers-dropped"), axes=result.bisect.axes,
        revision=step.sha, patches=step.patches, known=DROPPED,
    )  # fmt: skip
    plain = svg.timeline(replace(result, cells=()))
    made = svg.timeline(replace(result, cells=(cell,)))
    title = "<title>cached 17 of 21, layers dropped 4 of 21 known on this machine</title>"
    assert title in made
    assert title not in plain
    texts = [t.text or "" for t in ET.fromstring(made).iter(f"{NS}text")]  # noqa: S314 - just made
    assert "(flaky: 4 of 21 known)" in " ".join(texts)


def test_revisions_that_may_differ_by_chance_are_no_change() -> None:
    """The row in between may be either: the change over it is still seen."""
    rows = [
        *results.row("v0.24.0", 240, "cached", "cached"),
        *results.row("v0.25.0", 250, "cached", FLAKY),
        *results.row("v0.31.0", 310, "cached", "layers-dropped"),
    ]
    markdown = render.markdown(only(*rows))
    changes, maybe = (
        part.split("\n\n")[1]
        for part in markdown.split("<summary>Changes between revisions: 1<")[1].split(
            "<summary>Differences between revisions that may be chance: 1<"
        )
    )
    assert "v0.24.0" in changes
    assert "v0.31.0" in changes
    assert "cached, then layers dropped" in changes
    assert "v0.25.0" not in changes
    assert "cached, then flaky &#40;may be chance: p = 0.5, --trials 12 would decide" in maybe
    assert maybe.count("\n") == 0


def test_a_change_after_rows_that_may_differ_by_chance_is_seen() -> None:
    """Also back to the earlier outcome, which is not a difference."""
    rows = [
        *results.row("v1", 1, "cached", FLAKY),
        *results.row("v2", 2, "cached", "export-failed"),
        *results.row("v3", 3, "cached", "layers-dropped"),
        *results.row("v4", 4, "cached", FLAKY),
        *results.row("v5", 5, "cached", "layers-dropped"),
    ]
    lines = [line for line in render.markdown(only(*rows)).splitlines() if " → " in line]
    assert [
        (*re.findall(r"<code>(v\d)</code>", line), re.split(" &#40;|: lazy", how)[0])
        for line in lines
        for how in [line.rpartition(")): ")[2]]
    ] == [
        ("v2", "v3", "export failed, then layers dropped"),
        ("v1", "v2", "flaky, then export failed"),
        ("v3", "v4", "layers dropped, then flaky"),
    ]


def test_a_patched_row_that_may_differ_by_chance_is_no_change() -> None:
    rows = [
        *results.row("a", 1, ("layers-dropped",), ("cached",)),
        *results.row("a", 1, ("cached",), ("layers-dropped",), patches=("p",)),
    ]
    chance = "(may be chance: p = 0.5, --trials 3 would decide at these rates)"
    assert (
        f"With p on a, 1 cell that was good is bad (layers dropped) {chance}"
        f" and the one broken cell is good {chance}"
    ) in clauses(only(*rows))
    page = render.html(only(*rows))
    assert page.count("<td>may be chance <small>p = 0.5, --trials 3 would decide") == 2
    assert 'class="change-chance"' in page
    assert 'class="change-fixed"' not in page


def test_a_patched_row_beyond_chance_says_how_far() -> None:
    rows = [
        *results.row("a", 1, "layers-dropped", "cached"),
        *results.row("a", 1, "cached", "cached", patches=("p",)),
    ]
    assert "With p on a, the one broken cell is good" in clauses(only(*rows))
    assert "<td>fixed <small>p = 0.05</small></td>" in render.html(only(*rows))


def test_of_several_broken_cells_some_may_be_good_by_chance() -> None:
    rows = [
        *results.row("a", 1, "layers-dropped", ("layers-dropped",)),
        *results.row("a", 1, "cached", ("cached",), patches=("p",)),
    ]
    assert (
        "With p on a, 1 of 2 broken cells is good and 1 is good"
        " (may be chance: p = 0.5, --trials 3 would decide at these rates)"
    ) in clauses(only(*rows))
