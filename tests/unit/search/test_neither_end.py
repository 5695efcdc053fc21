"""A search that runs commits between its ends before either of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit_bisect.search import (
    Ask,
    FlatCost,
    Found,
    NearestBuilt,
    Phase,
    Range,
    RefusalKind,
    Refused,
    SearchOptions,
    Tested,
)
from buildkit_bisect.search.first_asks import ALIKE
from buildkit_bisect.search.history import History
from buildkit_bisect.search.session import BisectSession
from worlds import BROKEN, World, dice, drive, histories, linear, seen, tip_of

ONCE = SearchOptions(trials=1)

#: A release branch from m20 with the good end v1, and one from m100 with the bad end v2.
RELEASES: dict[str, list[str]] = {
    **{f"m{i}": [f"m{i - 1}"] if i else [] for i in range(101)},
    "r1": ["m20"],
    "v1": ["r1"],
    "v2": ["m100"],
}


def session(
    parents: Mapping[str, list[str]],
    good: str,
    bad: str,
    options: SearchOptions = ONCE,
    *,
    neither: bool = True,
) -> BisectSession:
    return BisectSession(
        History(parents), good=good, bad=bad, options=options, late=True, neither=neither
    )


def releases(options: SearchOptions = ONCE, *, neither: bool = True) -> BisectSession:
    return session(RELEASES, "v1", "v2", options, neither=neither)


def builds(asks: list[Ask]) -> int:
    return len({ask.commit for ask in asks})


@pytest.mark.parametrize("trials", [1, 3, None])
def test_no_end_is_run_if_commits_between_them_show_both(trials: int | None) -> None:
    answer, asks = drive(releases(SearchOptions(trials=trials)), World(RELEASES, "m45").answer)
    assert isinstance(answer, Found)
    assert answer.first_bad == "m45"
    ran = {ask.commit for ask in asks}
    assert not ran & {"v1", "v2", "m20"}
    assert asks[0].phase is Phase.FIRST_PARENT
    assert asks[0].why == (
        "first-parent midpoint, before an endpoint is run: at most 41 of 81 candidates would"
        " remain; build predicted 60 s"
    )
    good, bad = answer.notes
    assert good.startswith("v1 was not run in this search, but m4")
    assert "(which v2 contains and v1 does not): good, cached (" in good
    assert bad.startswith("v2 was not run in this search, but m60 (which v2 contains): bad, dropp")


@pytest.mark.parametrize("trials", [1, None])
@pytest.mark.parametrize("culprit", ["m21", "m22", "m25", "m99", "m100", "v2"])
def test_the_end_that_should_show_the_other_runs_after_some_that_show_the_same(
    culprit: str, trials: int | None
) -> None:
    answer, asks = drive(releases(SearchOptions(trials=trials)), World(RELEASES, culprit).answer)
    assert isinstance(answer, Found)
    assert answer.first_bad == culprit
    gate = [ask for ask in asks if ask.phase is Phase.GATE]
    early = int(culprit[1:]) in range(20, 30)
    assert [ask.commit for ask in gate] == (["m20"] if early else ["v2"])
    assert asks.index(gate[0]) == ALIKE
    if not early:
        assert gate[0].why == "gate: is v2 bad? No commit before it was"
    not_run = ["v1", "v2"] if early else ["v1"]
    assert [note.split()[0] for note in answer.notes] == not_run


def test_a_good_end_on_the_line_runs_if_all_before_it_are_bad() -> None:
    parents = linear(64)
    answer, asks = drive(session(parents, "c0", "c64"), World(parents, "c1").answer)
    assert isinstance(answer, Found)
    assert [ask.commit for ask in asks if ask.phase is Phase.GATE] == ["c0"]
    (note,) = answer.notes
    assert note.startswith("c64 was not run in this search, but c32 (which c64 contains): bad, ")


Answer = Callable[[Ask], Tested]


def always(outcome: str) -> Answer:
    return lambda ask: seen(**{outcome: ask.trials})


def reverse(ask: Ask) -> Tested:
    new = World(RELEASES, "m45").is_new(ask.commit)
    return seen(**{"cached" if new else "dropped": ask.trials})


@pytest.mark.parametrize("trials", [1, 2, None])
@pytest.mark.parametrize("answers", [always("dropped"), always("cached"), reverse])
def test_a_wrong_range_is_refused_as_with_the_ends_first_after_few_more_builds(
    answers: Answer, trials: int | None
) -> None:
    options = SearchOptions(trials=trials)
    first, before = drive(releases(options, neither=False), answers)
    answer, asks = drive(releases(options), answers)
    assert isinstance(first, Refused)
    assert isinstance(answer, Refused)
    assert (answer.kind, answer.hint) == (first.kind, first.hint)
    assert {"v1", "v2"} <= {ask.commit for ask in asks}
    assert builds(asks) <= builds(before) + ALIKE
    assert not answer.notes


def test_a_change_that_was_undone_on_the_branch_of_the_good_end_is_refused() -> None:
    def answers(ask: Ask) -> Tested:
        return seen(**{"cached" if ask.commit in {"r1", "v1"} else "dropped": ask.trials})

    answer, _ = drive(releases(), answers)
    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.MERGE_BASE


def test_commits_that_tell_nothing_lead_to_the_ends() -> None:
    world = World(RELEASES, "m45", broken=frozenset(f"m{n}" for n in range(50, 80)))
    answer, asks = drive(releases(), world.answer)
    assert isinstance(answer, Found)
    assert answer.first_bad == "m45"
    assert {ask.commit for ask in asks[:2]} <= world.broken
    assert asks[2].commit == "v2"
    assert [note.split()[0] for note in answer.notes] == ["v1"]


@pytest.mark.parametrize("shown", [seen(odd=1), BROKEN])
def test_a_reproducer_that_fails_everywhere_is_refused_by_the_bad_end(shown: Tested) -> None:
    answer, asks = drive(releases(), lambda _: shown)
    assert isinstance(answer, Refused)
    assert answer.kind in {RefusalKind.UNTESTABLE, RefusalKind.OTHER_OUTCOME}
    assert "v2" in answer.reason
    assert builds(asks) <= 3


def test_the_first_bad_outcome_says_what_is_looked_for() -> None:
    """Another failure is no evidence then, as it is none beside the bad end's."""

    def answers(ask: Ask) -> Tested:
        number = int(ask.commit[1:]) if ask.commit[0] == "m" else 0
        outcome = "dropped" if number >= 50 or ask.commit == "v2" else "cached"
        return seen(**{"crash" if number in {43, 44} else outcome: ask.trials})

    answer, asks = drive(releases(), answers)
    assert isinstance(answer, Found)
    assert answer.first_bad == "m50"
    assert any(ask.commit in {"m43", "m44"} for ask in asks) is any(
        "outcomes of neither endpoint do not count" in note for note in answer.notes
    )


