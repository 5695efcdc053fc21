"""Bisection where trials can lie."""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit_bisect.search import (
    Ask,
    Found,
    Inconclusive,
    NearestBuilt,
    Phase,
    Range,
    RefusalKind,
    Refused,
    SearchOptions,
    Tested,
)
from buildkit_bisect.search.cells import Cells
from buildkit_bisect.search.history import History
from buildkit_bisect.search.information import Outlook
from buildkit_bisect.search.posterior import MARGIN, cautious, likelihoods, stated
from buildkit_bisect.search.rates import FIX, REGRESSION, RatePrior
from buildkit_bisect.search.session import BisectSession
from worlds import World, dice, drive, histories, linear, random_history, searched, seen, tip_of


def noisy(
    world: World, rng: random.Random, *, with_it: float, without: float = 0.0
) -> Callable[[Ask], Tested]:
    def answer(ask: Ask) -> Tested:
        if ask.commit in world.broken:
            return world.answer(ask)
        rate = with_it if world.is_new(ask.commit) else without
        shows = sum(rng.random() < rate for _ in range(ask.trials))
        return seen(dropped=shows, cached=ask.trials - shows)

    return answer


def test_automatic_mode_builds_no_more_where_nothing_lies() -> None:
    parents = linear(409)
    history = History(parents)
    for culprit in (1, 100, 204, 409):
        one = BisectSession(history, good="c0", bad="c409")
        answer, asks = drive(one, World(parents, f"c{culprit}").answer)
        assert isinstance(answer, Found)
        assert answer.first_bad == f"c{culprit}"
        assert 0.95 <= answer.confidence < 1
        built = {a.commit for a in asks} - {"c0", "c409"}
        assert len(built) <= 10


def test_errors_in_a_fixed_number_of_trials_are_met_with_probabilities() -> None:
    parents = linear(64)
    rng = dice(5)
    right = 0
    for _ in range(20):
        world = World(parents, f"c{rng.randint(1, 64)}")
        options = SearchOptions(trials=3)
        one = BisectSession(History(parents), good="c0", bad="c64", options=options)
        answer, asks = drive(one, noisy(world, rng, with_it=0.7))
        assert {a.trials for a in asks if a.phase is not Phase.PROOF} == {3}
        right += isinstance(answer, Found) and answer.first_bad == world.culprit
    assert right >= 17


def test_a_good_endpoint_on_top_of_bad_commits_is_reported_soon() -> None:
    """As 6c0aa8c8f in moby/buildkit: good only until its pull request's last commit.

    The line that it left is bad all along, so the candidate's parent never is good.
    """
    parents = {**linear(80), "good": ["c0"], "worse": ["good"]}
    parents["c40"] = ["c39", "worse"]

    def answer(ask: Ask) -> Tested:
        return seen(cached=ask.trials) if ask.commit == "good" else seen(dropped=ask.trials)

    one = BisectSession(History(parents), good="good", bad="c80")
    result, asks = drive(one, answer)
    assert isinstance(result, Inconclusive)
    assert "changed more than once" in result.reason
    assert {c.commit for c in result.candidates} == {"c0", "good"}
    assert len(asks) <= 30
    assert len([a for a in asks if a.phase is Phase.PROOF]) <= 3
    why = next(a.why for a in asks if "noise, or two changes?" in a.why)
    assert re.match(r"c0 shows dropped \(. of .\), and good, which contains it, cached", why)


def test_one_false_alarm_below_the_good_endpoint_is_not_a_second_change() -> None:
    parents = linear(16)
    one = BisectSession(History(parents), good="c4", bad="c16")
    one.next()
    one.tell("c2", seen(dropped=1))  # known from another campaign
    answer, asks = drive(one, World(parents, "c9").answer)
    assert isinstance(answer, Found)
    assert answer.first_bad == "c9"
    assert {a.commit for a in asks if "noise, or two changes?" in a.why} <= {"c2"}


@pytest.mark.parametrize("first_parent", [True, False])
def test_branches_and_skips_under_noise(first_parent: bool) -> None:
    right = 0
    for seed in range(30):
        rng = dice(seed)
        parents = random_history(rng, 40)
        tip = tip_of(parents)
        inside = sorted(World(parents, "m0").ancestors(tip) - {"m0"})
        culprit = rng.choice(inside)
        broken = frozenset(c for c in inside if c not in {culprit, tip} and rng.random() < 0.15)
        world = World(parents, culprit, broken=broken)
        options = SearchOptions(first_parent=first_parent)
        one = BisectSession(History(parents), good="m0", bad=tip, options=options)
        answer, _ = drive(one, noisy(world, rng, with_it=0.7))
        if isinstance(answer, Range | Inconclusive):
            right += culprit in {c.commit for c in answer.candidates}
        else:
            assert isinstance(answer, Found)
            right += answer.first_bad == culprit
            assert answer.confidence >= 0.95
            assert all(p.old >= 2 for p in answer.parents_tested)
    assert right >= 27


