"""Every change of outcome along a line, for all cells at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import dice, linear

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


def test_a_flip_whose_ends_look_alike_is_found_and_the_rest_is_said() -> None:
    def answer(commit: str) -> Outcomes:
        return {"a": "bad" if 40 <= int(commit[1:]) < 80 else "good"}

    coarse, few = drive(BoundarySearch(line(121), resolution=120), answer)
    assert coarse.changes == ()
    assert len(few) == 2
    assert coarse.untested_note == (
        "119 builds of the line were not tested, at most 119 in a row: changes that cancel out "
        "within such a stretch would not be seen"
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
    assert change.notes == ("the branch comes from m1, which shows z",)


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
