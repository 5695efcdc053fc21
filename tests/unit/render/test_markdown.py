from __future__ import annotations

import html
import itertools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from syrupy.assertion import SnapshotAssertion

import results
from buildkit_bisect import render
from buildkit_bisect.errors import BadInput
from buildkit_bisect.render import reports, symbols
from buildkit_bisect.render.brief import brief
from buildkit_bisect.render.clauses import clauses
from buildkit_bisect.render.text import clean, markdown
from buildkit_bisect.result import CandidateInfo, CellInfo, Result
from buildkit_bisect.search.notes import MORE_THAN_ONCE
from buildkit_bisect.system import checkout
from validations import result as validated

GFM = MarkdownIt("gfm-like", {"html": True})
NAMES = ("matrix", "two_scenarios", "bisect", "refused", "boundaries")


@pytest.mark.parametrize("name", NAMES)
def test_report(name: str, snapshot: SnapshotAssertion) -> None:
    assert render.markdown(getattr(results, name)()) == snapshot


def rows(page: str) -> list[list[str]]:
    """Return the cells of every table row in rendered HTML."""
    return [
        re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL)
        for row in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    ]


def test_each_scenario_is_one_table_with_every_cell() -> None:
    result = results.two_scenarios()
    page = GFM.render(render.markdown(result))
    brief, lazy, dedup = (re.findall(r"<table>.*?</table>", page, re.DOTALL))[:3]
    assert len(rows(brief)) <= 6
    assert [len(r) for r in rows(lazy)] == [7] * 7
    assert [len(r) for r in rows(dedup)] == [3] * 7
    master = next(r for r in rows(lazy) if "record-ctx-opts" in r[0])
    assert "❌ ran despite layers" in master[1]
    assert "3 of 3" in master[1]
    assert "control" in rows(lazy)[0][3]
    assert "cached 2 of 3, layers dropped 1 of 3" in lazy


@pytest.mark.parametrize(
    ("variants", "columns", "lines"),
    [(1, 2, 20), (40, 6, 20), (20, 30, 9), (260, 6, 0), (1500, 4, 0)],
)
def test_the_limit_is_kept_and_the_matrix_is_complete(
    variants: int, columns: int, lines: int
) -> None:
    result = results.many(variants, columns, lines=lines)
    made = render.markdown(result)
    assert len(made) < 60_000
    marks = {mark for symbol in symbols.ALL for mark in (symbol.emoji, symbol.glyph)}
    rows: dict[str, str] = {}
    for line in made.partition("<summary>All outcomes")[2].splitlines():
        for label in re.findall(r"\bv0\.\d+\.0\b", line):
            rows.setdefault(label, line)
    assert rows.keys() >= {f"v0.{n}.0" for n in range(variants)}
    for line in rows.values():
        assert sum(line.count(mark) for mark in marks) == columns
    assert "Truncated:" not in made
    if "for size" in made:
        assert "results/20261124-043000-matrix" in made


def test_the_limit_is_kept_and_the_matrix_is_complete_with_long_texts() -> None:
    result = results.hostile_many(84)
    made = render.markdown(result)
    assert len(made) < 60_000
    assert "Truncated:" not in made
    shown = [line for line in made.splitlines() if re.match(r"\S{6} v0\.\d+\.0 ", line)]
    assert len(shown) == 84
    assert all(set(line[:6]) <= {symbol.glyph for symbol in symbols.ALL} for line in shown)
    assert not any(secret in made for secret in ("hunter22", "user:pw", "someone", "\x1b"))


def test_logs_are_cut_before_the_words_of_cells() -> None:
    made = render.markdown(results.many(80))
    assert "❌ export failed" in made
    assert "report.html" in made


def test_hostile_text_stays_text() -> None:
    made = render.markdown(results.hostile())
    page = GFM.render(made)
    assert len(made) < 60_000
    assert "\x1b" not in made
    assert not re.search(r"<(script|img|iframe|style|object)\b", page)
    links = set(re.findall(r'href="([^"]*)"', page))
    assert all(link.startswith("https://github.com/moby/buildkit/") for link in links)
    assert page.count("<details") == page.count("</details>")
    outside = re.sub(r"<pre>.*?</pre>", "", page, flags=re.DOTALL)
    assert not re.search(r"@\w", html.unescape(outside))
    assert not re.search(r"#\d", html.unescape(outside))
    for secret in ("hunter22", "abcdefgh12345678", "user:pw", "someone"):
        assert secret not in made
    assert "<strong>bold" not in page
    assert "49" not in re.findall(r"\{\{.*?\}\}", clean(results.HOSTILE))