def test_a_flaky_bug_is_followed_into_its_merge() -> None:
    parents = {f"m{i}": [f"m{i - 1}"] if i else [] for i in range(8)}
    parents |= {f"b{i}": [f"b{i - 1}" if i > 1 else "m2"] for i in range(1, 7)}
    parents["m5"] = ["m4", "b6"]
    for seed in range(5):
        one = BisectSession(History(parents), good="m0", bad="m7")
        answer, asks = drive(one, noisy(World(parents, "b4"), dice(seed), with_it=0.7))
        assert isinstance(answer, Found)
        assert (answer.first_bad, answer.merge) == ("b4", "m5")
        phases = [a.phase for a in searched(asks)]
        assert phases[0] is Phase.FIRST_PARENT
        assert Phase.DESCEND in phases


def test_only_skips_left_is_a_range_under_noise_too() -> None:
    parents = linear(32)
    world = World(parents, "c15", broken=frozenset(f"c{i}" for i in range(13, 18)))
    one = BisectSession(History(parents), good="c0", bad="c32")
    answer, _ = drive(one, noisy(world, dice(1), with_it=0.6))
    assert isinstance(answer, Range)
    assert [c.commit for c in answer.candidates] == [f"c{i}" for i in range(13, 19)]
    assert all(c.probability for c in answer.candidates)


def test_endpoints_that_do_not_differ_are_refused() -> None:
    rng = dice(7)
    parents = linear(20)

    def coin(ask: Ask) -> Tested:
        shows = sum(rng.random() < 0.3 for _ in range(ask.trials))
        return seen(dropped=shows, cached=ask.trials - shows)

    answer, _ = drive(BisectSession(History(parents), good="c0", bad="c20"), coin)
    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.ALIKE
    assert re.match(
        r"the outcome does not change between the endpoints( \(\d\d% likely\))?: c0 shows ",
        answer.reason,
    )
    assert answer.hint == "./inv run --rev c20 --trials 20"


def test_a_silent_bad_end_is_asked_again_before_it_is_refused() -> None:
    parents = linear(20)
    answer, asks = drive(
        BisectSession(History(parents), good="c0", bad="c20"), lambda a: seen(cached=a.trials)
    )
    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.NOT_BAD
    assert re.fullmatch(
        r"the outcome does not change between the endpoints: c0 shows cached \((\d+) of \1\), "
        r"c20 shows cached \((\d+) of \2\)",
        answer.reason,
    )
    assert {a.commit for a in asks} == {"c0", "c20"}
    assert sum(a.trials for a in asks) <= 25


def test_one_sided_asks_may_stop_at_the_first_alarm() -> None:
    parents = linear(100)
    world = World(parents, "c60")
    one = BisectSession(History(parents), good="c0", bad="c100")
    answer, asks = drive(one, noisy(world, dice(3), with_it=0.5))
    assert isinstance(answer, Found)
    assert any(a.until_bad and a.trials > 1 for a in searched(asks))


def test_trials_that_cannot_decide_end() -> None:
    """Past c50 every build behaves differently: no single change explains it."""
    parents = linear(100)
    rng = dice(2)

    def answer(ask: Ask) -> Tested:
        at = int(ask.commit[1:])
        rate = 0.02 if at <= 10 else 0.98 if at >= 90 else 0.5
        shows = sum(rng.random() < rate for _ in range(ask.trials))
        return seen(dropped=shows, cached=ask.trials - shows)

    options = SearchOptions(max_trials=150)
    one = BisectSession(History(parents), good="c0", bad="c100", options=options)
    result, asks = drive(one, answer)
    assert sum(a.trials for a in asks) <= 150 + 12 + 12
    if isinstance(result, Found):
        assert result.confidence < 1
    else:
        assert isinstance(result, Inconclusive)
        assert result.candidates


