from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import worlds
from buildkit_bisect.forecast import NOTHING, between, forecast


@pytest.mark.parametrize(
    ("least", "most", "shown"),
    [
        (360, 640, "6 to 11 min"),
        (0, 0, "0 s"),
        (3.2, 7.1, "3 to 8 s"),
        (23, 58, "20 to 60 s"),
        (48, 400, "45 s to 7 min"),
        (65, 170, "1 to 3 min"),
        (3000, 4800, "50 min to 1 h 20 min"),
        (3900, 7800, "1 h 05 min to 2 h 10 min"),
    ],
)
def test_a_range_is_rounded_outwards(least: float, most: float, shown: str) -> None:
    assert between(least, most) == shown


def test_nothing_left_takes_no_time() -> None:
    assert forecast((0.0, 0.0)) == NOTHING == forecast(()).after(5)


def test_the_range_narrows_with_what_was_recorded() -> None:
    few, many = (forecast((60.0,) * 5, 30.0, recorded=n) for n in (0, 20))
    assert few.seconds == many.seconds == 330
    assert few.least < many.least < 330 < many.most < few.most


def test_what_is_left_shrinks_with_the_time_spent() -> None:
    whole = forecast((60.0,), 20.0)
    later = whole.after(30)
    assert later.seconds == 50
    assert later.least == max(0.0, whole.least - 30)
    assert later.most == whole.most - 30
    assert whole.after(1e6) == NOTHING


@given(st.lists(st.floats(1, 300), min_size=1, max_size=20), st.floats(0, 1000), st.integers(0, 40))
def test_the_expected_time_lies_in_the_range(
    builds: list[float], trials: float, recorded: int
) -> None:
    found = forecast(builds, trials, recorded=recorded)
    assert 0 <= found.least < found.seconds < found.most


def test_nine_in_ten_lie_inside_if_builds_vary_as_assumed() -> None:
    dice = worlds.dice(1)
    builds = [40.0] * 6
    found = forecast(builds, recorded=10)
    inside = 0
    for _ in range(2000):
        common = dice.lognormvariate(-0.03, 0.24)
        took = sum(b * common * dice.lognormvariate(-0.11, 0.47) for b in builds)
        inside += found.least <= took <= found.most
    assert 0.86 < inside / 2000 < 0.96