def test_bad_outcomes_that_are_named_count_from_the_first_ask_on() -> None:
    options = SearchOptions(trials=1, bad_when=frozenset({"dropped"}))

    def answers(ask: Ask) -> Tested:
        number = int(ask.commit[1:]) if ask.commit[0] == "m" else 0
        return seen(**{"dropped" if 45 <= number < 55 or ask.commit == "v2" else "crash": 1})

    answer, asks = drive(releases(options), answers)
    assert asks[0].commit == "m60"
    assert isinstance(answer, Refused)  # a crash is no good outcome
    assert answer.kind is RefusalKind.OTHER_OUTCOME


def test_a_bad_end_that_is_built_runs_first() -> None:
    one = releases()
    one._state.cost.learn("v2", build_seconds=None, trial_seconds=None)
    assert one.spares == ("v1",)
    first = one.next()
    assert isinstance(first, Ask)
    assert first.commit == "v2"


def test_an_end_that_was_told_is_the_end() -> None:
    one = releases()
    assert one.spares == ("v1", "v2")
    one.tell("v2", seen(dropped=1))
    answer, asks = drive(one, World(RELEASES, "m45").answer)
    assert isinstance(answer, Found)
    assert "v2" not in [note.split()[0] for note in answer.notes]
    assert one.bad_not_run == ""
    assert asks[0].phase is Phase.GATE


def test_the_search_for_a_fix_runs_its_ends() -> None:
    """The older end says what is looked for."""
    one = session(RELEASES, "v2", "v1", SearchOptions(trials=1, find_fix=True))
    assert one.spares == ()
    first = one.next()
    assert isinstance(first, Ask)
    assert first.commit == "v1"


