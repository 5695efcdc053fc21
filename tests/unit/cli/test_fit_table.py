"""The table of ``patch check``."""

from __future__ import annotations

import pytest

from buildkit_bisect.cli.fit_table import table
from buildkit_bisect.patch.backports import Fit, _conflict
from buildkit_bisect.result import FitState


def fit(ref: str, state: FitState, short: str = "") -> Fit:
    return Fit(ref=ref, sha="0" * 40, state=state, detail=f"long words about {ref}", short=short)


FOUND = {
    "my-fix": [
        fit("v0.20", FitState.CONFLICTS, "solver/a.go"),
        fit("v0.21", FitState.CONFLICTS, "solver/b.go"),
        fit("v0.22", FitState.CONFLICTS, "solver/b.go"),
        fit("v0.23", FitState.LACKING, "0518183, 1c970ad"),
        fit("v0.24", FitState.APPLIES),
        fit("v0.25", FitState.CONFLICTS),
        fit("master", FitState.APPLIES),
    ],
    "a-series": [
        fit("v0.18", FitState.UNKNOWN, "cannot be read"),
        fit("v0.19", FitState.UNKNOWN, "needs a git source"),
        fit("v0.20", FitState.PARTLY, "my-fix, another-patch-with-a-long-name"),
        fit("v0.21", FitState.THERE),
        fit("master", FitState.THERE),
    ],
}


def test_neighbours_with_the_same_result_are_one_row() -> None:
    assert list(table(FOUND, 60)) == [
        "patch     revisions       result",
        "my-fix    v0.20           conflicts in solver/a.go",
        "          v0.21 - v0.22   conflicts in solver/b.go",
        "          v0.23           applies, but lacks 0518183,",
        "                          1c970ad",
        "          v0.24           applies",
        "          v0.25           conflicts",
        "          master          applies",
        "a-series  v0.18           not known: cannot be read",
        "          v0.19           not known: needs a git source",
        "          v0.20           already applied: my-fix,",
        "                          another-patch-with-a-long-name",
        "          v0.21 - master  already applied",
    ]


@pytest.mark.parametrize("width", [0, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, table(FOUND, width))) <= max(width, 60)


@pytest.mark.parametrize(
    ("reason", "file"),
    [
        ("patch failed: solver/a.go:29; solver/a.go: patch does not apply", "solver/a.go"),
        ("solver/new.go: No such file or directory", "solver/new.go"),
        ("my.patch: patch failed: solver/b.go:1; solver/b.go: patch does not apply", "solver/b.go"),
        ("my.patch: solver/new.go: No such file or directory", "solver/new.go"),
        ("mine does not apply: solver/new.go: No such file or directory", "solver/new.go"),
        ("the context is ambiguous", ""),
    ],
)
def test_the_file_of_a_conflict(reason: str, file: str) -> None:
    assert _conflict(reason) == file
