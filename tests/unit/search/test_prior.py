"""Weights of candidates: they change what a search costs, and never its answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Verdict
from buildkit_bisect.search import (
    Answer,
    Ask,
    FlatCost,
    Found,
    Inconclusive,
    Range,
    SearchOptions,
    Skip,
    SkipKind,
    Tested,
)
from buildkit_bisect.search.history import History
from buildkit_bisect.search.posterior import belief
from buildkit_bisect.search.prior import Weights, combined
from buildkit_bisect.search.session import BisectSession
from worlds import World, dice, drive, histories, linear, searched, seen, tip_of

#: From next to nothing to nearly all.
WEIGHTS = st.floats(1e-9, 1e9)

MODES = st.sampled_from([1, 3, None])


def full(name: str) -> str:
    return name.ljust(40, "0")


def session(
    world: World, weights: Mapping[str, float] | None, options: SearchOptions, old: str, new: str
) -> BisectSession:
    return BisectSession(
        History(world.parents),
        good=old,
        bad=new,
        options=options,
        cost=FlatCost(build=10, trial=1),
        weights=weights,
    )


def said(answer: Answer) -> object:
    """Return what an answer names, without how sure it is."""
    match answer:
        case Found():
            return answer.first_bad, answer.merge, {p.commit for p in answer.parents_tested}
        case Range():
            return {c.commit for c in answer.candidates}
    return answer.reason


@settings(max_examples=150, deadline=None)
@given(histories(), st.data(), MODES, st.booleans())
def test_the_answer_is_the_same_under_any_weights(
    parents: dict[str, list[str]], data: st.DataObject, trials: int | None, first_parent: bool
) -> None:
    tip = tip_of(parents)
    culprit = data.draw(st.sampled_from(sorted(parents.keys() - {"m0"})))
    weights = {c: data.draw(WEIGHTS) for c in sorted(parents.keys() - {"m0"})}
    world = World(parents, culprit)
    if not world.is_new(tip):
        return  # a branch that was never merged
    options = SearchOptions(trials=trials, first_parent=first_parent)
    plain, _ = drive(session(world, None, options, "m0", tip), world.answer)
    weighed, _ = drive(session(world, weights, options, "m0", tip), world.answer)
    assert isinstance(weighed, Found)
    assert weighed.first_bad == culprit
    assert said(weighed) == said(plain)


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 40), st.data(), MODES)
def test_so_is_the_range_that_commits_which_do_not_build_leave(
    size: int, data: st.DataObject, trials: int | None
) -> None:
    parents = linear(size)
    inner = sorted(parents.keys() - {"c0", f"c{size}"})
    culprit = data.draw(st.sampled_from(sorted(parents.keys() - {"c0"})))
    broken = data.draw(st.sets(st.sampled_from(inner), max_size=8)) if inner else set()
    weights = {c: data.draw(WEIGHTS) for c in sorted(parents.keys() - {"c0"})}
    world = World(parents, culprit, broken=frozenset(broken))
    options = SearchOptions(trials=trials)
    plain, _ = drive(session(world, None, options, "c0", f"c{size}"), world.answer)
    weighed, _ = drive(session(world, weights, options, "c0", f"c{size}"), world.answer)
    assert type(weighed) is type(plain)
    assert said(weighed) == said(plain)


@settings(max_examples=100, deadline=None)
@given(histories(), st.data(), MODES)
def test_where_merges_hide_it_the_culprit_is_in_the_range(
    parents: dict[str, list[str]], data: st.DataObject, trials: int | None
) -> None:
    tip = tip_of(parents)
    inner = sorted(parents.keys() - {"m0", tip})
    culprit = data.draw(st.sampled_from(sorted(parents.keys() - {"m0"})))
    broken = data.draw(st.sets(st.sampled_from(inner), max_size=6)) if inner else set()
    weights = {c: data.draw(WEIGHTS) for c in sorted(parents.keys() - {"m0"})}
    world = World(parents, culprit, broken=frozenset(broken))
    if not world.is_new(tip):
        return
    one = session(world, weights, SearchOptions(trials=trials), "m0", tip)
    answer, _ = drive(one, world.answer)
    if isinstance(answer, Found):
        assert answer.first_bad == culprit
    elif isinstance(answer, Range):
        assert culprit in {c.commit for c in answer.candidates}


@settings(max_examples=60, deadline=None)
@given(histories(largest=30), st.data(), st.integers(0, 2**32))
def test_the_confidence_of_a_noisy_search_does_not_know_the_weights(
    parents: dict[str, list[str]], data: st.DataObject, seed: int
) -> None:
    tip = tip_of(parents)
    culprit = data.draw(st.sampled_from(sorted(parents.keys() - {"m0"})))
    world = World(parents, culprit)
    if not world.is_new(tip):
        return
    weights = {c: data.draw(WEIGHTS) for c in sorted(parents.keys() - {"m0"})}
    rng = dice(seed)

    def answer(ask: Ask) -> Tested:
        rate = 0.9 if world.is_new(ask.commit) else 0.1
        shows = sum(rng.random() < rate for _ in range(ask.trials))
        return seen(dropped=shows, cached=ask.trials - shows)

    one = session(world, weights, SearchOptions(), "m0", tip)
    found, _ = drive(one, answer, limit=1000)
    other = session(world, None, SearchOptions(), "m0", tip)
    for ask, commit, tested in one.steps:
        assert ask
        # As if it had asked the same: which phase a trial is of counts for contradictions.
        other._next = ask
        other.tell(commit, tested)
    if isinstance(found, Found):
        assert other.next() == found  # to the last digit, with the same credible set


@settings(max_examples=50, deadline=None)
@given(histories(largest=30), st.data(), MODES, WEIGHTS)
def test_equal_weights_ask_what_no_weights_ask(
    parents: dict[str, list[str]], data: st.DataObject, trials: int | None, weight: float
) -> None:
    tip = tip_of(parents)
    world = World(parents, data.draw(st.sampled_from(sorted(parents.keys() - {"m0"}))))
    if not world.is_new(tip):
        return
    options = SearchOptions(trials=trials)
    equal = dict.fromkeys(parents, weight)
    _, plain = drive(session(world, None, options, "m0", tip), world.answer)
    _, weighed = drive(session(world, equal, options, "m0", tip), world.answer)
    assert weighed == plain


@pytest.mark.parametrize("trials", [1, None])
def test_what_is_likely_is_found_sooner_and_what_is_not_a_little_later(trials: int | None) -> None:
    size = 256
    parents, options = linear(size), SearchOptions(trials=trials)
    even = math.log2(size)
    likely = {f"c{i}": 1.0 for i in range(100, 108)}

    def builds(culprit: int) -> int:
        world = World(parents, f"c{culprit}")
        answer, asks = drive(session(world, likely, options, "c0", f"c{size}"), world.answer)
        assert isinstance(answer, Found)
        assert answer.first_bad == f"c{culprit}"
        return len({a.commit for a in asks} - {"c0", f"c{size}"})

    # Eight of 256 share half of the weight: about four halvings instead of eight.
    found = [builds(i) for i in range(100, 108)]
    assert sum(found) / len(found) <= even - 2
    assert max(builds(i) for i in range(1, size + 1, 5)) <= even + 2


@given(st.integers(2, 300), st.integers(0, 2**32))
def test_no_candidate_has_much_less_than_half_of_its_even_share(size: int, seed: int) -> None:
    history = History(linear(size))
    rng = dice(seed)
    given_ = {f"c{i}": 10 ** rng.uniform(-9, 9) for i in range(1, size + 1)}
    space = history.ancestors(f"c{size}") & ~history.ancestors("c0")
    weights = Weights.among(space, history, given_)
    least = min(weights.of(1 << history.number(c)) for c in given_)
    # Rounding to powers of two moves each weight by a factor of at most sqrt(2).
    assert least / weights.of(space) * size >= 0.5 / math.sqrt(2) - 1e-9


def test_weights_of_sets_add_up() -> None:
    history = History(linear(4))
    every = history.ancestors("c4")
    weights = Weights.among(every, history, {"c1": 1, "c2": 5, "c4": 1})
    assert not weights.even
    assert weights.of(every) == sum(weights.of(1 << i) for i in range(len(history)))
    assert weights.of(1 << history.number("c2")) > weights.of(1 << history.number("c3"))
    table = history.table(every)
    assert [*weights.within(table, every)] == [
        weights.of(history.ancestors_at(int(row)) & every) for row in table.rows
    ]
    assert Weights().even
    for alike in ({}, {"c1": 0.0, "c2": 0.0}, dict.fromkeys(linear(4), 3.0)):
        assert Weights.among(every, history, alike).even


def test_what_is_believed_adds_up_under_weights() -> None:
    world = World(linear(64), "c20")
    one = session(world, {"c9": 3.0, "c40": 1.0}, SearchOptions(), "c0", "c64")
    while isinstance(ask := one.next(), Ask):
        one.tell(ask.commit, world.answer(ask))
        state = one._state
        if state.floor:
            now = belief(state, state.weights)
            assert now.cells.within.max(axis=0) @ now.each + now.no_change == pytest.approx(1)
            assert now.mass.sum() + now.no_change == pytest.approx(1)


def test_sources_of_weights_share_equally() -> None:
    found = combined(["a", "b", "c"], [{"a": 7}, {"a": 1, "b": 3}, {}, dict.fromkeys("abc", 2.0)])
    assert found == {"a": 1.25, "b": 0.75, "c": 0.0}
    assert combined(["a"], []) == {"a": 0.0}


def test_a_step_says_that_weights_chose_it() -> None:
    parents = linear(64)
    world = World(parents, "c9")
    for trials, words in ((1, "of the weight in what it contains"), (None, "by the prior")):
        one = session(world, {"c9": 1.0, "c10": 1.0}, SearchOptions(trials=trials), "c0", "c64")
        _, asks = drive(one, world.answer)
        assert words in searched(asks)[0].why
        plain = session(world, None, SearchOptions(trials=trials), "c0", "c64")
        assert not any("prior" in a.why for a in drive(plain, world.answer)[1])


def test_weights_may_come_later() -> None:
    parents = linear(64)
    world = World(parents, "c9")
    one = session(world, None, SearchOptions(trials=1), "c0", "c64")
    for _ in range(2):  # the ends
        ask = one.next()
        assert isinstance(ask, Ask)
        one.tell(ask.commit, world.answer(ask))
    one.prefer({"c9": 1.0})
    ask = one.next()
    assert isinstance(ask, Ask)
    assert ask.commit in {"c8", "c9"}
    with pytest.raises(BadInput, match="nowhere"):
        one.prefer({"nowhere": 1.0})


def test_an_undecided_search_stays_undecided() -> None:
    world = World(linear(64), "c9")
    options = replace(SearchOptions(), max_trials=30)
    rng = dice(1)

    def coin(ask: Ask) -> Tested:
        shows = sum(
            rng.random() < (0.8 if world.is_new(ask.commit) else 0.3) for _ in range(ask.trials)
        )
        return seen(dropped=shows, cached=ask.trials - shows)

    answer, _ = drive(session(world, {"c50": 1e9}, options, "c0", "c64"), coin)
    assert isinstance(answer, Inconclusive)
    assert all(c.commit != "c50" for c in answer.candidates[:1])


@pytest.mark.parametrize("mode", [1, 3, None])
@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("culprit", ["c07", "c00"])
def test_a_search_comes_to_commits_outside_of_the_weights(
    mode: int | None, k: int, culprit: str
) -> None:
    """The merge base cannot be built, so the good end moves back among commits without weights."""
    line = [f"a{i}" for i in range(10)] + [f"c{i:02}" for i in range(30)]
    parents = {full(name): [full(before)] for before, name in pairwise(line)}
    parents |= {full("a0"): [], full("b"): [full("a9")]}
    history = History(parents)
    search = BisectSession(
        history,
        good=full("b"),
        bad=full("c29"),
        options=SearchOptions(trials=mode),
        weights={full("c05"): 5.0, full("c20"): 1.0},
    )
    broken = {full(name) for name in ("a9", "a8", "a6")}
    while isinstance(step := search.next_k(k), tuple):
        for ask in step:
            bad = history.ancestors(ask.commit) >> history.number(full(culprit)) & 1
            tested = Tested(
                counts={"bad" if bad else "good": ask.trials},
                verdicts={"bad": Verdict.BAD, "good": Verdict.GOOD},
                binary=ask.commit,
            )
            cannot = Tested(skip=Skip(kind=SkipKind.BUILD, reason="x"))
            search.tell(ask.commit, cannot if ask.commit in broken else tested)
    match step:
        case Found():
            assert step.first_bad == full(culprit) == full("c07")
        case _:
            assert isinstance(step, Range)
            assert full(culprit) in {one.commit for one in step.candidates}
            assert culprit == "c00", "the two before it cannot be built"
