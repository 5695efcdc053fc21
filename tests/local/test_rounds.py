"""Bisections that ask for several commits at once: the same commit, the steps as they were told.

The repository is real and nothing is compiled: a build is an entry in the cache.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from buildkit_bisect.cli.plans import show_plan
from buildkit_bisect.events import Planned, StepAsked, StepDone
from buildkit_bisect.options.requests import Bisect
from golang_repo import GolangRepo
from search_machine import CULPRIT, line_of_commits, machine, walk

pytestmark = pytest.mark.local


def exact(_cell: str, at: int) -> float:
    """Show the change always, and never without it."""
    return float(at >= CULPRIT)


def in_one(cell: str, at: int) -> float:
    """Show it in one cell."""
    return float(at >= CULPRIT and cell == "lazy")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> GolangRepo:
    return line_of_commits(tmp_path_factory.mktemp("repo") / "upstream")


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let this machine have so many cores."""

    def have(count: int) -> None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(count)))

    return have


@pytest.mark.parametrize("trials", [None, 1])
def test_the_commit_is_the_same_in_fewer_rounds(
    repo: GolangRepo, cores: Callable[[int], None], trials: int | None
) -> None:
    cores(16)
    here = machine(repo, 1, rate=exact)
    found, seen = here.search(trials=trials, jobs=4)
    alone, _ = machine(repo, 0, rate=exact).search(trials=trials)
    assert found.status == alone.status == "found"
    assert found.first_bad == alone.first_bad
    assert found.parents == alone.parents
    steps = (*found.gate, *found.steps)
    assert [s.number for s in steps] == list(range(1, len(steps) + 1))
    asked = [e.number for e in seen.events if isinstance(e, StepAsked)]
    done = [e.number for e in seen.events if isinstance(e, StepDone)]
    assert asked == done == list(range(1, len(steps) + 1))
    assert max(map(len, seen.rounds)) == 4
    assert len(seen.rounds) < len((*alone.gate, *alone.steps)) / 1.5
    assert len(found.gate) == len(seen.rounds[0]) == 2, "both ends at once"


def test_the_same_search_again_has_the_same_steps(
    repo: GolangRepo, cores: Callable[[int], None]
) -> None:
    cores(16)
    here = machine(repo, 2)
    found, _ = here.search(jobs=4)
    assert found.status == "found", found
    builds = here.built.copy()
    again, seen = here.search(jobs=4)
    assert walk(again) == walk(found)
    assert (again.first_bad, again.confidence) == (found.first_bad, found.confidence)
    assert here.built == builds
    assert max(step.most for step in seen.steps) == 5, "seconds, since all of it is stored"
    other = here.plan(jobs=1)
    assert other.most > 5, "the plain search asks for other commits"


def test_on_two_cores_a_round_has_one_build_that_is_missing(
    repo: GolangRepo, cores: Callable[[int], None]
) -> None:
    cores(2)
    here = machine(repo, 3, rate=exact)
    found, seen = here.search(trials=1, jobs=4)
    assert found.status == "found"
    assert max(here.compiled_at_once) <= 1
    several = [asked for asked in seen.rounds if len(asked) > 1]
    assert all(ask.why.startswith("proof") for asked in several for ask in asked)
    assert {len(asked) for asked in several} == {2}, "the commit and its parent"


def test_builds_that_are_stored_are_asked_for_at_once(
    repo: GolangRepo, cores: Callable[[int], None]
) -> None:
    cores(2)
    here = machine(repo, 4, rate=exact)
    for commit in (here.line.good, *here.line.candidates):
        here.build(commit)
    found, seen = here.search(trials=1, jobs=4)
    assert found.status == "found"
    assert max(map(len, seen.rounds)) == 4
    assert len(seen.rounds) <= 2 + 3, "log5 of 60, the ends and the proof"


def test_the_plan_says_what_it_does(
    repo: GolangRepo, cores: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def described(planned: Planned) -> list[str]:
        show_plan(Bisect(), planned)
        return capsys.readouterr().out.splitlines()

    cores(2)
    here = machine(repo, 5, rate=exact)
    plain = described(here.plan(jobs=1))
    assert not any("at once" in line for line in plain)
    asked = described(here.plan(jobs=4))
    assert "rounds of up to 4 commits at once, of which 1 may need a compile" in asked
    cores(16)
    asked = described(here.plan(jobs=4))
    assert "rounds of up to 4 commits at once" in asked
    planned = here.plan(jobs=4).search
    assert planned
    found, seen = here.search(jobs=4)
    assert abs(planned.steps - len((*found.gate, *found.steps))) <= planned.steps / 2
    assert seen.steps[0].expected_steps == planned.steps


def test_ends_are_run_in_every_cell_at_once(repo: GolangRepo, cores: Callable[[int], None]) -> None:
    cores(16)
    here = machine(repo, 6, cells=("eager", "lazy"), rate=in_one)
    found, seen = here.search(trials=1, jobs=4)
    assert found.status == "found"
    assert found.axes == {"at": "lazy"}
    bad, good = here.line.bad, here.line.good
    assert [one.row for one in seen.rounds[0]] == [bad, bad, good, good]
    done = [e.number for e in seen.events if isinstance(e, StepDone)]
    assert done == list(range(1, len(done) + 1))
