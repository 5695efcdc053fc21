"""Histories, predicted costs, and the walk back to a good release."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit_bisect.errors import BadInput
from buildkit_bisect.search import (
    AsBefore,
    Ask,
    NearestBuilt,
    Phase,
    RefusalKind,
    Refused,
    SearchOptions,
    Tested,
)
from buildkit_bisect.search.cost import COLD, FAR, WARM
from buildkit_bisect.search.ends import EndsFound, GoodEndSearch
from buildkit_bisect.search.history import History
from buildkit_bisect.search.session import BisectSession
from worlds import BROKEN, World, histories, linear, seen, tip_of


@given(histories(), st.randoms())
@settings(max_examples=80, deadline=None)
def test_a_history_knows_ancestors(parents: dict[str, list[str]], rng: object) -> None:
    history = History(parents)
    world = World(parents, "m0")
    for sha, above in parents.items():
        assert set(history.shas(history.ancestors(sha))) == world.ancestors(sha)
        assert history.parents(sha) == tuple(above)
        assert all(history.number(p) < history.number(sha) for p in above)
    tip = tip_of(parents)
    line = history.first_parent_line(tip)
    assert line == tuple(f"m{i}" for i in range(len(line)))
    everything = history.ancestors(tip)
    assert history.heads(everything) == (tip,)


@given(histories(), st.integers(0, 10**6), st.integers(0, 10**6))
@settings(max_examples=80, deadline=None)
def test_merge_bases_are_the_best_common_ancestors(
    parents: dict[str, list[str]], one: int, other: int
) -> None:
    world, history = World(parents, "m0"), History(parents)
    names = sorted(parents)
    a, b = names[one % len(names)], names[other % len(names)]
    common = world.ancestors(a) & world.ancestors(b)
    best = {c for c in common if not any(c in world.ancestors(d) - {d} for d in common)}
    assert set(history.merge_bases(a, b)) == best


def test_parents_outside_the_mapping_are_roots() -> None:
    history = History({"c2": ["c1"], "c1": ["c0"]})
    assert len(history) == 3
    assert history.parents("c0") == ()
    assert history.contains("c2", "c0")
    assert not history.contains("c0", "c2")


def test_the_order_does_not_depend_on_the_order_of_the_mapping() -> None:
    parents = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}
    one = History(parents)
    other = History(dict(reversed(parents.items())))
    assert [one.sha(i) for i in range(4)] == [other.sha(i) for i in range(4)] == list("abcd")


def test_a_cycle_is_bad_input() -> None:
    with pytest.raises(BadInput, match="cycle"):
        History({"a": ["c"], "b": ["a"], "c": ["b"], "d": ["c"]})
    with pytest.raises(BadInput, match="cycle"):
        History({"a": ["a"]})


def test_a_long_line_does_not_recurse() -> None:
    assert len(History({str(i): [str(i - 1)] for i in range(1, 20_000)})) == 20_000


def test_a_build_costs_more_the_further_it_is_from_the_last() -> None:
    order = [f"c{i}" for i in range(1000)]
    cost = NearestBuilt(order, built=["c100"], same_build={"c101": "k", "c102": "k"})
    near, far = cost.build_seconds("c104"), cost.build_seconds("c900")
    assert cost.build_seconds("c100") == 0
    assert WARM < near < WARM + 5
    assert FAR - 2 < far <= FAR
    cost.learn("c101", build_seconds=None, trial_seconds=2.0)
    assert cost.build_seconds("c102") == 0
    assert cost.trial_seconds("c1") == 6.0, "what was expected counts as one trial"
    cost.learn("c900", build_seconds=2 * far, trial_seconds=None)
    assert cost.build_seconds("c500") > far


def test_one_build_on_a_busy_machine_changes_predictions_little() -> None:
    order = [f"c{i}" for i in range(1000)]
    cost = NearestBuilt(order, built=["c0"])
    far = cost.build_seconds("c900")
    cost.learn("c500", build_seconds=20 * far, trial_seconds=None)
    assert far < cost.build_seconds("c999") < 1.5 * far


@pytest.mark.parametrize("seconds", [None, 600.0])
def test_the_first_split_of_a_range_is_nearly_even(seconds: float | None) -> None:
    """It was 86 to 14, since one build on a busy machine made far ones look dear."""
    history = History(linear(146))
    cost = NearestBuilt([f"c{i}" for i in range(147)], trial=3.0)
    one = BisectSession(history, good="c0", bad="c146", cost=cost)
    while isinstance(ask := one.next(), Ask) and ask.phase is not Phase.FIRST_PARENT:
        shown = seen(dropped=ask.trials) if ask.commit == "c146" else seen(cached=ask.trials)
        one.tell(ask.commit, replace(shown, build_seconds=seconds, trial_seconds=3.0))
    assert isinstance(ask, Ask)
    assert 51 <= int(ask.commit[1:]) <= 95, ask.why


def test_weights_say_how_much_a_commit_changes() -> None:
    order = [f"c{i}" for i in range(100)]
    cost = NearestBuilt(order, built=["c0"], weights={"c20": 500.0})
    assert cost.build_seconds("c19") < (WARM + FAR) / 2
    assert cost.build_seconds("c20") > FAR - 1


def test_packages_that_no_build_has_compiled_decide_where_they_are_known() -> None:
    def codes(*packages: int) -> bytes:
        return b"".join(p.to_bytes(2, "little") for p in packages)

    first, more = range(500), range(500, 900)
    packages = {
        "c0": codes(*first),
        "c1": codes(*range(400), *range(1000, 1100)),
        "c2": codes(*range(499), 1000),
        "c3": codes(*more),
    }
    cost = NearestBuilt(list(packages), packages=packages, built=["c0"])
    near, some, all_ = (cost.build_seconds(c) for c in ("c2", "c1", "c3"))
    assert near < some < all_
    cost.learn("c1", build_seconds=None, trial_seconds=None)
    assert near - 1 < cost.build_seconds("c2") < near, "each of its packages is in a build"


def test_the_first_build_of_a_go_version_is_dear_wherever_it_is() -> None:
    order = [f"c{i}" for i in range(100)]
    go = {c: "1.25" if i < 50 else "1.26" for i, c in enumerate(order)}
    cost = NearestBuilt(order, built=["c49"], go=go)
    assert cost.build_seconds("c48") < WARM + 1
    assert cost.build_seconds("c50") == COLD
    cost.learn("c99", build_seconds=COLD, trial_seconds=None)
    assert WARM < cost.build_seconds("c50") < FAR
    elsewhere = NearestBuilt(order, built=["c49"], go=go, known_go=["1.26"])
    assert elsewhere.build_seconds("c50") == FAR, "built with it, but not in this history"


def test_a_merge_base_before_the_candidates_is_not_taken_for_a_cold_build() -> None:
    order = [f"c{i}" for i in range(100)]
    go = dict.fromkeys(order, "1.25")
    assert NearestBuilt(order, go=go).build_seconds("base") == COLD, "nothing was ever built"
    assert NearestBuilt(order, go=go, built=["c1"]).build_seconds("base") == FAR
    assert NearestBuilt(order, go=go, known_go=["1.24"]).build_seconds("base") == FAR


def test_later_builds_come_nearer_and_nearer() -> None:
    cost = NearestBuilt([f"c{i}" for i in range(300)], built=["c0"])
    later = cost.later_builds(8, 256)
    assert list(later) == sorted(later, reverse=True)
    assert FAR - 10 < later[0] < FAR
    assert WARM < later[-1] < WARM + 1


def test_a_repeated_search_sees_the_costs_of_the_first_and_spends_those_of_now() -> None:
    order = [f"c{i}" for i in range(100)]
    first = NearestBuilt(order, built=["c0"])
    again = AsBefore(
        first=NearestBuilt(order, built=["c0"]), now=NearestBuilt(order, built=["c0", "c50"])
    )
    assert again.build_seconds("c50") == first.build_seconds("c50") > 0
    assert again.left_seconds("c50") == 0
    for cost in (first, again):
        cost.learn("c50", build_seconds=90.0, trial_seconds=2.0)
    assert [again.build_seconds(c) for c in order] == [first.build_seconds(c) for c in order]
    assert again.trial_seconds("c1") == first.trial_seconds("c1")


def find(
    bad_from: int, *, broken: frozenset[str] = frozenset(), n: int = 20
) -> tuple[EndsFound | Refused, list[str]]:
    releases = [f"v{i}" for i in range(n)]
    options = SearchOptions(trials=1)
    search = GoodEndSearch(releases, bad="master", options=options)
    asked: list[str] = []
    while isinstance(step := search.next(), Ask):
        asked.append(step.commit)
        assert len(asked) <= n + 1
        if step.commit in broken:
            search.tell(step.commit, BROKEN)
        else:
            at = n if step.commit == "master" else int(step.commit[1:])
            search.tell(step.commit, seen(dropped=1) if at >= bad_from else seen(cached=1))
    return step, asked


def test_find_good_walks_back_by_doubling_steps() -> None:
    found, asked = find(7)
    assert asked == ["master", "v19", "v17", "v13", "v5"]
    assert found == EndsFound(good="v5", bad="v13", tested=tuple(asked))


def test_find_good_tries_the_oldest_before_it_gives_up() -> None:
    found, asked = find(1)
    assert asked[-1] == "v0"
    assert isinstance(found, EndsFound)
    assert found.good == "v0"


def test_find_good_goes_round_releases_that_do_not_build() -> None:
    found, asked = find(7, broken=frozenset({"v5", "v17"}))
    assert asked == ["master", "v19", "v17", "v16", "v12", "v4"]
    assert isinstance(found, EndsFound)
    assert (found.good, found.bad) == ("v4", "v12")


def test_find_good_says_when_all_are_bad() -> None:
    found, asked = find(-1)
    assert isinstance(found, Refused)
    assert found.kind is RefusalKind.NO_GOOD_END
    assert "v0 dropped (1 of 1)" in found.reason
    assert found.hint.startswith("./inv matrix --revs master,")
    assert asked[-1] == "v0"


@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("broken", [frozenset[str](), frozenset({"v5", "v17"}), frozenset({"v0"})])
def test_find_good_at_once_finds_the_same(k: int, broken: frozenset[str]) -> None:
    for bad_from in range(-1, 21):
        alone, _ = find(bad_from, broken=broken)
        options = SearchOptions(trials=1)
        search = GoodEndSearch([f"v{i}" for i in range(20)], bad="master", options=options)
        rounds: list[list[str]] = []
        while isinstance(step := search.next_k(k), tuple):
            rounds.append([ask.commit for ask in step])
            for commit in rounds[-1]:
                at = 20 if commit == "master" else int(commit[1:])
                shows = seen(dropped=1) if at >= bad_from else seen(cached=1)
                search.tell(commit, BROKEN if commit in broken else shows)
        asked = [commit for each in rounds for commit in each]
        assert len(asked) == len(set(asked))
        assert max(map(len, rounds)) <= k
        assert rounds[0] == ["master", "v19", "v17", "v13", "v5"][:k]
        if isinstance(alone, EndsFound):
            assert isinstance(step, EndsFound)
            assert (step.good, step.bad) == (alone.good, alone.bad)
        else:
            assert isinstance(step, Refused)
            assert step.kind is alone.kind


def test_find_good_starts_from_a_bad_end() -> None:
    search = GoodEndSearch(["v0"], bad="master", options=SearchOptions(trials=2))
    step = search.next()
    assert isinstance(step, Ask)
    assert step.trials == 2
    search.tell("master", seen(cached=2))
    refused = search.next()
    assert isinstance(refused, Refused)
    assert refused.reason == "master is not bad: cached (2 of 2)"


def test_find_good_needs_releases() -> None:
    with pytest.raises(BadInput, match="no release"):
        GoodEndSearch([], bad="master")
    with pytest.raises(BadInput, match="not of a fix"):
        GoodEndSearch(["v0"], bad="master", options=SearchOptions(find_fix=True))


def test_identical_binaries_need_no_second_run_in_find_good() -> None:
    search = GoodEndSearch(["v0", "v1"], bad="master", options=SearchOptions(trials=1))
    bad = seen(dropped=1)
    told = Tested(counts=bad.counts, verdicts=bad.verdicts, binary="x")
    search.tell("master", told)
    search.tell("v1", Tested(binary="x"))
    step = search.next()
    assert isinstance(step, Ask)
    assert step.commit == "v0"
