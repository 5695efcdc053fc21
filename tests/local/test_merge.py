"""``./inv merge`` and ``--shard`` by their command lines: what is refused is one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import results
import workflows
from buildkit_bisect import result
from buildkit_bisect.result import Result
from golang_repo import GolangRepo, words
from shared_work import elsewhere, part, written
from tool import TaskOutput, inv
from workflows import Job

pytestmark = [pytest.mark.local, pytest.mark.timeout(120)]


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    for number in (1, 2):
        written(tmp_path / f"shard-{number}", part(number, 2))
    return tmp_path


def problems(done: TaskOutput) -> list[str]:
    """What *done* complained of, without what took long."""
    words = ("error: ", "warning: ")
    return [line for line in done.stderr.splitlines() if line.startswith(words)]


def test_results_by_folder_file_and_id(shards: Path) -> None:
    done = inv(
        *("merge", str(shards / "shard-1"), str(shards / "shard-2" / "result.json")),
        *("--out", str(shards / "out")),
        cold=True,
    )
    assert (done.code, problems(done)) == (0, [])
    (folder,) = (shards / "out").iterdir()
    assert done.stdout.endswith(f" Results: {folder}\n")
    assert len(result.read(folder).cells) == len(results.matrix().cells)
    assert inv("report", str(folder), "--out", str(shards)).code == 0
    assert inv("diff", str(folder), str(folder)).code == 0
    shown = inv("post", str(folder), "--dry-run")
    assert shown.code == 0
    assert shown.stdout.startswith("**Broken in 4 of 5 unpatched revisions")
    one = inv("merge", "shard-1", "--out", str(shards), "--json")
    assert one.document["parts"][0]["shard"]["number"] == 1
    assert problems(one) == ["warning: Shard 2 of 2 is not among the merged results"]


def other_schema(folder: Path) -> None:
    path = folder / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 2}))


def other_key(folder: Path) -> None:
    path = folder / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "secret": 2}))


def documents(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: _rewritten(folder, replace(part(2, 2), **changes))


def _rewritten(folder: Path, document: Result) -> None:
    result.write(document, folder)


def a_link(folder: Path) -> None:
    (folder / "evidence" / "cached").rename(folder / "moved")
    (folder / "evidence" / "cached").symlink_to(folder / "moved")


def a_large_file(folder: Path) -> None:
    with (folder / "evidence" / "cached" / "1" / "buildkitd.log").open("wb") as file:
        file.truncate(10**9)


def a_path(folder: Path) -> None:
    path = folder / "result.json"
    body = json.loads(path.read_text())
    body["cells"][0]["log"] = "../shard-1/result.json"
    path.write_text(json.dumps(body))


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "schema": (other_schema, "result.json is not a result of schema 1"),
    "key": (other_key, "extra fields found (secret)"),
    "kind": (
        lambda folder: _rewritten(folder, results.bisect()),
        "shard-2 is the result of bisect; only those of matrix and run can be merged",
    ),
    "scenario": (
        documents(scenarios=(results.scenario(digest="0" * 64),)),
        "scenario cross-stage-lazy is not the same: digest 5ce05ce05ce0 in",
    ),
    "again": (lambda folder: _rewritten(folder, part(1, 2)), "shard-2 has no trials but those of"),
    "machine": (
        lambda folder: _rewritten(folder, replace(elsewhere(part(2, 2)), machines={"m": {}})),
        "CellInfo.machine: trials of one of several machines, and not of which",
    ),
    "link": (a_link, "is or is below a symbolic link"),
    "large": (a_large_file, "buildkitd.log has 1000000000 bytes, more than 256000000"),
    "path": (a_path, "../shard-1/result.json is not a path below its folder"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_one_line(shards: Path, case: str) -> None:
    change, message = REFUSED[case]
    change(shards / "shard-2")
    done = inv("merge", "shard-1", "shard-2", "--out", str(shards))
    assert done.code == 2
    (line,) = problems(done)
    assert line.startswith("error: ")
    assert message in line
    assert done.stdout == ""
    assert sorted(path.name for path in shards.iterdir()) == ["shard-1", "shard-2"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("merge",), "merge needs results (try: ./inv merge ID ID)"),
        (("merge", "nothing"), "no campaign nothing in"),
        (("merge", "a", "--shard", "1/2"), "merge has no option --shard"),
        (("matrix", "--shard", "0/3"), "--shard 0/3: there is no shard 0 of 3 (try: --shard 1/3)"),
        (("matrix", "--shard", "4/3"), "--shard 4/3: there is no shard 4 of 3 (try: --shard 1/3)"),
        (("plan", "matrix", "--shard", "x/y"), "--shard 'x/y' is not I/N (try: --shard 2/5)"),
        (("matrix", "--shard", "1/2", "--format", "github-matrix"), "leave out --format"),
        (("run", "v0.26.0", "--shard", "1/2"), "run has no option --shard; matrix has it"),
    ],
)
def test_mistakes(tmp_path: Path, command: tuple[str, ...], message: str) -> None:
    out = () if "run" in command or "nothing" not in command else ("--out", str(tmp_path))
    done = inv(*command, *out)
    assert done.code == 2
    assert message in done.stderr.splitlines()[-1]


def test_plans_of_all_shards_have_each_row_once(tmp_path: Path) -> None:
    repo = GolangRepo.create(tmp_path / "upstream")
    for number in range(1, 6):
        repo.commit(f"v0.{number}.0", {"util/words/words.go": words(str(number))})
        repo.tag(f"v0.{number}.0")
        repo.commit(f"docs {number}", {"README.md": f"{number}\n"})
    # A commit with the same build inputs as a release belongs to that release's shard.
    revs = ["v0.1.0", "v0.2.0", "v0.3.0", "v0.4.0", "v0.5.0", repo.commits["docs 2"]]
    plan = ("plan", "matrix", "--repo", str(repo.path), "--revs", ",".join(revs))
    found = [inv(*plan, "--shard", f"{n}/4", "--json") for n in range(1, 5)]
    assert [one.code for one in found] == [0] * 4, found[0].stderr
    rows = [one.document["rows"] for one in found]
    assert sorted(row for own in rows for row in own) == sorted(revs)
    (both,) = [own for own in rows if "v0.2.0" in own]
    assert repo.commits["docs 2"] in both
    assert found[0].document["shard"].startswith("1 of 4, with ")
    assert inv(*plan, "--shard", "1/4").stdout.startswith("shard  1 of 4, with ")
    empty = inv(*plan, "--shard", "40/40")
    assert empty.stdout == "shard  40 of 40, with none of 6 rows\nnothing to build or run\n"


def test_the_last_job_of_the_workflow_merges_what_the_others_kept(tmp_path: Path) -> None:
    workflow = workflows.load(workflows.WORKFLOWS / "matrix.yml")
    repo = GolangRepo.create(tmp_path / "upstream")
    repo.commit("first", {"util/words/words.go": words("cached")})
    repo.tag("v0.1.0")
    repo.commit("second", {"util/words/words.go": words("ran")})
    inputs = workflows.inputs(
        workflow, revs="v0.1.0,master,master~1", repo=str(repo.path), source="git", shards=3
    )
    kept = tmp_path / "artifacts"
    for number in (1, 3):
        written(kept / f"matrix-shard-{number}" / f"{number}-matrix", part(number, 3))
    # That of another call in the same run.
    written(kept / "other-shard-1" / "1-matrix", part(1, 5))
    jobs = {
        name: Job(
            root=tmp_path / name,
            artifacts=kept,
            contexts={"inputs": inputs},
            env=workflows.environment(),
        )
        for name in ("plan", "merge")
    }
    outputs = jobs["plan"].run(workflow["jobs"]["plan"])
    assert jobs["plan"].codes == [0, 0], jobs["plan"].shown
    commits = [repo.commits["second"], repo.commits["first"]]
    assert outputs == {"shards": "[1,2,3]", "revs": ",".join(["v0.1.0", *commits])}
    shard = next(
        step for step in workflow["jobs"]["shard"]["steps"] if "matrix" in step.get("run", "")
    )
    assert shard["env"]["BKBISECT_REVS"] == "${{ needs.plan.outputs.revs }}"
    jobs["merge"].run(workflow["jobs"]["merge"])
    assert jobs["merge"].codes == [0], jobs["merge"].shown
    why = "Shard 2 of 3 is not among the merged results"
    assert f"warning: {why}" in jobs["merge"].shown
    assert f"::warning title=incomplete::{why}" in jobs["merge"].shown
    assert f"**{why}: this report is incomplete.**" in jobs["merge"].summary
    (folder,) = (kept / "matrix").iterdir()
    assert [p.shard.number for p in result.read(folder).parts if p.shard] == [1, 3]
