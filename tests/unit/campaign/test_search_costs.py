from __future__ import annotations

from dataclasses import replace

from buildkit_bisect.campaign import search_costs
from buildkit_bisect.campaign.search_costs import SearchCosts
from buildkit_bisect.search import SearchOptions
from buildkit_bisect.system import paths

COSTS = SearchCosts(built=("a", "b"), known_go=("1.25",), pace=0.2, recorded=4, trial=2.5)


def test_what_the_first_search_knew_is_kept() -> None:
    name = search_costs.name(SearchOptions(), "good", "bad")
    assert search_costs.load(name) is None
    search_costs.keep(name, COSTS)
    search_costs.keep(name, replace(COSTS, built=("a", "b", "c")))
    assert search_costs.load(name) == COSTS


def test_the_commits_are_added_when_the_search_has_ended() -> None:
    search_costs.ended("x", ["a"])
    assert search_costs.load("x") is None
    search_costs.keep("x", COSTS)
    search_costs.ended("x", ["a", "b", "a"])
    search_costs.keep("x", COSTS)
    assert search_costs.load("x") == replace(COSTS, asked=("a", "b"))


def test_a_damaged_file_counts_as_missing() -> None:
    (paths.cache("searches") / "x").write_text('{"built": 3}')
    assert search_costs.load("x") is None
    search_costs.keep("x", COSTS)
    assert search_costs.load("x") == COSTS


def test_another_search_has_another_name() -> None:
    one = search_costs.name(SearchOptions(), "good", "bad", ["at=lazy"])
    outcomes = frozenset({"a", "b", "c", "d"})
    others = {
        search_costs.name(SearchOptions(trials=3), "good", "bad", ["at=lazy"]),
        search_costs.name(SearchOptions(confidence=0.99), "good", "bad", ["at=lazy"]),
        search_costs.name(SearchOptions(bad_when=outcomes), "good", "bad", ["at=lazy"]),
        search_costs.name(SearchOptions(), "good", "bad", ["at=eager"]),
        search_costs.name(SearchOptions(), "bad", "good", ["at=lazy"]),
    }
    assert len(others - {one}) == 5
    # Sets have no order of their own.
    assert search_costs.name(SearchOptions(bad_when=outcomes), "good", "bad", ["at=lazy"]) in others