@given(st.integers(0, 10**6), st.integers(0, 60))
@settings(max_examples=25, deadline=None)
def test_the_same_results_give_the_same_asks_under_noise(seed: int, crash: int) -> None:
    parents = linear(60)
    history = History(parents)

    def fresh() -> BisectSession:
        cost = NearestBuilt([f"c{i}" for i in range(61)])
        return BisectSession(history, good="c0", bad="c60", cost=cost)

    first = fresh()
    answer, asks = drive(first, noisy(World(parents, "c23"), dice(seed), with_it=0.6))
    again = fresh()
    for ask, commit, tested in first.steps[:crash]:
        assert again.next() == ask
        again.tell(commit, tested)
    told = dict(enumerate(first.steps))
    at = min(crash, len(asks))
    while isinstance(step := again.next(), Ask):
        assert step == asks[at]
        again.tell(step.commit, told[at][2])
        at += 1
    assert step == answer


@pytest.mark.parametrize("prior", [REGRESSION, FIX])
def test_the_posterior_is_that_of_the_formula(prior: RatePrior) -> None:
    """Three candidates, by brute force over every pair of rates."""
    inside = np.array([[1.0, 1, 1], [0, 1, 1], [0, 0, 1]])  # [candidate, test]
    new, old = np.array([0.0, 3, 4]), np.array([2.0, 1, 0])
    given = likelihoods(prior, inside, new, old)
    for cell in range(3):
        expected = 0.0
        for i, p in enumerate(prior.rates):
            for j, q in enumerate(prior.rates):
                rates = np.where(inside[cell] > 0, p, q)
                expected += prior.pairs[i, j] * math.prod(rates**new * (1 - rates) ** old)
        assert math.exp(given.log[cell]) == pytest.approx(expected)
        assert given.with_it[cell].sum() == pytest.approx(1)
        assert given.without[cell].sum() == pytest.approx(1)
    alike = sum(
        w * r ** new.sum() * (1 - r) ** old.sum()
        for w, r in zip(prior.alike, prior.rates, strict=True)
    )
    assert math.exp(given.log_alike) == pytest.approx(alike)


@pytest.mark.parametrize("doubt", [0.4, 0.2, 0.05, 0.02, 0.01, 0.001])
@pytest.mark.parametrize("near", [1.0, 1.7, 4.0])
def test_what_is_stated_is_what_was_asked_for(doubt: float, near: float) -> None:
    assert cautious(doubt, near) <= doubt / MARGIN / near
    assert stated(1 - cautious(doubt, near), near) == pytest.approx(1 - doubt)


def test_thousands_of_trials_do_not_underflow() -> None:
    inside = np.array([[1.0, 1], [0, 1]])
    given = likelihoods(REGRESSION, inside, np.array([9_000.0, 10]), np.array([10.0, 8_000]))
    assert np.isfinite(given.log).all()
    assert np.isfinite(given.log_alike)
    assert given.with_it[0].sum() == pytest.approx(1)


def test_a_fix_is_a_regression_with_the_sides_swapped() -> None:
    inside = np.array([[1.0, 1], [0, 1]])
    new, old = np.array([2.0, 3]), np.array([1.0, 0])
    broke = likelihoods(REGRESSION, inside, new, old)
    fixed = likelihoods(FIX, 1 - inside, old, new)
    assert broke.log == pytest.approx(fixed.log)
    assert broke.with_it == pytest.approx(fixed.without[:, ::-1])


def test_the_prior_is_of_pairs_that_differ_the_right_way() -> None:
    for prior in (REGRESSION, FIX):
        assert prior.pairs.sum() == pytest.approx(1)
        assert prior.alike.sum() == pytest.approx(1)
        for i, j in zip(*np.nonzero(prior.pairs), strict=True):
            assert prior.rates[i] - prior.rates[j] > 0.1499


