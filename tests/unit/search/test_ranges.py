"""A range lists commits that were tried and could not be tested, and never another one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit_bisect.search import (
    Ask,
    BisectSession,
    Found,
    History,
    Inconclusive,
    Range,
    SearchOptions,
)
from worlds import World, dice, drive, histories, linear, tip_of

MODES = st.sampled_from([1, 3, None])


def assert_a_range_is_of_tried_commits(answer: Range, asks: list[Ask], world: World) -> None:
    tried = {a.commit for a in asks}
    names = {c.commit for c in answer.candidates}
    assert world.culprit in names
    assert names <= tried
    # All but the first commit that is surely new could not be tested.
    assert names & world.broken
    assert len(names - world.broken) <= 1
    assert all(c.reason != "not tested" for c in answer.candidates)


@given(st.data(), MODES, st.booleans(), st.integers(0, 10**6))
@settings(max_examples=300, deadline=None)
def test_every_mode_finds_the_commit_or_a_range_of_tried_ones(
    data: st.DataObject, trials: int | None, first_parent: bool, seed: int
) -> None:
    parents = data.draw(histories())
    rng = dice(seed)
    tip = tip_of(parents)
    old = "m0"
    if data.draw(st.booleans()):  # a release branch from the first commit
        parents |= {"r1": ["m0"], "r2": ["r1"]}
        old = "r2"
    inside = sorted(World(parents, "m0").ancestors(tip) - {"m0"})
    culprit = rng.choice(inside)
    share = rng.choice([0.0, 0.1, 0.3, 0.5])
    broken = frozenset(c for c in inside if c != tip and rng.random() < share)
    world = World(parents, culprit, broken=broken)
    options = SearchOptions(trials=trials, first_parent=first_parent, max_skips=100)
    one = BisectSession(History(parents), good=old, bad=tip, options=options)
    answer, asks = drive(one, world.answer)
    if isinstance(answer, Range):
        assert_a_range_is_of_tried_commits(answer, asks, world)
    else:
        assert isinstance(answer, Found)
        assert answer.first_bad == culprit
        assert answer.confidence >= 0.95


def test_a_merge_that_cannot_be_tested_may_be_the_only_explanation() -> None:
    """All that contains m2 is new, its parents are old, and it does not compile itself."""
    parents = {"m0": [], "b1": ["m0"], "m1": ["m0"], "m2": ["m1", "b1"]}
    parents |= {"b2": ["m2"], "b3": ["m2"], "m3": ["m2", "b2", "b3"]}
    world = World(parents, "m2", broken=frozenset({"m2"}))
    one = BisectSession(History(parents), good="m0", bad="m3")
    answer, asks = drive(one, world.answer)
    assert isinstance(answer, Range)
    assert_a_range_is_of_tried_commits(answer, asks, world)
    assert [c.commit for c in answer.candidates] == ["m2"]
    assert answer.reason == "m2 is most likely, but m2 could not be tested"


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
            assert_a_range_is_of_tried_commits(answer, asks, world)
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
    assert answer.reason.startswith("16 commits in a row could not be tested, and ")
    assert "not tried" in answer.reason
    assert "c100" in {c.commit for c in answer.candidates}
    assert len(asks) < 80
