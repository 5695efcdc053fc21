"""A bisection for which several cells are open: it searches where the ends differ.

The repository is real and nothing is compiled: a build is an entry in the cache.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from buildkit_bisect.errors import NoAnswer
from golang_repo import GolangRepo
from search_machine import CULPRIT, line_of_commits, machine, usual, walk

pytestmark = pytest.mark.local

CELLS = ("broken", "lazy", "fine")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> GolangRepo:
    repo = line_of_commits(tmp_path_factory.mktemp("repo") / "upstream")
    repo.git("branch", "base", repo.commits["base"])
    for number, at in enumerate((5, 20, 35, 50)):
        repo.git("tag", f"v0.{number}.0", repo.commits[f"c{at}"])
    return repo


def rate(cell: str, at: int) -> float:
    """Return how often a cell is bad: one always is, one never."""
    return {"broken": 1.0, "fine": 0.0}.get(cell, 1.0 if at >= CULPRIT else 0.0)


def noisy(cell: str, at: int) -> float:
    return usual(cell, at) if cell == "lazy" else rate(cell, at)


def test_it_searches_where_the_ends_differ_and_says_so(repo: GolangRepo) -> None:
    here = machine(repo, 0, cells=CELLS, rate=rate)
    found, seen = here.search(good="base", bad="master")
    assert found.status == "found"
    assert found.first_bad == repo.commits[f"c{CULPRIT}"]
    assert found.axes == {"at": "lazy"}
    why = "searching with at=lazy, the only one of 3 cells that is good at base and bad at master"
    assert found.choice == why
    assert seen.said == [
        "at=broken: base is bad, dropped (1 of 1); master is bad, dropped (1 of 1)",
        "at=lazy: base is good, cached (1 of 1); master is bad, dropped (1 of 1)",
        "at=fine: base is good, cached (1 of 1); master is good, cached (1 of 1)",
        why,
    ]
    assert [(t.axes["at"], t.good, t.bad, t.searched) for t in found.tried] == [
        ("broken", "dropped (1 of 1)", "dropped (1 of 1)", False),
        ("lazy", "cached (1 of 1)", "dropped (1 of 1)", True),
        ("fine", "cached (1 of 1)", "cached (1 of 1)", False),
    ]
    # Each end is built once, and is the only commit that the other cells run at.
    ends = {here.line.good, here.line.bad}
    assert {commit for cell, commit, _ in seen.cells if cell != "lazy"} == ends
    assert max(here.built.values()) == 1
    # The steps of the document are those of the cell; the log counts every cell's.
    steps = [*found.gate, *found.steps]
    assert [step.number for step in steps] == [*range(1, len(steps) + 1)]
    assert [asked.number for asked in seen.steps] == [*range(1, len(steps) + 5)]
    assert seen.steps[0].why == "at=broken: gate: is master bad?"
    assert not seen.steps[-1].why.startswith("at=")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("trials", [None, 2])
def test_the_search_is_the_one_that_names_the_cell(
    repo: GolangRepo, seed: int, trials: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No trial at the ends is lost, and none is made twice."""
    rates = noisy if trials is None else rate
    here = machine(repo, seed, cells=CELLS, rate=rates)
    found, seen = here.search(trials=trials)
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "another"))
    alone = machine(repo, seed, cells=CELLS, rate=rates)
    named, its = alone.search(trials=trials, axis={"at": ("lazy",)})
    assert found.axes == {"at": "lazy"}
    assert walk(found) == walk(named)
    assert (found.first_bad, found.confidence) == (named.first_bad, named.confidence)
    assert [c for c in seen.cells if c[0] == "lazy"] == its.cells
    assert named.tried == ()
    assert named.choice == ""


def test_the_same_command_chooses_and_asks_the_same(repo: GolangRepo) -> None:
    here = machine(repo, 1, cells=CELLS, rate=noisy)
    found, _ = here.search()
    builds = here.built.copy()
    again, seen = here.search()
    assert walk(again) == walk(found)
    assert again.tried == found.tried
    assert here.built == builds
    assert all(step.reused for step in (*again.gate, *again.steps))
    assert max(step.most for step in seen.steps if not step.why.startswith("at=")) == 5


def test_the_plan_names_every_cell_and_the_ends(repo: GolangRepo) -> None:
    plan = machine(repo, 0, cells=CELLS, rate=rate).plan(good="base", bad="master")
    assert [dict(c.axes)["at"] for c in plan.columns] == list(CELLS)
    assert plan.tried_at == ("master", "base")
    alone = machine(repo, 0, rate=rate).plan(good="base", bad="master")
    assert alone.tried_at == ()
    assert plan.most > alone.most


