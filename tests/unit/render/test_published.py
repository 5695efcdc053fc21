"""Published results render to the same reports today, and contain nothing of the host."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
from markdown_it import MarkdownIt

from buildkit_bisect import render, result
from buildkit_bisect.patch import patches
from buildkit_bisect.render import redact, reports
from buildkit_bisect.render.markdown import LIMIT
from buildkit_bisect.system.checkout import PATCHES, PROJECT

PUBLISHED = sorted(p.parent for p in (PROJECT / "results").glob("issue-*/*/result.json"))
HOST = re.compile(r"(?<![\w./-])/(?:root|home|work)/")


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda p: p.name)
def test_it_is_up_to_date(folder: Path, tmp_path: Path) -> None:
    written = reports.write(result.read(folder), tmp_path)
    for path in written:
        assert path.read_text() == (folder / path.name).read_text(), f"./inv report {folder}"
    there = {p.name for p in folder.iterdir()} - {"result.json"}
    assert there == {p.name for p in written}


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda p: p.name)
def test_it_follows_the_schema_and_is_clean(folder: Path) -> None:
    schema = json.loads((PROJECT / "docs" / "result.schema.json").read_text())
    jsonschema.validate(json.loads((folder / "result.json").read_text()), schema)
    full = result.read(folder)
    assert redact.cleaned(full) == full
    assert not HOST.search(full.command)
    assert not HOST.search((folder / "result.json").read_text())


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda p: p.name)
def test_a_comment_of_it_fits_and_renders(folder: Path) -> None:
    text = (folder / "report.md").read_text()
    assert len(text) < LIMIT
    # GitHub does not link bare names, as this renderer would.
    page = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(text)
    assert page.count("<details") == page.count("</details>") >= 1
    scenarios = {c.scenario for c in result.read(folder).cells}
    assert page.count("<table>") >= len(scenarios)
    assert "| :--" not in page, "every table is one"
    links = re.findall(r'href="([^"]*)"', page)
    assert links
    assert all(link.startswith("https://github.com/moby/buildkit/") for link in links)


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda p: p.name)
def test_it_is_about_the_patches_as_they_are(folder: Path) -> None:
    """Results of other diffs do not apply to those that would be sent upstream."""
    here = {name: patches.metadata(PATCHES / name) for name in patches.names()}
    now = {n: patches.load(n) for n, meta in here.items() if not meta.series}
    for patch in result.read(folder).patches:
        if patch.name.startswith("revert-"):
            assert not patch.diffs
            continue
        assert patch.digest == now[patch.name].digest
        assert patch.diffs in ({}, {d.name: d.text for d in now[patch.name].diffs})


def test_the_overview_starts_with_the_finding_of_the_matrix() -> None:
    for folder in PUBLISHED:
        if folder.name == "matrix":
            overview = (folder.parent / "README.md").read_text()
            assert f"\n\n**{render.finding(result.read(folder))}**\n" in overview[:1000]


def test_results_are_published() -> None:
    assert PUBLISHED
