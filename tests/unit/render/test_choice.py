"""A bisection for which several cells were open: what each showed, and which was chosen."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import pytest

import results
from buildkit_bisect import render
from buildkit_bisect.render import svg
from buildkit_bisect.render.brief import brief
from buildkit_bisect.result import CellTried, Result


def test_markdown_has_a_row_for_each_cell() -> None:
    made = unescape(render.markdown(results.chosen()))
    assert "- Cell: searching with bases=same, the only one" in made
    table = made[made.index("| cell | good end") :].split("\n\n")[0].splitlines()
    good, bad = "<code>v0.24.0</code>", "<code>v0.25.0</code>"
    assert table[0] == f"| cell | good end {good} | bad end {bad} | search |"
    assert table[2].startswith("| cross-stage-lazy: lazy snapshotter (stargz), two base images | ")
    assert table[2].count("layers dropped (1 of 1)") == 2
    assert table[2].endswith("| no: v0.24.0 is already bad |")
    assert "cached (1 of 1)" in table[3]
    assert table[3].endswith("| **here** |")
    assert len(table) == 4


def test_a_cell_that_could_have_been_searched_is_called_possible() -> None:
    made = render.markdown(results.chosen(searched=False))
    assert "| possible |" in made
    assert "**here**" not in made


def test_the_page_has_a_row_for_each_cell() -> None:
    made = render.html(results.chosen())
    (table,) = re.findall(r'aria-label="Cells that were tried">(.*?)</table>', made, re.DOTALL)
    assert table.count("<tr>") == 3
    assert "cross-stage-lazy: lazy snapshotter (stargz), two base images" in table
    assert "no: v0.24.0 is already bad" in table
    assert "<td>here</td>" in table
    assert "<dt>cell</dt><dd>searching with bases=same, the only one</dd>" in made


def test_a_search_in_the_only_cell_has_no_such_table() -> None:
    assert "| cell | good end" not in render.markdown(results.bisect())
    assert "Cells that were tried" not in render.html(results.bisect())


def test_the_timeline_shows_the_cell_that_was_searched() -> None:
    """The other cell was run at the ends too, with another outcome."""
    one = results.chosen()
    alone = results.bisect()
    assert one.bisect
    assert alone.bisect
    points = [re.findall(r'class="[^"]*"', svg.timeline(r)) for r in (one, alone)]
    assert points[0] == points[1]


def refused(*tried: CellTried, find_fix: bool = False) -> Result:
    """Return a search that none of its cells was open to."""
    found = results.chosen()
    assert found.bisect
    info = replace(
        found.bisect, status="refused", axes={}, tried=tried or found.bisect.tried, first_bad="",
        find_fix=find_fix,
    )  # fmt: skip
    return replace(found, bisect=info)


def test_the_table_of_a_refusal_has_a_row_for_each_cell() -> None:
    table = brief(refused())
    assert table
    assert [re.sub("<[^>]+>", "", unescape(h)) for h in table.head[:1]] == ["cell"]
    assert "given as good: " in table.head[1]
    assert "v0.25.0" in table.head[2]
    first, second = ([unescape(cell) for cell in row] for row in table.rows)
    assert first[0] == "cross-stage-lazy: lazy snapshotter (stargz), two base images"
    assert first[1:] == ["❌ layers dropped<br><sub>1 of 1</sub>"] * 2
    assert second[1] == "✅ cached<br><sub>1 of 1</sub>"


def test_the_older_end_comes_first_in_the_table_of_a_refused_search_for_a_fix() -> None:
    table = brief(refused(find_fix=True))
    assert table
    assert "given as bad: " in table.head[1]
    assert table.rows[1][1].startswith("❌")
    assert table.rows[1][2].startswith("✅")


@pytest.mark.parametrize(
    ("seen", "verdict", "shown"),
    [("", "weak", "▫️ "), ("build: undefined: x", "skip", "⏭️ build: undefined: x"),
     ("cached (2 of 3), ran (1 of 3)", "weak", "❔ cached (2 of 3), ran (1 of 3)")],
)  # fmt: skip
def test_an_end_that_has_no_single_outcome(seen: str, verdict: str, shown: str) -> None:
    end = {"good": seen, "bad": seen, "good_verdict": verdict, "bad_verdict": verdict}
    table = brief(refused(*[CellTried(axes={"bases": "same"}, **end)] * 7))  # type: ignore[arg-type]
    assert table
    assert unescape(table.rows[0][1]) == shown
    assert len(table.rows) == 5
    assert table.rows[-1][0] == "and 3 more cells, folded below"


def test_the_table_of_a_search_is_about_its_own_cell() -> None:
    """The ends were tried in another cell too, in which both are bad."""
    found = results.chosen()
    assert found.bisect
    revisions = tuple(
        replace(r, ref="v0.24.0") if r.sha == found.bisect.gate[0].sha else r
        for r in found.revisions
    )
    cells = tuple(reversed(found.cells))
    table = brief(replace(found, cells=cells, revisions=revisions))
    assert table
    (good,) = (row for row in table.rows if row[0] == "good end")
    assert good[2].startswith("✅ cached")
