"""A range lists commits that were tried and could not be tested, and never another one."""

from __future__ import annotations

import re
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit_bisect.search import (
    Answer,
    Ask,
    Found,
    Inconclusive,
    Range,
    RefusalKind,
    Refused,
    SearchOptions,
    Skip,
    SkipKind,
    Tested,
)
from buildkit_bisect.search.history import History
from buildkit_bisect.search.session import BisectSession
from worlds import BROKEN, Case, World, dice, drive, hard_case, linear, seen

MODES = st.sampled_from([1, 3, None])


def run(
    case: Case,
    *,
    trials: int | None,
    first_parent: bool = True,
    find_fix: bool = False,
    max_skips: int = 16,
    rates: tuple[float, float] = (1.0, 0.0),
    down_from: int = 10**6,
    seed: int = 0,
) -> tuple[Answer, list[Ask]]:
    """Drive one search; from the ask numbered *down_from* on the registry is down."""
    options = SearchOptions(
        trials=trials, first_parent=first_parent, find_fix=find_fix, max_skips=max_skips
    )
    good, bad = (case.tip, case.old) if find_fix else (case.old, case.tip)
    one = BisectSession(History(case.world.parents), good=good, bad=bad, options=options)
    rng, asked = dice(seed), count(1)

    def answer(ask: Ask) -> Tested:
        if next(asked) > down_from:
            return Tested(skip=Skip(kind=SkipKind.INFRA, reason="registry is down"))
        if ask.commit in case.world.broken:
            return BROKEN
        rate = rates[0] if case.world.is_new(ask.commit) else rates[1]
        new = sum(rng.random() < rate for _ in range(ask.trials))
        old = ask.trials - new
        return seen(dropped=old, cached=new) if find_fix else seen(dropped=new, cached=old)

    return drive(one, answer)


def assert_honest(answer: Answer, asks: list[Ask], world: World, *, down: bool = False) -> None:
    """What holds of every answer, also if trials err or the infrastructure fails half-way."""
    if isinstance(answer, Range):
        tried = {a.commit for a in asks}
        names = {c.commit for c in answer.candidates}
        assert names <= tried
        assert len(names) == len(answer.candidates)
        assert down or names & world.broken
        # All but the first commit that is surely new could not be tested.
        assert down or len(names - world.broken) <= 1
    if isinstance(answer, Inconclusive) and "not tried" in answer.reason:
        assert "not tested" in {c.reason for c in answer.candidates}
    else:
        assert isinstance(answer, Inconclusive) or "not tested" not in str(answer)
    if not isinstance(answer, Found):
        assert answer.reason


@given(st.integers(0, 2**32), MODES, st.booleans(), st.booleans(), st.sampled_from([3, 16, 100]))
@settings(max_examples=500, deadline=None)
def test_every_mode_finds_the_commit_or_a_range_of_tried_ones(
    seed: int, trials: int | None, first_parent: bool, find_fix: bool, max_skips: int
) -> None:
    case = hard_case(seed)
    answer, asks = run(
        case, trials=trials, first_parent=first_parent, find_fix=find_fix, max_skips=max_skips
    )
    world = case.world
    assert_honest(answer, asks, world)
    if isinstance(answer, Found):
        assert answer.first_bad == world.culprit
        assert answer.confidence >= 0.95
    elif isinstance(answer, Refused):  # only for what the merge base shows, or hides
        assert answer.kind in {RefusalKind.UNTESTABLE, RefusalKind.MERGE_BASE}
        assert case.old == "r2"
    else:
        assert world.culprit in {c.commit for c in answer.candidates}
        if isinstance(answer, Inconclusive):
            assert max_skips < 100
            assert "commits in a row could not be tested, so" in answer.reason


@given(
    st.integers(0, 2**32),
    MODES,
    st.tuples(st.booleans(), st.booleans()),
    st.sampled_from([(0.9, 0.1), (0.7, 0.0), (0.4, 0.0)]),
    st.sampled_from([2, 5, 12, 10**6]),
)
@settings(max_examples=200, deadline=None)
def test_every_search_ends_and_claims_no_more_than_was_tried(
    seed: int,
    trials: int | None,
    how: tuple[bool, bool],
    rates: tuple[float, float],
    down_from: int,
) -> None:
    case = hard_case(seed)
    answer, asks = run(
        case,
        trials=trials,
        first_parent=how[0],
        find_fix=how[1],
        rates=rates,
        down_from=down_from,
        seed=seed,
    )
    assert_honest(answer, asks, case.world, down=down_from < 10**6)


