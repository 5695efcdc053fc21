"""Trials of several machines are never counted together, and each report names the machines."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

import results
from buildkit_bisect import render
from buildkit_bisect.render import compare, github, redact, svg, table
from buildkit_bisect.render.machines import incomplete, machines, parts
from buildkit_bisect.result import CellInfo, Result
from shared_work import elsewhere, joined, part, whole

#: Both machines ran all of it, and every cell of the second was good there.
ONE = whole()


def good(cell: CellInfo) -> CellInfo:
    if not cell.trials:
        return cell
    own = results.cell(cell.ref, 1, "cached")
    return replace(own, **{n: getattr(cell, n) for n in ("revision", "patches", "axes", "control")},
                   build=cell.build)  # fmt: skip


def better() -> Result:
    there = replace(ONE, cells=tuple(map(good, ONE.cells)))
    return elsewhere(there, kernel="6.8.0-azure", runc="runc version 1.2.3")


BOTH = joined(ONE, better())


def test_a_row_is_a_variant_on_a_machine() -> None:
    grid = table.matrix(BOTH)
    assert [row.label for row in grid.rows[:4]] == [
        "v0.24.0 on machine 1",
        "v0.24.0 on machine 2",
        "v0.25.0 on machine 1",
        "v0.25.0 on machine 2",
    ]
    assert len(grid.cells) == len(BOTH.cells)


#: Both machines saw the same in every cell.
SAME = joined(part(2), elsewhere(part(2), kernel="6.8.0-azure"))


@pytest.mark.parametrize("text", [render.markdown(SAME), render.html(SAME), svg.matrix(SAME)])
def test_no_report_counts_the_trials_of_two_machines_together(text: str) -> None:
    assert "3 of 3" in text
    assert "6 of 6" not in text
    assert "6 trials" not in re.sub(r"<[^>]+>", "", text).partition("Times")[0]


@pytest.mark.parametrize("text", [render.markdown(BOTH), render.html(BOTH), svg.matrix(BOTH)])
def test_every_report_names_the_machines(text: str) -> None:
    plain = re.sub(r"<[^>]+>", "", text)
    assert "machine 1: kernel unknown, runc version 1.1.5" in plain
    assert "machine 2: kernel 6.8.0-azure, runc version 1.2.3" in plain


def test_the_table_of_a_comment_has_a_row_for_each_machine() -> None:
    head = render.markdown(BOTH).partition("<details>")[0]
    assert "on machine 1" in head
    assert "on machine 2" in head
    assert "on 2 machines, each with its own rows" in head
    assert "may be one" not in head


def test_machines_with_the_same_facts_may_be_one() -> None:
    twice = render.markdown(joined(ONE, replace(better(), host=ONE.host)))
    assert "2 machines, each with its own rows · machines with the same facts may be one" in twice


def test_patches_are_compared_with_the_same_machine() -> None:
    text = render.markdown(BOTH)
    assert "With record-ctx-opts on master on machine 2, both tested cells are good" in text
    assert "With record-ctx-opts on master on machine 1, 1 of 2 broken cells is good" in text


def test_changes_are_within_a_machine() -> None:
    text = (
        render.markdown(BOTH).partition("Changes between revisions")[2].partition("</details>")[0]
    )
    for line in text.splitlines():
        assert len(set(re.findall(r"machine \d", line))) <= 1
    assert "machine 1" in text


def test_a_test_case_for_each_cell() -> None:
    root = ET.fromstring(render.junit(BOTH))  # noqa: S314 - we have just made it
    names = [(c.attrib["classname"], c.attrib["name"]) for c in root.iter("testcase")]
    assert len(names) == len(set(names)) == len(BOTH.cells)


def test_a_headline_counts_rows_where_revisions_ran_twice() -> None:
    assert render.finding(BOTH).startswith("Broken in 4 of 10 unpatched rows (v0.24.0 on machine 1")
    assert "revisions" in render.finding(joined(part(1), part(2)))


def test_a_matrix_job_runs_each_variant_once() -> None:
    assert github.strategy_of(BOTH) == github.strategy_of(ONE)


def test_a_difference_is_that_of_the_machine_with_the_same_facts() -> None:
    found = compare.compare(better(), joined(ONE, better()))
    assert not found.worse
    assert {d.change for d in found.differences} == {compare.Change.SAME, compare.Change.NEW}
    assert "machine 2" not in compare.text(found)
    assert "note: the machines differ in" in compare.text(found)
    # Numbered the other way round.
    assert {d.change for d in compare.compare(joined(better(), ONE), BOTH).differences} == {
        compare.Change.SAME
    }


def test_machines_with_the_same_facts_are_compared_in_order() -> None:
    two = joined(ONE, elsewhere(ONE))
    assert {d.change for d in compare.compare(two, two).differences} == {compare.Change.SAME}


def test_shards_that_are_missing_are_in_bold() -> None:
    made = joined(part(1), part(2), part(5))
    why = "Shards 3 and 4 of 5 are not among the merged results"
    assert incomplete(made) == (why,)
    assert f"**{why}: this report is incomplete.**" in render.markdown(made)
    assert f"<strong>{why}: this report is incomplete.</strong>" in render.html(made)
    assert f"::warning title=incomplete::{why}" in github.commands(made)
    assert "incomplete" not in render.markdown(joined(*(part(n) for n in range(1, 6))))


def test_a_shard_says_so() -> None:
    assert not any("incomplete" in line for line in github.commands(part(2)))
    assert "**This is shard 2 of 5 of a matrix: this report is incomplete.**" in render.markdown(
        part(2)
    )


def test_what_was_merged_is_listed() -> None:
    made = joined(part(1), elsewhere(part(2), kernel="6.8"))
    assert parts(made) == (
        "20261121-043000-matrix, shard 1 of 5, machine 1, 6 cells, buildkit-bisect 0.1.0",
        "20261122-043000-matrix, shard 2 of 5, machine 2, 6 cells, buildkit-bisect 0.1.0",
    )
    assert "- merged: 20261121-043000-matrix, shard 1 of 5" in render.markdown(made)


def test_one_machine_is_as_before() -> None:
    assert machines(ONE) == ()
    assert "machine 1" not in render.markdown(joined(part(1), part(2)))


def test_a_copy_without_host_paths_is_still_a_document() -> None:
    made = redact.cleaned(BOTH)
    assert made.machines == BOTH.machines
    assert table.matrix(made).cells.keys().__len__() == len(BOTH.cells)


def test_hostile_facts_are_escaped() -> None:
    hostile = elsewhere(part(2), kernel="<img src=x>\x1b[31m| `x` @someone")
    made = joined(part(1), hostile)
    assert "<img" not in render.markdown(made)
    assert "<img" not in render.html(made)
    assert "\x1b" not in svg.matrix(made)
    ET.fromstring(svg.matrix(made))  # noqa: S314 - we have just made it
