"""Every change of outcome along a line, for all cells at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit_bisect.errors import BadInput
from buildkit_bisect.search import (
    Ask,
    Boundaries,
    BoundarySearch,
    History,
    Phase,
    Skip,
    SkipKind,
)
from worlds import dice, linear, random_history, tip_of

BROKEN = Skip(kind=SkipKind.BUILD, reason="undefined: x")
Outcomes = Mapping[Hashable, str | None]


def line(n: int) -> list[str]:
    return [f"c{i}" for i in range(n)]


def drive(
    search: BoundarySearch,
    answer: Callable[[str], Outcomes],
    broken: frozenset[str] = frozenset(),
) -> tuple[Boundaries, list[Ask]]:
    asks: list[Ask] = []
    while isinstance(step := search.next(), Ask):
        asks.append(step)
        assert len(asks) < 500, "the search does not end"
        assert len({a.commit for a in asks}) == len(asks), "a build was asked for twice"
        if step.commit in broken:
            search.tell(step.commit, {}, skip=BROKEN)
        else:
            search.tell(step.commit, answer(step.commit))
    return step, asks


@given(st.integers(0, 10**6), st.integers(5, 120), st.integers(0, 30))
@settings(max_examples=150, deadline=None)
def test_every_change_is_exact_or_hidden_by_skips(seed: int, n: int, resolution: int) -> None:
    rng = dice(seed)
    commits = line(n)
    cells = ["overlayfs", "stargz"]
    truth: dict[str, list[str]] = {}
    for cell in cells:  # outcomes in stretches longer than the resolution: none can be missed
        shown: list[str] = []
        while len(shown) < n:
            other = [o for o in ("cached", "dropped", "crash") if not shown or o != shown[-1]]
            shown += [rng.choice(other)] * (resolution + 1 + rng.randint(0, 20))
        truth[cell] = shown[:n]
    share = rng.choice([0, 0, 0.1, 0.4])
    broken = frozenset(c for c in commits[1:-1] if rng.random() < share)
    search = BoundarySearch(commits, resolution=resolution, max_skips=n)
    result, asks = drive(search, lambda c: {x: truth[x][int(c[1:])] for x in cells}, broken)

    for cell in cells:
        found = [c for c in result.changes if c.cell == cell]
        real = [i for i in range(1, n) if truth[cell][i] != truth[cell][i - 1]]
        if not broken:
            assert [c.commit for c in found] == [f"c{i}" for i in real]
        for change in found:
            if change.commit:
                at = int(change.commit[1:])
                assert (truth[cell][at - 1], truth[cell][at]) == (change.before, change.after)
            else:
                *hidden, after = [c.commit for c in change.candidates]
                assert hidden
                assert set(hidden) <= broken
                assert after not in broken
                assert any(f"c{i}" in {*hidden, after} for i in real)
    tested = {a.commit for a in asks} - broken
    for gap in result.untested:
        assert gap.builds - gap.skipped <= resolution
        assert {gap.after, gap.before} <= tested


def test_cells_share_builds() -> None:
    both, asks = drive(
        BoundarySearch(line(257), resolution=256),
        lambda c: {"a": "x" if int(c[1:]) < 100 else "y", "b": "x" if int(c[1:]) < 101 else "z"},
    )
    assert [(c.cell, c.commit) for c in both.changes] == [("a", "c100"), ("b", "c101")]
    assert len(asks) <= 2 + 8 + 2
    assert "between two outcomes in 2 cells" in asks[2].why


def test_changes_that_cancel_out_are_found_and_gaps_are_reported() -> None:
    def answer(commit: str) -> Outcomes:
        return {"a": "bad" if 40 <= int(commit[1:]) < 80 else "good"}

    coarse, few = drive(BoundarySearch(line(121), resolution=120), answer)
    assert coarse.changes == ()
    assert len(few) == 2
    assert coarse.untested_note == (
        "119 builds of the line were not tested, at most 119 in a row: changes that cancel out "
        "within such a gap are not detected"
    )
    fine, _ = drive(BoundarySearch(line(121), resolution=30), answer)
    assert [(c.commit, c.before, c.after) for c in fine.changes] == [
        ("c40", "good", "bad"),
        ("c80", "bad", "good"),
    ]
    every, _ = drive(BoundarySearch(line(5), resolution=0), lambda _: {"a": "x"})
    assert every.untested_note == "every build of the line was tested"


def test_releases_are_tested() -> None:
    _, asks = drive(
        BoundarySearch(line(50), must_test=["c7", "c33"], resolution=49), lambda _: {"a": "x"}
    )
    assert [a.commit for a in asks] == ["c0", "c49", "c7", "c33"]
    assert {a.phase for a in asks} == {Phase.GRID}


def test_equal_builds_are_run_once() -> None:
    commits = line(40)
    same = {c: f"k{int(c[1:]) // 10}" for c in commits}
    result, asks = drive(
        BoundarySearch(commits, resolution=0, same_build=same),
        lambda c: {"a": "x" if int(c[1:]) < 20 else "y"},
    )
    assert [c.commit for c in result.changes] == ["c20"]
    assert result.changes[0].last_before == "c19"
    assert len(asks) == 4


def test_an_end_that_does_not_build_moves_inward() -> None:
    result, _ = drive(
        BoundarySearch(line(20), resolution=19),
        lambda c: {"a": "x" if int(c[1:]) < 5 else "y"},
        frozenset({"c0", "c19", "c18"}),
    )
    assert [c.commit for c in result.changes] == ["c5"]
    assert [c.commit for c in result.skipped] == ["c0", "c19", "c18"]
    assert result.skipped[0].reason == "could not be tested: build: undefined: x"


def test_one_cell_may_be_untestable_where_others_are_not() -> None:
    def answer(commit: str) -> Outcomes:
        at = int(commit[1:])
        return {"a": None if 8 <= at < 12 else "x" if at < 10 else "y", "b": "z"}

    result, _ = drive(BoundarySearch(line(20), resolution=19), answer)
    (change,) = result.changes
    assert change.commit is None
    assert change.last_before == "c7"
    assert [c.commit for c in change.candidates] == ["c8", "c9", "c10", "c11", "c12"]
    assert change.candidates[0].reason == "this cell could not be tested"


def test_a_change_hidden_by_merges_may_be_inside_them() -> None:
    parents = {f"m{i}": [f"m{i - 1}"] if i else [] for i in range(9)}
    parents |= {"a": ["m1"], "b": ["m1"], "m3": ["m2", "a"], "m4": ["m3", "b"]}
    history = History(parents)
    result, _ = drive(
        BoundarySearch([f"m{i}" for i in range(9)], history=history),
        lambda c: {"a": "y" if history.contains(c, "a") else "x"},
        frozenset({"m3", "m4", "m5"}),
    )
    (change,) = result.changes
    assert [c.commit for c in change.candidates] == ["m3", "m4", "m5", "m6"]
    assert change.notes == ("m3 and m4 are merges: the commit may be one that they merged",)


BRANCHED = {
    "m0": [],
    "m1": ["m0"],
    "m2": ["m1"],
    "b1": ["m1"],
    "b2": ["b1"],
    "n1": ["b1"],
    "n2": ["n1"],
    "b3": ["b2", "n2"],
    "b4": ["b3"],
    "m3": ["m2", "b4"],
    "m4": ["m3"],
}


def contains(commit: str, culprit: str) -> bool:
    history = History(BRANCHED)
    return history.contains(commit, culprit)


@pytest.mark.parametrize("culprit", ["b1", "b2", "n2", "b3", "b4", "m3", "m2"])
def test_a_change_is_followed_into_its_merge(culprit: str) -> None:
    search = BoundarySearch(["m0", "m1", "m2", "m3", "m4"], history=History(BRANCHED))
    result, _ = drive(search, lambda c: {"a": "y" if contains(c, culprit) else "x"})
    (change,) = result.changes
    assert change.commit == culprit
    assert change.merge == (None if culprit.startswith("m") else "m3")
    assert change.notes == ()


def test_a_branch_from_another_outcome_is_said() -> None:
    shown = {"m0": "x", "m1": "z", "m2": "x", "m3": "y", "m4": "y"}
    search = BoundarySearch(["m2", "m3", "m4"], history=History(BRANCHED))
    result, _ = drive(search, lambda c: {"a": shown.get(c, "z")})
    (change,) = result.changes
    assert change.commit == "m3"
    assert change.notes == ("the branch starts at m1, whose outcome is z",)


def branch_of(n: int, *, behind: bool = False) -> dict[str, list[str]]:
    """m0 to m4, where m3 merges a branch b1 to b*n*; *behind*: from before its first parent."""
    chain = {f"b{i}": [f"b{i - 1}"] for i in range(2, n + 1)}
    base = "m1" if behind else "m2"
    return {
        "m0": [],
        "m1": ["m0"],
        "m2": ["m1"],
        "b1": [base],
        **chain,
        "m3": ["m2", f"b{n}"],
        "m4": ["m3"],
    }


MAIN = ["m0", "m1", "m2", "m3", "m4"]


def told(result: Boundaries, cell: str = "a") -> list[tuple[str | None, str | None, str, str]]:
    """(commit, merge, before, after) of a cell's changes."""
    return [(c.commit, c.merge, c.before, c.after) for c in result.changes if c.cell == cell]


