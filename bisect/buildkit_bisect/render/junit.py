"""JUnit XML: a cell is a test case, a scenario a suite."""

from __future__ import annotations

import io
from pathlib import Path

import junitparser

from buildkit_bisect.render import evidence, symbols, table
from buildkit_bisect.render.text import clean
from buildkit_bisect.result import CellInfo, Result

_LOG_LINES = 40


def junit(result: Result, folder: Path | None = None) -> str:
    """Bad cells fail, infrastructure is an error; what proves nothing is skipped, with why."""
    grid = table.matrix(result)
    dull = evidence.boring(result)
    suites = {group.scenario.name: junitparser.TestSuite(clean(group.scenario.name))
              for group in grid.groups}  # fmt: skip
    for place in evidence.places(grid):
        cell = place.cell
        case = junitparser.TestCase(
            name=clean(f"{place.row.label}: {place.header}"),
            classname=clean(f"{cell.scenario}.{place.row.short}"),
            time=round(sum(t.seconds for t in cell.trials), 3),
        )
        told = _told(cell, "\n".join(evidence.lines(cell, folder, _LOG_LINES, dull)))
        if told is not None:
            case.result = [told]
        suites[cell.scenario].add_testcase(case)
    made = junitparser.JUnitXml(clean(f"{result.tool} {result.kind} {result.id}"))
    for suite in suites.values():
        suite.timestamp = clean(result.created)
        suite.update_statistics()  # type: ignore[no-untyped-call]
        made.add_testsuite(suite)
    made.update_statistics()  # type: ignore[no-untyped-call]
    out = io.BytesIO()
    made.write(out, pretty=True)
    return out.getvalue().decode()


_Told = junitparser.Failure | junitparser.Error | junitparser.Skipped


def _told(cell: CellInfo, text: str) -> _Told | None:
    said = f"{symbols.word(cell.outcome)} {symbols.tally(cell)}: {cell.reason}"
    message, kind = clean(said), clean(cell.outcome)
    told: _Told
    match cell.verdict:
        case "good":
            return None
        case "bad":
            told = junitparser.Failure(message, kind)
        case "infra":
            told = junitparser.Error(message, kind)
        case _:
            told = junitparser.Skipped(message, kind)
    told.text = text
    return told
