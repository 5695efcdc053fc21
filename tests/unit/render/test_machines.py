"""JUnit XML, output for GitHub Actions, comparisons."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import junitparser
import pytest
from markdown_it import MarkdownIt

import results
import validations
from buildkit_bisect import render
from buildkit_bisect.render import compare, github
from buildkit_bisect.render.compare import Change
from buildkit_bisect.result import CellInfo, CheckInfo, KnownInfo, Result


def test_junit_has_a_case_per_cell(tmp_path: Path) -> None:
    result = results.two_scenarios()
    path = tmp_path / "junit.xml"
    path.write_text(render.junit(result))
    suites = junitparser.JUnitXml.fromfile(str(path))
    assert suites.tests == len(result.cells)
    assert suites.failures == sum(c.verdict == "bad" for c in result.cells)
    assert suites.skipped == sum(c.verdict in {"skip", "weak"} for c in result.cells)
    failure = ET.fromstring(path.read_text()).find(".//failure[@type='export-failed']")  # noqa: S314
    assert failure is not None
    assert "missing descriptor handlers" in (failure.text or "")


def test_junit_escapes_hostile_text() -> None:
    made = render.junit(results.hostile())
    root = ET.fromstring(made)  # noqa: S314 - we have just made it
    tags = {element.tag for element in root.iter()}
    assert tags == {"testsuites", "testsuite", "testcase", "failure"}
    assert "hunter22" not in made


def validation(**changes: object) -> Result:
    """`results.matrix`'s master: one cell fixed, one still bad, controls still good."""
    made = validations.result(**changes)
    cells = [c for c in made.cells if c.ref == "master"]
    part = [replace(c, patches=("part",)) for c in cells if not c.patches and not c.control]
    return replace(made, cells=(*cells, *part))


def test_a_validation_expects_bad_cells_without_the_patches() -> None:
    root = ET.fromstring(render.junit(validation()))  # noqa: S314 - we have just made it
    children = {
        case.attrib["name"]: case[0] for case in root.iter("testcase") if len(case)
    }  # a failure, an error or a skip
    assert {name: child.tag for name, child in children.items()} == {
        "master: stargz bases different": "skipped",
        "master: stargz bases same": "skipped",
        "master + part: stargz bases different": "skipped",
        "master + part: stargz bases same": "skipped",
        "master + record-ctx-opts: stargz bases different": "failure",
    }
    messages = {name: child.attrib["message"] for name, child in children.items()}
    assert messages["master: stargz bases same"].startswith("expected without the patches; layers")
    assert "a different set" in messages["master + part: stargz bases same"]
    assert messages["master + record-ctx-opts: stargz bases different"].startswith("still bad with")
    errors = [c for c in github.commands(validation()) if c.startswith("::error")]
    assert len(errors) == 1
    assert "master + record-ctx-opts" in errors[0]
    assert "still bad with the patches" in errors[0]
    assert not [c for c in github.commands(validation()) if c.startswith("::warning")]


def test_cells_that_the_patches_break_fail_even_if_flaky() -> None:
    cells = (
        validations.change(
            "regressed",
            "cross-stage-lazy",
            "stargz",
            bases="same",
            snapshotter="stargz",
            after="layers-dropped 1 of 3",
        ),
    )
    made = validation(cells=cells)
    flaky = results.cell("master", 999, ("cached", "cached", "layers-dropped"), bases="same",
                         snapshotter="stargz", patches=("record-ctx-opts",))  # fmt: skip
    made = replace(made, cells=(*(c for c in made.cells if not c.patches), flaky))
    assert 'message="broken by the patches; flaky cached 2 of 3' in render.junit(made)
    assert any("broken by the patches" in c for c in github.commands(made))


def test_a_refused_validation_is_judged_like_a_matrix() -> None:
    made = validation(status="refused", cells=(), reason="nothing is bad")
    assert junitparser.JUnitXml.fromstring(render.junit(made).encode()).failures == 5


