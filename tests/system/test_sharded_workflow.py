"""The workflow's own commands, on machines of their own: the parts together are the matrix."""

from __future__ import annotations

import json
import secrets
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import workflows
from buildkit_bisect import result
from buildkit_bisect.golang import gotool
from buildkit_bisect.golang.toolchain import GoWanted
from buildkit_bisect.result import Result
from buildkit_bisect.runtime import registry
from buildkit_bisect.runtime.registry import Registry
from buildkit_bisect.system import checkout, process
from golang_repo import GolangRepo, words
from shared_work import document
from tool import inv
from workflows import Job

pytestmark = [pytest.mark.system, pytest.mark.alone, pytest.mark.timeout(900)]

ACTIONLINT = gotool.GoTool(
    name="actionlint",
    version="v1.7.7",
    requires=("github.com/rhysd/actionlint v1.7.7",),
    go=GoWanted(minor=(1, 25)),
    package="github.com/rhysd/actionlint/cmd/actionlint",
)

#: Without programs that some machines have: what it finds is the same everywhere.
QUIET = ("-no-color", "-shellcheck=", "-pyflakes=")

WORKFLOW = workflows.load(workflows.WORKFLOWS / "matrix.yml")
REVISIONS = ("v0.1.0", "v0.2.0", "v0.3.0", "v0.4.0")

#: More than builds, so that some have nothing to do.
SHARDS = 6

SCRIPT = """#!/bin/sh
"$BKBISECT_BUILDKITD" | tee seen
grep -q cached seen
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry.serve(tmp_path_factory.mktemp("storage")) as at:
        yield at


@dataclass(frozen=True, kw_only=True)
class World:
    """A matrix that one machine has run, and what the workflow is called with."""

    whole: Result
    inputs: dict[str, Any]
    env: dict[str, str]


@pytest.fixture(scope="module")
def world(store: Registry, tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("world")
    repo = GolangRepo.create(root / "upstream")
    new = secrets.token_hex(4)  # a build that an earlier run has made is not pushed
    for number, name in enumerate(REVISIONS):
        shown = "ran" if number == 2 else "cached"
        repo.commit(name, {"util/words/words.go": words(f"{shown} {name} {new}")})
        repo.tag(name)
    script = root / "test.sh"
    script.write_text(SCRIPT)
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    address = f"oci://{store.address}/builds"
    done = inv(
        *("matrix", "--repo", str(repo.path), "--revs", ",".join(REVISIONS), "--trials", "2"),
        *("--script", str(script), "--store", address, "--store-push", "--fresh"),
        *("--out", str(root / "out")),
    )
    assert done.code == 0, done.stderr
    (folder,) = (root / "out").iterdir()
    inputs = workflows.inputs(
        WORKFLOW, revs=",".join(REVISIONS), repo=str(repo.path), shards=SHARDS, trials=2,
        store=address,
    )  # fmt: skip
    env = {**workflows.environment(), "BKBISECT_SCRIPT": str(script)}
    return World(whole=result.read(folder), inputs=inputs, env=env)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run of the workflow."""

    artifacts: Path
    shards: list[Job]
    merge: Job