def printing(log: str, lines: int = 1) -> Result:
    """Return a result whose one failed vertex printed *log*."""
    cell = results.cell("v1", 1, "export-failed", bases="same", snapshotter="stargz")
    vertex = {"name": "[2/2] RUN mkdir /x/y", "state": "failed", "log": log * lines}
    trials = tuple(
        replace(t, steps=(replace(t.steps[0], vertices=(vertex,)),)) for t in cell.trials
    )
    return results.matrix(cells=(replace(cell, trials=trials),))


def test_a_failed_vertex_shows_what_it_printed() -> None:
    log = "hello\nmkdir: \x1b[31m/x/y\x1b[0m: not a directory\npassword=hunter22"
    made = render.markdown(printing(log))
    assert (
        "\n  failed [2/2] RUN mkdir /x/y\n"
        "    | hello\n    | mkdir: /x/y: not a directory\n    | password=***\n"
    ) in made


def test_a_long_log_of_a_vertex_does_not_push_out_the_rest() -> None:
    made = render.markdown(printing("y" * 1000 + "\n", lines=10_000))
    assert "    | yyy" in made
    assert len(made) < 60_000


def test_compile_output_is_read_from_beside_the_result(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "build.log").write_text(
        "compiling\n./cache/manager.go:7:2: undefined: errgroup\n" + "chatter\n" * 100
    )
    made = render.markdown(results.matrix(), tmp_path)
    assert "./cache/manager.go:7:2: undefined: errgroup" in made
    assert "chatter" not in made


def test_a_log_outside_the_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("error: outside")
    folder = tmp_path / "results"
    folder.mkdir()
    cell = replace(results.cell("v1", 1, "skip (build)", bases="same"), log="../secret")
    made = render.markdown(results.matrix(cells=(cell,)), folder)
    assert "outside" not in made


def test_usual_daemon_log_lines_are_omitted() -> None:
    usual = 'level=warning msg="using host network as the default"'
    cells = [
        replace(
            cell,
            trials=tuple(replace(t, daemon_log=f"{usual}\n{t.daemon_log}") for t in cell.trials),
        )
        for cell in results.row("v1", 1, "layers-dropped", "export-failed")
        if not cell.control
    ]
    made = render.markdown(results.matrix(cells=tuple(cells)))
    assert "using host network" not in made


def test_usual_daemon_log_lines_that_name_the_snapshotter_are_omitted() -> None:
    """Seen with BuildKit v0.32.2; otherwise bad cells with the same evidence are not folded."""
    cells = [
        replace(cell, trials=tuple(
            replace(t, daemon_log='level=warning msg="failed check for fsverity support" '
                                  f"path=/x/tmp/trial-9-a/state/runc-{cell.axes['snapshotter']}/c")
            for t in cell.trials))
        for cell in results.row("v1", 1, "layers-dropped", "layers-dropped")
    ]  # fmt: skip
    assert "fsverity" not in render.markdown(results.matrix(cells=tuple(cells)))


def test_commands_have_no_path_of_this_host() -> None:
    found = results.bisect().bisect
    assert found
    info = replace(found, reproduce="./inv run --rev abc --repo /srv/clones/buildkit --trials 3")
    for text in (render.markdown, render.html):
        made = text(results.bisect(bisect=info))
        assert "--repo PATH --trials 3" in made
        assert "/srv/clones" not in made


def test_own_templates_override_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "search.md.j2").write_text("MINE {{ info.status }}\n")
    made = render.markdown(results.bisect(), templates=render.Templates(tmp_path))
    assert "MINE found" in made
    assert "**Reproduce**" in made


def test_any_template_can_be_overridden(tmp_path: Path) -> None:
    wanted = []
    for n, shipped in enumerate(sorted(checkout.TEMPLATES.iterdir())):
        # _mark is imported only for its macros; other text in it is not shown.
        mark = "M-7 0l4" if shipped.name == "_mark.svg.j2" else f"MINE{n:03}"
        text = f"{shipped.read_text().replace('M-6 0l4', 'M-7 0l4')}/* MINE{n:03} */"
        (tmp_path / shipped.name).write_text(text)
        wanted.append(mark)
    made = []
    found = results.bisect(reproduction=results.reproduction())
    for n, document in enumerate((found, results.boundaries(), validated())):
        folder = tmp_path / f"made{n}"
        folder.mkdir()
        written = reports.write(document, folder, render.Templates(tmp_path))
        made += [path.read_text() for path in written]
    assert [mark for mark in wanted if not any(mark in text for text in made)] == []