def test_only_commits_that_contain_every_merge_base_take_the_place_of_an_end() -> None:
    """They cross: g and the line each merged the other's first commit."""
    parents = {
        "m0": [], "a": ["m0"], "b": ["m0"], "g": ["b", "a"], "m1": ["a"],
        **{f"m{i}": [f"m{i - 1}"] for i in range(2, 30)}, "m30": ["m29", "b"],
        **{f"m{i}": [f"m{i - 1}"] for i in range(31, 40)},
    }  # fmt: skip
    for culprit in ("b", "a", "m2", "m35"):
        for trials in (1, None):
            one = session(parents, "g", "m39", SearchOptions(trials=trials))
            answer, asks = drive(one, World(parents, culprit).answer)
            assert int(asks[0].commit[1:]) >= 30
            if culprit in {"a", "b"}:
                assert isinstance(answer, Refused)
            else:
                assert isinstance(answer, Found)
                assert answer.first_bad == culprit


class Dear(FlatCost):
    """Builds of some commits take ten times as long as others, until one of them is built."""

    def __init__(self, dear: frozenset[str]) -> None:
        super().__init__()
        self.dear = dear

    def build_seconds(self, commit: str) -> float:
        """Return 600 seconds for the first dear build."""
        usual = super().build_seconds(commit)
        return usual * 10 if commit in self.dear and not self._built & self.dear else usual


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_the_answer_is_that_of_a_search_with_the_ends_first(data: st.DataObject) -> None:
    """Also where the good end is anywhere in the history; a bad one is refused."""
    parents = data.draw(histories())
    tip = tip_of(parents)
    good = data.draw(st.sampled_from(["m0", *sorted(set(parents) - {tip})]))
    inside = sorted(World(parents, "m0").ancestors(tip) - {"m0"})
    culprit = data.draw(st.sampled_from(inside))
    dear = data.draw(st.frozensets(st.sampled_from(sorted(parents))))
    options = SearchOptions(
        trials=data.draw(st.sampled_from([1, 2, None])), first_parent=data.draw(st.booleans())
    )
    answers = []
    asked = []
    for neither in (False, True):
        one = BisectSession(
            History(parents),
            good=good,
            bad=tip,
            options=options,
            cost=Dear(dear),
            late=neither,
            neither=neither,
        )
        answer, asks = drive(one, World(parents, culprit).answer)
        answers.append(answer)
        asked.append(asks)
        if neither:
            ran = {ask.commit for ask in asks}
            for end, not_run in ((good, one.not_run), (tip, one.bad_not_run)):
                assert (not_run == end) is (end not in ran and isinstance(answer, Found))
    first, answer = answers
    assert type(answer) is type(first)
    if isinstance(answer, Refused):
        assert isinstance(first, Refused)
        assert answer.kind is first.kind
        assert builds(asked[1]) <= builds(asked[0]) + ALIKE
    else:
        assert isinstance(answer, Found)
        assert answer.first_bad == culprit
        assert all(p.old == p.trials >= 2 for p in answer.parents_tested)
        assert {culprit, *parents[culprit]} <= {ask.commit for ask in asked[1]}


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_an_answer_is_right_where_commits_do_not_build(data: st.DataObject) -> None:
    parents = data.draw(histories())
    tip = tip_of(parents)
    inside = sorted(World(parents, "m0").ancestors(tip) - {"m0"})
    culprit = data.draw(st.sampled_from(inside))
    inner = sorted({*inside} - {tip})
    few = st.frozensets(st.sampled_from(inner), max_size=len(inner) // 3)
    broken = data.draw(few if inner else st.just(frozenset[str]()))
    world = World(parents, culprit, broken=broken)
    one = session(parents, "m0", tip, SearchOptions(trials=data.draw(st.sampled_from([1, None]))))
    answer, asks = drive(one, world.answer)
    if isinstance(answer, Range):
        assert broken
        assert one._state.options.trials is None or culprit in {c.commit for c in answer.candidates}
    else:
        assert isinstance(answer, Found)
        assert answer.first_bad == culprit
        assert {culprit, *parents[culprit]} <= {ask.commit for ask in asks}


@given(histories(), st.integers(0, 10**6), st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_the_same_results_give_the_same_asks(
    parents: dict[str, list[str]], pick: int, crash: int
) -> None:
    tip = tip_of(parents)
    inside = sorted(World(parents, "m0").ancestors(tip) - {"m0"})
    world = World(parents, inside[pick % len(inside)])
    first = session(parents, "m0", tip, SearchOptions())
    answer, asks = drive(first, world.answer)
    again = session(parents, "m0", tip, SearchOptions())
    for ask, commit, tested in first.steps[:crash]:
        assert again.next() == ask
        again.tell(commit, tested)
    resumed, rest = drive(again, world.answer)
    assert resumed == answer
    assert rest == asks[crash:]


@pytest.mark.parametrize("trials", [1, None])
def test_with_several_at_once_the_first_asks_are_one_at_a_time(trials: int | None) -> None:
    world = World(RELEASES, "m45")
    one = releases(SearchOptions(trials=trials))
    rounds = []
    while isinstance(asks := one.next_k(4, builds=1), tuple):
        rounds.append(asks)
        for ask in asks:
            one.tell(ask.commit, world.answer(ask))
    assert isinstance(asks, Found)
    assert asks.first_bad == "m45"
    assert [len(asks) for asks in rounds[:2]] == [1, 1]
    assert not {"v1", "v2"} & {ask.commit for asks in rounds for ask in asks}


def flaky(seed: object, rates: Mapping[bool, float], culprit: int) -> Answer:
    """Return answers that are bad at a rate from m*culprit* on, and at another before."""
    roll = dice(seed)

    def answer(ask: Ask) -> Tested:
        number = {"v1": 0, "r1": 0, "v2": 101}.get(ask.commit)
        number = int(ask.commit[1:]) if number is None else number
        bad = sum(roll.random() < rates[number >= culprit] for _ in range(ask.trials))
        counts = {"dropped": bad, "cached": ask.trials - bad}
        return seen(**{name: n for name, n in counts.items() if n})

    return answer


def test_if_nothing_changed_both_ends_run_before_that_is_said() -> None:
    kinds = []
    for seed in range(12):
        rates = {True: 0.4, False: 0.4}
        answer, asks = drive(releases(SearchOptions()), flaky(seed, rates, 60), limit=900)
        if isinstance(answer, Refused):
            kinds.append(answer.kind)
            assert {"v1", "v2"} <= {ask.commit for ask in asks}
            assert "v1" in answer.reason
    assert len(kinds) >= 10


@pytest.mark.parametrize("rates", [(0.9, 0.1), (0.5, 0.0)])
def test_where_trials_err_the_answer_is_right_as_often(rates: tuple[float, float]) -> None:
    """400 searches of each are in docs/search.md."""
    right: dict[bool, list[bool]] = {False: [], True: []}
    for neither, found in right.items():
        for seed in range(25):
            culprit = 21 + seed * 3
            answers = flaky(seed, dict(zip((True, False), rates, strict=True)), culprit)
            answer, _ = drive(releases(SearchOptions(), neither=neither), answers, limit=900)
            found.append(isinstance(answer, Found) and answer.first_bad == f"m{culprit}")
    assert sum(right[True]) >= max(23, sum(right[False]) - 1)


def test_a_trial_of_what_was_run_in_place_of_the_bad_end_is_one_of_the_newer_side() -> None:
    sides = set()
    for seed in range(8):
        answers = flaky(seed, {True: 0.7, False: 0.0}, 45)
        _, asks = drive(releases(SearchOptions(max_trials=40)), answers)
        for ask in asks:
            if ask.phase is Phase.CALIBRATE and "to estimate its failure rate" in ask.why:
                sides |= {s for s in ("an endpoint", "the newer", "the older") if s in ask.why}
    assert "the newer" in sides


def test_it_costs_less_than_a_nearer_end_first() -> None:
    go = {c: "1.25" if c in {"v1", "r1"} or int(c[1:]) < 40 else "1.26" for c in RELEASES}
    go["v2"] = "1.26"
    order = sorted(RELEASES, key=lambda c: {"v1": 20, "r1": 20, "v2": 101}.get(c) or int(c[1:]))

    def spent(culprit: str, *, neither: bool) -> float:
        cost, seconds = NearestBuilt(order, go=go), 0.0
        one = BisectSession(
            History(RELEASES), good="v1", bad="v2", cost=cost, late=True, neither=neither
        )
        while isinstance(step := one.next(), Ask):
            seconds += cost.build_seconds(step.commit)
            one.tell(step.commit, World(RELEASES, culprit).answer(step))
        assert isinstance(step, Found)
        assert step.first_bad == culprit
        return seconds

    saved = [
        spent(f"m{n}", neither=False) - spent(f"m{n}", neither=True) for n in range(21, 101, 4)
    ]
    assert sum(saved) / len(saved) > 10