@pytest.fixture(scope="module")
def run(world: World, tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("run")
    (root / "artifacts").mkdir()

    def job(name: str, **contexts: Any) -> Job:
        contexts = {"inputs": world.inputs, **contexts}
        return Job(root=root / name, artifacts=root / "artifacts", contexts=contexts, env=world.env)

    jobs = WORKFLOW["jobs"]
    needs = {"plan": {"outputs": job("plan").run(jobs["plan"])}}
    numbers = workflows.value(
        jobs["shard"]["strategy"]["matrix"]["shard"].strip("${} "), {"needs": needs}
    )
    assert numbers == list(range(1, SHARDS + 1))
    shards = [job(f"shard-{n}", matrix={"shard": n}, needs=needs) for n in numbers]
    for one in shards:
        one.run(jobs["shard"])
    merge = job("merge")
    merge.run(jobs["merge"])
    return Run(artifacts=root / "artifacts", shards=shards, merge=merge)


def seen(cells: Any) -> list[tuple[object, ...]]:
    return [
        (c["ref"], c["revision"], c["patches"], c["scenario"], c["axes"], c["control"],
         c["outcome"], c["verdict"], c["counts"], c["rate"], c["machine"],
         c["build"]["key"], c["build"]["binary_sha256"])
        for c in cells
    ]  # fmt: skip


def test_the_merged_cells_are_those_of_one_matrix(run: Run, world: World) -> None:
    assert all(code == 0 for one in run.shards for code in one.codes), run.shards[0].shown
    assert run.merge.codes == [0], run.merge.shown
    made = document(run.artifacts / "matrix")
    whole = json.loads(result.dump(world.whole))
    assert seen(made["cells"]) == seen(whole["cells"])
    assert [r["ref"] for r in made["revisions"]] == list(REVISIONS)
    own = document(run.artifacts / "matrix-shard-1")["command"]
    assert f" --shard 1/{SHARDS}" in own
    assert made["command"] == own.replace(f" --shard 1/{SHARDS}", "")
    assert [p["shard"]["number"] for p in made["parts"]] == list(range(1, SHARDS + 1))
    assert {c["verdict"] for c in made["cells"]} == {"good", "bad"}


def test_each_build_was_pulled_once_by_one_machine(run: Run, world: World) -> None:
    made = document(run.artifacts / "matrix")
    builds = [c["build"] for c in made["cells"]]
    assert {b["pulled_from"] for b in builds} == {world.inputs["store"]}
    pulled = [
        line.split(":")[0]
        for one in run.shards
        for line in one.shown.splitlines()
        if line.endswith(f": pulled from {world.inputs['store']}")
    ]
    assert sorted(pulled) == list(REVISIONS)


def test_evidence_came_along(run: Run) -> None:
    (folder,) = (run.artifacts / "matrix").iterdir()
    for cell in result.read(folder).cells:
        assert len(cell.trials) == 2
        for trial in cell.trials:
            assert any((folder / trial.evidence).iterdir())


def test_the_summary_is_the_report(run: Run) -> None:
    assert run.merge.summary.startswith("**Broken in 1 of 4 revisions (v0.3.0)")
    assert "incomplete" not in run.merge.summary


def test_a_shard_that_failed_is_missing_in_the_report(
    run: Run, world: World, tmp_path: Path
) -> None:
    left = tmp_path / "artifacts"
    shutil.copytree(run.artifacts, left)
    shutil.rmtree(left / "matrix")
    lost = next(n for n in range(1, SHARDS + 1) if document(left / f"matrix-shard-{n}")["cells"])
    shutil.rmtree(left / f"matrix-shard-{lost}")
    again = Job(
        root=tmp_path / "again", artifacts=left, contexts={"inputs": world.inputs}, env=world.env
    )
    again.run(WORKFLOW["jobs"]["merge"])
    why = f"Shard {lost} of {SHARDS} is not among the merged results"
    assert f"warning: {why}" in again.shown
    assert f"**{why}: this report is incomplete.**" in again.summary


def test_a_plan_is_the_same_on_a_machine_that_has_builds(run: Run, world: World) -> None:
    """The shards had nothing in their caches; this one has all builds of the matrix."""
    for number, one in enumerate(run.shards, 1):
        done = inv(
            *("plan", "matrix", "--repo", world.inputs["repo"], "--revs", world.inputs["revs"]),
            *("--trials", "2", "--script", world.env["BKBISECT_SCRIPT"], "--json"),
            *("--shard", f"{number}/{SHARDS}"),
        )
        assert done.code == 0, done.stderr
        (cells,) = [document(one.workspace / "shard")["cells"]]
        rows = dict.fromkeys(c["ref"] for c in cells)
        assert done.document["rows"] == list(rows)


def test_workflows_and_actions_pass_actionlint() -> None:
    program = gotool.ensure(ACTIONLINT)
    done = process.run([str(program), *QUIET], timeout=60, cwd=checkout.PROJECT, check=False)
    assert done.ok, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("before", "after"),
    [("inputs.revs", "inputs.rev"), ("run: ./inv merge", "rum: ./inv merge")],
)
def test_actionlint_would_find_a_mistake(tmp_path: Path, before: str, after: str) -> None:
    program = gotool.ensure(ACTIONLINT)
    text = (workflows.WORKFLOWS / "matrix.yml").read_text()
    assert before in text
    wrong = tmp_path / "matrix.yml"
    wrong.write_text(text.replace(before, after))
    done = process.run([str(program), *QUIET, str(wrong)], timeout=60, check=False)
    assert done.exit == 1