def test_an_invalid_template_is_named(tmp_path: Path) -> None:
    (tmp_path / "report.md.j2").write_text("{{ nothing.like.it }}")
    with pytest.raises(BadInput, match=r"report\.md\.j2.*nothing"):
        render.markdown(results.matrix(), templates=render.Templates(tmp_path))
    (tmp_path / "report.md.j2").write_text("\n{% if %}")
    with pytest.raises(BadInput, match="line 2"):
        render.markdown(results.matrix(), templates=render.Templates(tmp_path))
    with pytest.raises(BadInput, match="template folder not found"):
        render.Templates(tmp_path / "none")


def first_screen(made: str) -> str:
    """Return what a comment shows before its first fold."""
    return made.partition("<details>")[0]


def only(*cells: object) -> Result:
    return results.matrix(cells=cells)


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (results.matrix(), "Broken in 4 of 5 unpatched revisions (v0.24.0 to v0.31.0, master)"),
        (only(), "Nothing was run."),
        (
            only(results.cell("v1", 1, "cached", bases="same", snapshotter="stargz")),
            "v1 is good with lazy snapshotter (stargz), one base image: cached (3 of 3).",
        ),
        (
            only(results.cell("v1", 1, "skip (build)", bases="same", snapshotter="stargz")),
            "v1 could not be tested with lazy snapshotter (stargz), one base image: skip (build)",
        ),
        (
            only(*results.row("v1", 1, "cached", "cached")),
            "Nothing is broken: all 2 tested cells are good. All 4 control cells are good.",
        ),
        (
            only(*(c for c in results.row("v1", 1, "cached", "cached") if c.control)),
            "Only controls were run. All 4 control cells are good.",
        ),
        (
            only(*results.row("v1", 1, "cached", ("cached", "unclassified"))),
            "No tested cell is bad, but some cells of v1 are inconclusive",
        ),
        (
            only(
                *results.row("v1", 1, "layers-dropped", "cached"),
                results.cell("v1", 1, "unclassified", control=True, bases="x", snapshotter="n"),
            ),
            ". 1 of 5 control cells are not good, so their rows prove nothing (v1).",
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
    result = only(
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
    made = replace(only(*itertools.chain(*rows), *dedup, good), scenarios=both)
    lazy = "cross-stage-lazy: lazy snapshotter (stargz)"
    assert clauses(made)[0] == (
        f"Broken in all 3 revisions: layers dropped with {lazy}, two base images and "
        "cross-stage-dedup: overlayfs, same layers pulled before (v1 to v3), "
        f"export failed with {lazy}, one base image (v1 to v3)"
    )


def with_patch(*cells: list[CellInfo]) -> str:
    """Return the clauses on patches."""
    parts = [c[:1].lower() + c[1:] for c in clauses(only(*itertools.chain(*cells)))]
    return "; ".join(part for part in parts if part.startswith("with "))


def test_finding_has_one_clause_for_a_patch_on_several_revisions() -> None:
    cells = [results.row(ref, n, "layers-dropped", "cached") for n, ref in enumerate("abc")]
    cells += [results.row(ref, n, "cached", "cached", patches=("p", "q"))
              for n, ref in enumerate("abc")]  # fmt: skip
    assert with_patch(*cells) == "with p + q on a, b and c, the one broken cell is good"


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
         "all 2 tested cells are good, as without it"),
        (("cached", "cached"), ("cached", (RAN, "cached", "cached")), "the result is inconclusive"),
        (("cached", "cached"), ("skip (build)", "skip (build)"), "nothing could be tested"),
        (None, ("cached", "cached"),
         "all 2 tested cells are good, and the unpatched revision was not run"),
        (None, (RAN, "cached"),
         ("1 of 2 tested cells are bad (ran despite layers), and the unpatched revision was not"
          " run")),
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
KINDS = {
    "matrix": results.matrix(),
    "two scenarios": results.two_scenarios(),
    "many": results.many(84),
    "run": only(results.cell("v1", 1, "cached", bases="same", snapshotter="stargz")),
    "only controls": only(*(c for c in results.row("v1", 1, "cached", "cached") if c.control)),
    "bisect": results.bisect(),
    "refused": results.refused(),
    "boundaries": results.boundaries(),
    "merged": results.merged(),
    "validate": validated(),
    "hostile": results.hostile(),
    "hostile many": results.hostile_many(12),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_headline_has_two_sentences_in_200_characters(name: str) -> None:
    found = render.finding(KINDS[name])
    assert 10 < len(found) <= 200
    if "hostile" not in name:
        assert len(re.findall(r"\.(?: |$)", found)) <= 2


@pytest.mark.parametrize("name", KINDS)
def test_below_the_headline_are_at_most_five_rows(name: str) -> None:
    page = GFM.render(first_screen(render.markdown(KINDS[name])))
    assert page.count("<table>") <= 1
    assert 1 <= len(rows(page)) - 1 <= 5
    assert len(rows(page)[0]) >= 2


def test_500_cells_are_under_6_kb_before_the_folds() -> None:
    made = [
        results.many(84),
        replace(results.many(84), patches=()),
        results.many(10, 50),
        only(*itertools.chain.from_iterable(
            results.row(f"v0.{n}.0", n, "layers-dropped", "cached",
                        patches=(f"p{n % 7}",) * (n % 3))
            for n in range(84)
        )),
    ]  # fmt: skip
    for result in made:
        assert len(result.cells) >= 500
        assert len(first_screen(render.markdown(result)).encode()) < 6_000


def test_adjacent_revisions_that_show_the_same_are_one_row() -> None:
    cells = [
        *results.row("v0.24.0", 24, "layers-dropped", "cached"),
        *results.row("v0.25.0", 25, "export-failed", "cached"),
        *itertools.chain(*(results.row(f"v0.{n}.0", n, "layers-dropped", "cached")
                           for n in range(26, 35))),
    ]  # fmt: skip
    made = first_screen(render.markdown(only(*cells)))
    table = [[re.sub("<.*?>", "", cell) for cell in row] for row in rows(GFM.render(made))]
    assert table == [
        ["revision", "lazy snapshotter (stargz), two base images"],
        ["v0.24.0", "❌ layers dropped3 of 3"],
        ["v0.25.0", "❌ export failed3 of 3"],
        ["v0.26.0 … v0.34.09 revisions: same", "❌ layers dropped27 of 27"],
    ]
    assert "1 more tested cell of each row: good everywhere" in made
    assert "controls, which the bug cannot affect: all 44 good" in made


def test_patches_that_fix_and_that_break_have_a_row_before_others() -> None:
    cells = [results.row(f"v{n}", n, *ways) for n, ways in enumerate(
        [("layers-dropped", "cached"), ("export-failed", "cached")] * 4)]  # fmt: skip
    for patches, ways in {
        "nothing": ("export-failed", "cached"),
        "else": ("layers-dropped", "cached"),
        "fix": ("cached", "cached"),
        "break": ("export-failed", "layers-dropped"),
    }.items():
        cells.append(results.row("v7", 7, *ways, patches=(patches,)))
    made = first_screen(render.markdown(only(*itertools.chain(*cells))))
    first = [re.sub("<.*?>", "", row[0]) for row in rows(GFM.render(made))[1:]]
    assert first[-4:] == ["v7", "v7 + fix", "v7 + break", "and 8 more rows, folded below"]


def test_each_scenario_has_its_own_legend() -> None:
    """Two scenarios give the outcome *cached* different meanings."""
    other = tuple(
        {**rule, "means": f"elsewhere, {rule['means']}"} for rule in results.scenario().outcomes
    )
    scenarios = (results.scenario(), results.scenario("cross-stage-dedup", outcomes=other))
    result = replace(results.two_scenarios(), scenarios=scenarios)
    means = "the stable RUN came from the imported cache"
    for made in (render.markdown(result), render.html(result)):
        lazy, _, dedup = made.partition(f"elsewhere, {means}")
        assert means in lazy
        assert dedup
    fold = render.markdown(result).partition("<summary>All outcomes")[2].partition("</details>")[0]
    assert fold.index(f": {means}") < fold.index("<code>cross-stage-dedup</code>")
    assert fold.index("<code>cross-stage-dedup</code>") < fold.index(f"elsewhere, {means}")


def test_cells_of_several_scenarios_are_named_with_theirs() -> None:
    """One cell would seem to be both cached and run."""
    result = results.two_scenarios()
    title = "cross-stage-dedup: overlayfs, same layers pulled before"
    evidence = render.markdown(result).partition("<summary>Evidence")[2]
    assert title in evidence
    assert "cross-stage-lazy: lazy snapshotter" in evidence
    base = results.cell("master", 999, "layers-dropped", scenario="cross-stage-dedup", warm="yes")
    patched = replace(base, patches=("record-ctx-opts",))
    page = render.html(replace(result, cells=(*result.cells, patched)))
    versus = page.partition("Before and after</h2>")[2].partition("</section>")[0]
    assert f'<th scope="row">{title}</th>' in versus
    assert '<th scope="row">cross-stage-lazy: lazy snapshotter' in versus


def test_without_a_page_there_are_no_links_to_it() -> None:
    result = results.matrix()
    assert "whole report" not in render.markdown(result)
    assert ">comment<" not in render.html(result)
    url = "https://someone.example/bk/ID/report.html"
    comment = "https://github.com/moby/buildkit/issues/6893#issuecomment-1"
    there = replace(result, page=url, comment=comment)
    assert f"[whole report]({url})" in first_screen(render.markdown(there))
    assert f'<a href="{comment}" rel="noreferrer">comment</a>' in render.html(there)


def test_the_next_command_is_about_the_same_repository_and_patches() -> None:
    """Also in results of earlier versions, whose hints name revisions only."""
    command = "./inv bisect --good a --bad b --repo /src/buildkit --patches lazy-variants --fresh"
    made = first_screen(render.markdown(replace(results.refused(), command=command)))
    shown = re.sub(r"&#(\d+);", lambda found: chr(int(found[1])), made)
    assert "./inv bisect --bad 6c0aa8c8f --find-good --repo PATH --patches lazy-variants" in shown


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
         "With each of p and q on a, no cell is bad, which may be chance"),
        ("cached", {("p",): ("cached", "cached"), ("q",): ("cached", ("cached", "unclassified"))},
         "With each of p and q on a, no cell is bad either"),
    ],
)  # fmt: skip
def test_the_headline_on_several_sets_of_patches(
    base: Any, sets: dict[tuple[str, ...], tuple[Any, Any]], said: str
) -> None:
    rows = [results.row("a", 1, *ways, patches=patches) for patches, ways in sets.items()]
    found = render.finding(only(*results.row("a", 1, base, "cached"), *itertools.chain(*rows)))
    assert f". {said}" in found


