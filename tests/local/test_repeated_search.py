"""The same search again: builds that it made are there, and it asks for the same commits.

The repository is real and nothing is compiled: a build is an entry in the cache.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from golang_repo import GolangRepo
from search_machine import SIZE, line_of_commits, machine, walk

pytestmark = pytest.mark.local


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> GolangRepo:
    return line_of_commits(tmp_path_factory.mktemp("repo") / "upstream")


@pytest.mark.parametrize("seed", range(4))
def test_the_same_search_again_has_the_same_steps_and_confidence(
    repo: GolangRepo, seed: int
) -> None:
    here = machine(repo, seed)
    found, _ = here.search()
    assert found.status == "found", found
    builds = here.built.copy()
    assert len(builds) >= 5
    again, seen = here.search()
    assert walk(again) == walk(found)
    assert (again.first_bad, again.confidence) == (found.first_bad, found.confidence)
    assert again.candidates == found.candidates
    assert here.built == builds, "nothing is built twice, and nothing else is built"
    assert max(step.most for step in seen.steps) == 5, "seconds, since all of it is stored"


def test_without_what_the_first_search_knew_the_walk_changes(repo: GolangRepo) -> None:
    """What is built costs nothing, so it is asked for first."""
    changed = 0
    for seed in range(4):
        here = machine(repo, seed)
        found, _ = here.search(fresh=True)
        again, _ = here.search(fresh=True)
        changed += walk(again) != walk(found)
    assert changed


def test_the_go_version_of_each_commit_is_known(repo: GolangRepo) -> None:
    go = machine(repo, 0).line.go
    assert go[repo.commits["c1"]] == "1.25"
    assert go[repo.commits[f"c{SIZE - 11}"]] == "1.25"
    assert go[repo.commits[f"c{SIZE - 10}"]] == "1.26"
