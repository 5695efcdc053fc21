"""Bounds of metrics: plain ones hold of a trial, those relative to the control of all trials."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit_bisect.errors import BadInput
from buildkit_bisect.lab.cell import Cell, Origin, Trial, merge
from buildkit_bisect.model import (
    NoBuild,
    Observation,
    Revision,
    Stage,
    StepResult,
    ToolOutcome,
    Variant,
    Verdict,
    Vertex,
)
from buildkit_bisect.scenario import Action, Axis, Condition, Rule, Scenario, Step, rank, wording
from buildkit_bisect.scenario.conditions import holds
from buildkit_bisect.scenario.metrics import names
from buildkit_bisect.scenario.outcome import combine, judge, judge_all
from buildkit_bisect.scenario.reproduction import script
from buildkit_bisect.scenario.rules import check_rules

GO = Step(id="go", action=Action.BUILD, dockerfile="Dockerfile")


def metric(**facts: Any) -> Condition:
    return Condition(**{"step": "go", "metric": "seconds", **facts})


SLOW = metric(over="2 x control")


def rules(*pairs: tuple[Verdict, Condition], steps: tuple[Step, ...] = (GO,)) -> Scenario:
    made = Scenario(
        name="x", title="x", issue="", steps=steps,
        axes={"snapshotter": Axis(values=("a", "b"), controls=("b",))},
        outcomes=tuple(
            Rule(name=f"{verdict}-{n}", verdict=verdict, means="it is", all=(condition,))
            for n, (verdict, condition) in enumerate(pairs)
        ),
    )  # fmt: skip
    check_rules(made)
    return made


SLOWER = rules((Verdict.BAD, SLOW), (Verdict.GOOD, Condition(step="go", exit="ok")))
NOT_SLOWER = rules((Verdict.GOOD, Condition(not_=SLOW)), (Verdict.BAD, SLOW))


def trial(seconds: float, *, infra: str = "") -> Observation:
    ran = Vertex(name="RUN", digest="d", started=True)
    cached = replace(ran, digest="e", cached=True)
    step = StepResult(
        id="go", exit=0, seconds=seconds, vertices=(ran, cached), metrics={"bytes": 7.0}
    )
    return Observation(steps=(step,), seconds=seconds, infra=infra)


def trials(*seconds: float) -> list[Observation]:
    return [trial(s) for s in seconds]


@pytest.mark.parametrize(
    ("facts", "known"),
    [
        ({"over": "4"}, True),
        ({"over": "5"}, False),
        ({"under": "5.1"}, True),
        ({"under": "5"}, False),
        ({"metric": "vertices_run", "over": "0"}, True),
        ({"metric": "vertices_run", "under": "2"}, True),
        ({"metric": "bytes", "over": "6.5"}, True),
    ],
)
def test_a_plain_bound(facts: dict[str, str], known: bool) -> None:
    (step,) = trial(5).steps
    assert holds(metric(**facts), step, None) is known
    old = replace(step, metrics={})  # stored before metrics were
    wanted = None if facts.get("metric") == "bytes" else known
    assert holds(metric(**facts), old, None) is wanted


def test_what_du_and_histories_did_not_count_is_none() -> None:
    """A `du` that failed counted nothing at all."""
    lists = [
        (Action.DU, {"records": 2.0, "records.regular": 2.0}, "records.exec.cachemount"),
        (Action.HISTORIES, {"histories": 0.0}, "cached_steps"),
    ]
    for action, counted, name in lists:
        step = Step(id="go", action=action)
        rules((Verdict.BAD, metric(metric=name, over="1")), steps=(step,))
        seen = StepResult(id="go", exit=0, seconds=1, metrics=counted)
        assert holds(metric(metric=name, under="1"), seen, None) is True
        failed = replace(seen, exit=1, metrics={})
        assert holds(metric(metric=name, under="1"), failed, None) is None


def test_over_trials_slower_than_the_control() -> None:
    outcomes = judge_all(SLOWER, trials(5, 6, 7), trials(1, 2, 1))
    assert {o.verdict for o in outcomes} == {Verdict.BAD}
    numbers = "seconds of go: median 6, of the control 1, p = 0.05 in 3 and 3 trials"
    assert outcomes[0].reason == f"it is ({numbers})"
    # at most twice as slow as the control: as slow counts
    outcomes = judge_all(SLOWER, trials(2, 1, 1), trials(1, 2, 1))
    assert {o.name for o in outcomes} == {"good-1"}
    assert combine(outcomes)[0].verdict is Verdict.GOOD


@pytest.mark.parametrize("made", [SLOWER, NOT_SLOWER])
def test_that_no_difference_is_seen_does_not_prove_that_there_is_none(made: Scenario) -> None:
    outcome = judge_all(made, trials(2, 4, 7), trials(1, 2, 1))[0]
    assert outcome.name == ToolOutcome.UNCLASSIFIED
    assert outcome.reason == (
        f"{made.outcomes[0].name} is not decided: seconds of go: median 4, of the control 1:"
        " 3 and 3 trials show neither that it is over 2 x control (p = 0.35)"
        " nor that it is not (p = 0.6)"
    )


def test_numbers_that_are_always_the_same_are_not_over_the_control() -> None:
    more = metric(metric="bytes", over="1 x control")
    made = rules((Verdict.BAD, more), (Verdict.GOOD, Condition(not_=more)))
    assert judge_all(made, trials(1, 2, 3), trials(1, 2, 3))[0].name == "good-1"


def test_a_step_that_failed_or_timed_out_has_no_number_to_compare() -> None:
    """A build that fails at once is not fast, and one that hangs is not slow."""

    def ended(seconds: float, **how: Any) -> Observation:
        (step,) = trial(seconds).steps
        return Observation(steps=(replace(step, **how),), seconds=seconds)

    failed, late = ended(0.1, exit=1), ended(100, timed_out=True)
    few = judge_all(SLOWER, [*trials(5, 6), late], trials(1, 1, 1))
    assert "there are 2, and 3 of the control" in few[0].reason
    # Nor does what other trials show make the failed one good.
    same = judge_all(NOT_SLOWER, [*trials(1, 1, 1), failed], trials(1, 1, 1))
    assert [o.name for o in same] == ["good-0"] * 3 + [ToolOutcome.UNCLASSIFIED]
    # A rule about failures below still matches, however few trials there are.
    broken = rules((Verdict.BAD, SLOW), (Verdict.BAD, Condition(step="go", exit="failed")))
    for seen in (failed, late):
        assert judge_all(broken, [seen], trials(1))[0].name == "bad-1"


def test_the_opposite_needs_enough_trials_too() -> None:
    assert judge_all(NOT_SLOWER, trials(1, 1, 1.5), trials(1, 2, 1))[0].verdict is Verdict.GOOD
    assert judge_all(NOT_SLOWER, trials(5, 6, 7), trials(1, 2, 1))[0].verdict is Verdict.BAD
    assert judge_all(NOT_SLOWER, trials(2, 4), trials(1, 2))[0].verdict is Verdict.WEAK


@pytest.mark.parametrize("made", [SLOWER, NOT_SLOWER])
def test_too_few_trials_are_weak(made: Scenario) -> None:
    """Also if a later rule would match, and whichever side has too few."""
    for here, there in (([9.0] * 2, [1.0] * 3), ([9.0] * 3, [1.0] * 2), ([9.0], [])):
        for outcome in judge_all(made, trials(*here), trials(*there)):
            assert outcome.verdict is Verdict.WEAK
            name = made.outcomes[0].name
            assert outcome.reason == (
                f"{name} is not decided: comparing seconds of go with the control needs 3 trials of"
                f" both; there are {len(here)}, and {len(there)} of the control"
            )
    alone = judge(made, trial(9), trial(1))
    assert alone.name == ToolOutcome.UNCLASSIFIED
    assert "one trial alone is not compared" in alone.reason


def test_many_trials_here_need_fewer_of_the_control() -> None:
    assert rank.smallest(9, 2) < rank.ALPHA
    assert judge_all(SLOWER, trials(*[9.0] * 9), trials(1, 1))[0].verdict is Verdict.BAD


def test_rules_that_do_not_match_anyway_need_no_trials() -> None:
    """A comparison of which nothing depends does not make a trial weak."""
    failed = Condition(step="go", exit="failed")
    made = replace(SLOWER, outcomes=(replace(SLOWER.outcomes[0], all=(failed, SLOW)),
                                     SLOWER.outcomes[1]))  # fmt: skip
    assert judge_all(made, trials(9), trials(1))[0].name == "good-1"
    either = Condition(any=(Condition(step="go", exit="ok"), SLOW))
    made = rules((Verdict.BAD, either))
    assert judge_all(made, trials(9), trials(1))[0].name == "bad-0"


def test_a_control_does_not_differ_from_itself() -> None:
    assert judge_all(NOT_SLOWER, trials(9), None)[0].verdict is Verdict.GOOD
    assert judge_all(SLOWER, trials(9), None)[0].verdict is Verdict.GOOD


def test_trials_of_failed_infrastructure_do_not_count() -> None:
    broken = trial(100, infra="disk")
    outcomes = judge_all(SLOWER, [*trials(5, 6), broken], trials(1, 1, 1))
    assert [o.verdict for o in outcomes] == [Verdict.WEAK, Verdict.WEAK, Verdict.INFRA]


def test_under_the_control() -> None:
    made = rules((Verdict.GOOD, metric(under="0.5 x control")), (Verdict.BAD, metric(over="0")))
    assert judge_all(made, trials(1, 1.1, 1.2), trials(3, 3, 4))[0].verdict is Verdict.GOOD
    assert judge_all(made, trials(2, 2.1, 2), trials(3, 3, 4))[0].verdict is Verdict.BAD


def test_the_runs_of_a_step_are_one_number_for_each_trial() -> None:
    repeated = replace(GO, repeat=3)
    made = rules((Verdict.BAD, SLOW), steps=(repeated,))

    def thrice(*seconds: float) -> Observation:
        (one,) = trial(0).steps
        runs = zip(repeated.runs, seconds, strict=True)
        return Observation(
            steps=tuple(replace(one, id=run, seconds=s) for run, s in runs), seconds=1
        )

    here, there = thrice(9, 1, 9), thrice(1, 1, 50)
    assert judge_all(made, [here] * 3, [there] * 3)[0].verdict is Verdict.BAD
    assert judge_all(made, [here], [there] * 9)[0].verdict is Verdict.WEAK


def cell(observations: Sequence[Observation], controls: Sequence[Observation]) -> Cell:
    judged = judge_all(SLOWER, observations, controls)
    return Cell(
        variant=Variant(revision=Revision(ref="r", sha="s")), scenario=SLOWER, axes=(),
        build=NoBuild(stage=Stage.BUILD, reason=""), outcome=combine(judged)[0],
        trials=tuple(Trial(observation=o, origin=Origin.NOW) for o in observations),
        judged=judged, controls=tuple(controls),
    )  # fmt: skip


def test_visits_to_a_cell_are_compared_together() -> None:
    first, second = cell(trials(5, 6), trials(1, 1)), cell(trials(7), trials(1, 1, 1))
    assert first.outcome.verdict is second.outcome.verdict is Verdict.WEAK
    merged = merge([first, second])
    assert merged.outcome.verdict is Verdict.BAD
    assert dict(merged.counts) == {"bad-0": 3}
    assert len(merged.controls or ()) == 3


NUMBERS = st.lists(st.integers(0, 4), min_size=1, max_size=5)


@settings(deadline=None)
@given(NUMBERS, NUMBERS)
def test_the_chance_counts_all_arrangements(xs: list[int], ys: list[int]) -> None:
    """Against the definition: U over every choice of which values are the first sample's."""

    def u(first: tuple[int, ...], everything: list[int]) -> float:
        ours = [everything[n] for n in first]
        others = [v for n, v in enumerate(everything) if n not in first]
        return sum((a > b) + (a == b) / 2 for a in ours for b in others)

    both = [*xs, *ys]
    seen = u(tuple(range(len(xs))), both)
    choices = list(itertools.combinations(range(len(both)), len(xs)))
    share = sum(u(choice, both) >= seen for choice in choices) / len(choices)
    assert math.isclose(rank.larger(xs, ys), share)
    assert rank.larger(xs, ys) >= rank.smallest(len(xs), len(ys)) - 1e-12