def cell_a(shown: Callable[[str], str]) -> Callable[[str], Outcomes]:
    return lambda commit: {"a": shown(commit)}


def along(shown: str, *, before: str = "A", after: str = "") -> Callable[[str], str]:
    """What a cell shows: *before* on m0 to m2, a letter on each of b1 to bN, then *after*."""

    def answer(commit: str) -> str:
        at = int(commit[1:])
        if commit.startswith("b"):
            return shown[at - 1]
        return before if at < 3 else after or shown[-1]

    return answer


def test_every_turn_inside_a_merge_is_a_change() -> None:
    one = along("BBBBCCCBBB")
    search = BoundarySearch(MAIN, history=History(branch_of(10, behind=True)), resolution=64)
    result, asks = drive(search, lambda c: {"a": one(c)})
    assert told(result) == [
        ("b1", "m3", "A", "B"),
        ("b5", "m3", "B", "C"),
        ("b8", "m3", "C", "B"),
    ]
    assert [c.last_before for c in result.changes] == ["m1", "b4", "b7"]
    assert len(asks) == 13
    assert sum(gap.builds for gap in result.inside) == 10 - sum(a.commit[0] == "b" for a in asks)
    assert "builds of the branches searched were not tested, at most 2 in" in result.untested_note


def test_a_change_undone_on_a_branch_is_found_if_another_cell_changed_at_the_merge() -> None:
    """The line alone says nothing of it: a merge that changes no cell is not looked into."""
    back, other = along("BBBBBBAA"), along("AAAACCCC")
    history = History(branch_of(8))
    result, asks = drive(BoundarySearch(MAIN, history=history), lambda c: {"a": back(c)})
    assert result.changes == ()
    assert {a.commit for a in asks} == {"m0", "m4"}
    result, _ = drive(
        BoundarySearch(MAIN, history=history), lambda c: {"a": back(c), "b": other(c)}
    )
    assert told(result) == [("b1", "m3", "A", "B"), ("b7", "m3", "B", "A")]
    assert told(result, "b") == [("b5", "m3", "A", "C")]
    assert [c.commit for c in result.changes] == ["b1", "b5", "b7"], "oldest first"