def test_marks_do_not_change_what_a_headline_says() -> None:
    """Escapes make names longer, and may not decide which sentence fits."""
    rows = [
        *results.row("a", 1, RAN, "cached"),
        *results.row("a", 1, "cached", "cached", patches=("a_patch_with_an_underscore_" * 2,)),
    ]
    result = only(*rows)
    plain = re.sub(r"&#(\d+);", lambda found: chr(int(found[1])),
                   render.finding(result, lambda name: str(markdown(name))))  # fmt: skip
    assert plain == render.finding(result)


def test_a_side_of_a_change_has_no_symbol_if_scenarios_judge_its_outcome_differently() -> None:
    found = results.boundaries()
    outcomes = tuple({**one, "verdict": "bad"} for one in found.scenarios[0].outcomes)
    other = replace(found.scenarios[0], name="other", outcomes=outcomes)
    made = render.markdown(replace(found, scenarios=(*found.scenarios, other)))
    assert "| ❌\u00a0layers dropped → cached<br>" in made


def test_a_long_command_is_only_in_the_fold() -> None:
    found = replace(results.matrix(), command=f"./inv matrix --revs {','.join(['v0.24.0'] * 20)}")
    assert "Reproduce: " not in render.markdown(found)
    assert "Reproduce: <code>./inv matrix</code>" in render.markdown(
        replace(found, command="./inv matrix")
    )


