"""Searches over the DAG and the build inputs of a real repository; trials read its files."""

from __future__ import annotations

import pytest

from buildkit_bisect.campaign import candidates
from buildkit_bisect.search import Ask, Found, Phase, Range, SearchOptions, Tested
from buildkit_bisect.search.session import BisectSession
from buildkit_bisect.source import GitSource
from golang_repo import GolangRepo, merges_that_do_not_compile, words
from worlds import BROKEN, drive, seen

pytestmark = pytest.mark.local

MODES = [
    SearchOptions(trials=1),
    SearchOptions(trials=3),
    SearchOptions(),
    SearchOptions(trials=1, first_parent=False),
    SearchOptions(first_parent=False),
]


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, GolangRepo]:
    """Return histories by their culprit: in a plain merge, in an octopus merge, on the line."""
    return {
        culprit: merges_that_do_not_compile(
            tmp_path_factory.mktemp(culprit) / "upstream", culprit=culprit
        )
        for culprit in ("four-1", "three-2", "repair")
    }


def search(repo: GolangRepo, options: SearchOptions) -> tuple[object, list[Ask]]:
    """Bisect from the release branch to master."""
    source = GitSource.open(str(repo.path))
    line = candidates.load(source, "v0.1.1", "master", (), releases=False)
    session = BisectSession(
        line.history,
        good=line.good,
        bad=line.bad,
        options=options,
        same_build=line.same_build,
    )

    def answer(ask: Ask) -> Tested:
        revision = source.revision(ask.commit)
        if "missing" in (source.read(revision, "solver/extra.go") or ""):
            return BROKEN
        ran = source.read(revision, "util/words/words.go") == words("ran")
        return seen(**{"dropped" if ran else "cached": ask.trials})

    return drive(session, answer)


def test_the_candidates_of_a_fix_are_those_of_the_newer_end(
    histories: dict[str, GolangRepo],
) -> None:
    """The older end is on a release branch, so each end has commits that the other lacks."""
    repo = histories["four-1"]
    source = GitSource.open(str(repo.path))
    fix = candidates.load(source, "master", "v0.1.1", (), releases=False, find_fix=True)
    regression = candidates.load(source, "v0.1.1", "master", (), releases=False)
    count = int(repo.git("rev-list", "--count", "v0.1.1..master"))
    assert count != int(repo.git("rev-list", "--count", "master..v0.1.1"))
    assert (fix.commits, regression.commits) == (count, count)
    assert fix.candidates == regression.candidates


@pytest.mark.parametrize("options", MODES, ids=str)
@pytest.mark.parametrize("culprit", ["four-1", "three-2"])
def test_a_commit_is_found_inside_merges_that_do_not_compile(
    histories: dict[str, GolangRepo], culprit: str, options: SearchOptions
) -> None:
    repo = histories[culprit]
    found, asks = search(repo, options)
    assert isinstance(found, Found)
    assert found.first_bad == repo.commits[culprit]
    assert found.merge == repo.commits["merge-four" if culprit == "four-1" else "merge-two"]
    assert repo.commits["fork"] in {a.commit for a in asks if a.phase is Phase.GATE}


@pytest.mark.parametrize("options", MODES, ids=str)
def test_a_range_is_of_merges_that_do_not_compile(
    histories: dict[str, GolangRepo], options: SearchOptions
) -> None:
    repo = histories["repair"]
    found, asks = search(repo, options)
    assert isinstance(found, Range)
    names = ("merge-one", "merge-two", "merge-four", "repair")
    assert {c.commit for c in found.candidates} == {repo.commits[n] for n in names}
    tips = {repo.commits[f"{n}-2"] for n in ("one", "two", "three", "four")}
    assert {c.commit for c in found.candidates} | tips <= {a.commit for a in asks}
    assert found.reason.endswith("3 commits could not be tested")
    assert found.hint == f"./inv build --rev {repo.commits['merge-one'][:12]}"
