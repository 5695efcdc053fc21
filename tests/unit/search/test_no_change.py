"""Ends that are the same, or swapped: no search, and the command that is meant."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from buildkit_bisect.search import (
    Answer,
    Ask,
    BisectSession,
    FlatCost,
    History,
    RefusalKind,
    Refused,
    SearchOptions,
    Tested,
)
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