@pytest.mark.parametrize(("trials", "wrong"), [(1, 0.08), (3, 0.03), (None, 0.05)])
def test_a_range_holds_the_culprit_where_trials_err(trials: int | None, wrong: float) -> None:
    """One trial of each commit is not enough to trust the bounds of a range: they run again."""
    answers = []
    for seed in range(120):
        case = hard_case(seed)
        answer, _ = run(case, trials=trials, rates=(0.7, 0.0), seed=seed)
        if isinstance(answer, Range) and not case.world.fix:
            answers.append(case.world.culprit in {c.commit for c in answer.candidates})
        elif isinstance(answer, Found):
            answers.append(answer.first_bad == case.world.culprit)
    assert len(answers) > 50
    assert answers.count(False) <= wrong * len(answers)


@given(MODES, st.booleans())
@settings(deadline=None)
def test_a_change_that_the_release_branch_undid_is_not_excluded(
    trials: int | None, first_parent: bool
) -> None:
    """The merge base does not compile; the older end contains the culprit and its fix."""
    parents = {f"m{i}": [f"m{i - 1}"] if i else [] for i in range(12)} | {
        "r1": ["m6"],
        "r2": ["r1"],
    }
    broken = frozenset({"m5", "m6", "m7"})
    case = Case(world=World(parents, "m5", fix="r1", broken=broken), old="r2", tip="m11")
    answer, asks = run(case, trials=trials, first_parent=first_parent)
    assert isinstance(answer, Range)
    assert_honest(answer, asks, case.world)
    assert {c.commit for c in answer.candidates} == {"m5", "m6", "m7", "m8"}


def test_a_merge_that_cannot_be_tested_may_be_the_only_explanation() -> None:
    """All that contains m2 is new, its parents are old, and it does not compile itself."""
    parents = {"m0": [], "b1": ["m0"], "m1": ["m0"], "m2": ["m1", "b1"]}
    parents |= {"b2": ["m2"], "b3": ["m2"], "m3": ["m2", "b2", "b3"]}
    world = World(parents, "m2", broken=frozenset({"m2"}))
    one = BisectSession(History(parents), good="m0", bad="m3")
    answer, asks = drive(one, world.answer)
    assert isinstance(answer, Range)
    assert_honest(answer, asks, world)
    assert [c.commit for c in answer.candidates] == ["m2"]
    assert answer.reason == ("the trials of other commits point to m2, but it could not be tested")


@pytest.mark.parametrize("trials", [1, 3, None])
def test_branches_of_merges_that_do_not_compile_are_looked_into(trials: int | None) -> None:
    """Three merges in a row do not compile, while what they merged does."""
    parents = {f"m{i}": [f"m{i - 1}"] if i else [] for i in range(20)}
    for i in (9, 10, 11):
        parents |= {f"b{i}": ["m6"], f"m{i}": [f"m{i - 1}", f"b{i}"]}
    for culprit in ("b9", "b10", "b11", "m12"):
        world = World(parents, culprit, broken=frozenset({"m9", "m10", "m11"}))
        options = SearchOptions(trials=trials)
        one = BisectSession(History(parents), good="m0", bad="m19", options=options)
        answer, asks = drive(one, world.answer)
        assert {"b9", "b10", "b11"} <= {a.commit for a in asks} or isinstance(answer, Found)
        if culprit == "m12":
            assert isinstance(answer, Range)
            assert_honest(answer, asks, world)
            assert {c.commit for c in answer.candidates} == {"m9", "m10", "m11", "m12"}
        else:
            assert isinstance(answer, Found)
            assert answer.first_bad == culprit


@pytest.mark.parametrize("trials", [1, 3, None])
def test_too_many_skips_in_a_row_are_no_range(trials: int | None) -> None:
    parents = linear(200)
    world = World(parents, "c100", broken=frozenset(f"c{i}" for i in range(60, 141)))
    options = SearchOptions(trials=trials)
    one = BisectSession(History(parents), good="c0", bad="c200", options=options)
    answer, asks = drive(one, world.answer)
    assert isinstance(answer, Inconclusive)
    assert re.fullmatch(
        r"\d+ commits in a row could not be tested, so \d+ of the \d+ candidates were not tried",
        answer.reason,
    )
    assert "c100" in {c.commit for c in answer.candidates}
    assert len(asks) < 80
