"""A plan counts the base images, and the BuildKit that builds them, only if they are missing."""

from __future__ import annotations

from dataclasses import dataclass, field
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
IMAGES = "building the base images of cross-stage-lazy"
BUILT = Build(
    key="k", go="1.25.5", source="git", directory="/b", seconds=1.0,
    buildkitd_sha256="d", buildctl_sha256="c",
)  # fmt: skip


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

    def cached(self, variant: Variant) -> Build | None:
        assert variant.revision.ref == REFERENCE
        return BUILT if self.built else None


@dataclass
class Fake:
    builder: Builder = field(default_factory=Builder)
    request: Matrix = field(default_factory=Matrix)
    scenarios: tuple[Scenario, ...] = (SCENARIO,)


def expected(fake: Fake, *rows: Variant, known_go: tuple[str, ...] = ()) -> dict[str, float]:
    return dict(groundwork.expected(cast("Setup", fake), rows, known_go, 2.0))


def test_images_and_their_builder_are_counted() -> None:
    found = expected(Fake())
    assert list(found) == [COMPILING, IMAGES]
    assert found[COMPILING] == 2 * COLD
    assert 0 < found[IMAGES] < 60
    assert expected(Fake(), known_go=(REFERENCE_GO,))[COMPILING] == 2 * estimate.LATER


def test_a_builder_that_is_built_or_a_row_is_not_counted() -> None:
    assert list(expected(Fake(Builder(built=True)))) == [IMAGES]
    row = Variant(revision=Revision(ref=REFERENCE, sha="a" * 40))
    assert list(expected(Fake(), row)) == [IMAGES]
    patch = PatchRef(name="p", digest="p", title="p")
    patched = Variant(revision=row.revision, patches=(patch,))
    assert list(expected(Fake(), patched)) == [COMPILING, IMAGES]


def test_a_clone_without_the_release_does_not_ask_the_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = Fake(Builder(Source(tagged=False)))
    monkeypatch.setattr(groundwork, "of_modules", lambda _: Builder(built=True))
    assert list(expected(fake)) == [IMAGES]
    monkeypatch.setattr(groundwork, "of_modules", lambda _: Builder())
    assert list(expected(fake)) == [COMPILING, IMAGES]


def test_existing_and_public_images_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert expected(Fake(request=Matrix(images=Images.PUBLIC))) == {}
    there = {name: ImageRef(ref="r", digest="d") for name in SCENARIO.images}

    def present(*_: Any) -> dict[str, ImageRef]:
        return there

    monkeypatch.setattr("buildkit_bisect.lab.base_images.present", present)
    assert expected(Fake()) == {}
