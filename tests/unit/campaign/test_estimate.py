from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

import worlds
from buildkit_bisect.campaign.estimate import LATER, Recorded, Row, build_seconds, pace
from buildkit_bisect.campaign.time_left import TimeLeft
from buildkit_bisect.forecast import forecast
from buildkit_bisect.search import Ask, FlatCost, NearestBuilt, SearchOptions, Tested
from buildkit_bisect.search.boundary_search import BoundarySearch
from buildkit_bisect.search.cost import COLD, PATCHED, Pace
from buildkit_bisect.search.ends import GoodEndSearch
from buildkit_bisect.search.history import History
from buildkit_bisect.search.session import BisectSession
from worlds import World, linear, seen


def cost_of(tested: Tested, build: float | None) -> Tested:
    return replace(tested, build_seconds=build, trial_seconds=3.0)


def row(label: str, *, go: str = "1.25", revision: str = "", built: bool = False) -> Row:
    return Row(label=label, revision=revision or label, go=go, built=built)


def test_a_second_release_of_a_go_version_is_not_as_dear_as_the_first() -> None:
    rows = [row("v0.28.0"), row("v0.28.1"), row("v0.30.0", go="1.26"), row("v0.24.0", go="1.24")]
    seconds = build_seconds(rows, known_go=["1.24"], factor=1.0)
    assert seconds == {"v0.28.0": COLD, "v0.28.1": LATER, "v0.30.0": COLD, "v0.24.0": LATER}


def test_rows_that_are_built_or_skipped_cost_nothing() -> None:
    rows = [row("a", built=True), Row(label="b", revision="b", go="", skipped=True)]
    assert build_seconds(rows, known_go=[], factor=2.0) == {"a": 0, "b": 0}


def test_a_patched_revision_is_near_the_revision() -> None:
    rows = [row("master", built=True), row("master + a", revision="master")]
    seconds = build_seconds(rows, known_go=["1.25"], factor=1.0)
    assert seconds["master + a"] == PATCHED


def test_a_slow_machine_is_learned_from_several_builds_and_not_from_one() -> None:
    cold, later = (Recorded(go="1.25", seconds=3 * usual) for usual in (COLD, LATER))
    slow = [cold] + [later] * 20
    assert pace(slow[:1]).factor < 1.5, "one cold build, three times as long as usual"
    assert pace(slow).factor == pytest.approx(3, rel=0.15)
    assert pace([]).factor == 1


def test_twelve_minutes_are_not_told_as_fifty() -> None:
    """A cold release and two more of its Go version, after builds of another version."""
    recorded = [Recorded(go="1.24", seconds=s) for s in (150.0, 30.0, 45.0)]
    rows = [row("v0.28.0"), row("v0.28.1"), row("v0.29.0")]
    seconds = build_seconds(rows, known_go=[r.go for r in recorded], factor=pace(recorded).factor)
    expected = forecast(tuple(seconds.values()), 3 * 24 * 7.0, recorded=len(recorded))
    assert expected.least < 12 * 60 < expected.most < 25 * 60


def told(*, cold: float, near: float, seed: int) -> list[tuple[float, float, float]]:
    """Search a line of 150 commits; return (least, most, actual seconds left) of each step.

    Nothing is built, and builds vary by half.
    """
    dice = worlds.dice(seed)
    parents = linear(150)
    cost = NearestBuilt([*parents], trial=3.0)
    left = TimeLeft(cost)
    one = BisectSession(
        History(parents),
        good="c0",
        bad="c150",
        options=SearchOptions(trials=1),
        cost=cost,
    )
    world = World(parents, f"c{dice.randrange(1, 151)}")
    steps: list[tuple[float, float, float]] = []
    built: set[str] = set()
    while isinstance(ask := one.next(), Ask):
        now = left.at(ask)
        took = 4.0
        compiled = None
        if ask.commit not in built:
            compiled = (near if built else cold) * dice.lognormvariate(0, 0.4)
            built.add(ask.commit)
        steps.append((now.least, now.most, took + (compiled or 0)))
        shown = world.answer(ask)
        assert isinstance(shown, Tested)
        left.learn(3.0, took)
        one.tell(ask.commit, cost_of(shown, compiled))
    after = 0.0
    for at in reversed(range(len(steps))):
        after += steps[at][2]
        steps[at] = (*steps[at][:2], after)
    return steps


@pytest.mark.parametrize(("cold", "near"), [(165, 17), (290, 30), (82, 8.5)])
def test_the_time_left_lies_in_the_range_after_the_second_build(cold: float, near: float) -> None:
    later = [s for seed in range(10) for s in told(cold=cold, near=near, seed=seed)[2:]]
    inside = sum(least <= actual <= most for least, most, actual in later)
    assert inside >= 0.8 * len(later)