def test_upstream_tests_that_get_worse_fail() -> None:
    worse = CheckInfo(
        kind="test",
        subject="./cache",
        change="worse",
        before="9 passed",
        after="8 passed, 1 failed",
        worse=("TestKeep",),
        log=("--- FAIL: TestKeep",),
    )
    missing = replace(worse, subject="./client", change="untested", worse=(), log=(), note="no gcc")
    made = validation(checks=(*validations.CHECKS, worse, missing))
    root = ET.fromstring(render.junit(made))  # noqa: S314 - we have just made it
    suite = next(s for s in root if s.attrib["name"] == "upstream's own checks")
    assert suite.attrib["tests"] == "5"
    assert [c.tag for case in suite for c in case] == ["failure", "skipped"]
    assert "--- FAIL: TestKeep" in "".join(suite.itertext())
    assert "::error title=worse%3A test ./cache::TestKeep" in github.commands(made)


def test_infrastructure_is_an_error() -> None:
    cell = results.cell("v1", 1, "infra", bases="same", snapshotter="stargz")
    assert 'errors="1"' in render.junit(results.matrix(cells=(cell,)))


def test_commands_are_one_line_each_and_few() -> None:
    for result in (results.hostile(), results.many(60), results.two_scenarios()):
        commands = github.commands(result)
        assert all(re.fullmatch(r"::(error|warning|notice) title=[^:,]*::.*", c) for c in commands)
        for kind in ("error", "warning"):
            assert sum(c.startswith(f"::{kind} ") for c in commands) <= 10


def test_a_line_end_cannot_start_another_command() -> None:
    cell = results.cell("v1", 1, "layers-dropped", reason="x\n::set-env name=A::b", bases="same")
    commands = github.commands(results.matrix(cells=(cell,)))
    assert not any(c.startswith("::set-env") or "\n" in c for c in commands)
    assert "x%0A::set-env" in commands[1]


def test_summary_is_appended_only_on_actions(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    log = io.StringIO()
    env = {"GITHUB_STEP_SUMMARY": str(summary)}
    assert not github.publish(results.matrix(), None, env=env, log=log)
    assert summary.read_text() == "before\n"
    assert github.publish(results.matrix(), None, env={**env, "GITHUB_ACTIONS": "true"}, log=log)
    assert summary.read_text().startswith("before\n**Broken in")
    assert "::error title=" in log.getvalue()


def test_hostile_text_in_a_job_summary(tmp_path: Path) -> None:
    summary, log = tmp_path / "summary.md", io.StringIO()
    env = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    github.publish(results.hostile(), None, env=env, log=log)
    for text in (summary.read_text(), log.getvalue()):
        assert not any(secret in text for secret in ("hunter22", "user:pw", "someone", "\x1b"))
    page = MarkdownIt("gfm-like", {"html": True}).render(summary.read_text())
    assert not re.search(r"<(script|img|iframe|style|object)\b", page)
    assert all(re.match(r"::(error|warning|notice) title=", c) for c in log.getvalue().splitlines())


def test_hostile_text_in_a_strategy() -> None:
    made = github.strategy_of(results.hostile())
    assert "\n" not in made
    assert len(json.loads(made)["include"]) == 2


def test_hostile_text_in_a_comparison() -> None:
    evil, moved = results.hostile(), results.hostile()
    cells = tuple(replace(c, outcome="cached", verdict="good", revision="b") for c in moved.cells)
    evil = replace(evil, id="x\n::error::y", host={"\x1b[2J\nrunc": "1"})
    moved = replace(moved, cells=cells, host={"\x1b[2J\nrunc": "2"})
    text = compare.text(compare.compare(evil, moved))
    assert not any(c in text for c in ("\x1b", "\x07", "\r", "\u202e", "hunter22", "someone"))
    assert len(text.splitlines()) == 1 + 2 + 3 + 1  # IDs, cells, notes, counts
    assert not any(line.startswith("::") for line in text.splitlines())


def test_strategy_has_a_job_per_variant() -> None:
    made = json.loads(github.strategy_of(results.matrix()))
    assert [job["rev"] for job in made["include"]][-2:] == ["master", "master"]
    assert made["include"][-1] == {
        "name": "master + record-ctx-opts",
        "rev": "master",
        "patches": "record-ctx-opts",
    }


def pair(before: CellInfo | None, after: CellInfo | None) -> compare.Comparison:
    old, new = (results.matrix(cells=tuple(c for c in (cell,) if c)) for cell in (before, after))
    return compare.compare(old, new)


def one(outcomes: str | tuple[str, ...], ref: str = "v1") -> CellInfo:
    return results.cell(ref, 1, outcomes, bases="same", snapshotter="stargz")


FLAKY = ("cached", "cached", "layers-dropped")


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ("cached", "cached", Change.SAME),
        ("cached", "layers-dropped", Change.WORSE),
        ("cached", FLAKY, Change.CHANCE),
        (FLAKY, "layers-dropped", Change.CHANCE),
        (FLAKY, "cached", Change.CHANCE),
        (("cached",), ("layers-dropped",), Change.CHANCE),
        ("layers-dropped", "cached", Change.BETTER),
        ("layers-dropped", "export-failed", Change.CHANGED),
        ("cached", "skip (build)", Change.UNTESTED),
        ("infra", "layers-dropped", Change.UNTESTED),
        ("skip (build)", "infra", Change.SAME),
    ],
)
def test_change(
    before: str | tuple[str, ...], after: str | tuple[str, ...], change: Change
) -> None:
    made = pair(one(before), one(after))
    assert [d.change for d in made.differences] == [change]
    assert made.worse is (change is Change.WORSE)


