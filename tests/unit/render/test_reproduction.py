"""Reports show the script that reproduces their cell, and write it as a file."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import results
from buildkit_bisect import render, scenario
from buildkit_bisect.campaign.reproduction import added
from buildkit_bisect.render import reports
from buildkit_bisect.result import Result

GFM = MarkdownIt("gfm-like", {"html": True, "linkify": False})


def whole(result: Result) -> Result:
    return added(result, [scenario.load("cross-stage-lazy")])


@pytest.mark.parametrize("name", ["matrix", "bisect", "refused", "boundaries", "two_scenarios"])
def test_every_report_has_it(name: str, tmp_path: Path) -> None:
    result = whole(getattr(results, name)())
    assert result.reproduction
    written = {path.name for path in reports.write(result, tmp_path)}
    assert "reproduce.sh" in written
    assert (tmp_path / "reproduce.sh").read_text() == result.reproduction.script
    for file in ("report.md", "report.html"):
        text = (tmp_path / file).read_text()
        assert text.count("buildctl build") == result.reproduction.script.count("buildctl build")
        assert "--export-cache=type=local,mode=max,dest=cache" in text


def test_it_is_folded_with_the_name_of_its_cell() -> None:
    page = GFM.render(render.markdown(whole(results.matrix())))
    (fold,) = re.findall(r"<details><summary>Reproduce without.*?</details>", page, re.DOTALL)
    head, _, script = fold.partition("</summary>")
    wanted = "by a script: master, cross-stage-lazy: lazy snapshotter (stargz), two base images"
    assert html.unescape(re.sub("<[^>]*>", "", head)).endswith(wanted)
    assert "&lt;&lt;'EOF'\nARG BUILD_BASE=scratch\nARG FINAL_BASE=scratch\n\nFROM" in script


def test_without_one_there_is_no_file_and_no_fold(tmp_path: Path) -> None:
    written = {path.name for path in reports.write(results.matrix(), tmp_path)}
    assert "reproduce.sh" not in written
    assert "without buildkit-bisect" not in (tmp_path / "report.md").read_text()
    assert "without buildkit-bisect" not in (tmp_path / "report.html").read_text()


def test_a_hostile_script_is_cleaned(tmp_path: Path) -> None:
    reports.write(results.hostile(), tmp_path)
    text = (tmp_path / "reproduce.sh").read_text()
    assert "hunter22" not in text
    assert "\x1b" not in text
    assert "<script>alert" not in render.markdown(results.hostile())


def test_a_matrix_that_barely_fits_has_the_file_only() -> None:
    result = whole(results.matrix())
    large = replace(results.many(1500, 4, lines=0), reproduction=result.reproduction)
    made = render.markdown(large)
    assert len(made) < 60_000
    assert "buildctl build" not in made
