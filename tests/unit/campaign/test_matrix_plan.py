from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import cast

import pytest

from buildkit_bisect.campaign import matrix
from buildkit_bisect.campaign.estimate import LATER
from buildkit_bisect.campaign.setup import Setup
from buildkit_bisect.cli.plans import show_plan
from buildkit_bisect.events import Planned
from buildkit_bisect.model import Axes, Build, NoBuild, PatchRef, Revision, Stage, Variant
from buildkit_bisect.options.requests import Matrix
from buildkit_bisect.result import CampaignKind
from buildkit_bisect.scenario import Axis, Scenario
from buildkit_bisect.search.cost import COLD

SCENARIO = Scenario(
    name="s",
    title="t",
    issue="https://example.org",
    summary="",
    axes={"at": Axis(values=("lazy",))},
    images={},
    steps=(),
    outcomes=(),
)


@dataclass
class Source:
    kind: str

    def read(self, revision: Revision, path: str) -> str | None:
        return f"ARG GO_VERSION={revision.describe}\n" if path == "Dockerfile" else None


class Builder:
    refuses = ""

    def __init__(self, known: dict[str, Build | NoBuild], shared: Collection[str] = ()) -> None:
        self._known = known
        self._shared = shared

    def in_store(self, commits: Iterable[str]) -> frozenset[str]:
        return frozenset(commits) & {*self._shared}

    def refused(self, variant: Variant) -> str:
        assert variant.patches
        return self.refuses

    def cached(self, variant: Variant) -> Build | NoBuild | None:
        return self._known.get(variant.label)


@dataclass
class Fake:
    source: Source
    builder: Builder
    scenarios: tuple[Scenario, ...] = (SCENARIO,)
    request: Matrix = field(default_factory=Matrix)
    resumed: tuple[str, ...] = ()

    def cells(self, _: Scenario) -> list[Axes]:
        return [(("at", "lazy"),)]


def plan(
    kind: str,
    *variants: Variant,
    known: dict[str, Build | NoBuild] | None = None,
    shared: Collection[str] = (),
) -> Planned:
    setup = cast("Setup", Fake(Source(kind), Builder(known or {}, shared)))
    return matrix.planned(setup, variants, 3, CampaignKind.MATRIX)


def variant(ref: str, go: str = "1.25", *patches: str) -> Variant:
    return Variant(
        revision=Revision(ref=ref, sha=ref * 3, describe=go),
        patches=tuple(PatchRef(name=p, digest=p, title=p) for p in patches),
    )


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Builder, "refuses", "fix needs a git source")


@pytest.mark.usefixtures("refused")
def test_patched_rows_that_the_source_refuses_cost_nothing() -> None:
    planned = plan("module", variant("v1"), variant("v1", "1.25", "fix"))
    assert planned.skipped == {"v1 + fix": "patch: fix needs a git source"}
    assert planned.build_seconds == {"v1": COLD, "v1 + fix": 0}
    assert planned.cells == 1
    assert planned.expected.seconds == COLD + 3 * planned.trial_seconds


def test_patched_rows_of_a_module_are_built() -> None:
    assert plan("module", variant("v1"), variant("v1", "1.25", "fix")).skipped == {}


def test_rows_that_are_known_not_to_build_cost_nothing() -> None:
    known: dict[str, Build | NoBuild] = {"v1": NoBuild(stage=Stage.BUILD, reason="undefined: x")}
    planned = plan("git", variant("v1"), known=known)
    assert planned.skipped == {"v1": "build: undefined: x"}
    assert planned.expected.most == 0


def test_the_second_release_of_a_go_version_is_cheaper() -> None:
    planned = plan("git", variant("v1"), variant("v2"), variant("v3", "1.26"))
    assert planned.build_seconds == {"v1": COLD, "v2": LATER, "v3": COLD}


def test_builds_that_a_store_has_cost_nothing() -> None:
    both = variant("v1"), variant("v1", "1.25", "fix")
    planned = plan("git", *both, variant("v2"), shared=["v1v1v1"])
    assert planned.build_seconds == {"v1": 0, "v1 + fix": COLD, "v2": LATER}


@pytest.mark.usefixtures("refused")
def test_the_printed_plan_has_a_range_and_says_what_is_skipped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    planned = plan("module", variant("v1"), variant("v1", "1.25", "fix"))
    assert show_plan(Matrix(), planned) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "build  v1: 30 s to 8 min"
    assert shown[1] == "skip   v1 + fix: patch: fix needs a git source"
    assert shown[-1] == "35 s to 8 min, based on typical times on 2 cores"
