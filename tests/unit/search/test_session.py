"""Bisection where trials do not lie: ends, first-parent line, branches, skips, proof."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Verdict
from buildkit_bisect.search import (
    Ask,
    FlatCost,
    Found,
    Inconclusive,
    Phase,
    Range,
    RefusalKind,
    Refused,
    SearchOptions,
    Skip,
    SkipKind,
    Step,
    Tested,
)
from buildkit_bisect.search.history import History
from buildkit_bisect.search.session import BisectSession
from worlds import BROKEN, World, drive, histories, linear, searched, seen, tip_of

ONCE = SearchOptions(trials=1)


def session(
    parents: dict[str, list[str]],
    *,
    good: str,
    bad: str,
    options: SearchOptions = ONCE,
    same_build: dict[str, str] | None = None,
    labels: dict[str, str] | None = None,
    back: bool = False,
) -> BisectSession:
    return BisectSession(
        History(parents),
        good=good,
        bad=bad,
        options=options,
        same_build=same_build,
        labels=labels,
        back=back,
    )


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_the_answer_is_right_or_a_range_that_holds_it(data: st.DataObject) -> None:
    parents = data.draw(histories())
    tip = tip_of(parents)
    culprit = data.draw(st.sampled_from(sorted(World(parents, "m0").ancestors(tip) - {"m0"})))
    inner = sorted(set(parents) - {"m0", tip})
    few = st.frozensets(st.sampled_from(inner), max_size=len(inner) // 2)
    broken = data.draw(few if inner else st.just(frozenset[str]()))
    options = SearchOptions(trials=1, first_parent=data.draw(st.booleans()))
    world = World(parents, culprit, broken=broken)

    answer, asks = drive(session(parents, good="m0", bad=tip, options=options), world.answer)

    if isinstance(answer, Range):
        assert broken
        assert culprit in {c.commit for c in answer.candidates}
        assert all(c.reason for c in answer.candidates)
    else:
        assert isinstance(answer, Found)
        assert answer.first_bad == culprit
        assert {p.commit for p in answer.parents_tested} == set(parents[culprit])
        assert all(p.old == p.trials >= 2 for p in answer.parents_tested)
        proven_once = [*parents[culprit], culprit]
        proven = [a.commit for a in asks if a.phase is Phase.PROOF]
        assert proven[: 2 * len(proven_once)] == proven_once * 2
        if culprit.startswith("m"):
            assert answer.merge is None
        else:
            assert answer.merge is not None
            assert culprit in world.ancestors(answer.merge)
            assert culprit not in world.ancestors(parents[answer.merge][0])


@given(histories(), st.integers(0, 10**6))
@settings(max_examples=100, deadline=None)
def test_without_skips_one_commit_is_found(parents: dict[str, list[str]], pick: int) -> None:
    tip = tip_of(parents)
    inside = sorted(World(parents, "m0").ancestors(tip) - {"m0"})
    world = World(parents, inside[pick % len(inside)])
    answer, _ = drive(session(parents, good="m0", bad=tip), world.answer)
    assert isinstance(answer, Found)
    assert answer.first_bad == world.culprit


@given(histories(), st.integers(0, 10**6), st.data())
@settings(max_examples=100, deadline=None)
def test_equal_builds_are_one_candidate_and_run_once(
    parents: dict[str, list[str]], pick: int, data: st.DataObject
) -> None:
    tip = tip_of(parents)
    inside = sorted(World(parents, "m0").ancestors(tip) - {"m0"})
    world = World(parents, inside[pick % len(inside)])
    keys = {c: c for c in parents}
    order = History(parents)
    for i in range(len(order)):  # some commits change nothing that is built
        sha = order.sha(i)
        if sha != world.culprit and len(parents[sha]) == 1 and data.draw(st.booleans()):
            keys[sha] = keys[parents[sha][0]]
    one = session(parents, good="m0", bad=tip, same_build=keys)
    answer, asks = drive(one, world.answer)
    assert isinstance(answer, Found)
    assert answer.first_bad == world.culprit
    tested = [keys[a.commit] for a in asks if a.phase is not Phase.PROOF]
    assert len(tested) == len(set(tested))


@given(histories(), st.integers(0, 10**6), st.data())
@settings(max_examples=100, deadline=None)
def test_merges_that_are_the_same_build_as_another_commit(
    parents: dict[str, list[str]], pick: int, data: st.DataObject
) -> None:
    """Each build is what the commits in it changed, so many merges are the same as a parent."""
    tip = tip_of(parents)
    inside = sorted(World(parents, "m0").ancestors(tip) - {"m0"})
    world = World(parents, inside[pick % len(inside)])
    changing = data.draw(st.frozensets(st.sampled_from(inside))) | {world.culprit}
    keys = {c: " ".join(sorted(changing & world.ancestors(c))) for c in parents}
    options = SearchOptions(trials=data.draw(st.sampled_from([1, None])))
    one = session(parents, good="m0", bad=tip, same_build=keys, options=options)
    answer, asks = drive(one, world.answer)
    assert isinstance(answer, Found)
    assert answer.first_bad == world.culprit
    tested = [keys[a.commit] for a in asks if a.phase is not Phase.PROOF]
    assert options.trials is None or len(tested) == len(set(tested))


def test_a_branch_whose_merge_changed_nothing_is_not_searched() -> None:
    """The branch began where the fault was not there yet, so its commits are good: v0.18.0 was bad,
    a merge after it brought tests only and is the same build, and a fix followed. The search went
    into that branch, found its base good, and said that the outcome had changed more than once.
    """
    parents = {
        "base": [],
        "fault": ["base"],
        "tests": ["base"],
        "merge": ["fault", "tests"],
        "fix": ["merge"],
        "fixed": ["merge", "fix"],
        "end": ["fixed"],
    }
    keys = {"tests": "1", "fault": "2", "merge": "2", "fix": "3", "fixed": "3", "end": "4"}
    answer, asks = drive(
        session(
            parents,
            good="end",
            bad="fault",
            same_build=keys,
            options=SearchOptions(find_fix=True),
        ),
        lambda ask: seen(
            **{"dropped" if ask.commit in {"fault", "merge"} else "cached": ask.trials}
        ),
    )
    assert isinstance(answer, Found)
    assert answer.first_bad == "fix"
    assert not {"tests", "base"} & {ask.commit for ask in asks}


def test_a_commit_that_changes_nothing_that_is_built_is_no_candidate() -> None:
    parents = linear(20)
    keys = {f"c{i}": f"k{i // 4}" for i in range(21)}
    world = World(parents, "c12", broken=frozenset({"c8", "c9", "c10", "c11"}))
    one = session(parents, good="c0", bad="c20", same_build=keys)
    answer, asks = drive(one, world.answer)
    assert searched(asks)[0].candidates_left == 5
    assert isinstance(answer, Range)
    assert [c.commit for c in answer.candidates] == ["c8", "c12"]


@given(histories(), st.integers(0, 10**6), st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_the_same_results_give_the_same_asks(
    parents: dict[str, list[str]], pick: int, crash: int
) -> None:
    tip = tip_of(parents)
    inside = sorted(World(parents, "m0").ancestors(tip) - {"m0"})
    world = World(parents, inside[pick % len(inside)])
    first = session(parents, good="m0", bad=tip)
    answer, asks = drive(first, world.answer)

    again = session(parents, good="m0", bad=tip)
    for ask, commit, tested in first.steps[:crash]:
        assert again.next() == ask
        again.tell(commit, tested)
    resumed, rest = drive(again, world.answer)
    assert resumed == answer
    assert rest == asks[crash:]


def test_a_thousand_candidates_take_ten_tests() -> None:
    parents = linear(1000)
    history = History(parents)
    for culprit in range(1, 1001, 37):
        one = BisectSession(history, good="c0", bad="c1000", options=ONCE)
        answer, asks = drive(one, World(parents, f"c{culprit}").answer)
        assert isinstance(answer, Found)
        assert answer.first_bad == f"c{culprit}"
        assert len(searched(asks)) <= 10


def test_every_step_explains_itself() -> None:
    parents = linear(409)
    one = session(parents, good="c0", bad="c409")
    _, asks = drive(one, World(parents, "c100").answer)
    first = searched(asks)[0]
    assert first.builds_left == (60.0,) * 9
    assert first.trials_left == 9 + 4
    assert first.why == (
        "first-parent midpoint: at most 205 of 409 candidates would remain; build predicted 60 s"
    )
    assert first.candidates_left == 409
    assert first.expected_steps == math.ceil(math.log2(409)) + 4
    assert first.expected_seconds == 9 * 70 + 4 * 10
    last = asks[-1]
    assert (last.expected_steps, last.expected_seconds) == (1, 10)
    assert "runs again from a clean state and should be bad" in last.why


MERGED = {
    "m0": [],
    "m1": ["m0"],
    "m2": ["m1"],
    "b1": ["m1"],  # older than the first parent of its merge
    "b2": ["b1"],
    "b3": ["b2"],
    "b4": ["b3"],
    "b5": ["b4"],
    "m3": ["m2", "b5"],
    "m4": ["m3"],
}


def test_branches_of_a_merge_that_does_not_compile_are_searched() -> None:
    world = World(MERGED, "b3", broken=frozenset({"m3"}))
    answer, asks = drive(session(MERGED, good="m0", bad="m4"), world.answer)
    assert isinstance(answer, Found)
    assert (answer.first_bad, answer.merge) == ("b3", "m3")
    assert "m3" in [a.commit for a in asks]


def test_the_tip_and_the_base_of_a_long_branch_are_looked_at_first() -> None:
    answer, asks = drive(session(MERGED, good="m0", bad="m4"), World(MERGED, "b3").answer)
    assert isinstance(answer, Found)
    inner = [a for a in asks if a.phase is Phase.DESCEND]
    assert [a.commit for a in inner[:2]] == ["b5", "m1"]
    assert inner[0].why.startswith("tip of the branch that m3 merged")
    assert inner[1].why.startswith("base of the branch")


def test_a_merge_whose_parents_are_both_good_is_the_culprit_itself() -> None:
    answer, _ = drive(session(MERGED, good="m0", bad="m4"), World(MERGED, "m3").answer)
    assert isinstance(answer, Found)
    assert answer.first_bad == "m3"
    assert [p.commit for p in answer.parents_tested] == ["m2", "b5"]


@pytest.mark.parametrize("branch", [["b1"], ["b1", "b2", "b3", "b4", "b5"]])
def test_a_branch_from_a_broken_base_is_no_culprit(branch: list[str]) -> None:
    """m1 is bad, m2 mended it, and the branch carries it from m1."""
    tip = branch[-1]
    parents = {**MERGED, "m3": ["m2", tip]}
    bad = {"m1", *branch, "m3", "m4"}

    def answer(ask: Ask) -> Tested:
        return seen(dropped=1) if ask.commit in bad else seen(cached=1)

    one = session(parents, good="m0", bad="m4")
    one.tell("m2", seen(cached=1))
    result, _ = drive(one, answer)
    assert isinstance(result, Inconclusive)
    assert re.fullmatch(  # both ran again, before this is said
        r"m1 is bad: dropped \((2 of 2|3 of 3)\), and m2, which contains it, is good: "
        r"cached \(3 of 3\); the outcome changed more than once",
        result.reason,
    )
    assert result.hint == "./inv boundaries --from m0 --to m4"


def test_only_skips_left_is_a_range_with_reasons() -> None:
    parents = linear(64)
    world = World(parents, "c31", broken=frozenset(f"c{i}" for i in range(28, 33)))
    answer, asks = drive(session(parents, good="c0", bad="c64"), world.answer)
    assert isinstance(answer, Range)
    assert [c.commit for c in answer.candidates] == [f"c{i}" for i in range(28, 34)]
    assert answer.candidates[0].reason == "could not be tested: build: undefined: x"
    # The commits that bound the range ran again, as the parents of a found commit do.
    assert answer.candidates[-1].reason == "bad: dropped (3 of 3)"
    assert answer.reason == "between c27 (good) and c33 (bad), 5 commits could not be tested"
    assert answer.hint == "./inv build --rev c28"
    assert len([a for a in asks if a.phase is not Phase.PROOF]) < 20


def test_a_long_stretch_is_not_tried_commit_by_commit() -> None:
    parents = linear(1000)
    world = World(parents, "c500", broken=frozenset(f"c{i}" for i in range(400, 601)))
    answer, asks = drive(session(parents, good="c0", bad="c1000"), world.answer)
    assert isinstance(answer, Inconclusive)  # a range lists only commits that were tried
    names = {c.commit for c in answer.candidates}
    assert {f"c{i}" for i in range(400, 602)} <= names
    assert len(names) < 260
    untried = sum(c.reason == "not tested" for c in answer.candidates)
    assert untried == len(names - {a.commit for a in asks})
    assert answer.reason == (
        f"16 commits in a row could not be tested, so {untried} of the {len(names)} candidates "
        "were not tried"
    )
    assert len(asks) < 60


def test_skips_away_from_the_answer_cost_little() -> None:
    parents = linear(1000)
    world = World(parents, "c100", broken=frozenset(f"c{i}" for i in range(450, 551)))
    answer, asks = drive(session(parents, good="c0", bad="c1000"), world.answer)
    assert isinstance(answer, Found)
    assert len(searched(asks)) <= 14


def test_another_failure_is_reported_and_is_no_evidence() -> None:
    parents = linear(16)

    def answer(ask: Ask) -> Tested:
        number = int(ask.commit[1:])
        if number in {7, 8, 9}:
            return seen(crash=1)
        return seen(dropped=1) if number >= 12 else seen(cached=1)

    result, _ = drive(session(parents, good="c0", bad="c16"), answer)
    assert isinstance(result, Found)
    assert result.first_bad == "c12"
    assert len(result.notes) == 1
    assert "c8 crash (1 of 1)" in result.notes[0]
    assert result.notes[0].endswith("./inv boundaries --from c0 --to c16")


def test_bad_when_and_good_when_choose_the_outcomes() -> None:
    parents = linear(16)

    def answer(ask: Ask) -> Tested:
        number = int(ask.commit[1:])
        return seen(crash=1) if number < 5 else seen(odd=1) if number < 11 else seen(cached=1)

    options = SearchOptions(
        trials=1, bad_when=frozenset({"odd", "cached"}), good_when=frozenset({"crash"})
    )
    result, _ = drive(session(parents, good="c0", bad="c16", options=options), answer)
    assert isinstance(result, Found)
    assert result.first_bad == "c5"


def test_find_fix_swaps_good_and_bad_in_messages() -> None:
    parents = linear(16)

    def answer(ask: Ask) -> Tested:
        return seen(cached=1) if int(ask.commit[1:]) >= 5 else seen(dropped=1)

    options = SearchOptions(trials=1, find_fix=True)
    result, asks = drive(session(parents, good="c16", bad="c0", options=options), answer)
    assert isinstance(result, Found)
    assert result.first_bad == "c5"
    assert [a.commit for a in asks[:2]] == ["c0", "c16"]
    assert "parent of c5 runs again from a clean state and should be bad" in asks[-2].why


def test_a_second_change_of_outcome_is_reported() -> None:
    parents = linear(16)
    one = session(parents, good="c0", bad="c16")
    one.tell("c3", seen(dropped=1))
    one.tell("c8", seen(cached=1))

    def answer(ask: Ask) -> Tested:
        number = int(ask.commit[1:])
        return seen(dropped=1) if number in {2, 3, 4} or number >= 12 else seen(cached=1)

    result, _ = drive(one, answer)
    assert isinstance(result, Found)
    assert result.first_bad == "c12"
    assert result.notes[0].startswith("the outcome changed more than once: c3 is bad, and c8")


def test_identical_binaries_share_a_verdict() -> None:
    parents = linear(8)
    asked: list[str] = []

    def answer(ask: Ask) -> Tested:
        asked.append(ask.commit)
        number = int(ask.commit[1:])
        binary = "after" if number >= 6 else "before"
        counts = {"after": "dropped", "before": "cached"}[binary]
        if ask.phase is not Phase.PROOF and ask.commit not in {"c0", "c8"}:
            return Tested(binary=binary)  # known bytes: nothing was run
        return Tested(
            counts={counts: 1}, verdicts=seen(dropped=1, cached=1).verdicts, binary=binary
        )

    result, _ = drive(session(parents, good="c0", bad="c8"), answer)
    assert isinstance(result, Found)
    assert result.first_bad == "c6"


RELEASE = {
    "m0": [],
    "m1": ["m0"],
    "m2": ["m1"],
    "m3": ["m2"],
    "m4": ["m3"],
    "r1": ["m2"],
    "r2": ["r1"],
}
LABELS = {"r2": "v0.24.3", "m4": "v0.30.0"}


def test_the_merge_base_is_tested_and_bounds_the_search() -> None:
    world = World(RELEASE, "m4")
    answer, asks = drive(session(RELEASE, good="r2", bad="m4", labels=LABELS), world.answer)
    assert isinstance(answer, Found)
    assert answer.first_bad == "m4"
    assert [a.commit for a in asks[:3]] == ["m4", "r2", "m2"]
    assert asks[2].why == (
        "gate: v0.24.3 is not an ancestor of v0.30.0; is the merge base m2 good?"
    )


def refusal(bad: set[str], **changes: object) -> Refused:
    def answer(ask: Ask) -> Tested:
        special = changes.get(ask.commit)
        if isinstance(special, Tested):
            return special
        return seen(dropped=3) if ask.commit in bad else seen(cached=3)

    options = SearchOptions(trials=3)
    one = session(RELEASE, good="r2", bad="m4", options=options, labels=LABELS)
    result, _ = drive(one, answer)
    assert isinstance(result, Refused)
    return result


def test_refused_because_the_good_end_is_bad() -> None:
    result = refusal({"m4", "r2", "m2"})
    assert result.kind is RefusalKind.ALREADY_BAD
    assert result.reason == "v0.24.3 is already bad: dropped (3 of 3)"
    assert result.hint == "./inv bisect --bad v0.24.3 --find-good"


def test_refused_because_the_bad_end_is_good() -> None:
    result = refusal(set())
    assert result.kind is RefusalKind.NOT_BAD
    assert result.reason == "v0.30.0 is not bad: cached (3 of 3)"
    assert result.hint == "./inv matrix --revs v0.24.3,v0.30.0"


def test_refused_because_it_was_fixed_on_the_release_branch() -> None:
    result = refusal({"m4", "m2"})
    assert result.kind is RefusalKind.MERGE_BASE
    assert result.reason == (
        "the merge base m2 is bad: dropped (3 of 3); fixed on the release branch of v0.24.3"
    )
    assert result.hint == "./inv bisect --bad m2 --good v0.24.3 --find-fix"


def test_refused_because_a_control_failed() -> None:
    skip = Skip(kind=SkipKind.CONTROL, reason="snapshotter=overlayfs was bad")
    result = refusal({"m4"}, r2=Tested(skip=skip))
    assert result.kind is RefusalKind.CONTROL
    assert result.reason == "control failed at v0.24.3: snapshotter=overlayfs was bad"
    assert result.hint == "./inv run --rev v0.24.3"


def test_refused_because_an_end_does_not_build() -> None:
    result = refusal({"m4"}, m4=BROKEN)
    assert result.kind is RefusalKind.UNTESTABLE
    assert result.reason == "v0.30.0 could not be tested: build: undefined: x"
    assert result.hint == "./inv build --rev v0.30.0"


def test_refused_because_of_the_infrastructure() -> None:
    skip = Skip(kind=SkipKind.INFRA, reason="registry is down")
    result = refusal({"m4"}, m4=Tested(skip=skip))
    assert (result.kind, result.hint) == (RefusalKind.INFRA, "./inv doctor")


def test_refused_because_an_end_shows_something_else() -> None:
    result = refusal({"m4"}, r2=seen(odd=3))
    assert result.kind is RefusalKind.OTHER_OUTCOME
    assert result.reason == "v0.24.3 is neither good nor bad: odd (3 of 3)"
    assert result.hint == "./inv bisect --good v0.24.3 --bad v0.30.0 --good-when odd"


def test_refused_because_an_end_is_bad_in_another_way() -> None:
    """The report has a red cross beside it, which says bad."""
    other = Tested(
        counts={"layers-partly-dropped": 3}, verdicts={"layers-partly-dropped": Verdict.BAD}
    )
    result = refusal({"m4"}, r2=other)
    assert result.kind is RefusalKind.OTHER_OUTCOME
    assert result.reason == (
        "v0.24.3 is bad, but not as v0.30.0 is: layers-partly-dropped (3 of 3)"
    )


def test_a_merge_base_that_does_not_build_is_replaced_by_an_ancestor() -> None:
    world = World(RELEASE, "m3", broken=frozenset({"m2"}))
    answer, asks = drive(session(RELEASE, good="r2", bad="m4", labels=LABELS), world.answer)
    assert [a.commit for a in asks[:4]] == ["m4", "r2", "m2", "m1"]
    assert isinstance(answer, Range)
    assert [c.commit for c in answer.candidates] == ["m2", "m3"]


@pytest.mark.parametrize(
    ("good", "bad", "kind", "hint"),
    [
        ("m4", "m4", RefusalKind.SAME_COMMIT, "./inv bisect --bad m4 --find-good"),
        (
            "m4",
            "m0",
            RefusalKind.ORDER,
            "./inv bisect --bad m0 --good m4 --find-fix, or ./inv bisect --good m0 --bad m4",
        ),
        ("x0", "m4", RefusalKind.UNRELATED, "git merge-base x0 m4"),
        ("m3", "m4", RefusalKind.SAME_BUILD, "./inv run --rev m4"),
    ],
)
def test_refused_before_anything_is_run(good: str, bad: str, kind: RefusalKind, hint: str) -> None:
    parents = {**RELEASE, "x0": []}
    step = session(parents, good=good, bad=bad, same_build={"m3": "k", "m4": "k"}).next()
    assert isinstance(step, Refused)
    assert (step.kind, step.hint) == (kind, hint)


@pytest.mark.parametrize("find_fix", [False, True])
def test_an_older_release_on_another_branch_is_not_the_newer_end(find_fix: bool) -> None:
    """Neither contains the other, so their history does not say which comes first."""
    fix, regression = (
        "./inv bisect --bad v0.24.3 --good v0.30.0 --find-fix",
        "./inv bisect --good v0.24.3 --bad v0.30.0",
    )
    if find_fix:
        fix, regression = (
            "./inv bisect --good v0.24.3 --bad v0.30.0",
            "./inv bisect --bad v0.24.3 --good v0.30.0 --find-fix",
        )
    good, bad = ("r2", "m4") if find_fix else ("m4", "r2")
    options = SearchOptions(find_fix=find_fix)

    def first(*, back: bool) -> Step:
        ends = session(RELEASE, good=good, bad=bad, labels=LABELS, options=options, back=back)
        return ends.next()

    step = first(back=True)
    assert isinstance(step, Refused)
    assert step.kind is RefusalKind.ORDER
    assert "is a later release than v0.24.3" in step.reason
    assert step.reason.endswith("the endpoints are swapped")
    assert step.hint == f"{fix}, or {regression}"
    assert isinstance(first(back=False), Ask), "a search on the release branch"


def test_unknown_commits_and_senseless_options_are_bad_input() -> None:
    with pytest.raises(BadInput, match="m9 is not in the history"):
        session(RELEASE, good="m9", bad="m4")
    with pytest.raises(BadInput, match="not in the history"):
        session(RELEASE, good="m0", bad="m4").tell("m9", seen(cached=1))
    with pytest.raises(BadInput, match="--trials 0"):
        session(RELEASE, good="m0", bad="m4", options=SearchOptions(trials=0))
    with pytest.raises(BadInput, match="--confidence"):
        session(RELEASE, good="m0", bad="m4", options=SearchOptions(confidence=1.0))
    options = SearchOptions(bad_when=frozenset("a"), good_when=frozenset("a"))
    with pytest.raises(BadInput, match="named by both"):
        session(RELEASE, good="m0", bad="m4", options=options)


def test_a_proof_that_cannot_be_run_is_no_proof() -> None:
    parents = linear(4)

    def answer(ask: Ask) -> Tested:
        if ask.phase is Phase.PROOF:
            return Tested(skip=Skip(kind=SkipKind.INFRA, reason="registry is down"))
        return seen(dropped=1) if int(ask.commit[1:]) >= 2 else seen(cached=1)

    result, _ = drive(session(parents, good="c0", bad="c4"), answer)
    assert isinstance(result, Inconclusive)
    assert result.reason == "16 asks in a row brought no trial: infra: registry is down"
    assert result.hint == "./inv doctor"
    assert result.candidates[0].commit == "c2"


def test_a_cheap_commit_is_preferred_to_the_midpoint() -> None:
    class Cached(FlatCost):
        def build_seconds(self, commit: str) -> float:
            return 0.0 if commit == "c30" else 90.0

    parents = linear(100)
    one = BisectSession(History(parents), good="c0", bad="c100", options=ONCE, cost=Cached())
    _, asks = drive(one, World(parents, "c77").answer)
    first = searched(asks)[0]
    assert first.commit == "c30"
    assert first.why.startswith("first-parent commit with most information for its cost")
    assert first.why.endswith("already built")
