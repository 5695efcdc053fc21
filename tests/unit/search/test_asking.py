"""What the search asks for where trials can err: enough bits, for few seconds."""

from __future__ import annotations

import pytest

from buildkit_bisect.search import Ask, FlatCost, Found, Phase
from buildkit_bisect.search.history import History
from buildkit_bisect.search.posterior import belief
from buildkit_bisect.search.session import BisectSession
from buildkit_bisect.search.weigh import WORTHWHILE, _again, _fresh, worth
from worlds import dice, linear, random_history, seen, tip_of

APART = {Phase.GATE, Phase.DOUBT}


@pytest.mark.parametrize("build", [0.0, 40.0])
@pytest.mark.parametrize(("with_it", "without"), [(1.0, 0.0), (0.8, 0.2), (0.4, 0.0)])
def test_no_ask_is_worth_little_while_another_is_worth_more(
    build: float, with_it: float, without: float
) -> None:
    rng = dice(build)
    parents = random_history(rng, 60)
    tip = tip_of(parents)
    history = History(parents)
    culprit = history.number(rng.choice(history.shas(history.ancestors(tip))[1:]))
    one = BisectSession(history, good="m0", bad=tip, cost=FlatCost(build=build, trial=1.0))
    weighed = 0
    while isinstance(step := one.next(), Ask):
        state = one._state
        if state.ready and step.phase not in APART:
            now = belief(state)
            others = [*_again(state, now), *_fresh(state, now)]
            enough = worth(now, step.commit, step.trials) >= WORTHWHILE * step.trials
            assert enough or not any(a.worthwhile for a in others), step
            weighed += 1
        rate = with_it if history.ancestors(step.commit) >> culprit & 1 else without
        bad = sum(rng.random() < rate for _ in range(step.trials))
        one.tell(step.commit, seen(dropped=bad, cached=step.trials - bad))
    assert weighed > 5


def test_flakiness_costs_trials_and_not_builds() -> None:
    parents = linear(400)
    history = History(parents)
    for rate in (1.0, 0.6):
        rng = dice(rate)
        one = BisectSession(history, good="c0", bad="c400", cost=FlatCost(build=60, trial=1.0))
        built = set()
        while isinstance(step := one.next(), Ask):
            built.add(step.commit)
            shows = rate if int(step.commit[1:]) >= 123 else 0.0
            bad = sum(rng.random() < shows for _ in range(step.trials))
            one.tell(step.commit, seen(dropped=bad, cached=step.trials - bad))
        assert isinstance(step, Found)
        assert step.first_bad == "c123"
        assert len(built) <= 12


@pytest.mark.parametrize(("with_it", "without"), [(0.7, 0.1), (0.5, 0.0)])
def test_a_search_goes_on_to_a_higher_confidence(with_it: float, without: float) -> None:
    history = History(linear(100))

    def run(*confidences: float) -> tuple[list[str], list[float]]:
        one = BisectSession(history, good="c0", bad="c100")
        rng = dice(3)
        asked, stated = [], []
        for confidence in confidences:
            one.demand(confidence)
            while isinstance(step := one.next(), Ask):
                asked.append(step.commit)
                shows = with_it if int(step.commit[1:]) >= 31 else without
                bad = sum(rng.random() < shows for _ in range(step.trials))
                one.tell(step.commit, seen(dropped=bad, cached=step.trials - bad))
            assert isinstance(step, Found)
            stated.append(step.confidence)
        return asked, stated

    (asked, stated), (at_once, sure) = run(0.8, 0.99), run(0.99)
    assert stated[0] >= 0.8
    assert stated[1] >= 0.99
    assert sure[0] >= 0.99
    if without:
        assert (at_once, sure) == (asked, stated[1:])
    else:
        # What would have been enough for 80 % is run again for that, and nothing before it differs.
        assert asked[:20] == at_once[:20]


def test_several_trials_at_once_if_one_is_worth_little() -> None:
    history = History(linear(100))
    ran = []
    for seed in range(4):
        one = BisectSession(history, good="c0", bad="c100", cost=FlatCost(build=0.0, trial=1.0))
        rng = dice(seed)
        while isinstance(step := one.next(), Ask):
            ran.append(step.trials)
            shows = 0.4 if int(step.commit[1:]) >= 31 else 0.2
            bad = sum(rng.random() < shows for _ in range(step.trials))
            one.tell(step.commit, seen(dropped=bad, cached=step.trials - bad))
    assert set(ran) > {1, 2}
    assert max(ran) <= 4
