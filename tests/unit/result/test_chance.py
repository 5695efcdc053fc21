"""Whether two cells differ beyond chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from math import comb

import pytest

import results
from buildkit_bisect.result import CellInfo, KnownInfo, chance
from buildkit_bisect.result.chance import Kind, difference, enough, fisher

FLAKY = ("cached", "cached", "layers-dropped")


def known(**counts: int) -> KnownInfo:
    named = {name.replace("_", "-"): n for name, n in counts.items()}
    verdicts: Counter[str] = Counter()
    for name, n in named.items():
        verdicts[results.VERDICTS[name]] += n
    return KnownInfo(counts=named, verdicts=dict(verdicts))


def cell(outcomes: str | Sequence[str], seen: KnownInfo | None = None, n: int = 1) -> CellInfo:
    """A cell of the commit and the binary *n*."""
    names = outcomes if isinstance(outcomes, str) else tuple(outcomes)
    return replace(results.cell("v1", n, names, bases="same"), known=seen)


def kind(before: CellInfo, after: CellInfo) -> Kind:
    return difference(before, after).kind


def test_p_value() -> None:
    """Values of Fisher's exact test, one-sided."""
    assert chance.p_value(["bad"] * 3, ["good"] * 3) == pytest.approx(1 / 20)
    assert chance.p_value(["bad"] * 2, ["good"] * 2) == pytest.approx(1 / 6)
    assert chance.p_value(["bad", "bad", "good"], ["good"] * 3) == pytest.approx(4 / 20)
    assert chance.p_value(["bad", "good", "infra"], ["good", "good", "infra"]) == pytest.approx(
        1 / 2
    )
    assert chance.p_value([], ["good"]) == 1
    assert chance.may_be_chance(["bad"] * 2, ["good"] * 2), "too few trials"
    assert not chance.may_be_chance(["bad"] * 3, ["good"] * 3)
    assert chance.may_be_chance(["good"] * 3, ["bad", "good", "good"])
    assert not chance.may_be_chance(["bad", "good"], ["bad", "good"]), "bad on both sides"
    assert not chance.may_be_chance(["good"], ["good"])


def test_fisher_is_the_tail_over_all_orders_of_the_trials() -> None:
    """By enumeration: every order of the same trials is as likely if nothing changed."""
    for few, size, many, rest in product(range(4), range(4), range(4), range(4)):
        if few > size or many > rest:
            continue
        hits, total = few + many, size + rest
        orders = [o for o in product((0, 1), repeat=total) if sum(o) == hits]
        as_few = sum(sum(order[:size]) <= few for order in orders)
        assert fisher((few, size), (many, rest)) == pytest.approx(as_few / len(orders))


def test_any_number_of_trials_is_computed_with() -> None:
    """In milliseconds; a document may claim more than any machine runs."""
    assert fisher((10**9, 10**9), (10**9, 10**9)) == 1
    assert fisher((0, 10**12), (3, 3)) < 1e-9
    assert fisher((500, 10**6), (600, 10**6)) > fisher((0, 10**6), (600, 10**6))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("cached", "cached", Kind.SAME),
        ("cached", "layers-dropped", Kind.WORSE),
        ("layers-dropped", "cached", Kind.BETTER),
        ("layers-dropped", "export-failed", Kind.CHANGED),
        ("cached", "unclassified", Kind.WORSE),
        ("unclassified", "cached", Kind.BETTER),
        ("cached", FLAKY, Kind.CHANCE),
        (FLAKY, "layers-dropped", Kind.CHANCE),
        (["cached"] * 2, ["layers-dropped"] * 2, Kind.CHANCE),
        (["layers-dropped"] * 2, ["export-failed"] * 2, Kind.CHANCE),
        (["cached"] * 20, ["cached", "layers-dropped"] * 10, Kind.WORSE),
        # Both flaky, and one much more often.
        (["cached"] * 19 + ["layers-dropped"], ["cached"] + ["layers-dropped"] * 19, Kind.WORSE),
        (["cached", "layers-dropped"] * 3, ["cached", "layers-dropped"] * 9, Kind.SAME),
        # The bad trials do not tell, but they are all of another kind.
        (["layers-dropped"] * 3, ["export-failed"] * 11 + ["cached"], Kind.CHANGED),
    ],
)
def test_difference(
    before: str | Sequence[str], after: str | Sequence[str], expected: Kind
) -> None:
    assert kind(cell(before), cell(after, n=2)) is expected


