from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from buildkit_bisect.campaign import priors
from buildkit_bisect.campaign.candidates import Line
from buildkit_bisect.campaign.priors import Priors
from buildkit_bisect.cli import bisecting
from buildkit_bisect.errors import BadInput
from buildkit_bisect.lab.coverage import Covered
from buildkit_bisect.options.choices import Prior
from buildkit_bisect.options.requests import Bisect
from buildkit_bisect.search.history import History
from buildkit_bisect.source import GitSource
from buildkit_bisect.source.changes import Changes

CHANGES = {
    "c1": Changes(files=frozenset({"solver/jobs.go"}), functions=frozenset({"solver.a"})),
    "c2": Changes(files=frozenset({"docs/x.md"})),
    "c3": Changes(
        files=frozenset({"cache/refs.go", "solver/edge.go"}),
        functions=frozenset({"cache.b", "cache.c", "cache.f", "solver.d"}),
    ),
    "c4": Changes(files=frozenset({"client/client.go"}), functions=frozenset({"client.e"})),
}


class Source(GitSource):
    """Knows what commits change, without a repository."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def changes(self, shas: Sequence[str]) -> dict[str, Changes]:
        self.asked += shas
        return {sha: CHANGES[sha] for sha in shas}

    def daemon_packages(self, sha: str) -> frozenset[str]:
        assert sha == "c5"
        return frozenset({"solver", "cache"})


@pytest.fixture
def line() -> Line:
    parents = {f"c{i}": [f"c{i - 1}"] if i else [] for i in range(6)}
    return Line(
        source=Source(),
        history=History(parents),
        good="c0",
        bad="c5",
        labels={},
        candidates=tuple(parents)[1:],
        before=frozenset(),
        overlay=None,
        overlay_names=(),
        same_build={"c0": "k0", "c1": "k1", "c2": "k2", "c3": "k3", "c4": "k4", "c5": "k4"},
    )


def made(line: Line, **options: Any) -> Priors:
    return Priors(line=line, request=Bisect(good="c0", bad="c5", **options))


def texts(found: Priors) -> list[str]:
    return [note.text for note in found.take_notes()]


def test_nothing_is_read_where_nothing_is_asked(line: Line) -> None:
    found = made(line)
    assert not found.weights()
    assert not found.pending
    assert not texts(found)
    assert isinstance(line.source, Source)
    assert not line.source.asked


def test_only_commits_that_change_build_inputs_are_weighed(line: Line) -> None:
    assert {"c0", "c5"}.isdisjoint(priors.candidates_of(line, "c0", "c5"))
    made(line, suspect=("solver",))
    assert isinstance(line.source, Source)
    assert set(line.source.asked) == {"c0", "c1", "c2", "c3", "c4"} - {"c0"}


def test_suspects(line: Line) -> None:
    found = made(line, suspect=("cache", "*.md"))
    assert found.weights() == {"c1": 0, "c2": 0.5, "c3": 0.5, "c4": 0}
    assert texts(found) == [
        "--suspect cache,*.md: touched by 2 of 4 commits that change build inputs"
    ]
    assert not texts(found)
    nowhere = made(line, suspect=("nowhere",))
    assert not any(nowhere.weights().values())
    assert nowhere.notes[0].warning


def test_packages_that_the_daemon_imports(line: Line) -> None:
    found = made(line, prior=Prior.PACKAGES)
    assert found.weights() == {"c1": 0.5, "c2": 0, "c3": 0.5, "c4": 0}
    assert "2 of 4 commits" in texts(found)[0]


def test_functions_that_ran(line: Line) -> None:
    found = made(line, prior=Prior.COVERAGE, suspect=("client",))
    pending = found.pending
    assert pending
    assert found.weights() == {"c1": 0, "c2": 0, "c3": 0, "c4": 1}
    texts(found)
    ran = frozenset({"solver.a", "cache.b", "cache.c", "cache.f", "solver.d", "solver.z"})
    weights = found.with_coverage(Covered(functions=ran, seconds=95.4))
    # c1 changes one of them and c3 four; c4 is the only suspect.
    assert weights == {"c1": pytest.approx(1 / 3), "c2": 0, "c3": pytest.approx(2 / 3), "c4": 1}
    assert not found.pending
    (text,) = texts(found)
    assert "runs 6 functions of BuildKit; some are changed by 2 of 4 commits" in text
    assert "took 95 s" in text


def test_without_coverage_the_search_goes_on(line: Line) -> None:
    found = made(line, prior=Prior.COVERAGE)
    weights = found.with_coverage(Covered(trouble="undefined: x"))
    assert not any(weights.values())
    assert not found.pending
    assert found.notes[0].warning
    assert "undefined: x" in found.notes[0].text


@pytest.mark.parametrize("options", [{"suspect": ("solver",)}, {"prior": Prior.COVERAGE}])
def test_releases_are_not_one_commit_each(options: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="weighs commits"):
        bisecting.bisect(Bisect(good="v0.24.0", bad="v0.25.0", releases=True, **options))