def test_chances_that_are_known() -> None:
    """Of tables of the Mann-Whitney test, and of its normal approximation."""
    assert rank.larger([4, 5, 6], [1, 2, 3]) == pytest.approx(1 / 20)
    assert rank.larger([1, 2, 3], [4, 5, 6]) == 1
    assert rank.larger([1, 1], [1, 1]) == 1
    assert rank.enough() == 3
    few, many = [float(n) for n in range(20)], [n + 5.5 for n in range(20)]
    exact = rank.larger(many, few)
    near = rank.larger([*many, 10.0], few)
    assert near == pytest.approx(exact, rel=0.5)
    assert rank.larger([1.0] * 30, [1.0] * 30) == 1


MISTAKES = [
    (
        {"metric": "second", "over": "1"},
        ".metric: 'second' is not one of seconds, vertices_run, byt",
    ),
    ({}, ": metric needs one of over and under"),
    ({"over": "1", "under": "2"}, ": metric needs one of over and under"),
    ({"metric": "", "over": "1", "exit": "ok"}, ": over needs metric"),
    ({"over": "two"}, '.over: \'two\' is not a limit such as "10" or "2 x control"'),
    ({"over": "-1"}, ".over: '-1' is not a limit"),
    ({"under": "0"}, ".under: can never match: nothing is under 0"),
    ({"over": "0.5 x control"}, ".over: must be at least 1 x control"),
    ({"under": "2 x control"}, ".under: must be at most 1 x control"),
    ({"over": "2 x control", "exit": "ok"}, ": compares all trials: write other facts as another"),
]


