from __future__ import annotations

import json
import re
from dataclasses import replace

import jsonschema
import pytest
from markdown_it import MarkdownIt

import results
from buildkit_bisect import render
from buildkit_bisect.result import (
    BackportInfo,
    CellChange,
    CheckInfo,
    PatchInfo,
    SubsetInfo,
    schema,
)
from buildkit_bisect.result.sentence import verdict
from buildkit_bisect.system import checkout
from validations import CELLS, CHECKS, change, info, result

GFM = MarkdownIt("gfm-like", {"html": True})


@pytest.mark.parametrize(
    ("cells", "part"),
    [
        (CELLS, "record-ctx-opts fixes 1 of 3 broken cells on master (000000000000). 1 of the 2"),
        (CELLS, ". 1 of the 2 that are still bad fails in another way; 1 good cell, 1 control and"),
        (CELLS, " 1 control and upstream's tests, vet and cross builds are no worse."),
        (CELLS[1:2], ". No control was selected; upstream's"),
        (CELLS[1:2], "record-ctx-opts fixes the one broken cell on master (000000000000)."),
        ((CELLS[1], replace(CELLS[1], axes={})), "fixes both broken cells on"),
        (CELLS[:1], "does not fix the one broken cell on master (000000000000). It fails in anoth"),
        ((CELLS[2], CELLS[2]), "fixes none of 2 broken cells on"),
        ((CELLS[1], change("regressed", "inline", "stargz", after="ran 3 of 3")),
         ". It breaks 1 cell that was good; "),
        ((change("regressed", "inline", "stargz", after="ran 3 of 3"),), "fixes nothing on"),
        ((CELLS[1], change("untested", "inline", "stargz", reason="no")),
         ". 1 cell could not be tested; "),
        ((CELLS[1], change("regressed", "x", "stargz", control=True, after="ran 3 of 3")),
         ". Of 1 control, 1 broken"),
    ],
)  # fmt: skip
def test_the_sentence(cells: tuple[CellChange, ...], part: str) -> None:
    assert part in verdict(info(cells=cells))


def test_the_sentence_on_a_release_whose_commit_is_not_known() -> None:
    assert " on v0.34.2. " in info(base="v0.34.2", sha="").verdict
    assert " on v0.34.2 (" in info(base="v0.34.2").verdict


def test_the_sentence_on_upstreams_checks() -> None:
    def about(*checks: CheckInfo) -> str:
        return verdict(info(cells=CELLS[1:2], checks=checks)).split("; ")[-1]

    assert about(*CHECKS) == "upstream's tests, vet and cross builds are no worse."
    worse = replace(CHECKS[0], change="worse", worse=("TestA", "TestB"))
    said = verdict(info(cells=CELLS[1:2], checks=(worse,)))
    assert ". It breaks upstream's tests of ./solver (TestA and TestB); no control" in said
    assert about(replace(CHECKS[0], change="untested")) == (
        "upstream's own tests could not be run."
    )


def test_the_first_lines_list_what_is_fixed_and_where() -> None:
    report = render.markdown(result())
    assert report.startswith("**record-ctx-opts fixes 1 of 3")
    shown = re.sub(r"<[^>]+>|&#8203;", "", GFM.render(report))
    lazy = "cross-stage-lazy: lazy snapshotter (stargz)"
    assert f"fixed on stargz (1): {lazy}, one base image" in shown
    assert f"still bad on stargz (1): {lazy}, two base images (layers dropped 3 of 3, " in shown
    assert "still bad on overlayfs (1): cross-stage-dedup: warm yes" in shown
    assert len(report) < 60_000


