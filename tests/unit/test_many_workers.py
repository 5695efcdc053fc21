"""The simulation of docs/scaling.md, where the answer is known without it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from many_workers import Build, Cluster, Place, simulate

BUILDS = (
    Build(go="1.25", warm=10, cold=100, trials=(1, 2, 3)),
    Build(go="1.25", warm=20, cold=100, trials=(4,)),
    Build(go="1.26", warm=30, cold=200, trials=(5, 6)),
)

seconds = st.integers(1, 50).map(float)
some_builds = st.lists(
    st.builds(
        Build,
        go=st.sampled_from(["1.25", "1.26"]),
        warm=seconds,
        cold=seconds.map(lambda s: s + 50),
        trials=st.lists(seconds, min_size=1, max_size=6).map(tuple),
    ),
    min_size=1,
    max_size=6,
)
some_clusters = st.builds(
    Cluster,
    workers=st.integers(1, 8),
    place=st.sampled_from(Place),
    warm=st.booleans(),
    stored=st.booleans(),
    beside=st.sampled_from([0.0, 3.0]),
    build_bytes=st.just(10.0),
    store=st.sampled_from([1.0, 10.0, float("inf")]),
    link=st.sampled_from([2.0, float("inf")]),
    task=st.sampled_from([0.0, 1.0]),
    evidence=st.just(1.0),
    home=st.sampled_from([0.1, float("inf")]),
    keep=st.sampled_from([0.0, 2.0]),
    report=st.sampled_from([0.0, 9.0]),
).filter(lambda one: not (one.stored and one.place is Place.BUILDER))


def test_one_worker_takes_the_sum() -> None:
    found = simulate(BUILDS, Cluster(workers=1))
    assert found.wall == (100 + 20 + 200) + (1 + 2 + 3 + 4 + 5 + 6)
    assert (found.cold, found.pulls) == (2, 0)  # one compile of each Go; nothing to pull


def test_one_worker_takes_the_sum_with_what_is_shared() -> None:
    cluster = Cluster(workers=1, beside=7, task=0.5, build_bytes=10, store=5, evidence=2, home=4)
    found = simulate(BUILDS, cluster)
    last_evidence = 2 / 4
    assert found.wall == 341 + 3 * 7 + 9 * 0.5 + 3 * 10 / 5 + last_evidence


def test_enough_workers_take_the_longest_chain() -> None:
    found = simulate(BUILDS, Cluster(workers=50))
    assert found.wall == 200 + 6 == found.bounds["longest chain"]
    assert found.cold == 3  # each worker compiles with a Go for the first time


def test_enough_workers_with_filled_go_caches() -> None:
    found = simulate(BUILDS, Cluster(workers=50, warm=True))
    assert (found.wall, found.cold) == (30 + 6, 0)


def test_stored_builds_are_pulled_by_everyone_who_needs_them() -> None:
    found = simulate(BUILDS, Cluster(workers=50, stored=True, build_bytes=10, store=5))
    assert (found.compiled, found.pulls, found.moved) == (0, 6, 60)
    assert found.wall >= 6 * 10 / 5 + 1


def test_trials_stay_where_their_build_is() -> None:
    many = [replace(build, trials=(2.0,) * 40) for build in BUILDS]
    near = simulate(many, Cluster(workers=3, warm=True, build_bytes=1))
    apart = simulate(many, Cluster(workers=3, warm=True, build_bytes=1, place=Place.ANY))
    assert near.pulls < apart.pulls
    assert near.trials == apart.trials == 120


def test_without_a_store_trials_run_where_their_build_was_compiled() -> None:
    found = simulate(BUILDS, Cluster(workers=50, place=Place.BUILDER))
    assert (found.wall, found.pulls) == (200 + 5 + 6, 0)
    assert found.bounds["longest chain"] == found.wall


def test_a_link_of_a_worker_that_is_slower_than_the_store() -> None:
    (build,) = (replace(BUILDS[0], trials=(1.0,)),)
    found = simulate([build], Cluster(workers=1, stored=True, build_bytes=10, store=5, link=2))
    assert found.wall == 10 / 2 + 1
    assert found.bounds["store"] == 10 / 5


@pytest.mark.parametrize("part", ["store", "home", "link"])
def test_more_bandwidth_never_takes_longer(part: str) -> None:
    even = [replace(build, trials=(3.0,) * 30) for build in BUILDS]
    shared = Cluster(workers=5, warm=True, place=Place.ANY, build_bytes=10, evidence=10)
    changes: list[dict[str, Any]] = [{part: rate} for rate in (0.5, 2.0, 8.0, 1e9)]
    walls = [simulate(even, replace(shared, **change)).wall for change in changes]
    assert walls == sorted(walls, reverse=True)
    assert walls[0] > walls[-1]


@given(builds=some_builds, cluster=some_clusters)
def test_every_build_and_every_trial_once(builds: list[Build], cluster: Cluster) -> None:
    found = simulate(builds, cluster)
    assert found.compiled == (0 if cluster.stored else len(builds))
    assert found.trials == sum(len(build.trials) for build in builds)
    assert found.pulls <= cluster.workers * len(builds)
    assert found.moved == 10 * (found.pulls + found.compiled)


@given(builds=some_builds, cluster=some_clusters)
def test_no_part_is_faster_than_it_can_be(builds: list[Build], cluster: Cluster) -> None:
    found = simulate(builds, cluster)
    assert found.wall >= max(found.bounds.values()) - 1e-6
    alone = simulate(builds, replace(cluster, workers=1))
    assert found.bounds["workers"] * cluster.workers == pytest.approx(found.worked)
    assert found.worked >= alone.worked - 1e-6  # more workers never mean fewer cold builds


def test_nothing_to_do() -> None:
    assert simulate([], Cluster(workers=3)).wall == 0
