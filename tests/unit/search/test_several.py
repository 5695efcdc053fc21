"""Several commits asked for at once: the answers of the plain search, in fewer rounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit_bisect.search import (
    Answer,
    Ask,
    CostModel,
    FlatCost,
    Found,
    Phase,
    Range,
    Refused,
    SearchOptions,
    Tested,
)
from buildkit_bisect.search.history import History
from buildkit_bisect.search.session import BisectSession
from buildkit_bisect.search.spread import parts, spread
from buildkit_bisect.search.state import State
from buildkit_bisect.search.tally import Evidence
from worlds import Case, World, dice, drive, hard_case, histories, linear, tip_of

ONCE = SearchOptions(trials=1)

#: One at a time, and what takes more than one look at a time.
MODES = st.sampled_from([1, 3, None])

Order = Callable[[Sequence[Ask]], Sequence[Ask]]


def session(
    world: World,
    old: str,
    new: str,
    options: SearchOptions = ONCE,
    cost: CostModel | None = None,
) -> BisectSession:
    return BisectSession(History(world.parents), good=old, bad=new, options=options, cost=cost)


def rounds(
    one: BisectSession,
    answer: Callable[[Ask], Tested],
    k: int,
    *,
    order: Order = lambda asks: asks,
    builds: int | None = None,
    limit: int = 200,
) -> tuple[Answer, list[tuple[Ask, ...]]]:
    """Answer every round, in that order; return the result and the rounds."""
    made: list[tuple[Ask, ...]] = []
    while isinstance(step := one.next_k(k, builds=builds), tuple):
        made.append(step)
        assert len(made) < limit, "the search does not end"
        assert 1 <= len(step) <= k
        assert len({ask.commit for ask in step}) == len(step)
        for ask in order(step):
            one.tell(ask.commit, answer(ask))
    return step, made


def said(answer: Answer) -> object:
    """Return what an answer names, without how sure it is."""
    match answer:
        case Found():
            return answer.first_bad, answer.merge, {p.commit for p in answer.parents_tested}
        case Range():
            return {c.commit for c in answer.candidates}
        case Refused():
            return answer.kind
    return answer.reason


@given(histories(), st.data(), MODES, st.booleans(), st.integers(1, 8))
@settings(max_examples=80, deadline=None)
def test_the_commit_found_is_that_of_the_plain_search(
    parents: dict[str, list[str]], data: st.DataObject, trials: int | None, line: bool, k: int
) -> None:
    tip = tip_of(parents)
    culprit = data.draw(st.sampled_from(sorted(World(parents, "m0").ancestors(tip) - {"m0"})))
    world = World(parents, culprit)
    options = SearchOptions(trials=trials, first_parent=line)
    plain, alone = drive(session(world, "m0", tip, options), world.answer)
    answer, made = rounds(session(world, "m0", tip, options), world.answer, k)
    assert isinstance(answer, Found)
    assert said(answer) == said(plain)
    assert len(made) <= len(alone)
    assert answer.confidence >= options.confidence
    fresh = [a.commit for asks in made for a in asks if a.phase is not Phase.PROOF]
    assert trials is None or len(fresh) == len(set(fresh)), "run twice, though one run decides"


#: Found by Hypothesis: all but certain of m1 without a run of it, a search of two at once ran other
#: commits again, and took 10 rounds where one at a time takes 9.
#: Each commit with its parents.
NEVER_RUN = (
    "m0; b1 m0; m1 m0 b1; b2 m0; b3 b2 m0; b4 m0; b5 m0; m2 m1 b3 b4 b5; b6 m1; m3 m2 b6; m4 m3;"
    "b7 m3; b8 b7; b9 b8; b10 b9; b11 b10; b12 b11; b13 m2; b14 m1; m5 m4 b12 b13 b14"
)


@pytest.mark.parametrize("k", [2, 3])
def test_a_candidate_that_was_never_run_is_proven_at_once(k: int) -> None:
    rows = (row.split() for row in NEVER_RUN.split(";"))
    world = World({commit: above for commit, *above in rows}, "m1")
    options = SearchOptions(first_parent=False)
    _, alone = drive(session(world, "m0", "m5", options), world.answer)
    answer, made = rounds(session(world, "m0", "m5", options), world.answer, k)
    assert isinstance(answer, Found)
    assert answer.first_bad == "m1"
    assert len(made) <= len(alone)
    again = {a.commit for asks in made for a in asks if a.why.startswith("again")}
    assert again <= {"m0", "m5"}, "run again, though the proof tells more"


@pytest.mark.parametrize("untestable", [False, True])
def test_a_first_run_of_a_candidate_has_the_rest_of_its_proof_beside_it(untestable: bool) -> None:
    """Unless a parent cannot be tested: then there is no proof."""
    parents = {"m0": [], "p": ["m0"], "c": ["p"], "a": ["c"], "b": ["c"], "good": ["p"]}
    parents["m1"] = ["a", "b", "good"]
    world = World(parents, "c", broken=frozenset({"p"} if untestable else ()))
    one = session(world, "m0", "m1", SearchOptions(first_parent=False))
    while isinstance(ask := one.next(), Ask) and ask.phase is Phase.GATE:
        one.tell(ask.commit, world.answer(ask))
    assert isinstance(ask, Ask)
    for commit in ("a", "b", "good", *(["p"] if untestable else [])):
        one.tell(commit, world.answer(replace(ask, commit=commit, trials=4)))
    plain, asks = one.next(), one.next_k(2)
    assert isinstance(plain, Ask)
    assert isinstance(asks, tuple)
    assert (plain.phase, plain.commit, plain.trials) == (Phase.PROOF, "c", 1)
    runs = {a.commit: a.trials for a in asks}
    assert runs["c"] == (1 if untestable else 2)
    assert runs.get("p") == (None if untestable else 2)
    answer, _ = rounds(one, world.answer, 2)
    assert isinstance(answer, Range if untestable else Found)


@given(st.integers(0, 10**6), MODES, st.integers(2, 8))
@settings(max_examples=60, deadline=None)
def test_so_are_refusals_and_what_commits_that_do_not_build_leave(
    seed: int, trials: int | None, k: int
) -> None:
    """Where such commits hide the culprit, which newer commit ends the range depends on the order
    of the tests: of two branches that both have it, the plain search runs one.
    """
    case = hard_case(seed)
    options = SearchOptions(trials=trials, max_skips=1000)
    plain, _ = drive(of_case(case, options), case.world.answer, limit=1000)
    answer, _ = rounds(of_case(case, options), case.world.answer, k)
    assert type(answer) is type(plain)
    if isinstance(answer, Range):
        assert case.world.culprit in {c.commit for c in answer.candidates}
    else:
        assert said(answer) == said(plain)


@given(st.integers(2, 40), st.data(), MODES, st.integers(2, 8))
@settings(max_examples=60, deadline=None)
def test_on_a_line_ranges_are_the_same(
    size: int, data: st.DataObject, trials: int | None, k: int
) -> None:
    inner = [f"c{n}" for n in range(1, size)]
    culprit = data.draw(st.sampled_from([*inner, f"c{size}"]))
    broken = data.draw(st.frozensets(st.sampled_from(inner), max_size=8))
    world = World(linear(size), culprit, broken=broken)
    options = SearchOptions(trials=trials)
    plain, _ = drive(session(world, "c0", f"c{size}", options), world.answer)
    answer, _ = rounds(session(world, "c0", f"c{size}", options), world.answer, k)
    assert type(answer) is type(plain)
    assert said(answer) == said(plain)


def of_case(case: Case, options: SearchOptions) -> BisectSession:
    return session(case.world, case.old, case.tip, options)


@given(st.integers(0, 10**6), MODES, st.integers(2, 8), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_the_order_of_the_answers_changes_nothing(
    seed: int, trials: int | None, k: int, shuffle: int
) -> None:
    case, rng = hard_case(seed), dice(shuffle)
    options = SearchOptions(trials=trials)

    def shuffled(asks: Sequence[Ask]) -> list[Ask]:
        return rng.sample(asks, len(asks))

    answer, made = rounds(of_case(case, options), case.world.answer, k)
    again, others = rounds(of_case(case, options), case.world.answer, k, order=shuffled)
    assert again == answer
    assert others == made


@given(histories(), st.integers(0, 10**6), MODES)
@settings(max_examples=60, deadline=None)
def test_one_at_once_is_the_plain_search(
    parents: dict[str, list[str]], pick: int, trials: int | None
) -> None:
    tip = tip_of(parents)
    inside = sorted(World(parents, "m0").ancestors(tip) - {"m0"})
    world = World(parents, inside[pick % len(inside)])
    options = SearchOptions(trials=trials)
    answer, made = rounds(session(world, "m0", tip, options), world.answer, 1)
    plain, asks = drive(session(world, "m0", tip, options), world.answer)
    assert answer == plain
    assert [ask for (ask,) in made] == asks


def rounds_allowed(size: int, k: int) -> int:
    """Return the least r with (k + 1) ** r >= size."""
    return next(r for r in range(12) if (k + 1) ** r >= size)


def state_of(size: int) -> State:
    """Return a search in a line, after its ends have shown what they should."""
    history = History(linear(size))
    return State(
        history=history,
        evidence=Evidence(options=ONCE, bad_end=f"c{size}"),
        options=ONCE,
        cost=FlatCost(),
        old="c0",
        new=f"c{size}",
        floor=("c0",),
    )


@pytest.mark.parametrize("k", range(2, 9))
def test_a_line_is_cut_into_equal_parts(k: int) -> None:
    """For every number of candidates up to 300, which proves how many rounds are left: what remains
    after a round is such a line again, and is one commit after `rounds_allowed`.
    """
    for size in range(2, 301):
        state = state_of(size)
        found = spread(state, state.reach_mask(), state.space(), k)
        sizes = [part.bit_count() for part in parts([state.space()], (t.inside for t in found))]
        assert len(sizes) == min(k + 1, size)
        assert max(sizes) <= math.ceil(size / (k + 1)), size


@pytest.mark.parametrize("k", range(2, 9))
def test_a_line_takes_log_k_plus_1_rounds_one_for_the_ends_and_one_for_the_proof(k: int) -> None:
    """All rounds are counted: of the ends, of the search and of the proof."""
    powers = [(k + 1) ** r for r in range(1, 6) if (k + 1) ** r < 300]
    for size in sorted({2, 3, 300, *powers, *(p + 1 for p in powers)}):
        for culprit in sorted({1, size // 3 + 1, size // 2 + 1, size}):
            world = World(linear(size), f"c{culprit}")
            answer, made = rounds(session(world, "c0", f"c{size}"), world.answer, k)
            assert isinstance(answer, Found)
            assert answer.first_bad == world.culprit
            assert len(made) <= rounds_allowed(size, k) + 2, (size, culprit)