def test_where_no_cell_differs_it_is_refused_with_what_each_showed(repo: GolangRepo) -> None:
    def turned(cell: str, at: int) -> float:
        return 1 - rate("lazy", at) if cell == "lazy" else rate(cell, at)

    found, _ = machine(repo, 0, cells=CELLS, rate=turned).search(good="base", bad="master")
    assert found.status == "refused"
    assert found.reason == "none of the 3 cells is good at base and bad at master"
    assert [(t.axes["at"], t.good_verdict, t.bad_verdict) for t in found.tried] == [
        ("broken", "bad", "bad"),
        ("lazy", "bad", "good"),
        ("fine", "good", "good"),
    ]
    assert not any(t.searched for t in found.tried)
    assert all(t.reason for t in found.tried)
    assert (found.axes, found.choice, found.gate, found.steps) == ({}, "", (), ())
    assert "./inv bisect --bad base --good master --find-fix --axis at=lazy" in found.hint


def test_the_cell_of_a_fix(repo: GolangRepo) -> None:
    def fixed(cell: str, at: int) -> float:
        return 1 - rate("lazy", at) if cell == "lazy" else rate(cell, at)

    here = machine(repo, 0, cells=CELLS, rate=fixed)
    found, _ = here.search(good="master", bad="base", find_fix=True)
    assert (found.status, found.axes) == ("found", {"at": "lazy"})
    assert found.first_bad == repo.commits[f"c{CULPRIT}"]


def test_ends_that_are_equal_are_refused_without_a_build(repo: GolangRepo) -> None:
    here = machine(repo, 0, cells=CELLS, rate=rate)
    for search in (here.search, here.settled):
        found = search(good="master", bad="master")
        found = found[0] if isinstance(found, tuple) else found
        assert found is not None
        assert found.reason == "both endpoints are master"
        assert (found.tried, found.gate, here.built) == ((), (), {})
    assert here.settled(good="base", bad="master") is None


def test_find_good_looks_in_every_cell(repo: GolangRepo) -> None:
    here = machine(repo, 0, cells=CELLS, rate=rate)
    found, seen = here.search(good="", bad="master", find_good=True)
    assert (found.status, found.good, found.axes) == ("found", "v0.1.0", {"at": "lazy"})
    assert found.first_bad == repo.commits[f"c{CULPRIT}"]
    assert "find-good: v0.1.0 is good with at=lazy; searching from there" in seen.said


def test_find_good_looks_at_several_releases_at_once(repo: GolangRepo) -> None:
    """Those that the first search built, and the next one, which is not."""
    here = machine(repo, 0, cells=CELLS, rate=rate)
    alone, _ = here.search(good="", bad="master", find_good=True)
    found, seen = here.search(good="", bad="master", find_good=True, jobs=4)
    assert (found.good, found.axes, found.first_bad) == (
        alone.good, alone.axes, alone.first_bad,
    )  # fmt: skip
    rows = [step.row for step in seen.rounds[0]]
    assert list(dict.fromkeys(rows)) == ["master", "v0.3.0", "v0.1.0", "v0.0.0"]
    assert len(rows) == 4 * len(CELLS)


def test_find_good_without_a_good_release_says_what_each_cell_showed(repo: GolangRepo) -> None:
    here = machine(repo, 0, cells=("broken", "fine"), rate=rate)
    with pytest.raises(NoAnswer) as refused:
        here.search(good="", bad="master", find_good=True)
    assert "at=broken: no release before master is good: " in str(refused.value)
    assert "at=fine: master is not bad: cached (3 of 3)" in str(refused.value)


def test_releases(repo: GolangRepo) -> None:
    here = machine(repo, 0, cells=CELLS, rate=rate)
    found, _ = here.search(good="0.0.0", bad="latest", releases=True)
    assert (found.status, found.axes) == ("found", {"at": "lazy"})
    assert (found.good, found.bad) == ("v0.0.0", "v0.3.0")
    assert found.first_bad == repo.commits["c50"]


def test_a_report_names_the_releases_that_were_found(repo: GolangRepo) -> None:
    here = machine(repo, 0, cells=CELLS, rate=rate)
    found, _ = here.search(good="0.0.0", bad="latest")
    assert (found.good, found.bad) == ("v0.0.0", "v0.3.0")
    assert found.choice.endswith("that is good at v0.0.0 and bad at v0.3.0")
