"""Renders JUnit XML: a test case per cell, a suite per scenario and one of upstream's checks."""

from __future__ import annotations

import io
from pathlib import Path

import junitparser

from buildkit_bisect.phrases import labelled, spaced
from buildkit_bisect.render import cell_evidence, symbols, table, validation
from buildkit_bisect.render.cases import Case, judge
from buildkit_bisect.render.text import clean
from buildkit_bisect.result import CheckEffect, Result

_LOG_LINES = 40


def junit(result: Result, folder: Path | None = None) -> str:
    """Return the JUnit XML of *result*.

    Bad cells fail, infrastructure failures are errors, and cells that prove nothing are skipped
    with the reason. In a validation, cells that are bad without the patches are skipped too.
    """
    grid = table.matrix(result)
    dull = cell_evidence.boring(result)
    judged = judge(result)
    cases: dict[str, list[junitparser.TestCase]] = {g.scenario.name: [] for g in grid.groups}
    for place in cell_evidence.places(grid):
        cell = place.cell
        case = junitparser.TestCase(
            name=clean(labelled(place.row.label, place.values)),
            classname=clean(f"{cell.scenario}.{place.row.short}"),
            time=round(sum(t.seconds for t in cell.trials), 3),
        )
        how, why = judged(cell)
        if how is not Case.PASSED:
            shown = spaced(symbols.word(cell.outcome), symbols.tally(cell))
            message = labelled(shown, cell.reason)
            text = "\n".join(cell_evidence.lines(cell, folder, _LOG_LINES, dull))
            message = "; ".join(filter(None, [why, message]))
            case.result = [_case_result(how, message, cell.outcome, text)]
        cases[cell.scenario].append(case)
    suites = [_suite(name, its) for name, its in cases.items()]
    all_ = [*suites, *([_checks(result)] if _has_checks(result) else [])]
    made = junitparser.JUnitXml(clean(f"{result.tool} {result.kind} {result.id}"))
    for suite in all_:
        suite.timestamp = clean(result.created)
        suite.update_statistics()  # type: ignore[no-untyped-call]
        made.add_testsuite(suite)
    made.update_statistics()  # type: ignore[no-untyped-call]
    out = io.BytesIO()
    made.write(out, pretty=True)
    return out.getvalue().decode()


_CaseResult = junitparser.Failure | junitparser.Error | junitparser.Skipped
_KINDS: dict[Case, type[_CaseResult]] = {
    Case.FAILED: junitparser.Failure,
    Case.ERROR: junitparser.Error,
    Case.SKIPPED: junitparser.Skipped,
}
_CHECKS: dict[str, Case] = {
    CheckEffect.WORSE: Case.FAILED,
    CheckEffect.UNTESTED: Case.SKIPPED,
}


def _case_result(how: Case, message: str, kind: str, text: str) -> _CaseResult:
    made = _KINDS[how](clean(message), clean(kind))
    made.text = text
    return made


def _suite(name: str, cases: list[junitparser.TestCase]) -> junitparser.TestSuite:
    made = junitparser.TestSuite(clean(name))
    made.add_testcases(cases)  # one by one, each would have all of them counted again
    return made


def _has_checks(result: Result) -> bool:
    return bool(result.validation and result.validation.checks)


def _checks(result: Result) -> junitparser.TestSuite:
    """Return the suite of upstream's tests, vet and cross builds; those that got worse fail."""
    assert result.validation
    cases = []
    for _, check, what in validation.checks(result.validation):
        case = junitparser.TestCase(
            name=clean(f"{check.kind} {check.subject}"), classname=clean(f"upstream.{check.kind}")
        )
        how = _CHECKS.get(check.change)
        if how:
            message = labelled(f"{check.before}, then {check.after}", what)
            case.result = [_case_result(how, message, check.change, clean("\n".join(check.log)))]
        cases.append(case)
    return _suite("upstream's own checks", cases)
