"""A search that runs a nearer commit in place of a good end whose build is dear."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit_bisect.search import (
    Ask,
    FlatCost,
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
from buildkit_bisect.search.history import History
from buildkit_bisect.search.session import BisectSession
from buildkit_bisect.search.state import State
from buildkit_bisect.search.tally import Evidence
from worlds import World, dice, drive, histories, linear, searched, seen, tip_of

ONCE = SearchOptions(trials=1)

#: A release branch, of which v1 is the good end: its merge base with the bad end is m20.
RELEASE: dict[str, list[str]] = {
    **{f"m{i}": [f"m{i - 1}"] if i else [] for i in range(101)},
    "r1": ["m20"],
    "v1": ["r1"],
}


class Dear(FlatCost):
    """Builds of some commits take ten times as long as others, until one of them is built."""

    def __init__(self, dear: frozenset[str]) -> None:
        super().__init__()
        self.dear = dear

    def build_seconds(self, commit: str) -> float:
        """Return 600 seconds for the first dear build."""
        usual = super().build_seconds(commit)
        return usual * 10 if commit in self.dear and not self._built & self.dear else usual


def go_of(number: int) -> str:
    """Return the Go version of a commit of `RELEASE` or of a line."""
    return "1.25" if number < 40 else "1.26"


def go_costs(parents: Mapping[str, list[str]]) -> NearestBuilt:
    numbers = {c: int(c[1:]) if c[0] in "mc" else 20 for c in parents}
    order = sorted(parents, key=lambda c: (numbers[c], c))
    return NearestBuilt(order, go={c: go_of(n) for c, n in numbers.items()})


def of_release(culprit: str, options: SearchOptions = ONCE) -> tuple[object, list[Ask]]:
    one = BisectSession(
        History(RELEASE),
        good="v1",
        bad="m100",
        options=options,
        cost=go_costs(RELEASE),
        late=True,
    )
    return drive(one, World(RELEASE, culprit).answer)


@pytest.mark.parametrize("trials", [1, None])
def test_the_other_version_of_go_is_not_compiled_if_the_change_is_in_this_one(
    trials: int | None,
) -> None:
    answer, asks = of_release("m70", SearchOptions(trials=trials))
    assert isinstance(answer, Found)
    assert answer.first_bad == "m70"
    assert [a.commit for a in asks[:1]] == ["m100"]
    assert asks[1].phase is Phase.GATE
    assert asks[1].why == (
        f"gate: is {asks[1].commit} (between the endpoints) good? Then v1 need not be built"
    )
    assert all(go_of(int(a.commit[1:])) == "1.26" for a in asks)
    assert answer.notes[0].startswith(
        f"v1 was not run in this search, but {asks[1].commit} "
        "(which m100 contains and v1 does not): good,"
    )


@pytest.mark.parametrize("trials", [1, None])
def test_the_merge_base_bounds_a_search_before_the_other_version_of_go(trials: int | None) -> None:
    answer, asks = of_release("m30", SearchOptions(trials=trials))
    assert isinstance(answer, Found)
    assert answer.first_bad == "m30"
    gate = [a.commit for a in asks if a.phase is Phase.GATE]
    assert gate[0] == "m100"
    assert gate[-1] == "m20"
    assert go_of(int(gate[1][1:])) == "1.26"
    assert "v1" not in [a.commit for a in asks]
    assert (
        "v1 was not run in this search, but m20 (its merge base with m100): good,"
        in answer.notes[0]
    )


def test_the_first_candidate_is_proven_by_the_merge_base() -> None:
    answer, asks = of_release("m21")
    assert isinstance(answer, Found)
    assert [p.commit for p in answer.parents_tested] == ["m20"]
    assert "v1" not in [a.commit for a in asks]


@pytest.mark.parametrize("trials", [1, 3, None])
def test_a_refusal_is_about_the_end_that_was_named(trials: int | None) -> None:
    one = BisectSession(
        History(RELEASE),
        good="v1",
        bad="m100",
        options=SearchOptions(trials=trials),
        cost=go_costs(RELEASE),
        late=True,
    )
    answer, asks = drive(one, lambda ask: seen(dropped=ask.trials))
    assert isinstance(answer, Refused)
    assert "v1 " in answer.reason
    assert "v1" in [a.commit for a in asks]
    assert answer.kind in {RefusalKind.ALREADY_BAD, RefusalKind.MERGE_BASE}


def test_refused_because_it_was_fixed_on_the_release_branch() -> None:
    one = BisectSession(
        History(RELEASE),
        good="v1",
        bad="m100",
        options=ONCE,
        cost=go_costs(RELEASE),
        late=True,
    )

    def answer(ask: Ask) -> Tested:
        return seen(cached=1) if ask.commit == "v1" else seen(dropped=1)

    result, _ = drive(one, answer)
    assert isinstance(result, Refused)
    assert result.kind is RefusalKind.MERGE_BASE


def test_a_lucky_trial_of_the_newer_end_is_no_reason_to_refuse_before_the_named_end_was_run() -> (
    None
):
    first = iter([True])

    def answer(ask: Ask) -> Tested:
        lucky = ask.commit == "m100" and next(first, False)
        rest = ask.trials - lucky
        counts = {"dropped": int(lucky), "cached": rest}
        return seen(**{name: n for name, n in counts.items() if n})

    one = BisectSession(History(RELEASE), good="v1", bad="m100", cost=go_costs(RELEASE), late=True)
    result, asks = drive(one, answer)
    assert isinstance(result, Refused)
    assert "v1" in [a.commit for a in asks]
    assert "v1 shows" in result.reason


@pytest.mark.parametrize("late", [True, False])
def test_an_end_of_the_same_version_of_go_is_run(late: bool) -> None:
    """Then no commit between the ends is worth a build for it alone."""
    parents = linear(64)
    cost = NearestBuilt([*parents], go=dict.fromkeys(parents, "1.26"))
    one = BisectSession(History(parents), good="c0", bad="c64", options=ONCE, cost=cost, late=late)
    answer, asks = drive(one, World(parents, "c20").answer)
    assert isinstance(answer, Found)
    assert [a.commit for a in asks[:2]] == ["c64", "c0"]
    assert not answer.notes


def test_a_commit_that_an_earlier_campaign_built_takes_the_place_of_a_far_end() -> None:
    parents = linear(400)
    cost = NearestBuilt([*parents], built=["c30"], go=dict.fromkeys(parents, "1.26"))
    one = BisectSession(History(parents), good="c0", bad="c400", options=ONCE, cost=cost, late=True)
    answer, asks = drive(one, World(parents, "c200").answer)
    assert isinstance(answer, Found)
    assert [a.commit for a in asks[:2]] == ["c400", "c30"]
    assert "c0" not in [a.commit for a in asks]


def test_an_end_that_is_built_is_run() -> None:
    cost = go_costs(RELEASE)
    cost.learn("v1", build_seconds=None, trial_seconds=None)
    one = BisectSession(History(RELEASE), good="v1", bad="m100", options=ONCE, cost=cost, late=True)
    answer, asks = drive(one, World(RELEASE, "m70").answer)
    assert isinstance(answer, Found)
    assert [a.commit for a in asks[:3]] == ["m100", "v1", "m20"]


def test_the_bad_end_of_a_search_for_a_fix_is_run() -> None:
    """It says what is looked for."""
    options = SearchOptions(trials=1, find_fix=True)
    one = BisectSession(
        History(RELEASE), good="m100", bad="v1", options=options, cost=go_costs(RELEASE), late=True
    )

    def answer(ask: Ask) -> Tested:
        fixed = ask.commit[0] == "m" and int(ask.commit[1:]) >= 70
        return seen(cached=1) if fixed else seen(dropped=1)

    found, asks = drive(one, answer)
    assert isinstance(found, Found)
    assert found.first_bad == "m70"
    assert [a.commit for a in asks[:3]] == ["v1", "m100", "m20"]


def test_a_good_end_that_is_the_same_build_as_its_merge_base() -> None:
    one = BisectSession(
        History(RELEASE),
        good="v1",
        bad="m100",
        options=ONCE,
        cost=go_costs(RELEASE),
        same_build={"v1": "k", "m20": "k"},
        late=True,
    )
    answer, asks = drive(one, World(RELEASE, "m30").answer)
    assert isinstance(answer, Found)
    assert "v1" not in [a.commit for a in asks]
    note = "v1 was not run in this search, but m20 (which is the same build): good, cached (1 of 1)"
    assert answer.notes == (note,)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_the_answer_is_right_whatever_is_dear(data: st.DataObject) -> None:
    """And both neighbours of a found commit were run, by whichever end the search began."""
    parents = data.draw(histories())
    tip = tip_of(parents)
    inside = sorted(World(parents, "m0").ancestors(tip) - {"m0"})
    culprit = data.draw(st.sampled_from(inside))
    dear = data.draw(st.frozensets(st.sampled_from(sorted(set(parents) - {tip}))))
    inner = sorted({*inside} - {tip})
    few = st.frozensets(st.sampled_from(inner), max_size=len(inner) // 3)
    broken = data.draw(few if inner else st.just(frozenset[str]()))
    options = SearchOptions(
        trials=data.draw(st.sampled_from([1, None])), first_parent=data.draw(st.booleans())
    )
    world = World(parents, culprit, broken=broken)
    one = BisectSession(
        History(parents),
        good="m0",
        bad=tip,
        options=options,
        cost=Dear(dear | {"m0"}),
        late=True,
    )
    answer, asks = drive(one, world.answer)
    ran = {a.commit for a in asks}
    if isinstance(answer, Range):
        assert broken
        assert options.trials is None or culprit in {c.commit for c in answer.candidates}
        return
    assert isinstance(answer, Found)
    assert answer.first_bad == culprit
    assert {culprit, *parents[culprit]} <= ran
    assert all(p.old == p.trials >= 2 for p in answer.parents_tested)
    told = any(note.startswith("m0 was not run") for note in answer.notes)
    assert told is not ("m0" in ran)


@given(histories(), st.integers(0, 10**6), st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_the_same_results_give_the_same_asks(
    parents: dict[str, list[str]], pick: int, crash: int
) -> None:
    tip = tip_of(parents)
    inside = sorted(World(parents, "m0").ancestors(tip) - {"m0"})
    world = World(parents, inside[pick % len(inside)])

    def session() -> BisectSession:
        return BisectSession(
            History(parents), good="m0", bad=tip, cost=Dear(frozenset({"m0"})), late=True
        )

    first = session()
    answer, asks = drive(first, world.answer)
    again = session()
    for ask, commit, tested in first.steps[:crash]:
        assert again.next() == ask
        again.tell(commit, tested)
    resumed, rest = drive(again, world.answer)
    assert resumed == answer
    assert rest == asks[crash:]


#: A branch from m10 that is merged at m40: b1 is the good end, of which r1 is a release.
BRANCH: dict[str, list[str]] = {
    **{f"m{i}": [f"m{i - 1}"] if i else [] for i in range(60)},
    "b1": ["m10"],
    "b2": ["b1"],
    "b3": ["b2"],
    "m40": ["m39", "b3"],
    "r1": ["b1"],
}


def between(good: str, options: SearchOptions) -> BisectSession:
    """Return a search in `BRANCH` from a good end that is dear to build."""
    cost = Dear(frozenset({good}))
    return BisectSession(
        History(BRANCH), good=good, bad="m59", options=options, cost=cost, late=True
    )


@pytest.mark.parametrize("trials", [1, 2, None])
@pytest.mark.parametrize("good", ["b1", "b2", "r1"])
def test_a_bad_good_end_on_a_branch_that_is_merged_later_is_called_so(
    good: str, trials: int | None
) -> None:
    """A commit between the ends that does not contain the good end says nothing of it."""
    answer, asks = drive(between(good, SearchOptions(trials=trials)), World(BRANCH, "b1").answer)
    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.ALREADY_BAD
    assert answer.hint == f"./inv bisect --bad {good} --find-good"
    assert len(asks) <= 12


@pytest.mark.parametrize("trials", [1, None])
def test_a_good_end_on_a_branch_that_does_not_build_is_no_candidate(trials: int | None) -> None:
    world = World(BRANCH, "b2", broken=frozenset({"b1"}))
    answer, _ = drive(between("b1", SearchOptions(trials=trials)), world.answer)
    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.UNTESTABLE


def test_a_nearer_end_contains_every_merge_base() -> None:
    """They cross: g and the line each merged the other's first commit."""
    parents = {
        "m0": [], "a": ["m0"], "b": ["m0"], "g": ["b", "a"], "m1": ["a"], "m2": ["m1"],
        "m3": ["m2", "b"], **{f"m{i}": [f"m{i - 1}"] for i in range(4, 40)},
    }  # fmt: skip
    for culprit in ("b", "a", "m2", "m30"):
        for trials in (1, None):
            one = BisectSession(
                History(parents),
                good="g",
                bad="m39",
                options=SearchOptions(trials=trials),
                cost=Dear(frozenset({"g"})),
                late=True,
            )
            answer, asks = drive(one, World(parents, culprit).answer)
            nearer = [a.commit for a in asks if "need not be built" in a.why]
            assert nearer
            assert not {"m1", "m2"} & {*nearer}
            if culprit in {"a", "b"}:
                assert isinstance(answer, Refused)
            else:
                assert isinstance(answer, Found)
                assert answer.first_bad == culprit


