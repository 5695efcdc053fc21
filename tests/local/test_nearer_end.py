"""A bisection that may run a nearer commit in place of its good end, in a real repository.

Nothing is compiled: a build is an entry in the cache.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from golang_repo import GolangRepo
from search_machine import SIZE, line_of_commits, machine

pytestmark = pytest.mark.local

#: After the change of Go's version: what is nearer than v0.0.0 is good there.
LATE = SIZE - 4


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> GolangRepo:
    repo = line_of_commits(tmp_path_factory.mktemp("repo") / "upstream")
    repo.git("tag", "v0.0.0", repo.commits["c5"])
    return repo


def rate(_cell: str, at: int) -> float:
    return 1.0 if at >= LATE else 0.0


def test_the_plan_and_the_result_say_that_the_good_end_may_not_run(repo: GolangRepo) -> None:
    here = machine(repo, 0, rate=rate)
    plan = here.plan(good="v0.0.0", bad="master").search
    assert plan
    assert plan.spared == "v0.0.0"
    found, _ = here.search(good="v0.0.0", bad="master")
    assert found.first_bad == repo.commits[f"c{LATE}"]
    assert found.not_run == found.good == "v0.0.0"
    assert found.notes[0].startswith("v0.0.0 was not run in this search, but ")
    fix = here.plan(good="master", bad="v0.0.0", find_fix=True).search
    assert fix
    assert not fix.spared


def test_an_end_that_find_good_has_run_is_run_in_the_search_too(repo: GolangRepo) -> None:
    """Also after a search from the same end, which stored what builds cost before it was built."""
    here = machine(repo, 0, rate=rate)
    first, _ = here.search(good="v0.0.0", bad="master")
    assert first.not_run
    found, _ = here.search(good="", bad="master", find_good=True)
    assert found.good == "v0.0.0"
    assert found.first_bad == first.first_bad
    assert not found.not_run
    assert not any("was not run" in note for note in found.notes)
    assert repo.commits["c5"] in [s.sha for s in found.gate]
