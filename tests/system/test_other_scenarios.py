"""The shipped scenarios that the main job does not run, on real BuildKit: each can be bad.

results/issue-6893 shows with patches what a change to the opt getter breaks; modules cannot be
patched. Here each scenario fails on a release, in all lazy cells except those that are good
there, and its controls are good.
"""

from __future__ import annotations

import pytest

from tool import TaskOutput, inv, left_behind

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800), pytest.mark.alone]

SCENARIOS = ("inline", "single-chain", "warm-reexport", "lazy-registry-import")

#: The outcomes of lazy cells at `REVISION`, by scenario and the axes except the snapshotter.
REVISION = "v0.26.3"
EXPECTED = {
    ("inline", "one"): "ran",
    ("inline", "two"): "ran",
    ("single-chain", "gzip"): "ran",
    ("single-chain", "estargz"): "cached",
    ("warm-reexport",): "ran",
    ("lazy-registry-import", "one"): "cached",
    ("lazy-registry-import", "two"): "first-layers-lost",
}


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> TaskOutput:
    done = inv(
        *("matrix", "--source", "module", "--revs", REVISION, "--scenario", ",".join(SCENARIOS)),
        *("--trials", "1", "--fresh", "--json", "--out", str(tmp_path_factory.mktemp("results"))),
    )
    assert done.code == 0, done.stderr
    return done


def test_lazy_cells_have_the_expected_outcomes(matrix: TaskOutput) -> None:
    seen = {}
    for cell in matrix.document["cells"]:
        axes = dict(cell["axes"])
        if axes.pop("snapshotter") == "stargz":
            seen[cell["scenario"], *axes.values()] = cell["outcome"]
    assert seen == EXPECTED


def test_the_controls_are_good(matrix: TaskOutput) -> None:
    controls = [c for c in matrix.document["cells"] if c["control"]]
    assert {c["scenario"] for c in controls} == set(SCENARIOS)
    assert {(c["verdict"], c["outcome"]) for c in controls} == {("good", "cached")}


def test_nothing_is_left(matrix: TaskOutput) -> None:
    assert matrix.code == 0
    assert left_behind() == []
