"""A lab with a small scenario, whose builds and trials are what a test says."""

from __future__ import annotations

from typing import Any, cast

from buildkit_bisect.builds import Builder
from buildkit_bisect.events import Event, Silent
from buildkit_bisect.lab.executors import Inline
from buildkit_bisect.lab.journal import Journal
from buildkit_bisect.lab.lab import Lab
from buildkit_bisect.model import Axes, Build, Observation, StepResult, Verdict
from buildkit_bisect.scenario import Action, Axis, Condition, Rule, Scenario, Step

#: One step, which is good if it succeeds and bad if it exits with 1; `EAGER` is the control.
SCENARIO = Scenario(
    name="s",
    title="t",
    issue="https://example.org/1",
    steps=(Step(id="go", action=Action.PRUNE),),
    outcomes=(
        Rule(name="fine", verdict=Verdict.GOOD, means="m", all=(Condition(step="go", exit="ok"),)),
        Rule(name="broken", verdict=Verdict.BAD, means="m", all=(Condition(step="go", exit="1"),)),
    ),
    axes={"at": Axis(values=("eager", "lazy"), controls=("eager",))},
    run_digest="r",
)
EAGER: Axes = (("at", "eager"),)
LAZY: Axes = (("at", "lazy"),)


class Kept(list[Event]):
    """Keeps every event."""

    def emit(self, event: Event, /) -> None:
        self.append(event)


def build(name: str, binary: str = "") -> Build:
    """Return a build whose daemon is called *binary*, or like the build."""
    return Build(
        key=name, go="1.25.5", source="git", directory="/b", seconds=1.0,
        buildkitd_sha256=binary or name, buildctl_sha256="c",
    )  # fmt: skip


def seen(code: int = 0, *, seconds: float = 1.0, infra: str = "") -> Observation:
    """Return a trial whose step exited with *code* after *seconds*."""
    step = StepResult(id="go", exit=code, seconds=seconds)
    return Observation(steps=() if infra else (step,), seconds=1.0, infra=infra)


def lab(journal: Journal, builder: object, **more: Any) -> Lab:
    """Return a lab of the campaign ``ours`` with the builds of *builder*."""
    usual = {"executor": Inline(), "events": Silent(), "campaign": "ours"}
    return Lab(
        builder=cast(Builder, builder), images={SCENARIO.name: {}}, registry="", journal=journal,
        **{**usual, **more},
    )  # fmt: skip
