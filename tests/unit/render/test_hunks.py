"""The section on the hunks that are needed, and its line in a comment."""

from __future__ import annotations

import html
import json
from dataclasses import replace

import jsonschema
import pytest

import results
from buildkit_bisect import render
from buildkit_bisect.render import hunks
from buildkit_bisect.result import (
    HunkRole,
    MinimizeInfo,
    Result,
    schema,
    structure,
    unstructure,
)
from buildkit_bisect.result import checks as resultcheck
from validations import result

INFO = results.minimized()


def _with(info: MinimizeInfo) -> Result:
    return replace(result(), minimized=info)


@pytest.mark.parametrize(
    ("info", "says"),
    [
        (INFO,
         "3 of 4 hunks of my-fix are needed on master + lazy-variants; 2 more do not apply there"),
        (replace(INFO, hunks=(INFO.hunks[0], INFO.hunks[-1])),
         "1 hunk of my-fix is needed on master + lazy-variants; 1 more does not apply there"),
        (replace(INFO, status="unconfirmed", reason="not confirmed: run again, hunk 1 show"),
         "hunks that are needed: not confirmed: run again, hunk 1 show"),
        (replace(INFO, hunks=INFO.hunks[:3]),
         "all 3 hunks of my-fix are needed on master + lazy-variants"),
        (replace(INFO, hunks=INFO.hunks[:1]),
         "my-fix is one hunk, which is needed on master + lazy-variants"),
        (replace(INFO, hunks=INFO.hunks[2:4]),
         "1 of 2 hunks of my-fix is needed on master + lazy-variants"),
        (replace(INFO, status="stopped", reason="stopped after 100 builds",
                 hunks=(results.hunk("kept"), results.hunk("not-needed"))),
         "1 of 2 hunks of my-fix is enough on master + lazy-variants, or fewer"),
        (replace(INFO, status="nothing", reason="nothing to minimize: all is good"),
         "hunks that are needed: nothing to minimize: all is good"),
    ],
)  # fmt: skip
def test_the_line(info: MinimizeInfo, says: str) -> None:
    assert hunks.summary(info) == says
    assert says in render.markdown(_with(info)).split("<details>")[0].replace("&#45;", "-")
    assert f"{says[:1].upper()}{says[1:]}".lower() in render.html(_with(info)).lower()


def test_each_hunk_with_why() -> None:
    assert [(r.number, r.why) for r in hunks.rows(INFO)] == [
        ("1", "needed: with the other needed hunks alone, layers dropped 3 of 3"),
        ("2", "needed to build: with the other needed hunks alone, a-b.go:3:1: undefined: x"),
        (
            "3",
            "needed: with the other needed hunks alone neither outcome, but export failed 3 of 3",
        ),
        ("4", "not needed"),
        ("", "left out: in no program"),
        ("", "does not apply there"),
    ]
    refused = hunks.rows(INFO)[-1]
    assert (refused.where, refused.heading) == ("3 (1 added) and 9 (1 added)", "func A()")


def test_the_sections() -> None:
    markdown, page = render.markdown(_with(INFO)), render.html(_with(INFO))
    for text in (markdown, page):
        assert "Hunks that are needed" in text
        assert "func (e *exporter) ExportTo()" in html.unescape(text)
    assert "Hunks that are needed" not in render.markdown(result())
    assert "h-hunks" not in render.html(result())


def test_names_from_outside_are_escaped() -> None:
    odd = "<script>alert(1)</script>|`x`"
    info = replace(INFO, of=odd, hunks=(replace(INFO.hunks[0], file=odd, heading=odd),))
    for text in (render.markdown(_with(info)), render.html(_with(info))):
        assert "<script>alert" not in text


def test_the_document_keeps_its_schema() -> None:
    plain = json.loads(json.dumps(unstructure(_with(INFO))))
    jsonschema.validate(plain, schema.schema())
    assert structure(plain) == _with(INFO)
    assert resultcheck.wrong(_with(INFO)) == ""
    del plain["minimized"]  # results of earlier versions lack it
    jsonschema.validate(plain, schema.schema())


@pytest.mark.parametrize(
    "info",
    [
        replace(INFO, status="done"),
        replace(INFO, hunks=(results.hunk("maybe"),)),
        replace(INFO, tried=(replace(INFO.tried[0], seen="perhaps"),)),
    ],
)
def test_words_that_no_campaign_writes_are_refused(info: MinimizeInfo) -> None:
    assert "is not one of" in resultcheck.wrong(_with(info))


def test_every_role_is_explained() -> None:
    for role in HunkRole:
        (row,) = hunks.rows(replace(INFO, hunks=(results.hunk(role, without="cached 3 of 3"),)))
        assert row.why


def test_without_a_hunk_of_all_that_are_needed_is_without_it_alone() -> None:
    assert hunks.rows(replace(INFO, hunks=INFO.hunks[:3]))[0].why == (
        "needed: without it, layers dropped 3 of 3"
    )
    assert hunks.rows(replace(INFO, hunks=(INFO.hunks[0], INFO.hunks[3])))[0].why == (
        "needed: with no hunk, layers dropped 3 of 3"
    )


def test_hunks_that_were_not_confirmed_are_not_called_needed() -> None:
    unsure = replace(INFO, status="unconfirmed", reason="not confirmed: run again, hunk 1 shows x")
    stopped = replace(INFO, status="stopped", reason="stopped after 100 builds")
    for made in (render.markdown, render.html):
        assert "with the needed ones alone" in made(_with(INFO))
        assert "with the needed ones alone" not in made(_with(unsure))
        assert "with those alone that are enough" in made(_with(stopped))
    assert "Hunks that are needed: not confirmed" in render.markdown(_with(unsure))
    assert "Reason:" not in render.markdown(_with(unsure)).partition("Hunks that")[2]


def test_cells_have_their_labels() -> None:
    cell = results.cell("master", 999, "cached", bases="same", snapshotter="stargz")
    info = replace(INFO, cells=("cross-stage-lazy bases same snapshotter stargz", "gone x y"))
    made = replace(_with(info), cells=(cell,))
    assert hunks.values(made)["hunk_cells"] == [
        "cross-stage-lazy: lazy snapshotter (stargz), one base image",
        "gone x y",
    ]
