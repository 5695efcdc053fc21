"""A result document is untrusted: what reports could not show is refused when it is read."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from buildkit_bisect import result
from buildkit_bisect.cli import post
from buildkit_bisect.errors import BadInput
from buildkit_bisect.render import reports
from buildkit_bisect.system.checkout import PROJECT

PUBLISHED = PROJECT / "results" / "issue-6893"
HALF = "\ud800"
BIDI = "\u202e"
TRIAL = ("cells", 0, "trials", 0)
VERTEX = (*TRIAL, "steps", 0, "vertices", 0)
RECORD = (*TRIAL, "steps", 0, "records", 0)


def document(name: str) -> Any:
    return json.loads((PUBLISHED / name / "result.json").read_text())


def changed(name: str, path: tuple[Any, ...], value: Any) -> Any:
    """A published document with another *value* in one place."""
    body = document(name)
    part = body
    for key in path[:-1]:
        part = part[key]
    assert path[-1] in (part if isinstance(part, dict) else range(len(part)))
    part[path[-1]] = value
    return body


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (("scenarios", 0, "axes", "snapshotter"), "values"),
        (("scenarios", 0, "axes", "snapshotter"), "controls"),
        (("scenarios", 0, "outcomes", 0), "means"),
        (("scenarios", 0, "images", "build"), "digest"),
        (VERTEX, "name"),
        (RECORD, "digest"),
        (RECORD, "layers"),
        (RECORD, "inputs"),
    ],
)
def test_a_plain_dict_has_the_keys_that_reports_read(
    tmp_path: Path, path: tuple[Any, ...], key: str
) -> None:
    body = document("matrix")
    part = body
    for step in path:
        part = part[step]
    del part[key]
    with pytest.raises(BadInput, match=f"'{key}' is missing"):
        read(tmp_path, body)


@pytest.mark.parametrize(("key", "value"), [("layers", "3"), ("inputs", [5]), ("digest", None)])
def test_a_record_has_numbers_and_strings(tmp_path: Path, key: str, value: Any) -> None:
    with pytest.raises(BadInput, match=f"'{key}' is missing or has the wrong type"):
        read(tmp_path, changed("matrix", (*RECORD, key), value))


def read(folder: Path, body: Any) -> result.Result:
    (folder / "result.json").write_text(json.dumps(body))
    return result.read(folder)


ISSUE = ("scenarios", 0, "issue")


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("matrix", ("kind",), "matrix --> @torvalds"),
        ("matrix", ("kind",), "a\nb"),
        ("matrix", ("status",), "failed\n\n# H1"),
        ("matrix", ("cells", 0, "verdict"), f"good{BIDI}"),
        ("matrix", (*TRIAL, "verdict"), "fine"),
        ("matrix", (*VERTEX, "state"), f"ran{BIDI}"),
        ("matrix", ("scenarios", 0, "outcomes", 0, "verdict"), "?"),
        ("bisect-overlay", ("bisect", "status"), "sure"),
        ("bisect-overlay", ("bisect", "gate", 0, "verdict"), "@x"),
        ("validate-series", ("validation", "status"), "fine"),
        ("validate-series", ("validation", "cells", 0, "change"), "repaired"),
        *(("matrix", ISSUE, issue) for issue in (
            "javascript:alert(1)", "http://example.org/1", "https://", "https://x/a\n\n# H1",
            "https://x/) @torvalds", "https://x/\x1b[2J", "https://x/<b>", "https://x/\u202e",
            "https://x/[", " https://x/", "https://x/" + "y" * 600,
        )),
        *(("matrix", path, HALF) for path in (
            ("id",), ("cells", 0, "build", "go"), ("cells", 0, "reason"), (*VERTEX, "name"))),
        ("matrix", ("host",), {HALF: "x"}),
        *(("matrix", ("seconds", "total"), n)
          for n in (float("inf"), float("nan"), "inf", "-Infinity", 10**400)),
        ("matrix", ("cells", 0, "counts"), {"cached": 10**30}),
        ("matrix", (*TRIAL, "steps", 0, "records"), [{"digest": HALF}]),
    ],
)  # fmt: skip
def test_an_invalid_document_is_refused(
    tmp_path: Path, name: str, path: tuple[Any, ...], value: Any
) -> None:
    with pytest.raises(BadInput, match=r"result\.json: ") as refused:
        read(tmp_path, changed(name, path, value))
    assert refused.value.hint == "docs/result.schema.json"


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    for deep in (200, sys.getrecursionlimit(), 100_000):
        (tmp_path / "result.json").write_text("[" * deep + "]" * deep)
        with pytest.raises(BadInput):
            result.read(tmp_path)


def test_control_characters_in_logs_are_accepted(tmp_path: Path) -> None:
    """A NUL and an escape in a log are evidence; they are removed when shown."""
    body = changed("matrix", (*TRIAL, "daemon_log"), "error: \x00\x1b[31mlost")
    assert read(tmp_path, body).cells[0].trials[0].daemon_log == "error: \x00\x1b[31mlost"


def test_the_scenario_of_a_script_has_no_issue(tmp_path: Path) -> None:
    assert read(tmp_path, changed("matrix", ISSUE, "")).scenarios[0].issue == ""


def test_the_page_shows_clean_text_of_a_build(tmp_path: Path) -> None:
    build = ("cells", 0, "build")
    body = changed("matrix", (*build, "go"), f"1{BIDI}.25")
    body["cells"][0]["build"]["source"] = "git\x1b[2J"
    body["patches"] = [{"name": "p", "digest": f"{BIDI}d", "title": "t", "diffs": {}}]
    reports.write(read(tmp_path, body), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "Go 1.25" in page
    assert BIDI not in page
    assert "\x1b" not in page
    assert "[2J" not in page


@pytest.mark.parametrize("name", ["a\0b", "9" * 400, "../../x", "/etc", ""])
def test_evidence_with_an_impossible_path_is_left_out(tmp_path: Path, name: str) -> None:
    body = changed("bisect-refused", ("cells", 0, "log"), name)
    body["cells"][0]["trials"][0]["evidence"] = name
    assert reports.write(read(tmp_path, body), tmp_path)


@pytest.mark.parametrize("name", ["bisect-overlay", "boundaries"])
def test_a_search_is_drawn_with_clean_text(tmp_path: Path, name: str) -> None:
    body = document(name)
    for step in body["bisect"]["gate"] + body["bisect"]["steps"]:
        step["phase"] += f"{BIDI}\x1b"
        step["sha"] = BIDI + step["sha"]
    for change in body["bisect"]["changes"]:
        change["sha"] = BIDI + change["sha"]
    for path in reports.write(read(tmp_path, body), tmp_path):
        assert BIDI not in path.read_text(), path.name
        assert "\x1b" not in path.read_text(), path.name


def test_the_marker_of_a_comment_is_one_hidden_line() -> None:
    marker = post.marker(result.read(PUBLISHED / "matrix"))
    assert marker.strip().startswith("<!-- buildkit-bisect matrix ")
    assert marker.strip().count("\n") == 0


@pytest.mark.parametrize(
    "known",
    [
        {"counts": {"cached": 3}, "verdicts": {"fine": 3}},
        {"counts": {"cached": 0}, "verdicts": {"good": 3}},
        {"counts": {"cached": 4}, "verdicts": {"good": -3, "bad": 7}},
        {"counts": {}, "verdicts": {}},
        {"counts": {"cached": 3}},
    ],
)
def test_known_trials_are_trials(tmp_path: Path, known: Any) -> None:
    body = document("matrix")
    body["cells"][0]["known"] = known
    with pytest.raises(BadInput):
        read(tmp_path, body)
    body["cells"][0]["known"] = {"counts": {"cached": 3}, "verdicts": {"good": 3}}
    assert read(tmp_path, body).cells[0].known == result.KnownInfo(
        counts={"cached": 3}, verdicts={"good": 3}
    )
    assert read(tmp_path, body).cells[1].known is None, "as in results of earlier versions"


def test_other_axes_than_those_of_the_scenario_are_refused_on_one_line(tmp_path: Path) -> None:
    body = changed("matrix", ("cells", 0, "axes"), {"a\nerror: all is well": "x"})
    with pytest.raises(BadInput) as refused:
        read(tmp_path, body)
    assert "CellInfo.axes: a\\nerror: all is well; those of" in refused.value.message
    assert "\n" not in str(refused.value)
