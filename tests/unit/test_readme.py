"""README.md agrees with the published results that it quotes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from buildkit_bisect import result
from buildkit_bisect.model import Verdict
from buildkit_bisect.patch import patches
from buildkit_bisect.render import symbols
from buildkit_bisect.render.spoken import spoken
from buildkit_bisect.result import CellInfo
from buildkit_bisect.system.checkout import PATCHES, PROJECT

README = (PROJECT / "README.md").read_text()
PROSE = " ".join(README.split())
PUBLISHED = PROJECT / "results" / "issue-6893"

#: The cell that each column of the table is about.
COLUMNS = {
    "lazy snapshotter (stargz), two base images": (
        "cross-stage-lazy",
        {"bases": "different", "snapshotter": "stargz"},
    ),
    "lazy snapshotter (stargz), one base image": (
        "cross-stage-lazy",
        {"bases": "same", "snapshotter": "stargz"},
    ),
    "overlayfs, same layers pulled before": ("cross-stage-dedup", {"warm": "yes"}),
}


def table() -> list[list[str]]:
    """The cells of the table about the issue, heads first."""
    lines = [line for line in README.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in rows if not set("".join(row)) <= set(":- ")]


def versions(matrix: result.Result) -> list[str]:
    """The unpatched revisions of *matrix*, oldest first."""
    return list(dict.fromkeys(cell.ref for cell in matrix.cells if not cell.patches))


def between(span: str, among: list[str]) -> list[str]:
    """The revisions of ``FIRST to LAST``, or the one that *span* names."""
    first, _, last = span.partition(" to ")
    return among[among.index(first) : among.index(last or first) + 1]


def claims(label: str, text: str, among: list[str]) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Each revision and patches of a row with the outcome that one cell of it states.

    A row is ``FIRST to LAST`` or ``REV + PATCH + PATCH``. A cell is an outcome, or several:
    ``✅ step cached to v0.22.0, then ⚠️ flaky``.
    """
    first, *overlay = label.split(" + ")
    names = tuple(
        part for name in overlay for part in patches.metadata(PATCHES / name).series or (name,)
    )
    revisions = between(first, among)
    for part in text.split(", then "):
        outcome, _, last = part.partition(" to ")
        here = between(f"{revisions[0]} to {last}", among) if last else revisions
        revisions = revisions[len(here) :]
        for revision in here:
            yield revision, names, outcome
    assert not revisions, "the cell does not say what these do"


def shown(cell: CellInfo) -> str:
    symbol = symbols.of(cell.outcome, cell.verdict)
    return f"{symbol.emoji} {cell.outcome.replace('-', ' ')}"


@pytest.fixture(scope="module")
def matrix() -> result.Result:
    return spoken(result.read(PUBLISHED / "matrix-whole"))


@pytest.fixture(scope="module")
def newest() -> result.Result:
    return spoken(result.read(PUBLISHED / "matrix-v0.34"))


def test_the_table_is_what_was_measured(matrix: result.Result, newest: result.Result) -> None:
    measured = {
        (cell.ref, tuple(cell.patches), cell.scenario, tuple(sorted(cell.axes.items()))): cell
        for cell in (*matrix.cells, *newest.cells)
    }
    among = [*versions(matrix), *versions(newest)]
    heads, *rows = table()
    assert heads[1:] == list(COLUMNS)
    assert len(rows) == 5
    covered: list[str] = []
    for label, *cells in rows:
        for head, text in zip(heads[1:], cells, strict=True):
            scenario, axes = COLUMNS[head]
            for revision, names, outcome in claims(label, text, among):
                cell = measured[revision, names, scenario, tuple(sorted(axes.items()))]
                assert shown(cell) == outcome, f"{revision} {names} {head}"
                covered += [] if names else [revision]
    assert set(covered) == set(among), "the table is about every release tested"


def test_one_row_is_fixed() -> None:
    fixed = [row for row in table()[1:] if all(cell == "✅ step cached" for cell in row[1:])]
    assert len(fixed) == 1
    assert " + " in fixed[0][0]


