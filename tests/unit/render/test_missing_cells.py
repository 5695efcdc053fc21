"""Rows that lack cells, as those of merged campaigns do: a sentence claims nothing of these."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest

import results
from buildkit_bisect import render
from buildkit_bisect.render.clauses import clauses
from buildkit_bisect.result import CellInfo, Result
from comments import GFM, first_screen, rows

#: Outcomes by letter; a dot is a cell that was not run.
SEEN = {
    "b": "layers-dropped",
    "g": "cached",
    "w": "unclassified",
    "s": "skip (build)",
    "i": "infra",
}


def row(seen: str, *patches: str, ref: str = "a", control: str = "") -> list[CellInfo]:
    """Return a row with a cell for each letter, and with controls for those of *control*."""
    lazy, eager = (
        [
            results.cell(
                *(ref, ord(ref), SEEN[letter]),
                patches=patches,
                control=snapshotter == "overlayfs",
                bases=str(n),
                snapshotter=snapshotter,
            )
            for n, letter in enumerate(letters)
            if letter != "."
        ]
        for letters, snapshotter in ((seen, "stargz"), (control, "overlayfs"))
    )
    return lazy + eager


def matrix(*cells: list[CellInfo]) -> Result:
    axes = {
        "snapshotter": {"values": ("overlayfs", "stargz"), "controls": ("overlayfs",)},
        "bases": {"values": tuple("0123456789"), "controls": ()},
    }
    made = results.only(*itertools.chain(*cells))
    return replace(made, scenarios=(results.scenario(axes=axes),))


def says(found: Result) -> str:
    """Return the clauses on patches."""
    return "; ".join(c for c in clauses(found) if c.startswith("With "))


@pytest.mark.parametrize(
    ("base", "own", "clause"),
    [
        ("bbbbbbbbbb", "gggggg....", "all 6 of the 10 broken cells that were run are good"),
        ("bbb", "g..", "the one of 3 broken cells that was run is good"),
        ("bbb", "bb.", "all 2 of the 3 broken cells that were run are still bad (layers dropped)"),
        ("bbb", "gs.", "the one of 3 broken cells that was tested is good"),
        ("bb", "gs", "the one of 2 broken cells that was tested is good"),
        ("bb", "gi", "the one of 2 broken cells that was tested is good"),
        ("bbbb", "gb..", ("1 of 4 broken cells is good, 1 is still bad (layers dropped) and 2 were"
                          " not run")),
        ("bbbb", "gbs.", ("1 of 4 broken cells is good, 1 is still bad (layers dropped), 1 could"
                          " not be tested and 1 was not run")),
        ("bbg", "..g", "none of 2 broken cells was run"),
        ("bg", ".g", "the one broken cell was not run"),
        ("bg", "sg", "the one broken cell could not be tested"),
        ("bbg", "s.g", "none of 2 broken cells was tested"),
        ("bb", "gg", "both broken cells are good"),
        ("b", "w", "the one broken cell is inconclusive"),
        ("bb", "w.", "the one of 2 broken cells that was run is inconclusive"),
        # What is bad with the patches, and not known without them, is not left out.
        ("b.", "gb", ("the one broken cell is good and 1 cell is bad (layers dropped) that is not"
                      " known without it")),
        ("bw", "gb", ("the one broken cell is good and 1 cell is bad (layers dropped) that is not"
                      " known without it")),
        ("gg", "gg", "both tested cells are good, as without it"),
        ("g.", "gg", "both tested cells are good, 1 of them also without it"),
        ("gs", "gg", "both tested cells are good, 1 of them also without it"),
        ("g.", ".g", "the tested cell is good, which is not known without it"),
        ("gg", "gs", "the tested cell is good, as without it, 1 could not be tested"),
        ("ss", "gg", "both tested cells are good, and the unpatched revision could not be tested"),
    ],
)  # fmt: skip
def test_a_clause_counts_what_was_run_in_both(base: str, own: str, clause: str) -> None:
    assert says(matrix(row(base), row(own, "p"))) == f"With p on a, {clause}"


@pytest.mark.parametrize(
    ("base", "sets", "said"),
    [
        ("bbbbbbbbbb", ("gggggg....",),
         "With p0 on a, all 6 of the 10 broken cells that were run are good"),
        ("bbbb", ("gggg", "gg..", "bbbb"),
         ("With p0 on a, every broken cell is good; not so with 1 of 2 other sets of patches, not"
          " known for 1")),
        ("bbbb", ("gggg", "gg.."),
         "With p0 on a, every broken cell is good; not known for 1 other set of patches"),
        ("bbbb", ("gggg", "ggg.", "bb.."),
         ("With p0 on a, every broken cell is good; not so with 1 of 2 other sets of patches, not"
          " known for 1")),
        ("bbbb", ("gg..", "ggg."),
         ("With each of p0 and p1 on a, every broken cell that was tested is good, but some were"
          " not tested")),
        ("bbbb", ("gg..", "bbbb"),
         ("With p0 on a, every broken cell that was tested is good, but some were not tested; not"
          " so with 1 other set of patches")),
        ("bb.", ("ggb", "gg."),
         "With p1 on a, every broken cell is good; not so with 1 other set of patches"),
        ("bbgg", ("..gg",), "With p0 on a, none of 2 broken cells was run"),
        ("bbgg", ("..gg", "..g."), "With each of p0 and p1 on a, none of 2 broken cells was run"),
        ("bbgg", ("..gg", "s.g."),
         ("With each of p0 and p1 on a, all 3 tested cells are good, 1 could not be tested, and no"
          " broken cell was tested")),
    ],
)  # fmt: skip
def test_the_headline_counts_what_was_run_in_both(
    base: str, sets: tuple[str, ...], said: str
) -> None:
    own = [row(letters, f"p{n}") for n, letters in enumerate(sets)]
    assert f". {said}." in render.finding(matrix(row(base), *own))


def test_a_set_of_patches_is_not_good_everywhere_for_one_of_two_revisions() -> None:
    found = render.finding(matrix(
        row("bb"), row("bb", ref="b"), row("gg", "p"), row("g.", "p", ref="b"),
    ))  # fmt: skip
    assert "every broken cell that was tested is good, but some were not tested" in found


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        # Not those of other rows: q is not known to be bad.
        ([row("b"), row("w", "q"), row("b", "p", ref="b")],
         "With q on a, no tested cell is bad, but some are inconclusive"),
        ([row("bb"), row("ww", "p"), row("ws", "q")],
         ("With each of p and q on a, no tested cell is bad, but some are inconclusive or could"
          " not be tested")),
        ([row("bb"), row("ww", "q"), row("bb", "q", ref="c"), row("gw", "r", "s")],
         "With q on a and c, and r + s on a, some cells are bad"),
        ([row("bb"), row("ww", "q"), row("gw", "r"), row("b", "p", ref="b")],
         "With each of q and r on a, no tested cell is bad, but some are inconclusive"),
        ([row("b"), row("g"), row("g", "p"), row("g", "p", ref="c")],
         "With p on a and c, no tested cell is bad, but not all can be compared"),
        ([row("gg"), row("gg", "p"), row("g.", "q")],
         "With each of p and q on a, no tested cell is bad either"),
    ],
)  # fmt: skip
def test_what_patches_show_is_of_their_own_rows(cells: list[list[CellInfo]], said: str) -> None:
    assert f". {said}." in render.finding(matrix(*cells))


@pytest.mark.parametrize(
    ("letters", "said"),
    [
        (("bbs", ""), "a is broken in both tested cells"),
        (("bsi", ""), "a is broken in the tested cell"),
        (("bgs", ""), "a is broken, only with bases 0"),
        (("bgs", "bbs"), "In each, "),
        (("bg", "b."), ""),  # b was run in one cell
        (("bg", "bb"), "In each, 1 or 2 of the 2 tested cells are bad"),
        (("gs", ""), "No tested cell is bad, but some cells of a could not be tested"),
        (("gw", ""), "No tested cell is bad, but some cells of a are inconclusive"),
        (("gw", "gs"), "but some cells of a and b are inconclusive or could not be tested"),
        (("ss", "s"), "Nothing could be tested"),
        (("si", ""), "Nothing could be tested"),
    ],
)
def test_what_could_not_be_tested_is_no_tested_cell(letters: tuple[str, str], said: str) -> None:
    first, second = letters
    found = render.finding(matrix(row(first), row(second, ref="b")))
    if said in {"", "In each, "}:
        assert "In each" not in found
    else:
        assert said in found


def test_one_good_cell_of_another_value_does_not_follow_from_a_skipped_one() -> None:
    found = matrix(row("bs"))
    assert "only with" not in " ".join([render.finding(found), *clauses(found)])


@pytest.mark.parametrize(
    ("cells", "size"),
    [
        ([row("bb", control="gg"), row("gg", "p", control="gg")], "; 2 cells and 2 controls each"),
        ([row("bb"), row("g.", "p")], "; up to 2 cells each"),
        ([row("bb", control="g"), row("g", "p")], "; up to 2 cells and 1 control each"),
        ([row("bb", control="g"), row("gg", "p")], "; 2 cells and up to 1 control each"),
    ],
)
def test_a_matrix_with_gaps_has_up_to_so_many_cells_each(
    cells: list[list[CellInfo]], size: str
) -> None:
    summary = f"<summary>All outcomes: 1 revision and 1 with patches{size}</summary>"
    assert summary in render.markdown(matrix(*cells))


@pytest.mark.parametrize(
    ("control", "clause", "note"),
    [
        ("gg", "All 4 control cells are good", "all 4 controls, which"),
        ("gs", "All 3 tested control cells are good", "all 3 tested controls, which"),
        ("g", "All 3 tested control cells are good", "all 3 tested controls, which"),
    ],
)
def test_controls_that_did_not_run_are_not_counted_as_good(
    control: str, clause: str, note: str
) -> None:
    found = matrix(row("bb", control="gg"), row("bb", ref="b", control=control))
    assert clause in clauses(found)
    assert f"{note} the bug cannot affect, are good" in render.markdown(found)


def test_the_table_counts_what_was_not_run() -> None:
    found = matrix(row("bbbbbb"), row("gggg..", "p"))
    shown = rows(GFM.render(first_screen(render.markdown(found))))
    assert [re.sub("<.*?>", "", cells[1]) for cells in shown[1:]] == [
        "❌ layers dropped: 6", "✅ cached: 4 · ▫️ not run: 2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("letters", "only"),
    [(("bg", "bg"), True), (("bgs", "bg"), True), (("b.", ".g"), False), (("bg", "b."), False),
     (("bs", "gg"), False), (("bg", ".g"), True)],
)  # fmt: skip
def test_only_with_a_value_needs_every_other_value_in_each_broken_row(
    letters: tuple[str, str], only: bool
) -> None:
    first, second = letters
    found = matrix(row(first), row(second, ref="b"))
    for said in (render.finding(found), *clauses(found)[:1]):
        assert (", only with" in said) == only


def test_a_revision_of_which_only_controls_ran_is_no_broken_one() -> None:
    found = matrix(row("bb"), row("bb", ref="b"), row("", ref="c", control="g"))
    assert render.finding(found).startswith("Broken in both tested revisions (a, b)")
    assert clauses(found)[0].startswith("Broken in both tested revisions: ")


def test_all_cells_are_bad_at_the_newest_only_if_all_ran_there() -> None:
    found = results.boundaries()
    info = found.bisect
    assert info
    found = replace(found, bisect=replace(info, good="a", bad="b", changes=info.changes[:1]))
    assert render.finding(found).endswith("; both cells are bad at the newest.")
    last = max(info.steps, key=lambda step: step.position or 0).sha
    newest = [c for c in found.cells if c.revision == last and not c.control]
    fewer = replace(found, cells=tuple(c for c in found.cells if c is not newest[0]))
    assert render.finding(fewer).endswith("; 1 of 2 cells is bad at the newest.")
