"""Rules about repeated steps: in how many runs their conditions must hold."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import (
    CacheConfig,
    CacheRecord,
    Observation,
    Outcome,
    StepResult,
    Verdict,
    Vertex,
)
from buildkit_bisect.scenario import (
    Action,
    Condition,
    Kept,
    Rule,
    Scenario,
    Step,
    VertexIs,
    reproduction,
)
from buildkit_bisect.scenario.conditions import holds_in_trial
from buildkit_bisect.scenario.outcome import judge
from buildkit_bisect.scenario.rules import check_rules

#: A build that is pushed three times.
PUSH = Step(
    id="push",
    action=Action.BUILD,
    dockerfile="Dockerfile",
    repeat=3,
    exports=({"type": "local", "dest": "cache"},),
)


def rule(verdict: Verdict, *conditions: Condition) -> Rule:
    return Rule(name=f"{verdict}-one", verdict=verdict, means="it is", all=conditions)


def pushed(*rules: Rule, step: Step = PUSH) -> Scenario:
    made = Scenario(name="x", title="x", issue="", steps=(step,), outcomes=rules)
    check_rules(made)
    return made


def seen(*exits: int, vertices: tuple[str, ...] = ()) -> Observation:
    """A trial whose runs of push ended with *exits*; *vertices* are the states of its RUN."""
    states = [*vertices, *[""] * len(exits)]
    return Observation(
        steps=tuple(
            StepResult(
                id=run,
                exit=status,
                seconds=1,
                stderr="denied" if status else "",
                vertices=(Vertex(name="RUN x", digest="d", cached=state == "cached", started=True),)
                if state
                else (),
            )
            for run, status, state in zip(PUSH.runs, exits, states, strict=False)
        ),
        seconds=3,
    )


OK = Condition(step="push", exit="ok")
FAILED = Condition(step="push", exit="failed")
CACHED = Condition(step="push", vertex="RUN", is_=VertexIs.CACHED)
RAN = Condition(step="push", vertex="RUN", is_=VertexIs.RAN)


def test_a_failure_of_a_later_run_is_not_good() -> None:
    """Without ``runs``: the first push is ok, the second and third fail."""
    scenario = pushed(rule(Verdict.GOOD, OK), rule(Verdict.BAD, FAILED))
    assert judge(scenario, seen(0, 0, 0), None).verdict is Verdict.GOOD
    for exits in [(0, 1, 1), (0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 1, 1)]:
        assert judge(scenario, seen(*exits), None).verdict is Verdict.BAD


@pytest.mark.parametrize(
    ("runs", "failures", "verdict"),
    [
        ("any", 0, Verdict.WEAK),
        ("any", 1, Verdict.BAD),
        ("every", 2, Verdict.WEAK),
        ("every", 3, Verdict.BAD),
        ("at least 2", 1, Verdict.WEAK),
        ("at least 2", 2, Verdict.BAD),
        ("at least 2", 3, Verdict.BAD),
    ],
)
def test_runs_say_how_many(runs: str, failures: int, verdict: Verdict) -> None:
    scenario = pushed(rule(Verdict.BAD, replace(FAILED, runs=runs)))
    exits = [1] * failures + [0] * (3 - failures)
    assert judge(scenario, seen(*exits), None).verdict is verdict


def test_facts_of_one_condition_hold_in_one_run() -> None:
    both = replace(OK, vertex="RUN", is_=VertexIs.RAN)
    scenario = pushed(rule(Verdict.BAD, both))
    assert judge(scenario, seen(0, 0, 0, vertices=("cached", "ran")), None).verdict is Verdict.BAD
    apart = seen(0, 1, 0, vertices=("cached", "ran", "cached"))
    assert judge(scenario, apart, None).verdict is Verdict.WEAK
    separate = pushed(rule(Verdict.BAD, replace(OK, runs="any"), RAN))
    assert judge(separate, apart, None).verdict is Verdict.BAD


def test_a_bad_rule_whose_step_is_ok_means_every_run() -> None:
    """As a precondition: where a push failed, what is seen later may come from that."""
    scenario = pushed(rule(Verdict.BAD, OK, RAN))
    ran = ("cached", "ran", "cached")
    assert judge(scenario, seen(0, 0, 0, vertices=ran), None).verdict is Verdict.BAD
    assert judge(scenario, seen(1, 0, 0, vertices=ran), None).verdict is Verdict.WEAK


def test_runs_that_did_not_happen_do_not_count() -> None:
    scenario = pushed(rule(Verdict.GOOD, OK))
    assert judge(scenario, seen(0, 0), None).verdict is Verdict.WEAK


def test_a_step_that_is_not_repeated_is_judged_as_before() -> None:
    once = replace(PUSH, repeat=1)
    scenario = pushed(rule(Verdict.GOOD, OK, CACHED), rule(Verdict.BAD, FAILED), step=once)
    assert judge(scenario, seen(0, vertices=("cached",)), None).name == "good-one"
    assert judge(scenario, seen(1), None) == Outcome(
        name="bad-one", verdict=Verdict.BAD, reason="it is"
    )
    # a run of another step of that name is none of this one's
    assert judge(scenario, seen(0, 1, vertices=("cached",)), None).name == "good-one"


def test_the_reason_says_in_how_many_runs() -> None:
    scenario = pushed(
        rule(Verdict.GOOD, OK), rule(Verdict.BAD, replace(FAILED, runs="at least 2")),
        rule(Verdict.WEAK, FAILED),
    )  # fmt: skip
    assert judge(scenario, seen(0, 0, 0), None).reason == "it is (each of 3 runs of push)"
    assert judge(scenario, seen(0, 1, 1), None).reason == "it is (at least 2 of 3 runs of push)"
    assert judge(scenario, seen(0, 1, 0), None).reason == (
        "it is (at least 1 of 3 runs of push); step push-2 exited 1: denied"
    )


def test_layers_are_compared_run_by_run() -> None:
    def exported(*layers: bool) -> Observation:
        base = seen(0, 0, 0)
        configs = [
            CacheConfig(
                records=(
                    CacheRecord(digest="a", layers=("l",) if kept else ()),
                    CacheRecord(digest="b", inputs=("a",)),
                ),
                layers=("l",),
                form="image",
            )
            for kept in layers
        ]
        steps = zip(base.steps, configs, strict=True)
        return replace(base, steps=tuple(replace(s, export=c) for s, c in steps))

    lost = Condition(step="push", inner_layers=Kept.NONE)
    kept = Condition(step="push", inner_layers=Kept.ALL)
    scenario = pushed(rule(Verdict.GOOD, kept), rule(Verdict.BAD, lost))
    control = exported(True, True, True)
    assert judge(scenario, control, control).verdict is Verdict.GOOD
    outcome = judge(scenario, exported(True, False, True), control)
    assert outcome.verdict is Verdict.BAD
    counts = "1 of 1 and 0 of 1 inner records have layers"
    assert outcome.reason == f"it is (at least 1 of 3 runs of push, {counts})"


EXITS = st.lists(st.sampled_from([0, 1, 125]), min_size=3, max_size=3)
FACTS = st.sampled_from([OK, FAILED, Condition(step="push", stderr="denied"), CACHED, RAN])
VERTICES = st.tuples(*[st.sampled_from(["cached", "ran", ""])] * 3)
VERDICTS = st.sampled_from([Verdict.GOOD, Verdict.BAD, Verdict.WEAK])


def matches(verdict: Verdict, condition: Condition, trial: Observation) -> bool:
    return judge(pushed(rule(verdict, condition)), trial, None).name == f"{verdict}-one"


@settings(deadline=None)
@given(FACTS, VERDICTS, EXITS, VERTICES)
def test_more_runs_hold_less_often(
    facts: Condition, verdict: Verdict, exits: list[int], vertices: tuple[str, ...]
) -> None:
    trial = seen(*exits, vertices=vertices)
    words = ("any", "at least 1", "at least 2", "at least 3", "every")
    held = [matches(verdict, replace(facts, runs=runs), trial) for runs in words]
    assert held == sorted(held, reverse=True)
    assert held[0] == held[1]
    assert held[3] == held[4]


@settings(deadline=None)
@given(FACTS, EXITS, VERTICES)
def test_good_without_runs_means_every_run(
    facts: Condition, exits: list[int], vertices: tuple[str, ...]
) -> None:
    trial = seen(*exits, vertices=vertices)
    alone = [replace(trial, steps=(replace(step, id="push"),)) for step in trial.steps]
    once = pushed(rule(Verdict.GOOD, facts), step=replace(PUSH, repeat=1))
    each = all(judge(once, one, None).verdict is Verdict.GOOD for one in alone)
    assert matches(Verdict.GOOD, facts, trial) == each


@settings(deadline=None)
@given(EXITS, st.permutations(range(3)), FACTS, st.sampled_from(["", "any", "every", "at least 2"]))
def test_the_order_of_runs_does_not_matter(
    exits: list[int], order: list[int], facts: Condition, runs: str
) -> None:
    scenario = pushed(
        rule(Verdict.GOOD, replace(facts, runs=runs)), rule(Verdict.WEAK, replace(OK, runs="any"))
    ) if facts is not OK else pushed(rule(Verdict.GOOD, replace(facts, runs=runs)))  # fmt: skip
    shuffled = [exits[n] for n in order]
    assert judge(scenario, seen(*exits), None) == replace(
        judge(scenario, seen(*exits), None), verdict=judge(scenario, seen(*shuffled), None).verdict
    )


CONDITIONS = st.builds(
    lambda facts, runs: replace(facts, runs=runs),
    FACTS,
    st.sampled_from(["", "any", "every", "at least 2"]),
)
NESTED = st.recursive(
    CONDITIONS,
    lambda inner: st.one_of(
        st.builds(lambda one: Condition(not_=one), inner),
        st.builds(lambda each: Condition(any=tuple(each)), st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=4,
)
RULES = st.lists(
    st.builds(
        lambda verdict, all_: rule(verdict, *all_),
        VERDICTS,
        st.lists(NESTED, min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=3,
)


@settings(deadline=None, max_examples=500)
@given(RULES, EXITS, VERTICES)
def test_a_rule_that_is_refused_never_matches(
    rules: list[Rule], exits: list[int], vertices: tuple[str, ...]
) -> None:
    named = [replace(one, name=f"rule-{n}") for n, one in enumerate(rules)]
    unchecked = Scenario(name="x", title="x", issue="", steps=(PUSH,), outcomes=tuple(named))
    refused = _refused(unchecked)
    assert judge(unchecked, seen(*exits, vertices=vertices), None).name != refused


@settings(deadline=None)
@given(NESTED, VERDICTS, EXITS, VERTICES)
def test_a_condition_or_its_opposite_holds_of_what_is_known(
    condition: Condition, verdict: Verdict, exits: list[int], vertices: tuple[str, ...]
) -> None:
    """With ``runs`` in each condition, so that its opposite is about the same number of runs."""
    exact = _exact(condition)
    trial = seen(*exits, vertices=vertices)

    def known(one: Condition) -> bool | None:
        return holds_in_trial(one, verdict, {"push": PUSH}, trial, None, compared={})

    holds = known(exact)
    assert known(Condition(not_=exact)) is (None if holds is None else not holds)
    assert known(Condition(not_=Condition(not_=condition))) is known(condition)


def _exact(condition: Condition) -> Condition:
    return replace(
        condition,
        runs="" if condition.any or condition.not_ else condition.runs or "any",
        any=tuple(map(_exact, condition.any)),
        not_=condition.not_ and _exact(condition.not_),
    )


def _refused(unchecked: Scenario) -> str:
    """Return the name of the rule that can never match; "" if all can."""
    try:
        check_rules(unchecked)
    except BadInput as error:
        if "can never hold" in error.message:  # a part of a rule that may match
            return ""
        number = re.match(r"outcomes\[(\d)\]: can never match", error.message)
        return unchecked.outcomes[int(number[1])].name if number else error.message
    return ""


NOT_FAILED = Condition(not_=FAILED)


@pytest.mark.parametrize(
    ("condition", "verdict", "exits", "holds"),
    [
        (NOT_FAILED, Verdict.GOOD, (0, 0, 0), True),
        (NOT_FAILED, Verdict.GOOD, (0, 1, 0), False),
        (NOT_FAILED, Verdict.BAD, (0, 1, 1), True),
        (NOT_FAILED, Verdict.BAD, (1, 1, 1), False),
        (Condition(not_=replace(FAILED, runs="at least 2")), Verdict.BAD, (0, 1, 0), True),
        (Condition(not_=replace(FAILED, runs="at least 2")), Verdict.GOOD, (1, 1, 0), False),
        (Condition(not_=OK), Verdict.BAD, (0, 0, 1), True),
        (Condition(not_=OK), Verdict.GOOD, (0, 0, 1), False),
        (Condition(not_=NOT_FAILED), Verdict.GOOD, (0, 0, 1), False),
        (Condition(not_=NOT_FAILED), Verdict.GOOD, (1, 1, 1), True),
        (Condition(any=(FAILED, OK)), Verdict.GOOD, (1, 1, 0), False),
        (Condition(any=(FAILED, OK)), Verdict.GOOD, (1, 1, 1), True),
        (Condition(not_=Condition(any=(FAILED, RAN))), Verdict.GOOD, (0, 0, 0), True),
        (Condition(not_=Condition(any=(FAILED, RAN))), Verdict.GOOD, (0, 0, 1), False),
    ],
)
def test_what_not_means_of_repeated_steps(
    condition: Condition, verdict: Verdict, exits: tuple[int, ...], holds: bool
) -> None:
    """Good: of no run is the condition true. Otherwise: there is a run of which it is not."""
    assert matches(verdict, condition, seen(*exits)) is holds


def test_neither_a_condition_nor_its_opposite_holds_of_a_run_that_did_not_happen() -> None:
    for condition in (FAILED, NOT_FAILED, Condition(not_=OK)):
        assert not matches(Verdict.GOOD, condition, Observation(steps=(), seconds=1))
    # one run is enough to know this
    assert matches(Verdict.BAD, FAILED, seen(1))
    assert matches(Verdict.BAD, NOT_FAILED, seen(0))


def test_the_reason_says_of_how_many_runs_something_is_not_true() -> None:
    good = pushed(rule(Verdict.GOOD, NOT_FAILED), rule(Verdict.BAD, NOT_FAILED))
    assert judge(good, seen(0, 0, 0), None).reason == "it is (none of 3 runs of push)"
    assert judge(good, seen(0, 1, 0), None).reason == "it is (not each of 3 runs of push)"
    most = pushed(rule(Verdict.BAD, Condition(not_=replace(FAILED, runs="at least 2"))))
    assert judge(most, seen(0, 1, 0), None).reason == "it is (fewer than 2 of 3 runs of push)"


CLASHES = [
    ((OK, Condition(not_=OK)), "outcomes[0]: can never match: contradictory"),
    ((Condition(not_=OK), Condition(not_=FAILED)), "outcomes[0]: can never match: contradictory"),
    (
        (Condition(any=(OK, FAILED)), Condition(not_=OK), Condition(not_=FAILED)),
        "outcomes[0]: can never match: each combination of any is contradictory",
    ),
    (
        (FAILED, Condition(any=(OK, RAN))),
        "outcomes[0].all[1].any[0]: can never hold: contradicts the other conditions",
    ),
    (
        (replace(FAILED, stderr="x"), Condition(not_=FAILED)),
        "outcomes[0]: can never match: contradictory",
    ),
]


@pytest.mark.parametrize(("conditions", "message"), CLASHES)
def test_contradictions_between_nested_conditions(
    conditions: tuple[Condition, ...], message: str
) -> None:
    with pytest.raises(BadInput, match=re.escape(message)):
        pushed(rule(Verdict.GOOD, *conditions))


def test_nested_conditions_that_can_hold() -> None:
    """In different runs, or in none."""
    pushed(rule(Verdict.BAD, replace(OK, runs="any"), Condition(not_=OK)))
    pushed(rule(Verdict.BAD, Condition(not_=OK), Condition(not_=FAILED)))
    pushed(rule(Verdict.GOOD, FAILED, Condition(not_=replace(FAILED, stderr="x"))))


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ((Condition(any=(OK, RAN)),), (OK,)),
        ((Condition(any=(OK, RAN)),), (Condition(any=(RAN, OK)),)),
        ((FAILED,), (replace(FAILED, stderr="denied"),)),
        ((replace(FAILED, exit="1-124"),), (replace(FAILED, exit="1"),)),
        ((NOT_FAILED,), (Condition(not_=Condition(any=(FAILED, CACHED))),)),
        ((Condition(not_=replace(FAILED, stderr="x")),), (NOT_FAILED,)),
    ],
)
def test_a_nested_rule_below_one_that_always_matches(
    earlier: tuple[Condition, ...], later: tuple[Condition, ...]
) -> None:
    first, second = rule(Verdict.GOOD, *earlier), replace(rule(Verdict.GOOD, *later), name="second")
    with pytest.raises(BadInput, match=r"outcomes\[1\]: can never match: 'good-one' above always"):
        pushed(first, second)
    if earlier[0] != later[0] and not (earlier[0].any and later[0].any):
        pushed(replace(second, name="good-one"), replace(first, name="second"))


def test_a_rule_that_two_above_cover_together() -> None:
    either = replace(rule(Verdict.BAD, Condition(any=(OK, FAILED))), name="third")
    with pytest.raises(BadInput, match="'good-one' or 'bad-one' above always matches first"):
        pushed(rule(Verdict.GOOD, replace(OK, runs="every")), rule(Verdict.BAD, FAILED), either)


def test_too_many_combinations() -> None:
    ways = Condition(any=tuple(Condition(step="push", stderr=f"x{n}") for n in range(11)))
    with pytest.raises(BadInput, match=r"outcomes\[0\].all: has more than 100 combinations of any"):
        pushed(rule(Verdict.BAD, ways, ways))


def test_a_reproduction_shows_every_run(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    scenario = replace(
        pushed(
            rule(Verdict.GOOD, OK, CACHED),
            rule(Verdict.BAD, replace(FAILED, stderr="denied", runs="at least 2")),
            rule(Verdict.WEAK, Condition(step="push", inner_layers=Kept.NONE)),
        ),
        folders=(tmp_path,),
    )
    made = reproduction.script(scenario, ())
    assert "for step in push push-2 push-3; do" in made
    for run in PUSH.runs:
        assert f"grep -P -m 3 denied {run}.log" in made
        assert f"vertex {run}.log '.*(?:RUN)'" in made
    # They write one folder: what is in it at the end is from the last.
    assert re.findall(r"^echo '-- (.*), its cache'$", made, re.MULTILINE) == ["push-3"]
    assert 'in each of 3 runs: push exits 0; in each of 3 runs: in push, "RUN" is CACHED.' in made
    assert 'in at least 2 of 3 runs: push fails and prints "denied".' in made
