"""The text for the issue is short, and each number and outcome in it is of a published cell."""

from __future__ import annotations

import re

import pytest

from buildkit_bisect import result
from buildkit_bisect.model import Verdict
from buildkit_bisect.patch import patches
from buildkit_bisect.result import CellInfo, Result
from buildkit_bisect.system.checkout import PATCHES, PROJECT

PUBLISHED = PROJECT / "results" / "issue-6893"
TEXT = (PUBLISHED / "comment.md").read_text()
PROSE = " ".join(TEXT.split())

#: Characters of a comment that is read.
LIMIT = 1_500

RELEASES = ("v0.33.1", "v0.34.2")
SERIES = tuple(patches.metadata(PATCHES / "lazy-export-series").series)

#: The cell that each row of the table is about.
ROWS = {
    "stargz, two base images": (
        "cross-stage-lazy",
        {"bases": "different", "snapshotter": "stargz"},
    ),
    "stargz, one base image": ("cross-stage-lazy", {"bases": "same", "snapshotter": "stargz"}),
    "overlayfs, same layers pulled before": ("cross-stage-dedup", {"warm": "yes"}),
}

#: The patches of each column.
COLUMNS: tuple[tuple[str, ...], ...] = ((), ("lazy-variants",), SERIES)


@pytest.fixture(scope="module")
def validated() -> Result:
    return result.read(PUBLISHED / "validate-series-v0.34")


@pytest.fixture(scope="module")
def matrix() -> Result:
    return result.read(PUBLISHED / "matrix-v0.34")


def the_cell(
    among: Result, ref: str, names: tuple[str, ...], scenario: str, axes: dict[str, str]
) -> CellInfo:
    (cell,) = (
        c
        for c in among.cells
        if (c.ref, tuple(c.patches), c.scenario, dict(c.axes)) == (ref, names, scenario, axes)
    )
    return cell


def words(cell: CellInfo) -> str:
    """What a comment calls an outcome."""
    return "cached" if cell.verdict == Verdict.GOOD else cell.outcome.replace("-", " ")


def test_it_is_short() -> None:
    assert len(TEXT) <= LIMIT


def test_the_table_is_what_was_measured(validated: Result, matrix: Result) -> None:
    lines = [line for line in TEXT.splitlines() if line.startswith("| ")]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rows = {row[0]: row[1:] for row in table if row[0] in ROWS}
    assert set(rows) == set(ROWS)
    for name, shown in rows.items():
        cells = [the_cell(validated, "v0.34.2", names, *ROWS[name]) for names in COLUMNS]
        assert [words(cell) for cell in cells] == shown, name
        assert {cell.rate for cell in cells} == {(5, 5)}
        for names in ((), SERIES):
            older = the_cell(matrix, "v0.33.1", names, *ROWS[name])
            same = the_cell(validated, "v0.34.2", names, *ROWS[name])
            assert (older.outcome, older.rate) == (same.outcome, (5, 5)), name
    left = next(row[1:] for row in table if row[0].startswith("broken cells"))
    broken = [c for c in validated.cells if not c.patches and c.verdict == Verdict.BAD]
    counts = []
    for names in COLUMNS:
        cells = [the_cell(validated, "v0.34.2", names, c.scenario, dict(c.axes)) for c in broken]
        counts.append(str(sum(cell.verdict == Verdict.BAD for cell in cells)))
    assert left == counts


def test_the_sentences_are_what_was_measured(validated: Result, matrix: Result) -> None:
    judged = validated.validation
    assert judged
    assert judged.status == "fixes"
    changes = [cell.change for cell in judged.cells]
    controls = sum(cell.control for cell in judged.cells)
    fixed = changes.count("fixed")
    good = len(judged.cells) - fixed - controls
    scenarios = {cell.scenario for cell in judged.cells}
    assert f"fixes all {fixed} broken cells of {len(scenarios)} scenarios" in PROSE
    assert f"{good} other lazy cells and all {controls} controls stay good" in PROSE
    assert set(changes) == {"fixed", "still-good"}
    assert {cell.ref for cell in matrix.cells} == set(RELEASES)
    ours = [*validated.cells, *matrix.cells]
    assert {cell.rate[0] == cell.rate[1] for cell in ours} == {True}
    assert {c.rate for c in ours if c.patches in ((), SERIES)} == {(5, 5)}
    assert "5 trials a side in turns" in PROSE
    named = {n: c for c in ours for n in c.patches}
    assert set(SERIES) <= set(named)
    alone = result.read(PUBLISHED / "validate-record-ctx-opts").validation
    assert alone
    fixed_alone = sum(cell.change == "fixed" for cell in alone.cells)
    broken = fixed_alone + sum(cell.change == "still-bad" for cell in alone.cells)
    assert f"fixes {fixed_alone} of {broken} alone (master, 3 trials)" in PROSE
    on_master = result.read(PUBLISHED / "validate-record-ctx-opts").cells
    assert {c.rate for c in on_master if c.patches == ("record-ctx-opts",)} == {(3, 3)}
    assert [c.scenario for c in alone.cells if c.change == "regressed"] == ["lazy-registry-import"]
    over = result.read(PUBLISHED / "over-fixing-v0.34")
    lazily = ("lazy-registry-import", {"snapshotter": "stargz", "stages": "one"})
    without = the_cell(over, "v0.34.2", (), *lazily)
    broken_by_it = the_cell(over, "v0.34.2", ("record-ctx-opts",), *lazily)
    assert (without.verdict, without.rate) == (Verdict.GOOD, (5, 5))
    assert (broken_by_it.verdict, broken_by_it.rate) == (Verdict.BAD, (5, 5))
    assert "(there, and on v0.34.2, 5 trials)" in PROSE


def test_the_oldest_release_without_a_good_cell_is_the_first_one_tested() -> None:
    whole = result.read(PUBLISHED / "matrix-whole")
    scenario, axes = ROWS["stargz, two base images"]
    cells = [
        c for c in whole.cells if (c.scenario, dict(c.axes)) == (scenario, axes) and not c.patches
    ]
    assert {cell.verdict for cell in cells} == {Verdict.BAD}
    assert f"no release since {cells[0].ref} is good" in PROSE


def test_no_other_number_is_in_it() -> None:
    """A number that nobody checks is one that may be wrong."""
    rest = re.sub(r"\]\([^)]*\)|`[^`]*`|v0\.\d+\.\d+|#\d+|\b[0-9a-f]{9}\b", "", TEXT)
    assert set(re.findall(r"\d+", rest)) <= {"0", "2", "3", "4", "5", "6", "8", "12"}
