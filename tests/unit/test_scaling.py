"""What docs/scaling.md is computed from: recorded times, and a bisection by rounds."""

from __future__ import annotations

import random
from dataclasses import replace
from math import ceil, log

import pytest
import recorded_times
import scaling
from many_workers import Build, Cluster
from recorded_times import Times
from scaling import Published, Start, Work

KNOWN = Times(
    builds=(
        ("a", "1.25", 100.0),
        ("a", "1.25", 10.0),
        ("b", "1.25", 70.0),
        ("a", "1.26", 200.0),
        ("a", "1.26", 30.0),
    ),
    beside=2.0,
    trials={"lazy": (1.0, 2.0), "slow": (40.0,)},
)


@pytest.fixture(scope="module")
def published() -> Published:
    return Published.read()


def test_the_longest_build_of_each_go_on_a_machine_is_a_cold_one() -> None:
    assert KNOWN.cold == {"1.25": 100, "1.26": 200}
    assert KNOWN.warm == (10, 30)


def test_a_campaign_from_the_beginning(published: Published) -> None:
    matrix = published.issue["matrix"]
    builds = recorded_times.campaign(matrix, published.times)
    assert len(builds) == 7
    assert sum(len(build.trials) for build in builds) == 168
    assert all(build.cold >= build.warm for build in builds)
    # v0.30.0 was the first build with Go 1.26.
    recorded = {build.seconds for build in recorded_times.built(matrix.cells).values()}
    assert max(build.cold for build in builds) == max(recorded)
    assert max(build.warm for build in builds) < max(recorded)


def test_drawn_times_are_recorded_ones() -> None:
    builds = recorded_times.drawn(
        KNOWN,
        goes={"1.25": 1, "1.26": 3},
        builds=8,
        scenarios=5,
        trials=3,
        rng=random.Random(1),  # noqa: S311 - not for secrets
    )
    assert [build.go for build in builds] == ["1.25"] * 2 + ["1.26"] * 6
    assert {build.warm for build in builds} <= {10, 30}
    assert {len(build.trials) for build in builds} == {15}
    # A scenario is the same one at every build.
    assert len({tuple(seconds == 40 for seconds in build.trials) for build in builds}) == 1


def test_one_worker_takes_what_the_published_matrix_took(published: Published) -> None:
    """The campaign that did not wait for others: docs/scaling.md says why `matrix` is further."""
    line = next(
        line for line in scaling.calibration(published).splitlines() if "| matrix-whole |" in line
    )
    assert 0.85 < float(line.split("|")[-2]) < 1.15


def test_the_share_of_distinct_builds_is_recorded(published: Published) -> None:
    assert published.distinct == (277, 512)


def test_the_table_says_what_bounds_a_work() -> None:
    work = Work(name="one", builds=[Build(go="1.25", warm=1, cold=9, trials=[2.0])], cells=1)
    text = scaling.table(work, work.outcomes(), price=None)
    assert text.startswith("**one**: 1 builds and 1 trials for 1 cells")
    rows = text.splitlines()[-len(scaling.WORKERS) :]
    assert all("longest chain" in row or "workers" in row for row in rows)
    assert "cost" not in text
    assert scaling.table(work, work.outcomes(), price=2.0).splitlines()[2].endswith("cost |")


@pytest.mark.parametrize("workers", [1, 2, 3, 10, 1000])
def test_a_bisection_takes_no_more_rounds_than_it_may(workers: int) -> None:
    for seed in range(30):
        rng = random.Random(seed)  # noqa: S311
        found = scaling.search(KNOWN, Start.FILLED, builds=277, workers=workers, rng=rng)
        assert found.rounds <= ceil(log(277, workers + 1)) + 2  # one of them for the ends
        assert found.builds <= 2 + workers * (found.rounds - 1)


def test_one_worker_bisects_one_after_another() -> None:
    flat = replace(
        KNOWN, builds=(("a", "1.25", 100.0), ("a", "1.25", 10.0)), trials={"one": (1.0,)}
    )
    rng = random.Random(1)  # noqa: S311
    found = scaling.search(flat, Start.EMPTY, builds=100, workers=1, rng=rng)
    assert found.wall == 101 + 11 * (found.builds - 1)


def test_a_first_build_on_each_worker_is_cold() -> None:
    flat = replace(
        KNOWN, builds=(("a", "1.25", 100.0), ("a", "1.25", 10.0)), trials={"one": (1.0,)}
    )
    rng = random.Random(1)  # noqa: S311
    found = scaling.search(flat, Start.EMPTY, builds=100, workers=99, rng=rng)
    assert (found.rounds, found.wall) == (2, 101 + 101)  # the second round has new workers


def test_evenly() -> None:
    assert scaling.evenly(-1, 3, 1) == [1]
    assert scaling.evenly(0, 4, 3) == [1, 2, 3]
    assert scaling.evenly(0, 4, 9) == [1, 2, 3]
    assert scaling.evenly(0, 1, 5) == []


def test_words() -> None:
    assert [scaling.took(s) for s in (5, 600, 86400 * 3)] == ["5.0 s", "10 min", "3.0 days"]
    assert [scaling.size(b) for b in (22e6, 77e9, 5.9e12)] == [
        "22 MB",
        "77 GB",
        "5.9 TB",
    ]


def test_a_cluster_is_one_worker_by_default() -> None:
    assert scaling.CLUSTER.workers == 1
    assert Cluster(workers=1).task == 0