@pytest.mark.parametrize("trials", [1, None])
@pytest.mark.parametrize("named", ["good", "bad"])
def test_a_merge_base_that_is_bad_after_all_leads_back_to_the_end_that_was_named(
    trials: int | None, named: str
) -> None:
    """The nearer end was good and contains it: so it changed more than once, or that was luck."""
    one = BisectSession(
        History(RELEASE),
        good="v1",
        bad="m100",
        options=SearchOptions(trials=trials),
        cost=go_costs(RELEASE),
        late=True,
    )
    for _ in range(2):
        step = one.next()
        assert isinstance(step, Ask)
        one.tell(step.commit, seen(**{"dropped" if step.commit == "m100" else "cached": 1}))
    assert one.not_run == "v1"
    assert one.begun
    one.tell("m20", seen(dropped=6))
    step = one.next()
    assert isinstance(step, Ask)
    assert step.commit == "v1"
    assert not one.not_run
    shown = seen(cached=6) if named == "good" else seen(dropped=6)
    answer, _ = drive(one, lambda ask: shown if ask.commit == "v1" else seen(dropped=ask.trials))
    assert isinstance(answer, Refused)
    kinds = {"good": RefusalKind.MERGE_BASE, "bad": RefusalKind.ALREADY_BAD}
    assert answer.kind is kinds[named]


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_whichever_end_is_named_a_bad_one_is_refused_and_no_candidate(data: st.DataObject) -> None:
    parents = data.draw(histories())
    tip = tip_of(parents)
    good = data.draw(st.sampled_from(sorted(set(parents) - {tip})))
    inside = sorted(World(parents, "m0").ancestors(tip) - {"m0"})
    world = World(parents, data.draw(st.sampled_from(inside)))
    options = SearchOptions(
        trials=data.draw(st.sampled_from([1, 2, None])), first_parent=data.draw(st.booleans())
    )
    one = BisectSession(
        History(parents),
        good=good,
        bad=tip,
        options=options,
        cost=Dear(frozenset({good})),
        late=True,
    )
    answer, _ = drive(one, world.answer)
    if world.is_new(good):
        assert isinstance(answer, Refused)
    else:
        assert isinstance(answer, Found)
        assert answer.first_bad == world.culprit