def test_the_time_left_does_not_jump() -> None:
    """It was 18, 3, 48, 11, 13 and 3 minutes in a search of half an hour."""
    for seed in range(5):
        middles = [(least + most) / 2 for least, most, _ in told(cold=110, near=30, seed=seed)]
        for before, after in itertools.pairwise(middles[1:]):
            assert after < 1.4 * before


def test_a_search_that_had_its_answer_takes_seconds_until_a_trial_runs() -> None:
    cost = NearestBuilt([f"c{i}" for i in range(151)])
    ask = BisectSession(History(linear(150)), good="c0", bad="c150", cost=cost).next()
    assert isinstance(ask, Ask)
    left = TimeLeft(cost, stored=True)
    left.learn(0.0, 0.2)
    assert left.at(ask).most == 5
    left.learn(3.0, 4.0)
    assert left.at(ask).least > 60


def test_a_merge_base_is_not_told_as_two_hours() -> None:
    """One build on a busy machine took eight minutes; the next one takes one."""
    history = History(linear(150))
    cost = NearestBuilt([f"c{i}" for i in range(151)])
    one = BisectSession(history, good="c0", bad="c150", cost=cost)
    left = TimeLeft(cost, newer="c150", trials=3)
    first = one.next()
    assert isinstance(first, Ask)
    one.tell(first.commit, cost_of(seen(dropped=3), 500.0))
    second = one.next()
    assert isinstance(second, Ask)
    assert left.at(second).most < 30 * 60


def test_the_newer_end_is_counted_only_while_it_is_neither_built_nor_run() -> None:
    """Its build was counted once more, where it was built already or the search began with it."""
    history, order = History(linear(150)), [f"c{i}" for i in range(151)]
    far = dict.fromkeys(order, "1.25") | {"c150": "1.26"}  # dear, so others are run before it

    def builds(built: Sequence[str], told: Sequence[str]) -> tuple[str, int, float]:
        cost = NearestBuilt(order, built=built, go=far)
        left = TimeLeft(cost, newer="c150", trials=3)
        one = BisectSession(history, good="c0", bad="c150", cost=cost, late=True, neither=True)
        for commit in told:
            shown = seen(dropped=1) if commit == "c150" else seen(cached=1)
            one.tell(commit, cost_of(shown, None))
        ask = one.next()
        assert isinstance(ask, Ask)
        own = [b for b in ask.builds_left if b]
        return ask.commit, len(left.builds(ask)) - len(own), left.at(ask).seconds

    commit, after, _ = builds([], [])
    assert (commit != "c150", after) == (True, 2), "that end, and it without the commit"
    commit, after, _ = builds(["c150"], [])
    assert (commit, after) == ("c150", 1)
    commit, after, _ = builds(["c150"], ["c150"])
    assert (commit != "c150", after) == (True, 1)


def test_a_slow_machine_is_slow_for_the_build_without_the_commit() -> None:
    cost = NearestBuilt([f"c{i}" for i in range(151)], pace=Pace(mean=1.0, count=9))
    assert cost.patched_seconds() == pytest.approx(PATCHED * math.e)


def test_ends_that_are_one_build_are_counted_once() -> None:
    parents = {
        "base": (),
        "old": ("base",),
        **{f"c{i}": (f"c{i - 1}" if i else "base",) for i in range(40)},
    }
    one = BisectSession(
        History(parents), good="old", bad="c39", same_build={"base": "k", "old": "k"},
        cost=NearestBuilt([*parents]),
    )  # fmt: skip
    ask = one.next()
    assert isinstance(ask, Ask)
    assert len(ask.builds_left) == 2 + 6, "both ends, and what halves 40 candidates"


def test_releases_that_are_built_are_not_counted() -> None:
    releases = [f"v{i}" for i in range(10)]
    cost = FlatCost()
    for built in releases[:-1]:
        cost.learn(built, build_seconds=None, trial_seconds=None)
    ask = GoodEndSearch(releases, bad="bad", cost=cost).next()
    assert isinstance(ask, Ask)
    assert sum(b > 0 for b in ask.builds_left) == 2
    line = BoundarySearch(
        [f"c{i}" for i in range(9)],
        must_test=["c4"],
        resolution=9,
        trials=1,
        cost=NearestBuilt([f"c{i}" for i in range(9)], built=["c4", "c8"]),
    )
    first = line.next()
    assert isinstance(first, Ask)
    assert sum(b > 0 for b in first.builds_left) == 1