@given(histories(), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_cells_are_what_the_tests_tell_apart(parents: dict[str, list[str]], seed: int) -> None:
    history, rng = History(parents), dice(seed)
    tip = tip_of(parents)
    reach = history.ancestors(tip) & ~history.ancestors("m0")
    space = reach & ~(1 << history.number(rng.choice(history.shas(reach))))
    cells = Cells(history, reach, space)
    ran = rng.sample(sorted(parents), min(len(parents), 20))
    for commit in [*ran, *ran[:3]]:
        cells.cut(commit)
    assert list(cells.tests) == ran
    by_side: dict[tuple[bool, ...], int] = {}
    for c in history.shas(space):
        side = tuple(history.contains(t, c) for t in ran)
        by_side[side] = by_side.get(side, 0) | 1 << history.number(c)
    assert {
        tuple(bool(x) for x in row): members
        for row, members in zip(cells.inside, cells.members, strict=True)
        if members
    } == by_side
    for row, number in enumerate(cells.rows):
        for cell, members in enumerate(cells.members):
            expected = (history.ancestors_at(int(number)) & members).bit_count()
            assert cells.within[row, cell] == expected
    assert list(cells.where(space)) == [bool(space >> int(n) & 1) for n in cells.rows]


def test_find_fix_under_noise() -> None:
    """A flaky bug that was fixed: good trials of an old commit prove little, one bad one much."""
    parents = linear(100)
    right = 0
    for seed in range(12):
        rng = dice(seed)
        fixed = rng.randint(1, 100)

        def answer(ask: Ask, rng: random.Random = rng, fixed: int = fixed) -> Tested:
            rate = 0.0 if int(ask.commit[1:]) >= fixed else 0.5
            bad = sum(rng.random() < rate for _ in range(ask.trials))
            return seen(dropped=bad, cached=ask.trials - bad)

        options = SearchOptions(find_fix=True)
        one = BisectSession(History(parents), good="c100", bad="c0", options=options)
        found, asks = drive(one, answer)
        right += isinstance(found, Found) and found.first_bad == f"c{fixed}"
        assert any(a.until_bad for a in asks)
    assert right >= 10


def test_information_is_zero_if_known_and_one_bit_if_a_trial_decides() -> None:
    sure = SimpleNamespace(mass=np.array([1.0]), no_change=0.0)
    halves = np.array([[0.5], [1.0], [0.0]])  # of the candidates are in the commit
    one = np.array([0])
    certain = Outlook(np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]]), np.array([1.0, 0.0]), one)
    assert certain.bits(sure, halves, sure.mass)[:, 0] == pytest.approx([1, 0, 0])
    coin = Outlook(np.array([[0.5, 0.5]]), np.array([[0.5, 0.5]]), np.array([0.5, 0.5]), one)
    assert coin.bits(sure, halves, sure.mass)[:, 0] == pytest.approx([0, 0, 0])
    # Whether anything changed at all is a question too.
    unsure = SimpleNamespace(mass=np.array([0.5]), no_change=0.5)
    whole = np.array([[1.0]])
    assert certain.bits(unsure, whole, unsure.mass)[0, 0] == pytest.approx(1)


@pytest.mark.parametrize("new", [True, False])
def test_trials_until_the_first_alarm(new: bool) -> None:
    results = REGRESSION.results((1, 3), new)
    alarm = REGRESSION.rates if new else 1 - REGRESSION.rates
    one, three = np.split(results.table, results.starts[1:], axis=1)
    assert one.sum(axis=1) == pytest.approx(1)
    assert three.sum(axis=1) == pytest.approx(1)
    assert three[:, 3] == pytest.approx((1 - alarm) ** 3)
    assert results.runs[:, 0] == pytest.approx(1)
    assert results.runs[:, 1] == pytest.approx(1 + (1 - alarm) + (1 - alarm) ** 2)


def test_counts_of_trials() -> None:
    results = REGRESSION.results((2,), None)
    rate = REGRESSION.rates
    expected = np.stack([(1 - rate) ** 2, 2 * rate * (1 - rate), rate**2], axis=1)
    assert np.allclose(results.table, expected)
    assert (results.runs == 2).all()


def test_ten_thousand_candidates_are_decided_in_time() -> None:
    parents = linear(10_000)
    started = time.process_time()
    history = History(parents)
    assert time.process_time() - started < 2
    for options in (SearchOptions(trials=1), SearchOptions(), SearchOptions(first_parent=False)):
        # The same steps three times: the machine may be busy with something else in one.
        spent = [_spent(history, options) for _ in range(3)]
        assert max(min(step) for step in zip(*spent, strict=True)) < 0.1


def _spent(history: History, options: SearchOptions) -> list[float]:
    """Seconds of each step of a whole search."""
    one = BisectSession(history, good="c0", bad="c10000", options=options)
    rng = dice(2)
    spent = []
    while True:
        started = time.process_time()
        step = one.next()
        spent.append(time.process_time() - started)
        if not isinstance(step, Ask):
            break
        new = int(step.commit[1:]) >= 7001
        shows = (
            step.trials if options.trials else sum(rng.random() < 0.8 for _ in range(step.trials))
        )
        one.tell(
            step.commit,
            seen(dropped=shows, cached=step.trials - shows) if new else seen(cached=step.trials),
        )
    assert isinstance(step, Found)
    assert step.first_bad == "c7001"
    return spent