def test_only_a_few_scenarios_have_their_titles_below_the_table() -> None:
    found = results.two_scenarios()
    third = replace(found.scenarios[0], name="third")
    titles = [html.unescape(f"({one.title})") for one in found.scenarios]
    few = html.unescape(first_screen(render.markdown(found)))
    more = replace(found, scenarios=(*found.scenarios, third))
    many = html.unescape(first_screen(render.markdown(more)))
    assert all(title in few for title in titles)
    assert not any(title in many for title in titles)


def test_a_commit_older_than_the_older_end_comes_first() -> None:
    """It is why there is no single first bad commit."""
    found = results.bisect()
    assert found.bisect
    old = results.sha(126)
    info = replace(
        found.bisect, status="inconclusive", first_bad="", candidates=(
            CandidateInfo(sha=old, reason="bad", probability=None),)
    )  # fmt: skip
    ends = {results.sha(100): "v0.24.0", results.sha(200): "v0.25.0"}
    for date, first in (("2025-09-10", "tested"), ("2025-09-12", "given as good")):
        revisions = tuple(
            replace(r, ref=ends.get(r.sha, r.ref), date=date if r.sha == old else r.date)
            for r in found.revisions
        )
        table = brief(replace(found, bisect=info, revisions=revisions))
        assert table
        assert table.rows[0][0] == first
        assert len(table.rows) == 3


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
    found = render.finding(only(*itertools.chain(*rows)))
    assert ("In each, " in found) == bool(counted)
    assert counted.rstrip() in found
