"""Ends that are the same, or swapped: no search, and the command that is meant."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from buildkit_bisect.search import (
    Answer,
    Ask,
    FlatCost,
    Found,
    Phase,
    RefusalKind,
    Refused,
    SearchOptions,
    Tested,
)
from buildkit_bisect.search.history import History
from buildkit_bisect.search.posterior import belief
from buildkit_bisect.search.session import BisectSession
from buildkit_bisect.search.weigh import _again, _fresh
from worlds import dice, drive, linear, seen

PARENTS = linear(40)


def at_rate(rate: float, seed: object) -> Callable[[Ask], Tested]:
    rng = dice(seed)

    def answer(ask: Ask) -> Tested:
        bad = sum(rng.random() < rate for _ in range(ask.trials))
        return seen(dropped=bad, cached=ask.trials - bad)

    return answer


def search(
    answer: Callable[[Ask], Tested], *, trials: int | None = None, find_fix: bool = False
) -> tuple[Answer, list[Ask]]:
    good, bad = ("c40", "c0") if find_fix else ("c0", "c40")
    options = SearchOptions(trials=trials, find_fix=find_fix)
    one = BisectSession(History(PARENTS), good=good, bad=bad, options=options, cost=FlatCost())
    return drive(one, answer)


@pytest.mark.parametrize(
    ("rate", "kind"),
    [
        (0.0, RefusalKind.NOT_BAD),
        (0.3, RefusalKind.ALIKE),
        (0.7, RefusalKind.ALIKE),
        (1.0, RefusalKind.ALREADY_BAD),
    ],
)
@pytest.mark.parametrize("find_fix", [False, True])
def test_the_same_rate_everywhere_is_no_change(
    rate: float, kind: RefusalKind, find_fix: bool
) -> None:
    right = 0
    for seed in range(12):
        result, _ = search(at_rate(rate, f"{seed}/{rate}"), find_fix=find_fix)
        right += (
            isinstance(result, Refused)
            and result.reason.startswith("the outcome does not change between the endpoints")
            and (result.kind is kind or 0 < rate < 1)
        )
    assert right >= 11


def test_a_rate_that_drifts_is_no_change() -> None:
    """The machine got busier: no commit did that."""
    right = 0
    for seed in range(12):
        rng = dice(seed)
        ran = 0

        def answer(ask: Ask, rng: object = rng) -> Tested:
            nonlocal ran
            bad = 0
            for _ in range(ask.trials):
                bad += rng.random() < (0.3 if ran < 25 else 0.2)  # type: ignore[attr-defined]
                ran += 1
            return seen(dropped=bad, cached=ask.trials - bad)

        result, _ = search(answer)
        right += isinstance(result, Refused) and result.kind is RefusalKind.ALIKE
    assert right >= 11


def swapped(rng_seed: int, rate: float) -> Callable[[Ask], Tested]:
    """The older end is bad, the newer one good: a fix that is searched as a regression."""
    rng = dice(rng_seed)

    def answer(ask: Ask) -> Tested:
        shows = rate if int(ask.commit[1:]) < 17 else 0.0
        bad = sum(rng.random() < shows for _ in range(ask.trials))
        return seen(dropped=bad, cached=ask.trials - bad)

    return answer


@pytest.mark.parametrize("trials", [1, 3, None])
def test_swapped_endpoints_are_refused_with_the_right_command(trials: int | None) -> None:
    result, asks = search(swapped(1, 1.0), trials=trials)
    assert isinstance(result, Refused)
    assert result.kind is RefusalKind.ORDER
    assert {a.commit for a in asks} == {"c0", "c40"}
    assert sum(a.trials for a in asks) <= (2 * trials if trials else 12)
    assert re.fullmatch(
        r"the endpoints are swapped: c40, given as bad, is good \(cached \((\d+) of \1\)\), "
        r"and c0, "
        r"named as good, is bad \(dropped \((\d+) of \2\)\)",
        result.reason,
    )
    assert result.hint == "./inv bisect --bad c0 --good c40 --find-fix"


def test_swapped_endpoints_of_a_fix() -> None:
    def answer(ask: Ask) -> Tested:
        return seen(dropped=1) if int(ask.commit[1:]) >= 17 else seen(cached=1)

    result, _ = search(answer, trials=1, find_fix=True)
    assert isinstance(result, Refused)
    assert result.kind is RefusalKind.ORDER
    assert result.hint == "./inv bisect --good c0 --bad c40"


def test_swapped_flaky_endpoints_are_refused() -> None:
    for seed in range(8):
        result, asks = search(swapped(seed, 0.6))
        assert isinstance(result, Refused), result
        assert result.kind is RefusalKind.ORDER
        assert {a.commit for a in asks} == {"c0", "c40"}


def test_only_the_ends_run_once_many_trials_left_it_open() -> None:
    late = []
    for seed in range(12):
        one = BisectSession(History(PARENTS), good="c0", bad="c40", cost=FlatCost())
        answer = at_rate(0.3, seed)
        while isinstance(step := one.next(), Ask):
            state = one._state
            if state.ready and state.evidence.trials >= 120 and belief(state).no_change >= 0.05:
                now = belief(state)
                others = [*_again(state, now), *_fresh(state, now)]
                # Two commits that clash go first, and a trial that tells enough.
                if step.phase is not Phase.DOUBT and not any(a.worthwhile for a in others):
                    late.append(step)
            one.tell(step.commit, answer(step))
    assert len(late) > 20
    assert {a.phase for a in late} == {Phase.CALIBRATE}
    assert {a.commit for a in late} == {"c0", "c40"}


@pytest.mark.parametrize(
    ("with_it", "without", "find_fix", "again"),
    [
        (0.4, 0.0, False, "c16"),
        (1.0, 0.5, False, "c17"),
        (0.5, 0.0, True, "c16"),
        (1.0, 0.6, True, "c17"),
        (1.0, 0.0, False, None),
    ],
)
def test_rates_near_each_other_need_trials_for_the_proof_alone(
    with_it: float, without: float, find_fix: bool, again: str | None
) -> None:
    """What chose the commit may be chance: the side that errs less is run five times more."""
    proven = 0
    for seed in range(4):
        rng = dice(f"{seed}/{with_it}/{find_fix}")
        good, bad = ("c40", "c0") if find_fix else ("c0", "c40")
        options = SearchOptions(find_fix=find_fix)
        one = BisectSession(History(PARENTS), good=good, bad=bad, options=options)
        while isinstance(step := one.next(), Ask):
            rate = with_it if int(step.commit[1:]) >= 17 else without
            new = sum(rng.random() < rate for _ in range(step.trials))
            old = step.trials - new
            one.tell(
                step.commit,
                seen(cached=new, dropped=old) if find_fix else seen(dropped=new, cached=old),
            )
        if isinstance(step, Found) and step.first_bad == "c17":
            reruns = {c: one._state.evidence.reruns(c).decided for c in ("c16", "c17")}
            assert reruns[again] >= 5 if again else max(reruns.values()) < 5, reruns
            proven += 1
    assert proven >= 3
