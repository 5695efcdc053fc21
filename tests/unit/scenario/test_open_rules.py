"""A rule of which something is not known: what it may mean for the rules below it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from buildkit_bisect.model import (
    FileFacts,
    Observation,
    OutputFacts,
    StepResult,
    ToolOutcome,
    Verdict,
    Vertex,
)
from buildkit_bisect.scenario import Action, Condition, Rule, Scenario, Step, wording
from buildkit_bisect.scenario.definition import Kept, VertexIs
from buildkit_bisect.scenario.outcome import judge
from buildkit_bisect.solve_status import MESSAGES_LIMIT

BUILD = Step(id="go", action=Action.BUILD, dockerfile="Dockerfile")
LOG = Condition(step="go", file="log", content="panic")
OK, FAILED = Condition(step="go", exit="ok"), Condition(step="go", exit="failed")
ABSENT = Condition(step="left-out", exit="ok")


def found(seen: Observation, *bad: Condition, then: Condition = OK) -> tuple[str, str]:
    """The name and reason of the outcome, of rules of which the first needs *bad*."""
    rules = ((Verdict.BAD, bad), (Verdict.GOOD if then == OK else Verdict.BAD, (then,)))
    scenario = Scenario(
        name="x", title="x", issue="", steps=(BUILD, replace(BUILD, id="left-out")),
        outcomes=tuple(Rule(name=name, verdict=verdict, means="m", all=conditions)
                       for name, (verdict, conditions) in zip(("bad", "next"), rules, strict=True)),
    )  # fmt: skip
    outcome = judge(scenario, seen, None)
    return outcome.name, outcome.reason


def seen(**facts: Any) -> Observation:
    return Observation(
        steps=(StepResult(**{"id": "go", "exit": 0, "seconds": 1, **facts}),), seconds=1
    )


def written(text: str, size: int) -> Observation:
    file = FileFacts(path="log", kind="file", mode=0o644, mtime=0, size=size, text=text)
    return seen(outputs=(OutputFacts(name="out", kind="local", files=(file,)),))


LARGE = written("x" * 8192, 9000)


def test_a_bad_rule_that_is_not_known_does_not_make_the_next_one_match() -> None:
    """A file of 9,000 bytes, of which 8 KiB are kept: "panic" may be in the rest."""
    name, because = found(LARGE, LOG)
    assert name == ToolOutcome.UNCLASSIFIED
    words = wording.condition(LOG)
    assert "panic" in words
    assert because == f"bad is not decided: it is not known whether {words}"
    assert found(written("x", 1), LOG)[0] == "next"
    assert found(written("panic", 5), LOG)[0] == "bad"


@pytest.mark.parametrize(
    "conditions",
    [
        (LOG, OK),
        (Condition(not_=LOG),),
        (Condition(any=(FAILED, LOG)),),
        (Condition(not_=Condition(any=(FAILED, Condition(not_=LOG)))),),
        (Condition(not_=Condition(any=(FAILED, LOG))),),
    ],
)
def test_a_rule_that_may_hold_is_not_passed(conditions: tuple[Condition, ...]) -> None:
    assert found(LARGE, *conditions)[0] == ToolOutcome.UNCLASSIFIED


@pytest.mark.parametrize(
    "conditions",
    [
        (LOG, FAILED),
        (Condition(not_=Condition(any=(OK, LOG))),),
        # a step that `when` leaves out: neither it nor its opposite may ever hold
        (ABSENT,),
        (Condition(not_=ABSENT),),
        (LOG, ABSENT),
        # without a control
        (Condition(step="go", inner_layers=Kept.NONE),),
        (Condition(step="go", file="log", same_as="left-out"),),
    ],
)
def test_a_rule_that_cannot_hold_is_passed(conditions: tuple[Condition, ...]) -> None:
    assert found(LARGE, *conditions)[0] == "next"


RAN = Condition(step="go", vertex="RUN", is_=VertexIs.RAN)
CACHED = replace(RAN, is_=VertexIs.CACHED)


@pytest.mark.parametrize(
    "condition",
    [LOG, RAN, CACHED, Condition(not_=CACHED), Condition(step="go", vertex="RUN", log="panic")],
)
def test_what_a_failed_build_has_not_does_not_keep_a_rule_about_failures_from_matching(
    condition: Condition,
) -> None:
    for how in ({"exit": 1}, {"timed_out": True}):
        assert found(seen(**how), condition, then=FAILED)[0] == "next"


def test_a_text_of_a_failed_build_may_still_be_cut() -> None:
    cut = seen(exit=1, stderr="y" * MESSAGES_LIMIT)
    prints = Condition(step="go", stderr="panic")
    assert found(cut, prints, then=FAILED)[0] == ToolOutcome.UNCLASSIFIED
    assert found(cut, replace(prints, exit="ok"), then=FAILED)[0] == "next"
    ran = Vertex(name="RUN", digest="d", started=True, log="y" * (MESSAGES_LIMIT + 50))
    logged = Condition(step="go", vertex="RUN", log="panic")
    assert found(seen(exit=1, vertices=(ran,)), logged, then=FAILED)[0] == ToolOutcome.UNCLASSIFIED
    alone = Condition(step="go", vertex="RUN", is_=VertexIs.FAILED, log="panic")
    assert found(seen(exit=1, vertices=(ran,)), alone, then=FAILED)[0] == "next"


def test_in_how_many_runs_of_a_step_what_is_not_known_may_hold() -> None:
    """Of three runs one is not known: the rule needs two more that are."""
    step = replace(BUILD, repeat=3)
    (large,), (small,) = LARGE.steps, written("x", 1).steps
    for least, name in ((1, ToolOutcome.UNCLASSIFIED), (2, "next")):
        rule = Rule(name="bad", verdict=Verdict.BAD, means="m",
                    all=(replace(LOG, runs=f"at least {least}"),))  # fmt: skip
        good = Rule(name="next", verdict=Verdict.GOOD, means="m", all=(OK,))
        scenario = Scenario(name="x", title="x", issue="", steps=(step,), outcomes=(rule, good))
        runs = (large, replace(small, id="go-2"), replace(small, id="go-3"))
        assert judge(scenario, Observation(steps=runs, seconds=1), None).name == name
