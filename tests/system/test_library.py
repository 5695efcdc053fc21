"""The library on real BuildKit: each report is good or bad as its published matrix says."""

from __future__ import annotations

import pytest

from buildkit_bisect import result, scenario
from buildkit_bisect.cli.library import PUBLISHED
from tool import TaskOutput, inv, left_behind

pytestmark = [pytest.mark.system, pytest.mark.timeout(3600)]

#: Releases that the published matrix has; each scenario is bad at one and good at another.
RELEASES = ("v0.14.0", "v0.25.0")


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> TaskOutput:
    done = inv(
        *("matrix", "--source", "module", "--revs", ",".join(RELEASES), "--scenario", "library"),
        *("--trials", "1", "--json", "--out", str(tmp_path_factory.mktemp("results"))),
    )
    assert done.code == 0, done.stderr
    return done


def test_each_report_is_as_published(matrix: TaskOutput) -> None:
    published = {
        (cell.scenario, cell.ref): cell.outcome
        for cell in result.read(PUBLISHED / "matrix").cells
        if cell.ref in RELEASES
    }
    seen = {(c["scenario"], c["ref"]): c["outcome"] for c in matrix.document["cells"]}
    assert {name for name, _ in published} == set(scenario.library())
    assert seen == published


def test_nothing_is_left(matrix: TaskOutput) -> None:
    assert matrix.code == 0
    assert left_behind() == []