def test_two_cells_turn_at_different_commits_of_a_branch() -> None:
    one, two = along("AABBBBBB"), along("AAAAAACB")
    result, _ = drive(
        BoundarySearch(MAIN, history=History(branch_of(8)), resolution=1),
        lambda c: {"a": one(c), "b": two(c)},
    )
    assert told(result) == [("b3", "m3", "A", "B")]
    assert told(result, "b") == [("b7", "m3", "A", "C"), ("b8", "m3", "C", "B")]


def test_a_merge_that_differs_from_its_branch_is_a_change_of_its_own() -> None:
    one = along("ABBB", after="C")
    result, _ = drive(
        BoundarySearch(MAIN, history=History(branch_of(4)), resolution=1), lambda c: {"a": one(c)}
    )
    assert told(result) == [("b2", "m3", "A", "B"), ("m3", None, "B", "C")]
    assert result.changes[1].last_before == "b4"
    lost = along("ABBB", after="A")  # the line took it back at the merge, and nobody sees it
    turned = along("AAAC")
    result, _ = drive(
        BoundarySearch(MAIN, history=History(branch_of(4)), resolution=1),
        lambda c: {"a": lost(c), "b": turned(c)},
    )
    assert told(result) == [("b2", "m3", "A", "B"), ("m3", None, "B", "A")]


