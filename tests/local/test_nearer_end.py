"""A bisection that may run other commits in place of its ends, in a real repository.

Nothing is compiled: a build is an entry in the cache.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from buildkit_bisect.model import Verdict
from buildkit_bisect.options.choices import Prior
from buildkit_bisect.scenario.definition import Rule
from golang_repo import GolangRepo, words
from search_machine import SIZE, line_of_commits, machine

pytestmark = pytest.mark.local

#: After the change of Go's version: what is nearer than v0.0.0 is good there.
LATE = SIZE - 4
EARLY = 30


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
    assert plan.spared == ("v0.0.0", "master")
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


def early(_cell: str, at: int) -> float:
    return 1.0 if at >= EARLY else 0.0


def fixed(_cell: str, at: int) -> float:
    return 1.0 if EARLY <= at < SIZE else 0.0


def test_neither_end_is_run_if_commits_between_them_differ(repo: GolangRepo) -> None:
    found, _ = machine(repo, 0, rate=early).search(good="v0.0.0", bad="master")
    assert found.first_bad == repo.commits[f"c{EARLY}"]
    assert (found.not_run, found.bad_not_run) == ("v0.0.0", "master")
    assert not found.gate
    assert [note.split(", but")[0] for note in found.notes] == [
        "v0.0.0 was not run in this search",
        "master was not run in this search",
    ]


def bad_outcome(name: str) -> Rule:
    return Rule(name=name, verdict=Verdict.BAD, means="", all=())


@pytest.mark.parametrize(
    ("outcomes", "named", "first"),
    [
        (("dropped", "crash"), "", True),
        (("dropped", "crash"), "dropped", False),
        (("dropped",), "", False),
    ],
)
def test_the_bad_end_runs_first_if_it_says_which_outcome_is_bad(
    repo: GolangRepo, outcomes: tuple[str, ...], named: str, first: bool
) -> None:
    here = machine(repo, 0, rate=early)
    here.outcomes = tuple(bad_outcome(name) for name in outcomes)
    found, _ = here.search(good="v0.0.0", bad="master", bad_when=frozenset(filter(None, [named])))
    steps = sorted((*found.gate, *found.steps), key=lambda step: step.number)
    assert (steps[0].sha == repo.commits[f"c{SIZE}"]) is first
    assert (found.bad_not_run == "master") is not first


@pytest.mark.parametrize(
    "option", [{"prior": Prior.COVERAGE}, {"releases": True}, {"find_fix": True}]
)
def test_the_bad_end_is_not_spared(repo: GolangRepo, option: dict[str, Any]) -> None:
    ends = {"good": "v0.0.0", "bad": "master"}
    if "releases" in option:
        repo.git("tag", "--force", "v0.1.0", repo.commits["c50"])
        ends["bad"] = "v0.1.0"
    if "find_fix" in option:
        ends = {"good": "master", "bad": "v0.0.0"}
    plan = machine(repo, 0).plan(**ends, **option).search
    assert plan
    assert ends["bad"] not in plan.spared


def reverting(tmp_path: Path) -> GolangRepo:
    """Return a line whose culprit can be reverted on every later commit."""
    repo = GolangRepo.create(tmp_path / "upstream")
    for number in range(1, SIZE + 1):
        name = "util/words/words.go" if number != EARLY else "util/words/more.go"
        repo.commit(f"c{number}", {name: words(f"word {number}").replace("Cached", f"C{number}")})
    return repo


def test_a_bad_end_that_the_search_did_not_run_is_run_before_the_revert(tmp_path: Path) -> None:
    repo = reverting(tmp_path)
    here = machine(repo, 0, rate=early)
    here.folder = tmp_path
    found, seen = here.search(bad="master", no_verify=False)
    assert found.first_bad == repo.commits[f"c{EARLY}"]
    assert found.reverted == (
        "confirmed: master without this commit is cached 3 of 3; master itself is dropped 3 of 3"
    )
    assert not found.bad_not_run
    tip = repo.commits[f"c{SIZE}"]
    assert [trials for _, commit, trials in seen.cells if commit == tip] == [3, 3]
    assert tip not in [step.sha for step in found.steps]


def test_the_end_is_judged_by_the_outcomes_that_are_named(tmp_path: Path) -> None:
    """Here what the scenario calls good is looked for; a commit with the revert shows it too."""
    repo = reverting(tmp_path)
    here = machine(repo, 0, rate=lambda _, at: float(at < EARLY))
    here.folder = tmp_path
    named = {"bad_when": frozenset({"cached"}), "good_when": frozenset({"dropped"})}
    found, _ = here.search(bad="master", no_verify=False, **named)
    assert found.first_bad == repo.commits[f"c{EARLY}"]
    assert found.reverted == (
        "NOT confirmed: master without this commit is cached 3 of 3; master itself is cached 3 of 3"
    )


def test_a_bad_end_that_is_good_confirms_nothing(tmp_path: Path) -> None:
    repo = reverting(tmp_path)
    here = machine(repo, 0, rate=fixed)
    here.folder = tmp_path
    found, _ = here.search(bad="master", no_verify=False)
    assert found.first_bad == repo.commits[f"c{EARLY}"]
    assert found.reverted == "not tried: master itself is cached 3 of 3"
    assert (found.bad_not_run, found.bad_shown) == ("", "cached 3 of 3")


def test_sides_that_no_worker_ran_both_of_are_a_note(tmp_path: Path) -> None:
    repo = reverting(tmp_path)
    here = machine(repo, 0, rate=early)
    here.folder = tmp_path
    here.worker = lambda variant: variant.revision.sha if not variant.patches else "reverting"
    found, _ = here.search(bad="master", no_verify=False)
    first = repo.commits[f"c{EARLY}"][:12]
    apart = [
        note.partition(", so a difference may be one between machines")[0] for note in found.notes
    ]
    assert apart[-2:] == [
        f"no worker ran trials of both {first} and its parents",
        f"no worker ran trials of master both with and without {first}",
    ]
    here.worker, here.folder = lambda _: "one", tmp_path / "again"
    again, _ = here.search(bad="master", no_verify=False)
    assert again.notes == found.notes[:-2]
