"""The library on real BuildKit: at the ends of its search each report is as published."""

from __future__ import annotations

import pytest

from buildkit_bisect import result
from buildkit_bisect.cli.library import PUBLISHED
from buildkit_bisect.model import Verdict
from tool import TaskOutput, inv, left_behind

pytestmark = [pytest.mark.system, pytest.mark.timeout(3600)]


def ends() -> dict[tuple[str, str], str]:
    """Return the outcome at both ends of each published search, by scenario and release."""
    found = {}
    for path in PUBLISHED.glob("*/result.json"):
        done = result.read(path.parent)
        if done.bisect:
            at = {done.bisect.good, done.bisect.bad}
            plain = [c for c in done.cells if c.ref in at and not c.patches]
            found |= {(c.scenario, c.ref): c.outcome for c in plain}
    return found


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> TaskOutput:
    scenarios, releases = (sorted({key[n] for key in ends()}) for n in (0, 1))
    done = inv(
        *("matrix", "--source", "module", "--revs", ",".join(releases)),
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
