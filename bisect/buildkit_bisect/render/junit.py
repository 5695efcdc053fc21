"""JUnit XML: a cell is a test case, a scenario a suite; so are upstream's own checks."""

from __future__ import annotations

import io
from pathlib import Path

import junitparser

from buildkit_bisect.render import cell_evidence, symbols, table, validation
from buildkit_bisect.render.cases import Case, judge
from buildkit_bisect.render.text import clean
from buildkit_bisect.result import CheckEffect, Result

_LOG_LINES = 40


def junit(result: Result, folder: Path | None = None) -> str:
    """Bad cells fail, infrastructure is an error; what proves nothing is skipped, with why.

    Of a validation, what is bad without the patches is expected, and skipped.
    """
    grid = table.matrix(result)
    dull = cell_evidence.boring(result)
    judged = judge(result)
    suites = {group.scenario.name: junitparser.TestSuite(clean(group.scenario.name))
              for group in grid.groups}  # fmt: skip
    for place in cell_evidence.places(grid):
        cell = place.cell
        case = junitparser.TestCase(
            name=clean(f"{place.row.label}: {place.header}"),
            classname=clean(f"{cell.scenario}.{place.row.short}"),
            time=round(sum(t.seconds for t in cell.trials), 3),
        )
        how, why = judged(cell)
        if how is not Case.PASSED:
            said = f"{symbols.word(cell.outcome)} {symbols.tally(cell)}: {cell.reason}"
            text = "\n".join(cell_evidence.lines(cell, folder, _LOG_LINES, dull))
            case.result = [_told(how, "; ".join(filter(None, [why, said])), cell.outcome, text)]
        suites[cell.scenario].add_testcase(case)
    all_ = [*suites.values(), *([_checks(result)] if _has_checks(result) else [])]
    made = junitparser.JUnitXml(clean(f"{result.tool} {result.kind} {result.id}"))
    for suite in all_:
        suite.timestamp = clean(result.created)
        suite.update_statistics()  # type: ignore[no-untyped-call]
        made.add_testsuite(suite)
    made.update_statistics()  # type: ignore[no-untyped-call]
    out = io.BytesIO()
    made.write(out, pretty=True)
    return out.getvalue().decode()


_Told = junitparser.Failure | junitparser.Error | junitparser.Skipped
_KINDS: dict[Case, type[_Told]] = {
    Case.FAILED: junitparser.Failure,
    Case.ERROR: junitparser.Error,
    Case.SKIPPED: junitparser.Skipped,
}
_CHECKS: dict[str, Case] = {
    CheckEffect.WORSE: Case.FAILED,
    CheckEffect.UNTESTED: Case.SKIPPED,
}


def _told(how: Case, message: str, kind: str, text: str) -> _Told:
    told = _KINDS[how](clean(message), clean(kind))
    told.text = text
    return told


def _has_checks(result: Result) -> bool:
    return bool(result.validation and result.validation.checks)


def _checks(result: Result) -> junitparser.TestSuite:
    """Upstream's own tests, vet and cross builds: what is worse with the patches fails."""
    assert result.validation
    suite = junitparser.TestSuite("upstream's own checks")
    for _, check, what in validation.checks(result.validation):
        case = junitparser.TestCase(
            name=clean(f"{check.kind} {check.subject}"), classname=clean(f"upstream.{check.kind}")
        )
        how = _CHECKS.get(check.change)
        if how:
            said = f"{check.before}, then {check.after}: {what}"
            case.result = [_told(how, said, check.change, clean("\n".join(check.log)))]
        suite.add_testcase(case)
    return suite