def test_a_wrong_row_is_found(matrix: result.Result) -> None:
    wrong = list(claims("v0.24.0 to v0.25.0", "❌ layers dropped", versions(matrix)))
    assert wrong == [
        ("v0.24.0", (), "❌ layers dropped"),
        ("v0.25.0", (), "❌ layers dropped"),
    ]
    with pytest.raises(AssertionError, match="does not say"):
        list(claims("v0.24.0 to v0.25.0", "✅ step cached to v0.24.0", versions(matrix)))


def test_the_sentences_below_it(matrix: result.Result, newest: result.Result) -> None:
    assert {cell.rate for cell in matrix.cells if cell.verdict != Verdict.WEAK} == {(3, 3)}
    assert {cell.rate for cell in matrix.cells if cell.verdict == Verdict.WEAK} == {(2, 3)}
    assert "Every cell ran three times, with the same outcome unless it is flaky" in PROSE
    (shorter,) = (
        cell
        for cell in result.read(PUBLISHED / "matrix").cells
        if cell.ref == "v0.24.0" and cell.axes == {"bases": "same", "snapshotter": "stargz"}
    )
    assert (shorter.outcome, shorter.rate) == ("cached", (3, 3))
    assert "A flaky cell is ✅ in 2 of 3 trials; at v0.24.0, the shorter matrix" in PROSE
    assert "above saw it in 3 of 3." in PROSE
    assert {cell.rate for cell in newest.cells} == {(5, 5)}
    assert "The cells of v0.33.1 and v0.34.2 ran five times" in PROSE
    releases = [name for name in versions(matrix) if name != "master"]
    assert f"The first three rows are {len(releases)} releases and master." in PROSE
    controls = [cell for cell in matrix.cells if cell.control]
    assert {cell.verdict for cell in controls} == {Verdict.GOOD}
    assert f"all {len(controls)} control cells are good" in PROSE
    found = result.read(PUBLISHED / "bisect-same-bases").bisect
    assert found
    assert found.confidence
    assert found.first_bad
    assert f"/commit/{found.first_bad}), {100 * found.confidence:.2f} % sure" in PROSE
    judged = result.read(PUBLISHED / "validate-series-v0.34").validation
    assert judged
    assert judged.status == "fixes"
    fixed = [cell for cell in judged.cells if cell.change == "fixed"]
    scenarios = {cell.scenario for cell in judged.cells}
    assert f"all {len(fixed)} broken cells of {len(scenarios)} scenarios" in PROSE


def test_the_series_is_the_one_that_was_measured() -> None:
    judged = result.read(PUBLISHED / "validate-series-v0.34").validation
    assert judged
    assert list(judged.patches) == list(patches.metadata(PATCHES / "lazy-export-series").series)


@pytest.mark.parametrize(("name", "before"), [("matrix", 2), ("bisect-same-bases", 3)])
def test_the_times_beside_commands_are_those_of_the_reports(name: str, before: int) -> None:
    published = result.read(PUBLISHED / name)
    words = published.command.replace(" --repo PATH", "").replace(" --fresh", "")
    command = words.replace("--axis=", "--axis ")
    minutes = round(published.seconds["total"] / 60)
    assert re.search(rf"^    # .* {minutes} min\n    {re.escape(command)}$", README, re.MULTILINE)
    assert published.host["cpus"] == "2"
    assert f"(results/issue-6893/{name}/report.md)" in README
    reused = {cell.build.key for cell in published.cells if cell.build and cell.build.reused}
    assert len(reused) == before
    assert "took that long on 2 cores" in PROSE
    assert "with 2 and 3 of the builds done before" in PROSE


def test_links_lead_to_files_and_headings() -> None:
    """In README and docs: files exist, and an anchor is a heading's."""
    pages = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
    dead = []
    for page in pages:
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            path, _, anchor = link.partition("#")
            if "://" in link:
                continue
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
                dead.append(f"{page.name}: {link}")
    assert dead == []


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives the headings of *text*."""
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
