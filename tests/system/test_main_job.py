"""The main job on real BuildKit: builds, daemons, registry, stargz; then bisections."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from buildkit_bisect import render, result
from buildkit_bisect.system import checkout
from tool import TaskOutput, inv, left_behind

pytestmark = [pytest.mark.system, pytest.mark.timeout(2400), pytest.mark.alone]

#: Both fail, in different ways; the first also builds the base images.
REVISIONS = ("v0.25.0", "v0.26.3")

#: It fixes every broken cell, without a git source too.
SERIES = "lazy-export-series"
PARTS = ["cross-stage-ancestors", "lazy-variants", "result-cache-opts"]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def matrix(out: Path) -> TaskOutput:
    return inv(
        *("matrix", "--source", "module", "--revs", f"{','.join(REVISIONS)},v0.26.3+{SERIES}"),
        *("--trials", "2", "--fresh", "--json"),
        *("--out", str(out)),
        timeout=2300,
    )


def cells(done: TaskOutput, **wanted: str) -> list[dict[str, object]]:
    return [
        cell
        for cell in done.document["cells"]
        if all(cell["axes"].get(k, cell.get(k)) == v for k, v in wanted.items())
        and not cell["patches"]
    ]


def test_it_succeeds_and_leaves_nothing(matrix: TaskOutput) -> None:
    assert matrix.code == 0, matrix.stderr
    assert left_behind() == []


def test_controls_are_good(matrix: TaskOutput) -> None:
    controls = [c for c in matrix.document["cells"] if c["control"] and not c["patches"]]
    assert len(controls) == len(REVISIONS) * (4 + 1)
    assert {c["verdict"] for c in controls} == {"good"}


def test_lazy_cells_fail_in_the_way_of_their_release(matrix: TaskOutput) -> None:
    lazy = {"snapshotter": "stargz", "bases": "different"}
    (before,) = cells(matrix, ref="v0.25.0", **lazy)
    (after,) = cells(matrix, ref="v0.26.3", **lazy)
    assert before["outcome"] == "export-failed"
    assert after["outcome"] == "layers-dropped"


def test_plain_overlayfs_fails_too(matrix: TaskOutput) -> None:
    for ref in REVISIONS:
        (cell,) = cells(matrix, scenario="cross-stage-dedup", ref=ref, warm="yes")
        assert cell["verdict"] == "bad"


def test_the_patched_row_shows_the_fix_without_a_git_source(matrix: TaskOutput) -> None:
    patched = [c for c in matrix.document["cells"] if c["patches"]]
    assert len(patched) == 8
    assert {(c["ref"], *c["patches"]) for c in patched} == {("v0.26.3", *PARTS)}
    assert {c["verdict"] for c in patched} == {"good"}
    assert {c["build"]["source"] for c in matrix.document["cells"]} == {"module"}


def test_a_patch_is_validated_without_a_git_source(matrix: TaskOutput, out: Path) -> None:
    assert matrix.code == 0, "its builds are used"
    done = inv(
        *("validate", SERIES, "--source", "module", "--base", "v0.26.3", "--checks", "none"),
        *("--scenario", "cross-stage-lazy", "--axis", "bases=different"),
        *("--axis", "snapshotter=overlayfs,stargz", "--json", "--out", str(out)),
        timeout=1200,
    )
    assert done.code == 0, done.stderr
    found = done.document["validation"]
    assert (found["status"], found["patches"]) == ("fixes", PARTS)
    control, lazy = sorted(found["cells"], key=lambda c: not c["control"])
    assert (control["change"], lazy["change"]) == ("still-good", "fixed")
    assert (lazy["before"], lazy["after"]) == ("layers-dropped 3 of 3", "cached 3 of 3")
    assert done.document["seconds"]["builds"] == 0
    assert left_behind() == []


def test_the_document_follows_its_schema(matrix: TaskOutput) -> None:
    schema = json.loads((checkout.PROJECT / "docs" / "result.schema.json").read_text())
    jsonschema.validate(matrix.document, schema)


def test_evidence_and_report_are_written(matrix: TaskOutput, out: Path) -> None:
    folder = out / matrix.document["id"]
    for cell in matrix.document["cells"]:
        for trial in cell["trials"]:
            kept = folder / trial["evidence"]
            assert (kept / "buildkitd.log").is_file()
            assert (kept / "export.progress.jsonl").stat().st_size > 1000
    assert (folder / "report.md").read_text() == render.markdown(result.read(folder), folder)


def test_images_are_recorded(matrix: TaskOutput) -> None:
    for scenario in matrix.document["scenarios"]:
        for image in scenario["images"].values():
            assert image["digest"].startswith("sha256:")


def test_a_bisection_of_releases_finds_a_change_between_two_failures(out: Path) -> None:
    done = inv(
        *("bisect", "--releases", "--source", "module", "--good", "v0.24.0", "--bad", "v0.25.0"),
        *("--good-when", "layers-dropped", "--bad-when", "export-failed"),
        *("--trials", "2", "--fresh", "--json", "--out", str(out)),
        timeout=1200,
    )
    assert done.code == 0, done.stderr
    found = done.document["bisect"]
    assert (found["status"], found["first_bad"]) == ("found", "v0.25.0")
    assert found["parents"] == ["v0.24.0"]
    phases = [s["phase"] for s in found["steps"]]
    assert phases.count("proof") >= 4, "parent and culprit, twice each"
    assert all(t["reused"] is False for c in done.document["cells"] for t in c["trials"])


def test_a_bisection_without_a_cell_searches_where_the_ends_differ(out: Path) -> None:
    """The command of the README on two releases: the first cell is bad at both."""
    done = inv(
        *("bisect", "--releases", "--source", "module", "--good", "v0.24.0", "--bad", "v0.25.0"),
        *("--json", "--out", str(out)),
        timeout=1200,
    )
    assert done.code == 0, done.stderr
    found = done.document["bisect"]
    assert (found["status"], found["first_bad"]) == ("found", "v0.25.0")
    assert found["axes"] == {"bases": "same", "snapshotter": "stargz"}
    assert [(t["axes"]["bases"], t["searched"]) for t in found["tried"]] == [
        ("different", False),
        ("same", True),
    ]
    why = "searching with bases=same, the only one of 2 cells that is good at v0.24.0 and bad at"
    assert found["choice"] == f"{why} v0.25.0"
    assert found["choice"] in done.stderr
    report = (out / done.document["id"] / "report.md").read_text()
    assert f"Cell: {found['choice']}" in report


def test_a_refused_bisection_reports_what_it_saw(out: Path) -> None:
    words = (
        *("bisect", "--releases", "--source", "module", "--good", "v0.25.0", "--bad", "v0.26.3"),
        *("--trials", "2", "--json", "--out", str(out)),
    )
    first = inv(*words)
    assert first.code == 4, first.stderr
    found = first.document["bisect"]
    assert found["status"] == "refused"
    assert found["reason"] == "none of the 2 cells is good at v0.25.0 and bad at v0.26.3"
    assert {t["axes"]["bases"]: (t["good"], t["bad"]) for t in found["tried"]} == {
        "different": ("export-failed (2 of 2)", "layers-dropped (2 of 2)"),
        "same": ("layers-partly-dropped (2 of 2)", "layers-partly-dropped (2 of 2)"),
    }
    assert found["hint"] in first.stderr

    second = inv(*words)
    assert second.code == 4
    assert all(t["reused"] for c in second.document["cells"] for t in c["trials"])
    assert second.document["seconds"]["builds"] == 0
    assert left_behind() == []
