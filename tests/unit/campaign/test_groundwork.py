"""A plan counts the base images, and the BuildKit that builds them, only if they are missing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from buildkit_bisect.campaign import estimate, groundwork
from buildkit_bisect.campaign.setup import Setup
from buildkit_bisect.errors import BadInput
from buildkit_bisect.lab.base_images import COMPILING, REFERENCE, REFERENCE_GO, ImageRef
from buildkit_bisect.model import Build, PatchRef, Revision, Variant
from buildkit_bisect.options.choices import Images
from buildkit_bisect.options.requests import Matrix
from buildkit_bisect.scenario import Scenario, load
from buildkit_bisect.search.cost import COLD

SCENARIO = load("cross-stage-lazy")
MADE = "making the base images of cross-stage-lazy"
IMAGES = "building the base images of cross-stage-lazy"
BUILT = Build(
    key="k", go="1.25.5", source="git", directory="/b", seconds=1.0,
    buildkitd_sha256="d", buildctl_sha256="c",
)  # fmt: skip


@pytest.fixture
def runs(tmp_path: Path) -> Scenario:
    """A scenario with an image that only a BuildKit can build."""
    (tmp_path / "build.Dockerfile").write_text("FROM scratch\nCOPY busybox /a\nRUN a\n")
    return replace(SCENARIO, folders=(tmp_path, *SCENARIO.folders))


@dataclass
class Source:
    tagged: bool = True
    kind: str = "git"

    def resolve(self, ref: str) -> Revision:
        if not self.tagged:
            raise BadInput(f"no {ref}")
        return Revision(ref=ref, sha="a" * 40)


@dataclass
class Builder:
    source: Source = field(default_factory=Source)
    built: bool = False
    shared: str | None = None
    own: bool = False

    def cached(self, variant: Variant) -> Build | None:
        assert variant.revision.ref == REFERENCE
        assert self.own, "a pulled build does not build images"
        return BUILT if self.built else None


@dataclass
class Fake:
    builder: Builder = field(default_factory=Builder)
    request: Matrix = field(default_factory=Matrix)
    scenarios: tuple[Scenario, ...] = (SCENARIO,)


def expected(fake: Fake, *rows: Variant, known_go: tuple[str, ...] = ()) -> dict[str, float]:
    return dict(groundwork.expected(cast("Setup", fake), rows, known_go, 2.0))


def test_images_of_copied_files_need_no_builder() -> None:
    found = expected(Fake())
    assert list(found) == [MADE]
    assert 0 < found[MADE] < 2


def test_one_builder_for_all_that_need_it(runs: Scenario) -> None:
    assert list(expected(Fake(scenarios=(SCENARIO, replace(runs, name="runs"))))) == [
        COMPILING,
        MADE,
        "building the base images of runs",
    ]


def test_images_and_their_builder_are_counted(runs: Scenario) -> None:
    found = expected(Fake(scenarios=(runs,)))
    assert list(found) == [COMPILING, IMAGES]
    assert found[COMPILING] == 2 * COLD
    assert 0 < found[IMAGES] < 60
    known = expected(Fake(scenarios=(runs,)), known_go=(REFERENCE_GO,))
    assert known[COMPILING] == 2 * estimate.LATER


def test_a_builder_that_is_built_or_a_row_is_not_counted(runs: Scenario) -> None:
    assert list(expected(Fake(Builder(built=True), scenarios=(runs,)))) == [IMAGES]
    row = Variant(revision=Revision(ref=REFERENCE, sha="a" * 40))
    fake = Fake(scenarios=(runs,))
    assert list(expected(fake, row)) == [IMAGES]
    patch = PatchRef(name="p", digest="p", title="p")
    patched = Variant(revision=row.revision, patches=(patch,))
    assert list(expected(fake, patched)) == [COMPILING, IMAGES]
    pulls = Fake(Builder(shared="oci://x/y"), scenarios=(runs,))
    assert list(expected(pulls, row)) == [COMPILING, IMAGES], "the row may be pulled"


def test_a_clone_without_the_release_does_not_ask_the_network(
    monkeypatch: pytest.MonkeyPatch, runs: Scenario
) -> None:
    fake = Fake(Builder(Source(tagged=False)), scenarios=(runs,))
    monkeypatch.setattr(groundwork, "of_modules", lambda b: replace(b, built=True))
    assert list(expected(fake)) == [IMAGES]
    monkeypatch.setattr(groundwork, "of_modules", lambda b: b)
    assert list(expected(fake)) == [COMPILING, IMAGES]


def test_existing_and_public_images_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert expected(Fake(request=Matrix(images=Images.PUBLIC))) == {}
    there = {name: ImageRef(ref="r", digest="d") for name in SCENARIO.images}

    def present(*_: Any) -> dict[str, ImageRef]:
        return there

    monkeypatch.setattr("buildkit_bisect.lab.base_images.present", present)
    assert expected(Fake()) == {}