def test_new_and_gone() -> None:
    assert pair(None, one("layers-dropped")).differences[0].change is Change.NEW
    assert pair(one("cached"), None).differences[0].change is Change.GONE
    assert not pair(None, one("layers-dropped")).worse


def test_a_comparison_lists_the_worst_first() -> None:
    old = results.matrix()
    cells = list(old.cells)
    cells[0] = replace(
        results.cell("v0.24.0", 241, "layers-dropped", control=True),
        revision=cells[0].revision,
        axes=cells[0].axes,
    )
    host = {**old.host, "runc": "runc version 9"}
    digest = replace(old.scenarios[0], digest="other")
    new: Result = replace(old, cells=tuple(cells[:-1]), id="today", host=host, scenarios=(digest,))
    lines = compare.text(compare.compare(old, new)).splitlines()
    assert lines[0] == "20261124-043000-matrix -> today"
    assert lines[1].startswith("worse     v0.24.0: cross-stage-lazy bases different")
    assert "✓ cached 3 of 3 -> ✗ layers dropped 3 of 3" in lines[1]
    assert "scenario cross-stage-lazy itself changed" in lines[-3]
    assert lines[-2] == "note: the machines differ in runc"
    assert lines[-1] == "36 cells: 1 worse, 1 gone, 34 same"


def test_a_difference_that_may_be_chance_is_no_change() -> None:
    """Nightly runs do not fail on it; the text says how many trials would tell."""
    made = pair(one("cached"), replace(one(FLAKY), build=None))
    assert not made.worse
    assert compare.text(made).splitlines()[1:] == [
        (
            "chance    v1: cross-stage-lazy bases same, snapshotter stargz: ✓ cached 3 of 3 -> "
            "≈ flaky cached 2 of 3, layers dropped 1 of 3"
            " (may be chance: p = 0.5, --trials 12 would decide at these rates)"
        ),
        "hint: test both revisions with --trials 12; completed trials are reused",
        "1 cell: 1 chance",
    ]
    same = compare.text(pair(one("cached"), one(FLAKY)))
    assert "(may be chance: p = 0.5, the same binary)\n1 cell: 1 chance\n" in same


def test_a_comparison_shows_what_else_is_known() -> None:
    known = KnownInfo(counts={"cached": 17, "layers-dropped": 4}, verdicts={"good": 17, "bad": 4})
    after = replace(one("layers-dropped"), build=None)
    assert (
        "worse     v1: cross-stage-lazy bases same, snapshotter stargz: "
        "≈ cached 3 of 3 (flaky: 17 of 21 known on this machine) -> ✗ layers dropped 3 of 3"
        " (p = 0.017)"
    ) in compare.text(pair(replace(one("cached"), known=known), after))


def test_a_branch_that_moved_is_noted() -> None:
    made = compare.compare(
        results.matrix(cells=(one("cached", "master"),)),
        results.matrix(cells=(replace(one("cached", "master"), revision=results.sha(2)),)),
    )
    assert made.notes == (f"master moved from {results.sha(1)[:12]} to {results.sha(2)[:12]}",)
