"""A matrix is cut in parts that take about the same time, the same on every machine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import combinations, pairwise
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit_bisect.campaign import shards
from buildkit_bisect.campaign.estimate import LATER, TRIAL
from buildkit_bisect.campaign.matrix import MatrixCampaign
from buildkit_bisect.campaign.setup import Setup
from buildkit_bisect.campaign.shards import Unit
from buildkit_bisect.model import Axes, Build, NoBuild, PatchRef, Revision, Variant
from buildkit_bisect.options.requests import Matrix
from buildkit_bisect.options.shards import Shard
from buildkit_bisect.result import CampaignKind
from buildkit_bisect.scenario import Axis, Scenario
from buildkit_bisect.search.cost import COLD, PATCHED

SCENARIO = Scenario(
    name="s",
    title="t",
    issue="https://example.org",
    axes={"at": Axis(values=("eager", "lazy"), controls=("eager",))},
    steps=(),
    outcomes=(),
)

#: Cells of a row, and trials of a cell.
CELLS, TRIALS = 2, 3


@dataclass
class Source:
    kind: str = "git"
    go: str = "1.25"

    def read(self, revision: Revision, path: str) -> str | None:
        if self.kind == "module":
            raise AssertionError("a module may have to be downloaded")
        return f"ARG GO_VERSION={revision.subject}\n" if path == "Dockerfile" else None


@dataclass
class Fake:
    source: Source = field(default_factory=Source)
    scenarios: tuple[Scenario, ...] = (SCENARIO,)
    request: Matrix = field(default_factory=Matrix)
    resumed: tuple[str, ...] = ()
    known: dict[str, Build | NoBuild] = field(default_factory=dict)

    def cells(self, _: Scenario) -> list[Axes]:
        return [(("at", "eager"),), (("at", "lazy"),)]


def setup(**changes: object) -> Setup:
    return cast("Setup", Fake(**changes))  # type: ignore[arg-type]


def variant(ref: str, go: str = "1.25", *patches: str) -> Variant:
    return Variant(
        revision=Revision(ref=ref, sha=f"sha of {ref}", describe=ref, subject=go),
        patches=tuple(PatchRef(name=p, digest=p, title=p) for p in patches),
    )


def rows(number: int, of: int, *variants: Variant, of_setup: Setup | None = None) -> list[str]:
    found = shards.part(of_setup or setup(), variants, TRIALS, Shard(number=number, of=of))
    return [v.label for v in found.variants]


MATRIX = (
    *(variant(f"v{n}", "1.24") for n in range(3)),
    *(variant(f"v{n}", "1.25") for n in range(3, 8)),
    variant("v7", "1.25", "fix"),
    variant("v1", "1.24", "fix"),
)


@pytest.mark.parametrize("of", [1, 2, 3, 7, 10, 11, 40])
def test_every_row_is_in_one_shard(of: int) -> None:
    found = [row for n in range(1, of + 1) for row in rows(n, of, *MATRIX)]
    assert sorted(found) == sorted(v.label for v in MATRIX)


def test_patched_rows_are_beside_their_revision_in_the_order_of_the_matrix() -> None:
    assert rows(1, 1, *MATRIX) == [
        *("v0", "v1", "v1 + fix", "v2", "v3", "v4", "v5", "v6", "v7", "v7 + fix")
    ]


def test_a_go_version_is_not_compiled_twice_if_it_need_not_be() -> None:
    assert rows(1, 2, *MATRIX[:8]) == ["v0", "v1", "v2"]
    assert rows(2, 2, *MATRIX[:8]) == ["v3", "v4", "v5", "v6", "v7"]


def test_two_names_of_a_commit_have_one_build() -> None:
    first = variant("v1")
    second = replace(first, revision=replace(first.revision, ref="master"))
    assert rows(1, 2, first, second, variant("v2")) == ["v1", "master"]
    assert rows(2, 2, first, second, variant("v2")) == ["v2"]


def test_more_shards_than_builds() -> None:
    assert [rows(n, 4, variant("v1"), variant("v2")) for n in range(1, 5)] == [
        ["v1"], ["v2"], [], []
    ]  # fmt: skip


def test_modules_are_cut_without_a_download() -> None:
    module = setup(source=Source(kind="module"))
    three = (variant("v0.25.0"), variant("v0.26.0"), variant("v0.26.0", "1.25", "fix"))
    assert rows(1, 2, *three, of_setup=module) == ["v0.25.0"]
    assert rows(2, 2, *three, of_setup=module) == ["v0.26.0", "v0.26.0 + fix"]
    assert [unit.go for unit in shards.units(module, three, TRIALS)] == [
        "v0.25", "v0.26", "v0.26"
    ]  # fmt: skip


def test_modules_are_cut_in_one_way_whether_the_proxy_reports_commits_or_not() -> None:
    module = setup(source=Source(kind="module"))
    known = [variant(f"v0.2{n}.{p}") for n in (5, 6) for p in (0, 1)]
    unknown = [replace(v, revision=replace(v.revision, sha="")) for v in known]
    for number in (1, 2):
        assert rows(number, 2, *known, of_setup=module) == rows(
            number, 2, *unknown, of_setup=module
        )
    assert plan(module, *known) == plan(module, *unknown)


def plan(of_setup: Setup, *variants: Variant, trials: int = TRIALS, of: int = 2) -> str:
    return shards.part(of_setup, variants, trials, Shard(number=1, of=of)).info.plan


def test_shards_of_one_matrix_know_each_other() -> None:
    two = variant("v1"), variant("v2")
    other = shards.part(setup(), two, TRIALS, Shard(number=2, of=2)).info
    assert plan(setup(), *two) == other.plan
    moved = replace(two[1], revision=replace(two[1].revision, sha="another"))
    scenario = replace(SCENARIO, digest="another")
    unlike = [
        plan(setup(), two[0], moved),
        plan(setup(), two[1], two[0]),
        plan(setup(), *two, variant("v3")),
        plan(setup(), two[0], variant("v2", "1.25", "fix")),
        plan(setup(), *two, trials=4),
        plan(setup(), *two, of=3),
        plan(setup(scenarios=(scenario,)), *two),
        plan(setup(source=Source(kind="module")), *two),
    ]
    assert len({plan(setup(), *two), *unlike}) == 9


def test_a_shard_without_rows_is_done_before_it_begins() -> None:
    def campaign(number: int) -> MatrixCampaign:
        shard = Shard(number=number, of=2)
        return MatrixCampaign(setup(), [variant("v1")], CampaignKind.MATRIX, shard)

    assert campaign(1).settled() is None
    found = campaign(2).settled()
    assert found is not None
    assert (found.cells, found.revisions) == ((), ())
    assert found.shard
    assert (found.shard.number, found.shard.of) == (2, 2)


UNITS = st.lists(
    st.builds(
        Unit,
        base=st.sampled_from("abcd"),
        go=st.sampled_from(["1.24", "1.25"]),
        trials=st.sampled_from([0.0, 18.0, 300.0]),
        variants=st.just([variant("v1")]),
    ),
    max_size=7,
)


def seconds(units: list[Unit]) -> float:
    """What *units* take on a machine that has nothing, said once more."""
    total, goes, bases = 0.0, set[str](), set[str]()
    for unit in units:
        first, near = unit.go not in goes, unit.base in bases
        total += (COLD if first else PATCHED if near else LATER) + unit.trials
        goes.add(unit.go)
        bases.add(unit.base)
    return total


@settings(deadline=None)
@given(UNITS, st.integers(min_value=1, max_value=5))
def test_the_longest_part_is_as_short_as_it_can_be(units: list[Unit], of: int) -> None:
    parts = shards.cut(units, of)
    assert len(parts) == of
    assert [unit for part in parts for unit in part] == units
    inner = range(len(units) + 1)
    cuts = ([0, *ends, len(units)] for n in range(of) for ends in combinations(inner, n))
    best = min(max(seconds(units[a:b]) for a, b in pairwise(ends)) for ends in cuts)
    assert max(map(seconds, parts)) == best


def test_parts_are_equal_where_they_can_be() -> None:
    units = [
        Unit(base=str(n), go="1.25", trials=1000.0, variants=[variant("v1")]) for n in range(6)
    ]
    assert sorted(len(part) for part in shards.cut(units, 4)) == [1, 1, 2, 2]
    assert [len(part) for part in shards.cut(units, 3)] == [2, 2, 2]


def test_a_row_takes_its_cells_and_trials() -> None:
    (unit,) = shards.units(setup(), [variant("v1")], TRIALS)
    assert unit.trials == CELLS * TRIALS * TRIAL


def test_many_rows_are_cut_quickly() -> None:
    many = [
        Unit(base=str(n), go=str(n // 50), trials=72.0, variants=[variant("v1")])
        for n in range(1000)
    ]
    assert sum(map(len, shards.cut(many, 1000))) == 1000
    assert sum(map(len, shards.cut(many, 20))) == 1000
