from __future__ import annotations

import html
import re
import sys
from dataclasses import replace
from pathlib import Path

import jinja2
import pytest
from syrupy.assertion import SnapshotAssertion

import results
from buildkit_bisect import render
from buildkit_bisect.errors import BadInput
from buildkit_bisect.render import reports, symbols
from buildkit_bisect.render.text import clean
from buildkit_bisect.result import Result
from buildkit_bisect.system import checkout
from comments import GFM, rows
from validations import result as validated

NAMES = ("matrix", "two_scenarios", "bisect", "refused", "boundaries")


@pytest.mark.parametrize("name", NAMES)
def test_report(name: str, snapshot: SnapshotAssertion) -> None:
    assert render.markdown(getattr(results, name)()) == snapshot


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


def test_a_report_credits_those_whose_work_a_patch_is_based_on() -> None:
    result = results.matrix()
    assert "based on the work of" not in render.markdown(result)
    patch = replace(result.patches[0], credit="A. Nother & B. Fore")
    result = replace(result, patches=(patch,))
    for made in (render.markdown(result), render.html(result)):
        assert "based on the work of A. Nother & B. Fore)" in html.unescape(made)


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
    found = results.bisect(reproduction=results.reproduction(), minimized=results.minimized())
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


def test_templates_are_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    made = render.markdown(results.matrix(), templates=render.Templates())
    monkeypatch.setattr(
        jinja2.Environment, "compile", lambda *_, **__: pytest.fail("compiled again")
    )
    assert render.markdown(results.matrix(), templates=render.Templates()) == made
    (stored,) = (tmp_path / "templates").iterdir()
    damaged = sorted(stored.iterdir())
    monkeypatch.undo()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    for number, path in enumerate(damaged):
        path.write_bytes(path.read_bytes()[: 10 * number])
    assert render.markdown(results.matrix(), templates=render.Templates()) == made


def test_templates_are_compiled_where_they_cannot_be_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = render.markdown(results.matrix(), templates=render.Templates())
    (tmp_path / "templates").write_text("no folder")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert render.markdown(results.matrix(), templates=render.Templates()) == made


def test_an_own_template_that_changes_is_compiled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    own = tmp_path / "own"
    own.mkdir()
    for text in ("one", "two"):
        (own / "report.md.j2").write_text(text)
        assert render.Templates(own).render("report.md.j2") == text