def test_changes_on_a_branch_with_another_base_outcome_are_listed_beside_the_merge() -> None:
    one = along("ZZBB")
    result, _ = drive(
        BoundarySearch(["m2", "m3", "m4"], history=History(branch_of(4, behind=True))),
        lambda c: {"a": "Z" if c == "m1" else one(c)},
    )
    assert told(result) == [("b3", "m3", "Z", "B"), ("m3", None, "A", "B")]
    assert result.changes[1].notes == ("the branch starts at m1, whose outcome is Z",)


def test_a_branch_that_only_misses_what_the_line_got_meanwhile_is_no_change() -> None:
    """m2 turned a, b3 turned b: that m3 has a too is the line's doing, and costs no build."""

    def answer(commit: str) -> Outcomes:
        at, inside = int(commit[1:]), commit.startswith("b")
        return {
            "a": "A" if inside or at < 2 else "B",
            "b": "C" if (inside and at >= 3) or (not inside and at >= 3) else "A",
        }

    result, asks = drive(BoundarySearch(MAIN, history=History(branch_of(8, behind=True))), answer)
    assert told(result) == [("m2", None, "A", "B")]
    assert told(result, "b") == [("b3", "m3", "A", "C")]
    assert len([a for a in asks if a.commit.startswith("b")]) == 3


def test_commits_of_a_branch_that_cannot_be_tested_leave_a_range() -> None:
    one = along("ABBBCC")
    for broken, known in (("b2", "b3"), ("b6", "m3")):
        shown = along("AAAAAB") if broken == "b6" else one
        result, _ = drive(
            BoundarySearch(MAIN, history=History(branch_of(6)), resolution=1),
            cell_a(shown),
            frozenset({broken}),
        )
        first = result.changes[0]
        assert (first.commit, first.merge) == (None, "m3")
        assert [c.commit for c in first.candidates] == [broken, known]
        if broken == "b2":
            assert told(result)[1:] == [("b5", "m3", "B", "C")]


def test_the_tip_is_named_where_the_merge_is_the_same_build() -> None:
    """As where nothing else was merged since the branch was made."""
    one = along("AB")
    result, asks = drive(
        BoundarySearch(MAIN, history=History(branch_of(2)), same_build={"b2": "k", "m3": "k"}),
        lambda c: {"a": one(c)},
    )
    assert told(result) == [("b2", "m3", "A", "B")]
    assert {a.commit for a in asks} == {"m0", "m4", "m2", "m3", "b1"}


def test_a_long_branch_is_tested_as_densely_as_the_line() -> None:
    one = along("A" * 10 + "C" * 10 + "A" * 30 + "B" * 10)
    turned = along("A" * 59 + "B")
    history = History(branch_of(60))
    result, asks = drive(
        BoundarySearch(MAIN, history=history, resolution=9),
        lambda c: {"a": one(c), "b": turned(c)},
    )
    assert [c for c, *_ in told(result)] == ["b11", "b21", "b51"]
    assert any(a.phase == Phase.GRID and a.commit.startswith("b") for a in asks)
    assert max(gap.builds for gap in result.inside) <= 9


def searched(history: History, line: Sequence[str], shown: Mapping[str, Outcomes]) -> set[str]:
    """Commits of the line, and of the branches of each merge on one of these that turned."""
    lines = [line[1:]]
    found: set[str] = set()
    for commits in lines:
        for commit in commits:
            first, *tips = history.parents(commit)
            if commit not in found and shown[commit] != shown[first]:
                known = history.union([first, line[0]])
                for tip in tips:
                    chain = history.first_parent_line(tip)
                    lines.append([c for c in chain if not known >> history.number(c) & 1])
            found.add(commit)
    return found


