"""The first screen of a matrix of many scenarios with one cell each, as the library has them."""

from __future__ import annotations

from dataclasses import replace

import pytest

import results
from buildkit_bisect import render, scenario
from buildkit_bisect.render.brief import SCENARIOS, brief
from buildkit_bisect.result import CellInfo, Result, RevisionInfo
from comments import first_screen

#: Lines of text that a screen of a common size shows of a comment.
SCREEN = 30


def library(bad: int, *, total: int = 0, refs: tuple[str, ...] = ("master",)) -> Result:
    """Return a matrix of *total* scenarios, the first *bad* of which are bad at each of *refs*."""
    names = [f"library/report-{n:02}" for n in range(total or len(scenario.library()))]
    infos = [replace(results.scenario(name), axes={}, labels={}) for name in names]

    def one(number: int, name: str, ref: str, sha: int) -> CellInfo:
        made = results.cell(ref, sha, "layers-dropped" if number < bad else "cached")
        return replace(made, scenario=name, axes={}, control=False)

    return results.matrix(
        scenarios=tuple(infos),
        revisions=tuple(RevisionInfo(ref=r, sha=results.sha(n)) for n, r in enumerate(refs, 500)),
        cells=tuple(
            one(number, name, ref, sha)
            for sha, ref in enumerate(refs, 500)
            for number, name in enumerate(names)
        ),
        patches=(),
    )


# If more are bad, some of them are counted: see below.
@pytest.mark.parametrize("bad", range(min(len(scenario.library()), SCENARIOS) + 1))
def test_it_fits_on_a_screen_and_names_each_bad_report(bad: int) -> None:
    text = first_screen(render.markdown(library(bad)))
    assert len(text.splitlines()) <= SCREEN
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert sum("❌" in line for line in table) == (bad > 0 if bad <= 4 else bad)
    for number in range(bad):
        assert any(f"library/report-{number:02}" in line for line in table)


def test_each_row_is_a_scenario_and_each_column_a_revision() -> None:
    made = brief(library(6, refs=("v0.14.0", "v0.15.0", "master")))
    assert made
    assert len(made.head) == 4
    assert [row[0] for row in made.rows] == [f"library/report-{n:02}" for n in range(6)]
    assert f"{len(scenario.library()) - 6} more scenario" in made.notes[0]


def test_many_more_than_a_screen_has_are_counted() -> None:
    made = brief(library(SCENARIOS + 5, total=40))
    assert made
    assert len(made.rows) == SCENARIOS - 1
    assert made.notes == ("6 more scenarios, folded below", "20 more scenarios: good everywhere")


def test_as_many_as_there_is_room_for_are_all_shown() -> None:
    made = brief(library(SCENARIOS, total=SCENARIOS))
    assert made
    assert len(made.rows) == SCENARIOS
    assert made.notes == ()


def test_over_many_revisions_cells_are_counted_as_before() -> None:
    made = brief(library(6, refs=tuple(f"v0.1{n}.0" for n in range(6))))
    assert made
    assert "tested cells" in made.head[1]
