"""Results of one matrix are joined; what does not belong together is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

import results
from buildkit_bisect import render
from buildkit_bisect.errors import BadInput
from buildkit_bisect.result import CellInfo, Result, RevisionInfo, ShardInfo, merging
from buildkit_bisect.result import checks as resultcheck
from buildkit_bisect.result.parts import lacking, of_machines
from buildkit_bisect.system import checkout
from shared_work import COMMAND, PLAN, elsewhere, given, joined, part, seen, whole

WHOLE = whole()


def refusal(*several: Result) -> str:
    with pytest.raises(BadInput) as refused:
        merging.joined(given(*several), COMMAND)
    assert "\n" not in str(refused.value)
    assert refused.value.hint
    return refused.value.message


def changed(one: Result, number: int = 0, **changes: Any) -> Result:
    """*one* with another cell at *number*."""
    cells = list(one.cells)
    cells[number] = replace(cells[number], **changes)
    return replace(one, cells=tuple(cells))


@pytest.mark.parametrize("of", [1, 2, 5])
def test_shards_together_are_the_matrix(of: int) -> None:
    made = joined(*(part(n, of) for n in range(1, of + 1)))
    assert seen(made) == seen(WHOLE)
    assert len(made.cells) == len(WHOLE.cells)
    assert (made.revisions, made.patches, made.host) == (WHOLE.revisions, WHOLE.patches, WHOLE.host)
    assert made.machines == {}
    assert made.command == "./inv matrix --trials 3"
    assert lacking(made.parts) == ()
    assert [p.shard.number for p in made.parts if p.shard] == list(range(1, of + 1))


def test_rows_are_in_the_order_of_the_matrix_whatever_the_order_of_the_shards() -> None:
    made = joined(part(4), part(1), part(5), part(3), part(2))
    assert made.revisions == WHOLE.revisions


def test_a_shard_without_rows_merges() -> None:
    empty = replace(part(2, 2), cells=(), revisions=(), patches=())
    made = joined(part(1, 2), empty)
    assert seen(made) == seen(part(1, 2))
    assert [p.cells for p in made.parts] == [len(part(1, 2).cells), 0]
    assert joined(empty).cells == ()


def test_a_missing_shard_is_known() -> None:
    assert lacking(joined(part(1), part(2), part(4), part(5)).parts) == ("shard 3 of 5",)
    assert lacking(joined(part(4)).parts) == ("shards 1 to 3 and 5 of 5",)
    assert lacking(joined(part(1), part(3), part(5)).parts) == ("shards 2 and 4 of 5",)


def test_a_merged_result_merges_with_what_was_missing() -> None:
    made = joined(joined(part(1), part(2)), joined(part(3), part(4)), part(5))
    assert seen(made) == seen(WHOLE)
    assert lacking(made.parts) == ()
    assert len(made.parts) == 5


def test_the_same_cells_of_two_machines_stay_apart() -> None:
    made = joined(WHOLE, elsewhere(WHOLE, kernel="6.8.0", cpus="4"))
    assert len(made.cells) == 2 * len(WHOLE.cells)
    assert {c.machine for c in made.cells} == {"machine 1", "machine 2"}
    assert all(sum(c.counts.values()) <= 3 for c in made.cells)
    assert made.host == {k: v for k, v in WHOLE.host.items() if k != "cpus"}
    assert made.machines["machine 1"] == WHOLE.host
    assert made.machines["machine 2"] == {**WHOLE.host, "kernel": "6.8.0", "cpus": "4"}
    assert [p.machine for p in made.parts] == ["machine 1", "machine 2"]
    assert resultcheck.wrong(made) == ""


def test_machines_with_the_same_facts_that_ran_the_same_cells_stay_apart_too() -> None:
    made = joined(WHOLE, elsewhere(WHOLE))
    assert len(made.cells) == 2 * len(WHOLE.cells) - 6, "six were not run on either"
    assert made.machines["machine 1"] == made.machines["machine 2"] == WHOLE.host


def test_shards_on_machines_with_the_same_facts_are_of_one_machine() -> None:
    made = joined(part(1), elsewhere(part(2)), elsewhere(part(5), runc="runc version 1.2"))
    assert list(made.machines) == ["machine 1", "machine 2"]
    assert {(c.ref, c.machine) for c in made.cells} == {
        ("v0.24.0", "machine 1"),
        ("v0.25.0", "machine 1"),
        ("master", "machine 2"),
    }


def test_machines_keep_apart_when_a_merged_result_is_merged() -> None:
    two = joined(part(1), elsewhere(part(1), kernel="6.8"))
    made = joined(two, elsewhere(part(2), kernel="6.8"))
    assert [(c.ref, c.machine) for c in made.cells[:: len(part(1).cells)]] == [
        ("v0.24.0", "machine 1"),
        ("v0.24.0", "machine 2"),
        ("v0.25.0", "machine 2"),
    ]
    assert [p.machine for p in made.parts] == ["machine 1", "machine 2", "machine 2"]


def test_a_joined_document_follows_the_schema() -> None:
    schema = json.loads((checkout.PROJECT / "docs" / "result.schema.json").read_text())
    made = joined(part(1), elsewhere(part(2), kernel="6.8"))
    jsonschema.validate(json.loads(render.json(made)), schema)


def test_trials_that_two_results_have_count_once() -> None:
    both = replace(WHOLE, cells=(*part(1).cells, *part(2).cells))
    made = joined(both, part(1, 1))
    assert seen(made) == seen(WHOLE)
    assert len(made.cells) == len(WHOLE.cells)


def test_a_machine_whose_cells_are_all_known_is_not_named_again() -> None:
    one, other = part(1), elsewhere(part(2), kernel="6.8")
    updated = replace(one, host={**one.host, "python": "3.12"})
    made = joined(one, joined(updated, other))
    assert list(made.machines) == ["machine 1", "machine 2"]
    assert made.machines["machine 1"] == one.host
    assert [p.machine for p in made.parts] == ["machine 1", "", "machine 2"]
    assert len(made.cells) == len(one.cells) + len(other.cells)


@pytest.mark.parametrize("facts", [{}, {"python": "3.12"}])
def test_a_result_without_trials_of_its_own_is_refused(facts: dict[str, str]) -> None:
    again = replace(WHOLE, id="another", host={**WHOLE.host, **facts})
    # What could not be built was not run on the other machine either, or is its own.
    again = replace(again, cells=tuple(c for c in again.cells if c.trials))
    assert refusal(WHOLE, again) == "b has no trials but those of a"


def test_results_with_some_of_the_same_trials_are_refused() -> None:
    first = WHOLE.cells[0]
    more = changed(WHOLE, trials=(*first.trials, *elsewhere(WHOLE).cells[0].trials))
    assert refusal(WHOLE, more) == (
        "b and a have some trials of v0.24.0: cross-stage-lazy bases=different"
        " snapshotter=overlayfs in common"
    )


def with_scenario(**changes: Any) -> Result:
    return elsewhere(replace(WHOLE, scenarios=(replace(WHOLE.scenarios[0], **changes),)))


def with_build(**changes: Any) -> Result:
    build = WHOLE.cells[0].build
    assert build
    return elsewhere(changed(WHOLE, build=replace(build, **changes)))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (results.bisect(), "b is the result of bisect; only those of matrix and run can be merged"),
        (replace(WHOLE, status="interrupted"), "b is interrupted"),
        (
            elsewhere(replace(WHOLE, source={**WHOLE.source, "kind": "module"})),
            "BuildKit's source is not the same: git in a, module in b",
        ),
        (replace(WHOLE, scenarios=()), "b has a cell of cross-stage-lazy, and not that scenario"),
        (
            with_scenario(digest="0" * 64),
            ("scenario cross-stage-lazy is not the same: digest 5ce05ce05ce0 in a,"
             " digest 000000000000 in b"),
        ),
        (
            with_scenario(axes={"warm": {"values": ("yes",), "controls": ()}}),
            ("scenario cross-stage-lazy is not the same: axes bases, snapshotter in a, axes warm"
             " in b"),
        ),
        (
            with_scenario(
                axes={
                    **WHOLE.scenarios[0].axes,
                    "bases": {"values": ("same",), "controls": ("same",)},
                }
            ),
            "cross-stage-lazy: bases=same is not the same: no control in a, a control in b",
        ),
        (
            with_scenario(outcomes=({"name": "ok", "verdict": "good", "means": "fine"},)),
            ("scenario cross-stage-lazy is not the same: outcomes cached, export-failed,"
             " layers-dropped, ran-despite-layers in a, outcomes ok in b"),
        ),
        (
            elsewhere(replace(WHOLE, patches=(replace(WHOLE.patches[0], digest="e" * 64),))),
            ("patch record-ctx-opts is not the same: digest dddddddddddd in a, digest"
             " eeeeeeeeeeee in b"),
        ),
        (
            elsewhere(replace(WHOLE, revisions=(RevisionInfo(ref="master", sha="f" * 40),))),
            "revision master is not the same: 000000000000 in a, ffffffffffff in b",
        ),
        (
            elsewhere(changed(replace(WHOLE, revisions=()), revision="f" * 40)),
            "revision v0.24.0 is not the same: 000000000000 in a, ffffffffffff in b",
        ),
        (
            with_build(binary_sha256="f" * 64),
            ("the buildkitd of v0.24.0 is not the same: sha256 000000000000 (build v0.24.0,"
             " Go 1.25.5) in a, sha256 ffffffffffff (build v0.24.0, Go 1.25.5) in b"),
        ),
        (
            with_build(key="other", go="1.25.6"),
            ("the buildkitd of v0.24.0 is not the same: sha256 000000000000 (build v0.24.0,"
             " Go 1.25.5) in a, sha256 000000000000 (build other, Go 1.25.6) in b"),
        ),
    ],
)  # fmt: skip
def test_what_does_not_belong_together_is_refused(other: Result, message: str) -> None:
    # One build has one digest: those of the shared support differ by revision only.
    own = replace(WHOLE, cells=WHOLE.cells[:6])
    if other.kind == "matrix":
        other = replace(other, cells=other.cells[:6])
    assert refusal(own, other) == message


TRIAL = WHOLE.cells[0].trials[0]
LINES = "s\nerror: all is well"


@pytest.mark.parametrize(
    "others",
    [
        (
            replace(WHOLE, scenarios=(replace(WHOLE.scenarios[0], name=LINES),), cells=()),
            replace(
                WHOLE,
                scenarios=(replace(WHOLE.scenarios[0], name=LINES, digest="0" * 64),),
                cells=(),
            ),
        ),
        (WHOLE, with_scenario(outcomes=({"name": LINES, "verdict": "good", "means": "x"},))),
        (WHOLE, elsewhere(replace(WHOLE, source={"kind": LINES}))),
        (WHOLE, with_build(key="other", go=LINES)),
        (WHOLE, changed(WHOLE, scenario=LINES)),
        (
            changed(WHOLE, ref=LINES),
            changed(WHOLE, ref=LINES, trials=(TRIAL, replace(TRIAL, seconds=99.0))),
        ),
    ],
)
def test_a_refusal_is_one_line_whatever_the_documents_contain(others: tuple[Result, ...]) -> None:
    others = tuple(replace(o, cells=o.cells[:6]) for o in others)
    message = refusal(*others)
    assert "s\\nerror: all is well" in message


@pytest.mark.parametrize(
    "command",
    [
        "./inv matrix --trials 3 --shard 2/5",
        "./inv matrix --trials 3 --shard 2/5 --jobs 4 --out there --store oci://x/y",
        "./inv matrix --revs v0.25.0 --shard 2/5",
    ],
)
@pytest.mark.parametrize("of", [5, 6])
def test_shards_of_two_matrices_are_refused(command: str, of: int) -> None:
    other = replace(part(2), command=command, shard=ShardInfo(number=2, of=of, plan="cd" * 32))
    assert refusal(part(1), other) == (
        "the matrix of the shards is not the same: shard 1 of plan abababababab in a, shard 2 of"
        " plan cdcdcdcdcdcd in b"
    )


def test_merged_shards_of_two_matrices_are_refused() -> None:
    plan = ShardInfo(number=3, of=5, plan="cd" * 32)
    others = joined(replace(part(3), shard=plan), replace(part(4), shard=replace(plan, number=4)))
    for first in (joined(part(1), part(2)), part(1)):
        assert refusal(first, others) == (
            "the matrix of the shards is not the same: shard 1 of plan abababababab in a, shard 3"
            " of plan cdcdcdcdcdcd in b"
        )
    # A matrix that was run as a whole belongs to any, as that of another machine.
    assert len(joined(others, elsewhere(WHOLE, kernel="6.8")).parts) == 3


def test_binaries_of_another_architecture_may_differ() -> None:
    first = replace(WHOLE, cells=WHOLE.cells[:6])
    cells = (
        replace(c, build=replace(c.build, key="other", binary_sha256="f" * 64))
        for c in first.cells
        if c.build
    )
    other = replace(first, cells=tuple(cells))
    made = joined(first, elsewhere(other, arch="aarch64"))
    assert len(made.machines) == 2


def test_evidence_of_several_results_gets_different_places() -> None:
    made = merging.joined(given(WHOLE, elsewhere(WHOLE, kernel="6.8")), COMMAND)
    targets = [one.target for one in made.carried]
    assert len(targets) == len(set(targets))
    assert all(target.startswith("evidence/") for target in targets)
    named = {t.evidence for c in made.result.cells for t in c.trials}
    assert named | {c.log for c in made.result.cells if c.log} == set(targets)
    assert {one.given for one in made.carried} == {0, 1}


def images(digest: str) -> Result:
    ref = {"ref": "bkbisect/x:1", "digest": digest}
    return elsewhere(
        replace(part(int(digest[-1])), scenarios=(results.scenario(images={"build": ref}),))
    )


def test_base_images_that_differ_have_no_digest() -> None:
    made = joined(images("sha256:1"), images("sha256:2"))
    assert made.scenarios[0].images == {"build": {"ref": "bkbisect/x:1", "digest": ""}}
    assert made.notes == ("each machine made its base images, and their digests differ",)


@pytest.mark.parametrize(
    ("commands", "shown"),
    [
        (("./inv matrix --revs a --shard 1/2", "./inv matrix --revs a --shard=2/2"),
         "./inv matrix --revs a"),
        (("./inv matrix --revs a", "./inv matrix --revs b"), COMMAND),
        (("./inv matrix 'a --shard 1/2", "./inv matrix 'a --shard 1/2"),
         "./inv matrix 'a --shard 1/2"),
    ],
)  # fmt: skip
def test_the_command_is_that_of_the_whole_matrix(commands: tuple[str, str], shown: str) -> None:
    pair = (replace(part(n), command=c) for n, c in enumerate(commands, 1))
    assert joined(*pair).command == shown


def test_times_are_those_of_all_machines() -> None:
    assert joined(part(1), part(2)).seconds == {"total": 1508.0, "builds": 862.4, "trials": 197.4}


def test_facts_of_one_machine_need_no_name() -> None:
    assert of_machines([{"kernel": "6"}]) == ({"kernel": "6"}, {})
    assert of_machines([{"kernel": "6", "cpus": "2"}, {"kernel": "5", "cpus": "2"}]) == (
        {"cpus": "2"},
        {"machine 1": {"kernel": "6", "cpus": "2"}, "machine 2": {"kernel": "5", "cpus": "2"}},
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shard": ShardInfo(number=3, of=2, plan=PLAN)}, "ShardInfo: there is no shard 3 of 2"),
        ({"shard": ShardInfo(number=1, of=99999, plan=PLAN)},
         "ShardInfo: there is no shard 1 of 99999"),
        ({"shard": ShardInfo(number=1, of=2, plan="x")}, "ShardInfo.plan: not a SHA-256"),
        ({"machines": {"machine 1": {}}},
         "CellInfo.machine: trials of one of several machines, and not of which"),
    ],
)  # fmt: skip
def test_a_document_that_no_task_writes_is_wrong(changes: dict[str, Any], message: str) -> None:
    assert resultcheck.wrong(results.matrix(**changes)) == message


def test_a_machine_that_the_document_does_not_describe_is_wrong() -> None:
    first, *rest = WHOLE.cells
    cells: tuple[CellInfo, ...] = (replace(first, machine="machine 3"), *rest)
    found = resultcheck.wrong(results.matrix(cells=cells))
    assert found == "CellInfo.machine: no 'machine 3' in the machines"


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({}, "none"),
        ({"bases": "same"}, "bases"),
        ({"bases": "same", "snapshotter": "overlayfs", "x": "y"}, "bases, snapshotter, x"),
    ],
)
def test_a_cell_with_other_axes_than_its_scenario_is_wrong(
    axes: dict[str, str], message: str
) -> None:
    assert resultcheck.wrong(changed(WHOLE, 3, axes=axes)) == (
        f"CellInfo.axes: {message}; those of cross-stage-lazy are bases, snapshotter"
    )