@given(st.integers(0, 10**6), st.integers(6, 60), st.sampled_from([0, 1, 3]), st.integers(2, 8))
@settings(max_examples=60, deadline=None)
def test_several_at_once_find_the_same_changes(
    seed: int, size: int, resolution: int, k: int
) -> None:
    """In fewer rounds; with builds that are limited too."""
    rng = dice(seed)
    parents = random_history(rng, size)
    history = History(parents)
    line = history.first_parent_line(tip_of(parents))
    shown: dict[str, Outcomes] = {
        c: {"a": rng.choice("xyz"), "b": rng.choice("xy")} for c in sorted(parents)
    }
    plain, asks = drive(
        BoundarySearch(line, history=history, resolution=resolution), lambda c: shown[c]
    )
    for builds in (None, 1, 2):
        search = BoundarySearch(line, history=history, resolution=resolution)
        rounds: list[list[str]] = []
        while isinstance(step := search.next_k(k, builds=builds), tuple):
            assert step[0] == search.next()
            assert 1 <= len(step) <= (k if builds is None else min(k, builds))
            rounds.append([ask.commit for ask in step])
            for ask in rng.sample(step, len(step)):
                search.tell(ask.commit, shown[ask.commit])
        told = [commit for made in rounds for commit in made]
        assert len(told) == len(set(told)), "a build was asked for twice"
        if resolution == 0:
            assert set(step.changes) == set(plain.changes)
        assert len(rounds) <= len(asks)


@given(st.integers(0, 10**6), st.integers(6, 60), st.sampled_from([0, 0, 1, 3, 64]))
@settings(max_examples=200, deadline=None)
def test_changes_in_any_history_are_real_and_with_resolution_0_complete(
    seed: int, size: int, resolution: int
) -> None:
    rng = dice(seed)
    parents = random_history(rng, size)
    history = History(parents)
    shown: dict[str, Outcomes] = {}
    for commit in history.shas((1 << len(history)) - 1):
        of = dict(shown[parents[commit][0]]) if parents[commit] else {"a": "x", "b": "x"}
        shown[commit] = of | {cell: rng.choice("xyz") for cell in of if rng.random() < 0.2}
    line = history.first_parent_line(tip_of(parents))
    line = line[rng.choice([0, 0, len(line) // 3]) :]
    if len(line) < 2:
        return
    share = rng.choice([0, 0, 0.2])
    broken = frozenset(c for c in shown if c not in (line[0], line[-1]) and rng.random() < share)
    search = BoundarySearch(line, history=history, resolution=resolution)
    result, asks = drive(search, lambda c: shown[c], broken)
    told = {(c.cell, c.commit or c.candidates, c.before, c.after) for c in result.changes}
    assert len(result.changes) == len(told)
    for change in result.changes:
        *hidden, last = [c.commit for c in change.candidates] or [change.commit or ""]
        assert shown[last][change.cell] == change.after
        assert shown[change.last_before][change.cell] == change.before
        assert change.last_before in parents[hidden[0] if hidden else last]
        assert set(hidden) <= broken
        assert bool(hidden) == (change.commit is None)
        assert change.merge is None or (change.merge in line and change.commit not in line)
        assert not history.contains(line[0], last)
    if resolution == 0 and not broken:
        reached = searched(history, line, shown)
        assert {a.commit for a in asks} >= reached
        named = {(c.cell, c.commit) for c in result.changes}
        for commit in reached:
            for cell in "ab":
                turned = shown[commit][cell] != shown[parents[commit][0]][cell]
                if len(parents[commit]) == 1 and turned:
                    assert (cell, commit) in named


def test_senseless_questions_are_bad_input() -> None:
    with pytest.raises(BadInput, match="not on one line"):
        BoundarySearch(["c0"])
    with pytest.raises(BadInput, match="c9 is not on"):
        BoundarySearch(line(3), must_test=["c9"])
    with pytest.raises(BadInput, match="resolution of -1"):
        BoundarySearch(line(3), resolution=-1)


def test_nine_thousand_commits_are_no_burden() -> None:
    assert len(linear(9000)) == 9001
    result, asks = drive(
        BoundarySearch(line(9000), resolution=500),
        lambda c: {x: "y" if int(c[1:]) > 1000 * x else "x" for x in range(1, 6)},
    )
    assert [c.commit for c in result.changes] == [f"c{1000 * x + 1}" for x in range(1, 6)]
    assert len(asks) < 90
