"""Which parts are needed: 1-minimal on any predicate, with few and the same asks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit_bisect.search.minimize import Minimal, Minimizer, Seen, Stopped, Subset

Show = Callable[[Subset], Seen]


def _run(count: int, show: Show, most: int = 10_000) -> tuple[Minimal | Stopped, list[Subset]]:
    """Answer every ask by *show*; return the answer and the asks."""
    minimizer, asked = Minimizer(count, most=most), []
    while isinstance(step := minimizer.next(), tuple):
        asked.append(step)
        minimizer.tell(show(step))
        assert minimizer.asked == len(asked)
    return step, asked


def _needs(*needed: int) -> Show:
    return lambda some: Seen.CHANGED if set(needed) <= set(some) else Seen.UNCHANGED


@pytest.mark.parametrize("count", [1, 2, 3, 8, 13])
def test_each_single_part_is_found(count: int) -> None:
    for needed in range(count):
        answer, asked = _run(count, _needs(needed))
        assert answer == Minimal(parts=(needed,))
        assert len(asked) <= 2 * count


def test_parts_that_are_needed_together_are_found_together() -> None:
    answer, _ = _run(10, _needs(1, 4, 8))
    assert answer == Minimal(parts=(1, 4, 8))


def test_parts_that_only_compile_together_are_kept_together() -> None:
    # Part 2 changes the outcome; 2 and 5 compile only together.
    def show(some: Subset) -> Seen:
        if (2 in some) != (5 in some):
            return Seen.UNTESTABLE
        return Seen.CHANGED if 2 in some else Seen.UNCHANGED

    answer, _ = _run(8, show)
    assert answer == Minimal(parts=(2, 5))


def test_nothing_is_dropped_where_nothing_else_compiles() -> None:
    answer, asked = _run(4, lambda _: Seen.UNTESTABLE)
    assert answer == Minimal(parts=(0, 1, 2, 3))
    assert {(1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2)} <= set(asked)


def test_one_part_needs_no_ask() -> None:
    assert _run(1, _needs(0)) == (Minimal(parts=(0,)), [])


def test_no_part_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing to minimize"):
        Minimizer(0, most=1)


def test_the_limit_stops_it_with_what_is_enough_so_far() -> None:
    answer, asked = _run(16, _needs(3, 12), most=4)
    assert len(asked) == 4
    assert isinstance(answer, Stopped)
    assert {3, 12} <= set(answer.parts)


def test_what_was_seen_of_a_subset_is_known() -> None:
    minimizer = Minimizer(2, most=9)
    assert minimizer.next() == (0,)
    assert minimizer.seen((0,)) is None
    minimizer.tell(Seen.UNTESTABLE)
    assert minimizer.seen((0,)) is Seen.UNTESTABLE
    assert minimizer.seen((0, 1)) is Seen.CHANGED
    assert minimizer.best == (0, 1)


@settings(deadline=None, max_examples=300)
@given(st.integers(1, 9), st.randoms(use_true_random=False), st.booleans())
def test_any_predicate(count: int, dice: object, monotone: bool) -> None:
    """The answer is 1-minimal, in at most n^2 + 3n asks, none of them twice, always the same."""
    assert hasattr(dice, "choice")
    whole, told = tuple(range(count)), dict[Subset, Seen]()

    def show(some: Subset) -> Seen:
        if some in ((), whole):
            return Seen.CHANGED if some else Seen.UNCHANGED
        if some not in told:
            told[some] = dice.choice(list(Seen))
            above = [set(s) < set(some) for s, seen in told.items() if seen is Seen.CHANGED]
            if monotone and any(above):
                told[some] = Seen.CHANGED
        return told[some]

    answer, asked = _run(count, show)
    assert isinstance(answer, Minimal)
    assert len(asked) == len(set(asked)) <= count**2 + 3 * count
    assert all(some not in ((), whole) for some in asked)
    assert show(answer.parts) is Seen.CHANGED
    for part in answer.parts:
        less = tuple(p for p in answer.parts if p != part)
        assert less == () or less in asked
        assert show(less) is not Seen.CHANGED
    assert _run(count, show) == (answer, asked)