@pytest.mark.parametrize(("facts", "message"), MISTAKES)
def test_mistakes_are_named(facts: dict[str, str], message: str) -> None:
    with pytest.raises(BadInput, match=re.escape(f"outcomes[0].all[0]{message}")):
        rules((Verdict.BAD, metric(**facts)))


def test_a_comparison_needs_a_control_and_no_runs() -> None:
    with pytest.raises(BadInput, match=r"all\[0\].over: can never match: no axis has controls"):
        check_rules(replace(SLOWER, axes={}))
    with pytest.raises(BadInput, match=r"all\[0\].runs: is not for a comparison with the control"):
        rules((Verdict.BAD, replace(SLOW, runs="any")), steps=(replace(GO, repeat=2),))
    prune = Step(id="go", action=Action.PRUNE)
    assert names(prune) == ("seconds",)
    with pytest.raises(BadInput, match=r"'vertices_run' is not one of seconds"):
        rules((Verdict.BAD, metric(metric="vertices_run", over="1")), steps=(prune,))


def test_bounds_that_contradict_or_cover_each_other() -> None:
    both = replace(SLOWER.outcomes[0], all=(metric(over="5"), metric(under="5")))
    with pytest.raises(BadInput, match="contradictory conditions on step 'go'"):
        check_rules(replace(SLOWER, outcomes=(both,)))
    with pytest.raises(BadInput, match=r"outcomes\[1\]: can never match: 'bad-0' above"):
        rules((Verdict.BAD, metric(over="5")), (Verdict.GOOD, metric(over="6")))
    rules((Verdict.BAD, metric(over="5")), (Verdict.GOOD, metric(over="5 x control")))


def test_words() -> None:
    assert wording.condition(SLOW) == "seconds of go is over 2 x control"


def test_a_reproduction_measures_what_rules_are_about(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    made = rules((Verdict.BAD, SLOW), (Verdict.BAD, metric(metric="vertices_run", over="3")),
                 (Verdict.GOOD, metric(metric="bytes", under="5")))  # fmt: skip
    text = script(replace(made, folders=(tmp_path,)), (("snapshotter", "a"),))
    before, _, after = text.partition("# step go\n")[2].partition("buildctl build")
    assert before == "date +%s.%N > go.times\n"
    assert "> go.exit\ndate +%s.%N >> go.times\n" in after
    shown = re.findall(r"^echo '-- (.*)'$", after, re.MULTILINE)
    assert shown == ["go, seconds", "go, vertices_run", "go, bytes"]