def lucky(seed: int) -> Callable[[Ask], Tested]:
    """Return answers that are bad 7 of 10 times from m30 on, but good the first time near v1."""
    roll, met = dice(seed), set[str]()

    def answer(ask: Ask) -> Tested:
        first = "need not be built" in ask.why and ask.commit not in met
        met.add(ask.commit)
        new = ask.commit[0] == "m" and int(ask.commit[1:]) >= 30 and not first
        bad = sum(new and roll.random() < 0.7 for _ in range(ask.trials))
        counts = {"dropped": bad, "cached": ask.trials - bad}
        return seen(**{name: n for name, n in counts.items() if n})

    return answer


def unlucky_search(seed: int, options: SearchOptions) -> tuple[object, list[Ask]]:
    one = BisectSession(
        History(RELEASE),
        good="v1",
        bad="m100",
        options=options,
        cost=go_costs(RELEASE),
        late=True,
    )
    return drive(one, lucky(seed))


def test_a_nearer_end_that_was_lucky_once_gives_way_to_the_parents_of_what_is_found() -> None:
    """It contains the commit that is found, so the parents of that say more."""
    noted = []
    for seed in range(12):
        answer, asks = unlucky_search(seed, SearchOptions())
        if isinstance(answer, Found) and "v1" not in [a.commit for a in asks]:
            assert answer.first_bad == "m30"
            noted.append(answer.notes[0])
    start = "v1 was not run in this search, but m29 (parent of m30): good, cached ("
    assert len(noted) > 2
    assert all(note.startswith(start) for note in noted)


