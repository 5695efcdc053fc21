"""The shipped scenarios beside those of the main job, on real BuildKit: each can be bad.

What a change to the opt getter breaks is shown with patches, in results/issue-6893; the module
proxy has none. Here each is seen to fail as released, at every lazy cell but those that are
good there, and its controls are not.
"""

from __future__ import annotations

import pytest

from tool import TaskOutput, inv, left_behind

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

SCENARIOS = ("inline", "single-chain", "warm-reexport", "lazy-registry-import")

#: The outcomes of lazy cells at `REVISION`, by scenario and the axes beside the snapshotter.
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


def test_lazy_cells_show_what_is_broken(matrix: TaskOutput) -> None:
    seen = {}
    for cell in matrix.document["cells"]:
        axes = dict(cell["axes"])
        if axes.pop("snapshotter") == "stargz":
            seen[cell["scenario"], *axes.values()] = cell["outcome"]
    assert seen == EXPECTED


def test_their_controls_are_good(matrix: TaskOutput) -> None:
    controls = [c for c in matrix.document["cells"] if c["control"]]
    assert {c["scenario"] for c in controls} == set(SCENARIOS)
    assert {(c["verdict"], c["outcome"]) for c in controls} == {("good", "cached")}


def test_they_leave_nothing(matrix: TaskOutput) -> None:
    assert matrix.code == 0
    assert left_behind() == []
