"""Which cell a report's reproduction is for, and what it says about it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import results
from buildkit_bisect import scenario
from buildkit_bisect.campaign.axes import with_runtimes
from buildkit_bisect.campaign.reproduction import added, chosen
from buildkit_bisect.model import RuntimeKind
from buildkit_bisect.result import CellInfo, Result, RevisionInfo

LOADED = [scenario.load("cross-stage-lazy"), scenario.load("cross-stage-dedup")]


def dated(**changes: Any) -> Result:
    """Return the matrix with later revisions at later dates."""
    made = replace(results.matrix(), **changes)
    revisions = [replace(r, date=f"2026-08-{n:02}") for n, r in enumerate(made.revisions, 1)]
    return replace(made, revisions=tuple(revisions))


def where(cell: CellInfo | None) -> tuple[str, str, dict[str, str]]:
    assert cell
    return cell.ref, cell.outcome, cell.axes


STARGZ = {"bases": "different", "snapshotter": "stargz"}


def test_the_newest_bad_cell_without_patches() -> None:
    assert where(chosen(dated())) == ("master", "layers-dropped", STARGZ)


def test_a_bad_cell_comes_before_a_newer_good_one() -> None:
    cells = (*results.row("v0.24.0", 240, "layers-dropped", "cached"),
             *results.row("master", 999, "cached", "cached"))  # fmt: skip
    assert where(chosen(dated(cells=cells))) == ("v0.24.0", "layers-dropped", STARGZ)


def test_without_a_bad_cell_the_first_that_is_not_a_control() -> None:
    cells = tuple(results.row("master", 999, "cached", "cached"))
    assert where(chosen(dated(cells=cells))) == ("master", "cached", STARGZ)


def test_the_found_commit_of_a_search() -> None:
    found = results.bisect()
    cell = chosen(found)
    assert cell
    assert found.bisect
    assert cell.revision == found.bisect.first_bad
    assert cell.axes == found.bisect.axes


def test_nothing_was_run() -> None:
    nothing = dated(cells=())
    assert chosen(nothing) is None
    assert added(nothing, LOADED) == nothing


def test_what_was_measured_is_in_the_script() -> None:
    made = added(dated(), LOADED).reproduction
    assert made
    assert made.axes == STARGZ
    lines = made.script.splitlines()
    assert (
        f"# Measured at master ({results.sha(999)}): bad, layers-dropped in 3 of 3 trials." in lines
    )
    assert f"#   git checkout {results.sha(999)}" in lines
    made_of = "# No BuildKit made the base images, of files alone; here the version to test does."
    assert made_of in lines
    assert "# Here with bases different and snapshotter stargz." in lines


def test_a_runtime_is_no_axis_of_the_script_and_is_named() -> None:
    cell = results.cell("master", 999, "layers-dropped", patches=("p",))
    cell = replace(cell, axes={**STARGZ, "runtime": "docker"})
    compared = [with_runtimes(s, [RuntimeKind.HOST, RuntimeKind.DOCKER]) for s in LOADED]
    made = added(dated(cells=(cell,)), compared).reproduction
    assert made
    assert "runtime docker; this script runs buildkitd directly" in made.script
    assert "# Here with bases different and snapshotter stargz.\n" in made.script
    assert "with the patches p: bad" in made.script
    assert "#   git apply DIFF, for those of p\n" in made.script


@pytest.mark.parametrize("public", [True, False])
def test_the_base_images_are_those_of_the_campaign(public: bool) -> None:
    images = {
        name: {"ref": image.public if public else f"bkbisect/{name}:1", "digest": ""}
        for name, image in LOADED[0].images.items()
    }
    made = added(dated(scenarios=(results.scenario(images=images),)), LOADED).reproduction
    assert made
    assert ("BUILD_BASE=ghcr.io/" in made.script) is public
    assert ("made the base images" in made.script) is not public


def test_base_images_that_buildkit_built(tmp_path: Path) -> None:
    (tmp_path / "build.Dockerfile").write_text("FROM scratch\nCOPY busybox /a\nRUN a\n")
    runs = [replace(one, folders=(tmp_path, *one.folders)) for one in LOADED]
    made = added(dated(), runs).reproduction
    assert made
    line = "# BuildKit v0.25.0 built the base images; here the version to test does."
    assert line in made.script.splitlines()


def test_a_scenario_that_is_not_there() -> None:
    assert added(dated(), []).reproduction is None


def test_without_dates_the_last_revision_is_the_newest() -> None:
    assert where(chosen(results.matrix())) == ("master", "layers-dropped", STARGZ)


def test_a_cell_of_an_unknown_revision() -> None:
    bare = dated(revisions=(RevisionInfo(ref="v0.24.0", sha=""),))
    assert where(chosen(bare))[1] == "layers-dropped"