def test_the_table_counts_cells_once_and_folds_what_is_no_worse() -> None:
    page = GFM.render(render.markdown(result()))
    table = re.findall(r"<table>.*?</table>", page, re.DOTALL)[0]
    rows = [re.sub(r"<[^>]+>", "", row) for row in re.findall(r"<tr>.*?</tr>", table, re.DOTALL)]
    assert [row.split("\n")[1] for row in rows[1:]] == [
        "✅ fixed: 1 of 3 broken", "❌ still bad: 2 of 3 broken", "✅ no worse",
    ]  # fmt: skip
    assert "layers dropped → layers partly dropped (1); layers dropped, as before (1)" in rows[2]
    assert "1 cell, 1 control and 3 checks of upstream" in rows[3]


def test_pre_existing_failures_have_no_tick() -> None:
    made = render.markdown(result())
    row = next(line for line in made.splitlines() if "41 passed, 1 failed" in line)
    assert row.startswith("| \N{HEAVY MINUS SIGN} test")


def test_both_reports_have_every_part() -> None:
    series = result(
        patches=("record-ctx-opts", "lazy-variants"),
        needed=("lazy-variants",),
        subsets=(
            SubsetInfo(patches=("record-ctx-opts",), fixed=0, of=3),
            SubsetInfo(patches=("lazy-variants",), fixed=0, of=3, reason="build: undefined: x"),
        ),
        reused=10,
        notes=("a note",),
    )
    for report in (render.markdown(series), render.html(series)):
        text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", report)).replace("&#45;", "-")
        for part in (
            "pre-existing: TestOld", "new and passing: TestNew", "with the race detector",
            "conflicts", "patch failed", "fixes 0 of 3", "fixes 1 of 3",
            "build: undefined: x", "a note", "10 of them from an earlier campaign", "of 3 broken",
            results.sha(138)[:12], "record-ctx-opts + lazy-variants",
        ):  # fmt: skip
            assert part in text, part


def test_a_refusal() -> None:
    refused = result(
        status="refused", cells=(), checks=(), backports=(), culprit="", trials=0,
        reason="no tested cell is bad on master", hint="--base R",
    )  # fmt: skip
    report = render.markdown(refused)
    assert report.startswith("**There is nothing to fix: no tested cell is bad on master.**")
    assert "Where it applies" not in report


def test_a_large_report_still_fits_a_comment() -> None:
    cells = CELLS * 60
    checks = tuple(replace(CHECKS[0], subject=f"./p{n}", log=("x" * 300,) * 15) for n in range(90))
    assert len(render.markdown(result(cells=cells, checks=checks))) < 60_000


def test_the_document_is_valid() -> None:
    body = json.loads(render.json(result()))
    validator = jsonschema.Draft202012Validator(schema.schema())
    validator.validate(body)
    body["validation"]["status"] = "refused"
    assert not validator.is_valid(body), "a refusal needs a reason"
    published = (checkout.PROJECT / "docs" / "result.schema.json").read_text()
    assert "ValidationInfo" in published


def test_hostile_text_stays_text() -> None:
    bad = results.HOSTILE
    evil = result(
        base=bad, patches=(bad,), reason=bad, hint=bad, notes=(bad,), reverted=bad, needed=(bad,),
        cells=tuple(replace(c, scenario=bad, before=bad, reason=bad, snapshotter=bad,
                            axes={bad: bad}) for c in CELLS),
        subsets=(SubsetInfo(patches=(bad,), fixed=0, of=1, reason=bad),),
        checks=tuple(replace(c, subject=bad, before=bad, after=bad, worse=(bad,), known=(bad,),
                             note=bad, log=(bad,), change="worse") for c in CHECKS),
        backports=(BackportInfo(ref=bad, sha="", state="conflicts", detail=bad),),
    )  # fmt: skip
    evil = replace(evil, patches=(PatchInfo(name=bad, digest="d" * 64, title=bad),))
    markdown, page = render.markdown(evil), render.html(evil)
    for made in (GFM.render(markdown), page):
        assert "<script>alert" not in made
        assert "<img src=x" not in made
        assert "hunter22" not in made
        assert 'href="javascript' not in made
        assert 'href="http://evil' not in made