def test_a_nearer_end_whose_trials_disagree_has_a_tally_and_no_word() -> None:
    answer, _ = unlucky_search(0, SearchOptions(max_trials=25))
    assert isinstance(answer, Inconclusive)
    where = "m40 (which m100 contains and v1 does not)"
    (note,) = answer.notes
    assert note.startswith(f"v1 was not run in this search, but {where}: dropped (")


def test_a_trial_of_a_nearer_end_is_one_of_the_older_side_and_not_of_an_endpoint() -> None:
    sides = set()
    for seed in range(12):
        _, asks = unlucky_search(seed, SearchOptions(max_trials=25))
        for ask in asks:
            if ask.phase is Phase.CALIBRATE and "to estimate its failure rate" in ask.why:
                named = "an endpoint," if ask.commit in {"v1", "m100"} else "the older side,"
                assert named in ask.why
                sides.add(named)
    assert len(sides) == 2


def test_candidates_are_those_of_the_end_from_which_is_searched() -> None:
    """v1 is the same build as m25, so between these nothing changed; behind a nearer end it may."""
    one = State(
        history=History(RELEASE),
        evidence=Evidence(options=ONCE, bad_end="m100", same_build={"v1": "k", "m25": "k"}),
        options=ONCE,
        cost=FlatCost(),
        old="m60",
        new="m100",
        given="v1",
        floor=("m20",),
    )
    assert "m23" in one.history.shas(one.space())
    one.old, one.given = "v1", ""
    assert "m23" not in one.history.shas(one.space())


def test_it_costs_less_where_the_other_version_of_go_is_not_needed() -> None:
    def spent(late: bool, culprit: str, answer: Callable[[Ask], Tested]) -> float:
        cost, seconds = go_costs(RELEASE), 0.0
        one = BisectSession(
            History(RELEASE), good="v1", bad="m100", options=ONCE, cost=cost, late=late
        )
        while isinstance(step := one.next(), Ask):
            seconds += cost.build_seconds(step.commit)
            one.tell(step.commit, answer(step))
        assert isinstance(step, Found)
        assert step.first_bad == culprit
        return seconds

    saved = {}
    for number in range(21, 101, 4):
        world = World(RELEASE, f"m{number}")
        first, late = (spent(kind, f"m{number}", world.answer) for kind in (False, True))
        saved[number] = first - late
    assert min(saved[n] for n in saved if n > 45) > 60
    assert min(saved.values()) > -30  # it cost a build that told little
    assert sum(saved.values()) / len(saved) > 40


def test_the_search_goes_on_as_from_any_other_test() -> None:
    """The nearer end splits the candidates, also if it shows the new behaviour."""
    _, asks = of_release("m30")
    first = searched(asks)[0]
    assert first.candidates_left <= 30
