"""What a plan knows of earlier campaigns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import pytest

from buildkit_bisect.campaign import recall
from buildkit_bisect.campaign.setup import Setup
from buildkit_bisect.lab.cell import Recalled
from buildkit_bisect.lab.journal import Journal
from buildkit_bisect.model import Axes, Build, Observation, Revision, StepResult, Variant, Verdict
from buildkit_bisect.options.choices import Images
from buildkit_bisect.options.requests import Matrix
from buildkit_bisect.scenario import Action, Condition, Rule, Scenario, Step

VARIANT = Variant(revision=Revision(ref="v0.24.0", sha="a" * 40))
OTHER = Variant(revision=Revision(ref="v0.26.0", sha="b" * 40))
SCENARIO = Scenario(
    name="s",
    title="t",
    issue="https://example.org/1",
    steps=(Step(id="go", action=Action.PRUNE),),
    outcomes=(
        Rule(
            name="cached", verdict=Verdict.GOOD, means="m", all=(Condition(step="go", exit="ok"),)
        ),
    ),
    run_digest="r",
)
NO_AXES: Axes = ()


class Builder:
    deadlines = None

    def cached(self, variant: Variant) -> Build | None:
        if variant is OTHER:
            return None
        return Build(
            key="k", go="1.25.5", source="git", directory="/b", seconds=1.0,
            buildkitd_sha256="d", buildctl_sha256="c",
        )  # fmt: skip


@dataclass
class Fake:
    request: Matrix
    scenarios: tuple[Scenario, ...] = (SCENARIO,)
    builder: Any = None
    resumed: tuple[str, ...] = ()

    def cells(self, _: Scenario) -> list[Axes]:
        return [NO_AXES]


def setup(**options: Any) -> Setup:
    return cast("Setup", Fake(Matrix(images=Images.PUBLIC, **options), builder=Builder()))


@contextmanager
def ran(setup: Setup, campaign: str, trials: int) -> Iterator[None]:
    """Store trials of `VARIANT`, under the key that a campaign would use."""
    seen = Observation(steps=(StepResult(id="go", exit=0, seconds=1.0),), seconds=1.0)
    with recall._stored_lab(setup) as lab, closing(Journal()) as journal:
        assert lab
        build = lab._builder.cached(VARIANT)
        assert isinstance(build, Build)
        for _ in range(trials):
            journal.add(lab._job(VARIANT, build, SCENARIO, NO_AXES).key, seen, campaign)
    yield


def test_a_plan_counts_stored_trials_and_names_the_campaign_of_known_ends() -> None:
    one = setup()
    ends = [(VARIANT, Verdict.GOOD), (OTHER, Verdict.BAD)]
    assert recall.stored(one, [VARIANT, OTHER]) == {}
    assert recall.lines(one, ends, SCENARIO, NO_AXES) == ()
    with ran(one, "20260821-101500-matrix", 3):
        assert recall.stored(one, [VARIANT, OTHER]) == {"v0.24.0": (3,)}
        known = "v0.24.0 is good (cached 3 of 3, known from 20260821-101500-matrix)"
        assert recall.lines(one, ends, SCENARIO, NO_AXES) == (known,)
        swapped = [(OTHER, Verdict.GOOD), (VARIANT, Verdict.BAD)]
        assert recall.lines(one, swapped, SCENARIO, NO_AXES) == (f"{known}, but given as bad",)


def test_nothing_is_known_with_fresh_or_in_containers() -> None:
    with ran(setup(), "earlier", 3):
        from_docker = setup(runtime=("docker",))
        for one in (setup(fresh=True), from_docker):
            assert recall.stored(one, [VARIANT]) == {}
            assert recall.lines(one, [(VARIANT, Verdict.GOOD)], SCENARIO, NO_AXES) == ()


@pytest.mark.parametrize("verdict", [Verdict.WEAK, Verdict.SKIP])
def test_what_is_neither_good_nor_bad_contradicts_nobody(verdict: Verdict) -> None:
    assert recall._unlike(Verdict.GOOD, verdict) == ""
    assert "flaky 1 of 1" in str(Recalled(verdict=verdict, counts={"flaky": 1}, campaign="c"))
