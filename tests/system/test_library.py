"""The library on real BuildKit: at the ends of its search each report is as published."""

from __future__ import annotations

from collections import Counter

import pytest

from buildkit_bisect import result
from buildkit_bisect.cli.library import PUBLISHED
from buildkit_bisect.model import Verdict
from sizes import WHOLE
from tool import TaskOutput, inv, left_behind

pytestmark = [pytest.mark.system, pytest.mark.timeout(3600), pytest.mark.alone]


#: test_main_job.py compiles both.
SHARED = ("v0.24.0", "v0.25.0")

#: A trial takes a minute.
SLOW = "library/cache-export-late"


def published() -> list[result.Result]:
    """Return the searches of the library between two releases that other tests compile too.

    The whole tests take the pair of releases that most searches are between. Not all of them: each
    cold compile of an old release takes minutes.
    """
    every = [result.read(path.parent) for path in PUBLISHED.glob("*/result.json")]
    searches = [one for one in every if one.bisect]
    between = Counter(releases(one) for one in searches)
    pair = max(between, key=lambda pair: (between[pair], pair)) if WHOLE else SHARED
    return [
        one
        for one in searches
        if releases(one) == pair and (WHOLE or one.scenarios[0].name != SLOW)
    ]


def releases(search: result.Result) -> tuple[str, ...]:
    """Return both ends of a search, sorted."""
    assert search.bisect
    return tuple(sorted({search.bisect.good, search.bisect.bad}))


def ends() -> dict[tuple[str, str], str]:
    """Return the outcome at both ends of each published search, by scenario and release."""
    return {
        (cell.scenario, cell.ref): cell.outcome
        for search in published()
        for cell in search.cells
        if cell.ref in releases(search) and not cell.patches
    }


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> TaskOutput:
    scenarios, revisions = (sorted({key[n] for key in ends()}) for n in (0, 1))
    done = inv(
        *("matrix", "--source", "module", "--revs", ",".join(revisions)),
        *("--scenario", ",".join(scenarios), "--trials", "1", "--fresh", "--json"),
        *("--out", str(tmp_path_factory.mktemp("results"))),
    )
    assert done.code == 0, done.stderr
    return done


def test_each_report_is_as_published_at_both_ends(matrix: TaskOutput) -> None:
    cells = matrix.document["cells"]
    seen = {(c["scenario"], c["ref"]): c["outcome"] for c in cells}
    assert {key: seen[key] for key in ends()} == ends()
    verdicts = {(c["scenario"], c["verdict"]) for c in cells}
    for name, _ in ends():
        assert {(name, Verdict.GOOD), (name, Verdict.BAD)} <= verdicts


def test_nothing_is_left(matrix: TaskOutput) -> None:
    assert matrix.code == 0
    assert left_behind() == []
