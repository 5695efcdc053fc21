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
from buildkit_bisect.render.text import clean
from buildkit_bisect.result import CandidateInfo, CellInfo, Result
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
    lazy, dedup = (re.findall(r"<table>.*?</table>", page, re.DOTALL))[:2]
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
    for line in made.splitlines()[1:]:
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


def only(*cells: object) -> Result:
    return results.matrix(cells=cells)


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (results.matrix(), "Broken in 4 of 5 variants, only with"),
        (only(), "Nothing was run."),
        (
            only(results.cell("v1", 1, "cached", bases="same", snapshotter="stargz")),
            "v1 with bases same and snapshotter stargz is good: cached (3 of 3).",
        ),
        (
            only(*results.row("v1", 1, "cached", "cached")),
            "Nothing is broken: all 2 tested cells are good; all 4 control cells are good.",
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
            "1 of 5 control cells are not good, so their rows prove nothing (v1)",
        ),
        (results.bisect(), f"The first bad commit is {results.sha(138)[:12]} (cache: change 138)"),
        (results.refused(), "No search between these endpoints: 6c0aa8c8f is already bad"),
        (
            results.boundaries(),
            (f"3 changes of outcome between v0.24.0 and v0.32.0: {results.sha(181)[:12]} "
            "(stargz bases different: layers dropped, then cached), "
            "one of 2 commits (stargz bases same: cached, then export failed) and"),
        ),
    ],
)  # fmt: skip
def test_finding(result: Result, sentence: str) -> None:
    found = render.finding(result)
    broken = sentence.endswith("only with") and found.startswith("Broken in 4 of 5")
    assert sentence in found or broken


def test_finding_names_the_axis_that_matters() -> None:
    result = only(
        *results.row("v1", 1, "layers-dropped", "cached"),
        *results.row("v2", 2, "layers-dropped", "cached"),
    )
    assert "only with bases different" in render.finding(result)


def test_finding_names_the_cells_of_each_failure() -> None:
    """Cells of the same revisions may fail in different ways."""
    rows = [results.row(f"v{n}", n, "layers-dropped", "export-failed") for n in (1, 2, 3)]
    dedup = [results.cell(f"v{n}", n, "layers-dropped", scenario="cross-stage-dedup", warm="yes")
             for n in (1, 2, 3)]  # fmt: skip
    good = results.cell("v1", 1, "cached", scenario="cross-stage-dedup", warm="no")
    both = (results.scenario(), results.scenario("cross-stage-dedup"))
    made = replace(only(*itertools.chain(*rows), *dedup, good), scenarios=both)
    assert render.finding(made).startswith(
        "Broken in all 3 variants: layers dropped with stargz bases different and warm yes "
        "(v1 to v3), export failed with stargz bases same (v1 to v3);"
    )


def with_patch(*cells: list[CellInfo]) -> str:
    """Return the finding's clauses on patches."""
    found = render.finding(only(*itertools.chain(*cells)))
    parts = (found[:1].lower() + found[1:]).removesuffix(".").split("; ")
    return "; ".join(part for part in parts if part.startswith("with "))


def test_finding_has_one_clause_for_a_patch_on_several_revisions() -> None:
    cells = [results.row(ref, n, "layers-dropped", "cached") for n, ref in enumerate("abc")]
    cells += [results.row(ref, n, "cached", "cached", patches=("p", "q"))
              for n, ref in enumerate("abc")]  # fmt: skip
    assert with_patch(*cells) == "with p + q on a, b and c, the one broken cell is good"


RAN = "ran-despite-layers"


def test_finding_has_one_clause_for_patches_of_the_same_effect_and_breakage_first() -> None:
    base = results.row("a", 1, "layers-dropped", "cached")
    clauses = with_patch(
        base,
        results.row("a", 1, "layers-dropped", "cached", patches=("p",)),
        results.row("a", 1, "cached", "cached", patches=("r",)),
        results.row("a", 1, "layers-dropped", "cached", patches=("q",)),
        results.row("a", 1, "cached", RAN, patches=("s",)),
    )
    assert clauses.split("; ") == [
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


def test_finding_names_a_commit_once_for_all_the_cells_it_changed() -> None:
    info = results.boundaries().bisect
    assert info
    same = replace(info.changes[0], axes={"bases": "same", "snapshotter": "stargz"})
    sentence = render.finding(
        replace(results.boundaries(), bisect=replace(info, changes=(info.changes[0], same)))
    )
    assert sentence.startswith("2 changes of outcome between v0.24.0 and v0.32.0: ")
    assert sentence.count(results.sha(181)[:12]) == 1
    assert "(stargz bases different and stargz bases same: layers dropped, then cached)" in sentence


def test_each_change_inside_a_merge_is_listed_with_the_merge() -> None:
    found = results.merged()
    sentence = render.finding(found)
    assert sentence.startswith("4 changes of outcome between v0.24.0 and v0.32.0: ")
    ways = ("cached, then export failed", "export failed, then layers dropped",
            "layers dropped, then export failed", "export failed, then cached")  # fmt: skip
    firsts = (*(results.far(n)[:12] for n in (11, 13, 14)),
              f"one of 2 commits in {results.far(4)[:12]}")  # fmt: skip
    wanted = [f"{f} (stargz bases different: {w})" for f, w in zip(firsts, ways, strict=True)]
    places = [sentence.index(one) for one in wanted]
    assert places == sorted(places)
    rows = [r for r in render.markdown(found).splitlines() if "| cross-stage-lazy bases" in r]
    named = [re.findall(r"<code>(\w+)</code>", r.split("|")[1]) for r in rows]
    numbers = ((11, 3), (13, 3), (14, 3), (15, 4, 4))
    assert named == [[results.far(n)[:12] for n in commits] for commits in numbers]


def test_two_ranges_of_the_same_size_are_listed_separately() -> None:
    found = results.merged()
    assert found.bisect
    one = found.bisect.changes[3]
    other = replace(one, candidates=tuple(CandidateInfo(sha=results.far(n)) for n in (21, 22)))
    info = replace(found.bisect, changes=(one, other))
    assert render.finding(replace(found, bisect=info)).count("one of 2 commits") == 2


def test_confidence_is_never_rounded_up_to_100_percent() -> None:
    info = results.bisect().bisect
    assert info
    sure = results.bisect(bisect=replace(info, confidence=0.999999))
    assert "99.99 %" in render.finding(sure)
    assert "100 %" not in render.markdown(sure)
