"""The headline of each kind of report, and the changes that reports list."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import Any

import pytest

import results
from buildkit_bisect import render
from buildkit_bisect.render.clauses import clauses
from buildkit_bisect.render.text import markdown
from buildkit_bisect.result import CandidateInfo, CellInfo, Result
from buildkit_bisect.search.vocabulary import MORE_THAN_ONCE
from comments import GFM, first_screen, rows


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (results.matrix(), "Broken in 4 of 5 unpatched revisions (v0.24.0 to v0.31.0, master)"),
        (results.only(), "Nothing was run."),
        (
            results.only(results.cell("v1", 1, "cached", bases="same", snapshotter="stargz")),
            "v1 is good with lazy snapshotter (stargz), one base image: cached (3 of 3).",
        ),
        (
            results.only(results.cell("v1", 1, "skip (build)", bases="same", snapshotter="stargz")),
            "v1 could not be tested with lazy snapshotter (stargz), one base image: skip (build)",
        ),
        (
            results.only(*results.row("v1", 1, "cached", "cached")),
            "Nothing is broken: both tested cells are good. All 4 control cells are good.",
        ),
        (
            results.only(*(c for c in results.row("v1", 1, "cached", "cached") if c.control)),
            "Only controls were run. All 4 control cells are good.",
        ),
        (
            results.only(*results.row("v1", 1, "cached", ("cached", "unclassified"))),
            "No tested cell is bad, but some cells of v1 are inconclusive",
        ),
        (
            results.only(
                *results.row("v1", 1, "layers-dropped", "cached"),
                results.cell("v1", 1, "unclassified", control=True, bases="x", snapshotter="n"),
            ),
            ". 1 of 5 control cells is not good, so its row proves nothing (v1).",
        ),
        (
            results.only(
                *results.row("v1", 1, "layers-dropped", "cached")[2:4],
                results.cell("v1", 1, "cached", bases="same", snapshotter="stargz"),
            ),
            ": layers dropped. The control cell is good.",
        ),
        (
            results.only(*results.row("v1", 1, "layers-dropped", "cached")[2:4]),
            "v1 is broken in the tested cell: layers dropped. The control cell is good.",
        ),
        (
            results.only(
                results.cell("v1", 1, "unclassified", control=True, bases="x", snapshotter="n"),
                results.cell("v1", 1, "cached", bases="x", snapshotter="stargz"),
            ),
            "The control cell is not good, so its row proves nothing (v1).",
        ),
        (
            results.only(
                *(
                    results.cell(r, 1, "cached", control=True, bases="x", snapshotter="n")
                    for r in ("v1", "v2", "v3")
                ),
                *(
                    results.cell(r, 1, "unclassified", control=True, bases="y", snapshotter="n")
                    for r in ("v1", "v2")
                ),
            ),
            "2 of 5 control cells are not good, so their rows prove nothing (v1 and v2).",
        ),
        (
            results.bisect(),
            (f"First bad commit: {results.sha(138)[:12]} (cache: change 138), confidence 99.7 %."
             " Tested with lazy snapshotter (stargz), two base images, 100 candidates in"
             " v0.24.0..v0.25.0."),
        ),
        (results.refused(), "No search: 6c0aa8c8f is already bad: layers dropped 3 of 3. Tested w"),
        (
            replace(results.refused(), cells=()),
            "No search: 6c0aa8c8f is already bad: layers dropped 3 of 3.",
        ),
        (
            results.boundaries(),
            ("The outcome changes between v0.24.0 and v0.32.0 at 2 commits "
             f"({results.sha(181)[:12]} and {results.sha(411)[:12]}) and in 1 range of untestable"
             " commits. Tested in 2 cells: 5 of 410 commits."),
        ),
    ],
)  # fmt: skip
def test_finding(result: Result, sentence: str) -> None:
    assert sentence in render.finding(result)


def test_the_headline_of_boundaries_says_how_it_is_at_the_newest_commit() -> None:
    found = results.boundaries()
    info = found.bisect
    assert info
    short = replace(found, bisect=replace(info, good="a", bad="b", changes=info.changes[:1]))
    assert render.finding(short).endswith(" commits; both cells are bad at the newest.")
    last = max(s.position or 0 for s in info.steps)
    newest = next(s.sha for s in info.steps if s.position == last)
    for good, says in ((1, " commits; 1 of 2 cells is bad at the newest."), (2, " commits.")):
        cells = list(short.cells)
        for n in [n for n, c in enumerate(cells) if c.revision == newest and not c.control][:good]:
            cells[n] = replace(cells[n], outcome="cached", verdict="good")
        assert render.finding(replace(short, cells=tuple(cells))).endswith(says)


def test_finding_names_the_axis_that_matters() -> None:
    result = results.only(
        *results.row("v1", 1, "layers-dropped", "cached"),
        *results.row("v2", 2, "layers-dropped", "cached"),
    )
    assert "only with two base images" in render.finding(result)


def test_clauses_name_the_cells_of_each_failure() -> None:
    """Cells of the same revisions may fail in different ways."""
    rows = [results.row(f"v{n}", n, "layers-dropped", "export-failed") for n in (1, 2, 3)]
    dedup = [results.cell(f"v{n}", n, "layers-dropped", scenario="cross-stage-dedup", warm="yes")
             for n in (1, 2, 3)]  # fmt: skip
    good = results.cell("v1", 1, "cached", scenario="cross-stage-dedup", warm="no")
    both = (results.scenario(), results.scenario("cross-stage-dedup"))
    made = replace(results.only(*itertools.chain(*rows), *dedup, good), scenarios=both)
    lazy = "cross-stage-lazy: lazy snapshotter (stargz)"
    assert clauses(made)[0] == (
        f"Broken in all 3 revisions: layers dropped with {lazy}, two base images and "
        "cross-stage-dedup: overlayfs, same layers pulled before (v1 to v3); "
        f"export failed with {lazy}, one base image (v1 to v3)"
    )


def with_patch(*cells: list[CellInfo]) -> str:
    """Return the clauses on patches."""
    parts = [c[:1].lower() + c[1:] for c in clauses(results.only(*itertools.chain(*cells)))]
    return "; ".join(part for part in parts if part.startswith("with "))


def test_finding_has_one_clause_for_a_patch_on_several_revisions() -> None:
    cells = [results.row(ref, n, "layers-dropped", "cached") for n, ref in enumerate("abc")]
    cells += [results.row(ref, n, "cached", "cached", patches=("p", "q"))
              for n, ref in enumerate("abc")]  # fmt: skip
    assert with_patch(*cells) == "with p + q on each of a, b and c, the one broken cell is good"


RAN = "ran-despite-layers"


def test_finding_has_one_clause_for_patches_of_the_same_effect_and_breakage_first() -> None:
    base = results.row("a", 1, "layers-dropped", "cached")
    found = with_patch(
        base,
        results.row("a", 1, "layers-dropped", "cached", patches=("p",)),
        results.row("a", 1, "cached", "cached", patches=("r",)),
        results.row("a", 1, "layers-dropped", "cached", patches=("q",)),
        results.row("a", 1, "cached", RAN, patches=("s",)),
    )
    assert found.split("; ") == [
        (
            "with s on a, 1 cell that was good is bad (ran despite layers) and the one broken"
            " cell is good"
        ),
        "with r on a, the one broken cell is good",
        "with each of p and q on a, the one broken cell is still bad (layers dropped)",
    ]


@pytest.mark.parametrize(
    ("base", "own", "clause"),
    [
        ((RAN, RAN), ("cached", RAN),
         "1 of 2 broken cells is good and 1 is still bad (ran despite layers)"),
        ((RAN, RAN), (("cached", RAN, "cached"), RAN),
         "1 of 2 broken cells is still bad (ran despite layers) and 1 inconclusive"),
        (("cached", "cached"), ("cached", "cached"),
         "both tested cells are good, as without it"),
        (("cached", "cached"), ("cached", (RAN, "cached", "cached")), "the result is inconclusive"),
        (("cached", "cached"), ("skip (build)", "skip (build)"), "nothing could be tested"),
        (None, ("cached", "cached"),
         "both tested cells are good, and the unpatched revision was not run"),
        (None, (RAN, "cached"),
         "1 of 2 tested cells is bad (ran despite layers), and the unpatched revision was not run"),
    ],
)  # fmt: skip
def test_a_patched_row_is_compared_with_the_same_revision(
    base: tuple[Any, Any] | None, own: tuple[Any, Any], clause: str
) -> None:
    """A matrix never reports a fix, only what is good or bad."""
    rows = [results.row("a", 1, *base)] if base else []
    found = with_patch(*rows, results.row("a", 1, *own, patches=("p",)))
    assert found == f"with p on a, {clause}"


def test_a_commit_is_one_row_for_all_the_cells_it_changed() -> None:
    """The headline counts the rows of the table."""
    info = results.boundaries().bisect
    assert info
    same = replace(info.changes[0], axes={"bases": "same", "snapshotter": "stargz"})
    found = replace(results.boundaries(), bisect=replace(info, changes=(info.changes[0], same)))
    sentence = render.finding(found)
    assert "between v0.24.0 and v0.32.0 at 1 commit (" in sentence
    assert sentence.count(results.sha(181)[:12]) == 1
    table = rows(GFM.render(first_screen(render.markdown(found))))
    assert len(table) == 2
    both = "lazy snapshotter (stargz), two base images; lazy snapshotter (stargz), one base image"
    assert f"❌\u00a0layers dropped → ✅\u00a0cached<br><sub>{both}</sub>" in table[1][2]


def test_changes_inside_merges_are_in_the_order_of_history() -> None:
    found = results.merged()
    table = rows(GFM.render(first_screen(render.markdown(found))))[1:]
    assert [re.sub("<br>.*|[❌✅]\u00a0", "", row[2]) for row in table] == [
        "cached → export failed", "export failed → layers dropped",
        "layers dropped → export failed", "export failed → cached",
    ]  # fmt: skip
    named = [re.findall(r"<code>(\w+)</code>", row[1]) for row in table]
    numbers = ((11,), (13,), (14,), (15, 4))
    assert named == [[results.far(n)[:12] for n in commits] for commits in numbers]
    assert "at 3 commits (" in render.finding(found)
    assert "and in 1 range of untestable commits" in render.finding(found)


def test_a_change_says_when_in_which_pull_request_by_whom_and_since_which_release() -> None:
    old = results.merged()
    assert old.bisect
    changes = (replace(old.bisect.changes[0], release="v0.25.0"), *old.bisect.changes[1:])
    revisions = tuple(
        replace(r, date="2025-09-11T13:08:10-07:00", author="A. Maintainer")
        if r.sha == results.far(11)
        else replace(r, subject="Merge pull request #6129 from someone/branch")
        if r.sha == results.far(3)
        else r
        for r in old.revisions
    )
    made = replace(old, bisect=replace(old.bisect, changes=changes), revisions=revisions)
    head, first, *_ = rows(GFM.render(first_screen(render.markdown(made))))
    assert head == ["date", "commit", "before → after", "PR", "author", "first release"]
    assert first[0] == "2025-09-11"
    compare = f"compare/{results.far(1)[:12]}...{results.far(11)[:12]}"
    assert f'<a href="https://github.com/moby/buildkit/{compare}">compare</a>' in first[1]
    assert first[3] == '<a href="https://github.com/moby/buildkit/pull/6129">6129</a>'
    assert first[4:] == ["A. Maintainer", "v0.25.0"]


def test_two_ranges_of_the_same_size_are_listed_separately() -> None:
    found = results.merged()
    assert found.bisect
    one = found.bisect.changes[3]
    other = replace(one, candidates=tuple(CandidateInfo(sha=results.far(n)) for n in (21, 22)))
    made = replace(found, bisect=replace(found.bisect, changes=(one, other)))
    assert "in 2 ranges of untestable commits" in render.finding(made)
    assert first_screen(render.markdown(made)).count("one of 2: ") == 2


def test_no_change_is_told_with_what_was_tested() -> None:
    found = results.merged()
    assert found.bisect
    bad = tuple(replace(c, outcome="layers-dropped", verdict="bad") for c in found.cells)
    made = replace(found, cells=bad, bisect=replace(found.bisect, changes=(), status="found"))
    assert render.finding(made) == (
        "No change of outcome between v0.24.0 and v0.32.0, bad throughout. "
        "Tested with lazy snapshotter (stargz), two base images: 8 of 99 commits."
    )


def test_more_than_one_change_is_no_first_bad_commit() -> None:
    found = results.refused()
    assert found.bisect
    earlier = "m3, which m1 comes from, is bad already: the history turned more than once"
    for reason in (f"m3 is bad: x, and m4 is good: y; {MORE_THAN_ONCE}", earlier):
        info = replace(found.bisect, status="inconclusive", reason=reason)
        assert render.finding(replace(found, bisect=info)).startswith(
            "No single first bad commit: the outcome changed more than once. Tested with lazy"
        )


def test_the_headline_of_a_bisection_has_its_cell_range_and_overlay() -> None:
    """Of three candidates chosen by hand, under a patch."""
    info = results.bisect().bisect
    assert info
    found = results.bisect(
        bisect=replace(info, patches=("lazy-variants",), total=3, confidence=0.9993)
    )
    assert render.finding(found) == (
        f"First bad commit: {results.sha(138)[:12]} (cache: change 138), confidence 99.93 %. "
        "Tested with lazy-variants applied, lazy snapshotter (stargz), two base images, "
        "3 candidates in v0.24.0..v0.25.0."
    )


def test_a_commit_whose_revert_changes_nothing_is_doubted_in_the_headline() -> None:
    info = results.bisect().bisect
    assert info
    found = results.bisect(bisect=replace(info, reverted="NOT confirmed: master without it is bad"))
    assert "but reverting it does not undo it." in render.finding(found)


def test_confidence_is_never_rounded_up_to_100_percent() -> None:
    info = results.bisect().bisect
    assert info
    sure = results.bisect(bisect=replace(info, confidence=0.999999))
    assert "99.99 %" in render.finding(sure)
    assert "100 %" not in render.markdown(sure)


#: Reports of every kind, some with names that are too long for a headline.
ONE = ("cached",)  # a single trial proves nothing


@pytest.mark.parametrize(
    ("base", "sets", "said"),
    [
        (RAN, {("fix",): ("cached", "cached"), ("p",): (RAN, "cached"), ("q",): (RAN, "cached")},
         "With fix on a, every broken cell is good; not so with 2 other sets of patches"),
        (RAN, {("fix",): ("cached", "cached"), ("p",): (RAN, RAN), ("q",): (RAN, "cached")},
         "With fix on a, every broken cell is good; 1 of 2 other sets of patches breaks a good"),
        (RAN, {("p",): (RAN, RAN), ("q",): (RAN, "cached")},
         "1 of 2 sets of patches breaks a good cell"),
        (RAN, {("p",): (RAN, RAN), ("q",): ("cached", RAN)},
         "With each of p and q on a, cells that were good are bad"),
        (RAN, {("p",): (RAN, "cached"), ("q",): ("export-failed", "cached")},
         "With each of p and q on a, some cells are bad"),
        ((RAN,), {("p",): (ONE, "cached"), ("q",): (ONE * 2, "cached")},
         "With each of p and q on a, no tested cell is bad, which may be chance"),
        ("cached", {("p",): ("cached", "cached"), ("q",): ("cached", ("cached", "unclassified"))},
         "With each of p and q on a, no tested cell is bad, but some are inconclusive"),
    ],
)  # fmt: skip
def test_the_headline_on_several_sets_of_patches(
    base: Any, sets: dict[tuple[str, ...], tuple[Any, Any]], said: str
) -> None:
    rows = [results.row("a", 1, *ways, patches=patches) for patches, ways in sets.items()]
    found = render.finding(
        results.only(*results.row("a", 1, base, "cached"), *itertools.chain(*rows))
    )
    assert f". {said}" in found


def test_the_headline_on_sets_of_patches_on_different_revisions() -> None:
    """Each set is named with its own revisions; what is so on some is not said of all."""

    def said(*patched: tuple[str, str, str]) -> str:
        rows = [results.row(ref, n, RAN, "cached") for n, ref in enumerate("abcdefgh")]
        rows += [
            results.row(ref, "abcdefgh".index(ref), way, "cached", patches=tuple(name.split("+")))
            for name, ref, way in patched
        ]
        cells = [cell for row in rows for cell in row if not cell.control]
        return render.finding(results.only(*cells))

    good = "every broken cell is good"
    assert f"With p on a, and q on b, {good}." in said(("p", "a", "cached"), ("q", "b", "cached"))
    many = [(name, ref, "cached") for name, ref in zip("pqrstu", "abcdef", strict=True)]
    assert f"With each of 6 sets of patches, where it was tried, {good}." in said(*many)
    long = "lazy-variants-of-chains+cross-stage-ancestors+"
    alike = said((f"{long}loaded", "a", RAN), (f"{long}result", "a", RAN))
    assert "With each of 2 sets of patches on a, some cells are bad" in alike, "not twice one name"
    once = (("p", "a", "cached"), ("p", "b", RAN))
    assert f"With p on a, {good}; not so on b." in said(*once)
    assert "; not so on b; not so with 1 other set of patches." in said(*once, ("q", "b", RAN))
    both = said(*once, ("q", "b", "cached"), ("q", "a", RAN))
    assert f"With p on a, and q on b, {good}; not so on other revisions." in both
    unknown = said(("p", "a", "cached"), ("p", "b", "skip (build)"))
    assert f"With p on a, {good}; not known on other revisions." in unknown


LONG = tuple(f"a-patch-with-a-name-{n}" for n in range(3))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("a", LONG, "cached", "cached")],
         "With {} on a, both tested cells are good, and the unpatched revision was not run. All"),
        ([("a", LONG, "cached", RAN)],
         "With {} on a, 1 of 2 tested cells is bad (ran despite layers), and the unpatched "),
        ([("a", ("p",), "cached", "cached"), ("b", ("q",), "cached", RAN)],
         ("With p on a, and q on b, 1 of 4 tested cells is bad (ran despite layers), and"
          " the unpatched revisions were not run.")),
        ([("a", ("p",), "cached", "cached"), ("a", ("q",), "cached", "cached")],
         "With each of p and q on a, both tested cells are good, and the unpatched revision was"),
        ([("a", ("p",), "skip (build)", "skip (build)")], "With p on a, nothing could be tested"),
        ([("a", ("p",), "infra", "infra")], "With p on a, nothing could be tested"),
        ([("a", ("p",), "cached", "infra")], "With p on a, the tested cell is good, 1 could not"),
        ([("b", (), RAN, RAN), ("a", ("p",), "cached", "cached")],
         ("b is broken in both tested cells: ran despite layers. With p on a, both tested cells"
          " are good, and the unpatched revision was not run;")),
    ],
)  # fmt: skip
def test_patched_rows_without_their_unpatched_revision_are_no_controls(
    rows: list[tuple[str, tuple[str, ...], str, str]], said: str
) -> None:
    cells = [results.row(ref, ord(ref), *ways, patches=patches) for ref, patches, *ways in rows]
    found = render.finding(results.only(*itertools.chain(*cells)))
    assert said.format(" + ".join(LONG)) in found
    assert "Only controls" not in found


def test_marks_do_not_change_what_a_headline_says() -> None:
    """Escapes make names longer, and may not decide which sentence fits."""
    rows = [
        *results.row("a", 1, RAN, "cached"),
        *results.row("a", 1, "cached", "cached", patches=("a_patch_with_an_underscore_" * 2,)),
    ]
    result = results.only(*rows)
    plain = re.sub(r"&#(\d+);", lambda found: chr(int(found[1])),
                   render.finding(result, lambda name: str(markdown(name))))  # fmt: skip
    assert plain == render.finding(result)


@pytest.mark.parametrize(
    ("cells", "counted"),
    [((("lost", "lost"), ("lost", "cached")), "In each, 1 or 2 of the 2 tested cells are bad; "),
     ((("cached", "lost"), ("lost", "cached")), "In each, 1 of the 2 tested cells is bad; "),
     ((("lost", "cached"), ("lost", "cached")), ""),  # the first sentence says where
     ((("lost", "lost"), ("lost", "lost")), ""),
     ((("lost", "lost"), ("lost", "skip (build)")), ""),
     ((("lost", "cached"),), "")],
)  # fmt: skip
def test_the_headline_counts_the_bad_cells_of_a_broken_revision(
    cells: tuple[tuple[str, str], ...], counted: str
) -> None:
    """Broken in all revisions does not mean broken in all cells."""
    seen = {"lost": "layers-dropped"}
    rows = [
        results.row(f"v{n}", n, seen.get(one, one), seen.get(other, other))
        for n, (one, other) in enumerate(cells)
    ]
    found = render.finding(results.only(*itertools.chain(*rows)))
    assert ("In each, " in found) == bool(counted)
    assert counted.rstrip() in found
