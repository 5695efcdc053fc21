"""A bisection for which several cells were open: what each showed, and which was chosen."""

from __future__ import annotations

import re
from html import unescape

import results
from buildkit_bisect import render
from buildkit_bisect.render import svg


def test_markdown_has_a_row_for_each_cell() -> None:
    made = unescape(render.markdown(results.chosen()))
    assert "- Cell: searching with bases=same, the only one" in made
    table = made[made.index("| cell | good end") :].split("\n\n")[0].splitlines()
    good, bad = "<code>v0.24.0</code>", "<code>v0.25.0</code>"
    assert table[0] == f"| cell | good end {good} | bad end {bad} | search |"
    assert table[2].startswith("| cross-stage-lazy: lazy snapshotter (stargz), two base images | ")
    assert table[2].count("layers-dropped (1 of 1)") == 2
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
