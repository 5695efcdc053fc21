"""Whether a cell passed, for tools that know only test cases."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from buildkit_bisect.model import Verdict
from buildkit_bisect.result import CellEffect, CellInfo, Result, ValidationInfo, ValidationStatus


class Case(StrEnum):
    """The result of a test case."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"  # the infrastructure failed
    SKIPPED = "skipped"  # it proves nothing, or was expected to fail


#: Returns the case of a cell, and the reason if it does not follow from the verdict alone.
Judge = Callable[[CellInfo], tuple[Case, str]]

_BY_VERDICT: dict[str, Case] = {
    Verdict.GOOD: Case.PASSED,
    Verdict.BAD: Case.FAILED,
    Verdict.INFRA: Case.ERROR,
}
_BY_EFFECT: dict[str, tuple[Case, str]] = {
    CellEffect.REGRESSED: (Case.FAILED, "broken by the patches"),
    CellEffect.STILL_BAD: (Case.FAILED, "still bad with the patches"),
    CellEffect.FIXED: (Case.PASSED, ""),
    CellEffect.STILL_GOOD: (Case.PASSED, ""),
}


def judge(result: Result) -> Judge:
    """Return a judge that fails bad cells; in a validation, only those with the patches."""
    info = result.validation
    if info is None or info.status == ValidationStatus.REFUSED:
        return lambda cell: (_usual(cell), "")
    return _validating(info)


def _usual(cell: CellInfo) -> Case:
    return _BY_VERDICT.get(cell.verdict, Case.SKIPPED)


def _validating(info: ValidationInfo) -> Judge:
    changes = {(c.scenario, frozenset(c.axes.items())): c for c in info.cells}

    def judged(cell: CellInfo) -> tuple[Case, str]:
        case = _usual(cell)
        if case is Case.ERROR:
            return case, ""
        change = changes.get((cell.scenario, frozenset(cell.axes.items())))
        if cell.patches == info.patches and change:
            return _BY_EFFECT.get(change.change, (Case.SKIPPED, change.reason))
        if case is not Case.FAILED:
            return case, ""
        whose = "with a different set of patches" if cell.patches else (
            "without the patches")  # fmt: skip
        return Case.SKIPPED, f"expected {whose}"

    return judged