def test_all_known_trials_count() -> None:
    """Three good and three bad trials differ, but not if the first cell is often bad elsewhere."""
    assert kind(cell("cached"), cell("layers-dropped", n=2)) is Kind.WORSE
    often = known(cached=4, layers_dropped=8)
    assert kind(cell("cached", often), cell("layers-dropped", n=2)) is Kind.CHANCE
    rarely = known(cached=17, layers_dropped=4)
    found = difference(cell("cached", rarely), cell("layers-dropped", n=2))
    assert found.kind is Kind.WORSE
    assert found.p == pytest.approx(35 / 2024)


def test_the_known_trials_of_one_binary_are_those_of_both_sides() -> None:
    """Counted on each side, one trial would count twice."""
    old = cell(FLAKY, known(cached=2, layers_dropped=1))
    new = cell(["cached"] * 3, known(cached=30, layers_dropped=1))
    found = difference(old, new)
    assert found == chance.Difference(kind=Kind.CHANCE, p=0.5, same_binary=True)
    assert found.shown == "p = 0.5, the same binary"


def called(size: int, rate: float) -> Counter[Kind]:
    """The probability of each kind if both sides have *size* trials that are bad at *rate*."""
    sides = [["layers-dropped"] * k + ["cached"] * (size - k) for k in range(size + 1)]
    ways = [comb(size, k) * rate**k * (1 - rate) ** (size - k) for k in range(size + 1)]
    found: Counter[Kind] = Counter()
    for (before, p), (after, q) in product(zip(sides, ways, strict=True), repeat=2):
        found[kind(cell(before), cell(after, n=2))] += p * q  # type: ignore[assignment]
    return found


@pytest.mark.parametrize("size", [3, 12])
def test_nothing_that_is_as_flaky_on_both_sides_is_often_called_a_change(size: int) -> None:
    for rate in (0.05, 0.2, 0.5, 0.8):
        found = called(size, rate)
        assert found.total() == pytest.approx(1)
        assert found[Kind.WORSE] == pytest.approx(found[Kind.BETTER])
        assert found[Kind.WORSE] <= chance.SIGNIFICANCE
        assert not found[Kind.CHANGED]


def test_the_share_of_false_alarms_in_the_documentation() -> None:
    assert round(called(12, 0.5)[Kind.WORSE], 3) == 0.032
    assert round(max(called(3, n / 20)[Kind.WORSE] for n in range(20)), 3) == 0.016


def test_trials_that_would_decide() -> None:
    found = difference(cell("cached"), cell(FLAKY, n=2))
    assert found.shown == "p = 0.5, --trials 12 would decide at these rates"
    assert fisher((0, 12), (4, 12)) <= chance.SIGNIFICANCE < fisher((0, 11), (3, 11))
    assert enough((0, 1), (1, 1)) == 3
    assert enough((1, 2), (1, 2)) == 0, "the rates do not differ"
    assert enough((0, 0), (1, 1)) == 0
    assert enough((50, 100), (51, 100)) == 0, "more than anybody runs"


def test_trials_of_which_nothing_follows_do_not_count() -> None:
    bad = cell(["layers-dropped"] * 3 + ["infra"] * 9, n=2)
    bad = replace(bad, outcome="layers-dropped", verdict="bad")
    assert difference(cell("cached"), bad).p == pytest.approx(1 / 20)


def test_the_examples_in_the_documentation() -> None:
    assert round(fisher((0, 2), (2, 2)), 2) == 0.17
    assert round(fisher((0, 20), (1, 1)), 3) == 0.048
    assert fisher((0, 19), (1, 1)) <= chance.SIGNIFICANCE < fisher((0, 18), (1, 1))
