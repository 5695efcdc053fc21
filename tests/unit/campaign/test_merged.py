"""Evidence is carried along; what other people's results name beside their folder is refused."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from buildkit_bisect import result
from buildkit_bisect.campaign import merged
from buildkit_bisect.errors import BadInput
from buildkit_bisect.lab import carried_evidence
from buildkit_bisect.result import ReproductionInfo, Result
from shared_work import COMMAND, REVISIONS, elsewhere, part, seen, whole, written

TRIAL = "evidence/layers-dropped/1"
LOG = "buildkitd.log"


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    return [written(tmp_path / f"shard-{n}", part(n)) for n in range(1, 6)]


def merge(folders: list[Path], out: Path) -> tuple[Result, Path]:
    return merged.merge([str(f) for f in folders], out, COMMAND)


def test_evidence_is_beside_the_merged_document(shards: list[Path], tmp_path: Path) -> None:
    document, folder = merge(shards, tmp_path / "out")
    assert seen(document) == seen(whole())
    assert result.read(folder) == document
    assert document.id == folder.name
    for cell in document.cells:
        owner = f"shard-{REVISIONS.index(cell.ref) + 1}"
        for trial in cell.trials:
            assert (folder / trial.evidence / LOG).read_text().split()[0] == owner
    (log,) = {c.log for c in document.cells if c.log}
    assert (folder / log).read_text() == "undefined: shard-4\n"


def test_an_id_and_a_file_name_results_too(shards: list[Path], tmp_path: Path) -> None:
    document, folder = merged.merge(["shard-1", f"{shards[1]}/result.json"], tmp_path, COMMAND)
    assert len(document.parts) == 2
    assert folder.parent == tmp_path


def test_evidence_that_is_gone_is_not_named(shards: list[Path], tmp_path: Path) -> None:
    for file in (shards[1] / TRIAL).parent.parent.rglob(LOG):
        file.unlink()
    document, folder = merge(shards[:2], tmp_path / "out")
    assert {t.evidence for c in document.cells if c.ref == "v0.25.0" for t in c.trials} == {""}
    assert all(
        (folder / t.evidence).is_dir()
        for c in document.cells
        if c.ref == "v0.24.0"
        for t in c.trials
    )


def refusal(folders: list[Path], out: Path) -> str:
    with pytest.raises(BadInput) as refused:
        merge(folders, out)
    assert "\n" not in str(refused.value)
    assert list(out.glob("*")) == [], "no folder is left"
    return refused.value.message


@pytest.mark.parametrize("link", ["file", "folder", "parent", "outside"])
def test_a_symbolic_link_is_refused(shards: list[Path], tmp_path: Path, link: str) -> None:
    place = shards[0] / TRIAL
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / LOG).write_text("secret")
    match link:
        case "file":
            (place / LOG).unlink()
            (place / LOG).symlink_to(tmp_path / "secret" / LOG)
        case "folder":
            (place / LOG).unlink()
            place.rmdir()
            place.symlink_to(tmp_path / "secret")
        case "parent":
            place.parent.rename(shards[0] / "moved")
            place.parent.symlink_to(shards[0] / "moved")
        case "outside":
            (place / "more").symlink_to("/etc")
    message = refusal(shards, tmp_path / "out")
    assert message.startswith(f"{shards[0]}: {TRIAL}")
    assert message.endswith("is or is below a symbolic link")


@pytest.mark.parametrize(
    "path", ["/etc", "../shard-2/evidence", "evidence/../../secret", "//", ".", "a\nb"]
)
def test_a_path_outside_the_folder_is_refused(
    shards: list[Path], tmp_path: Path, path: str
) -> None:
    file = shards[0] / "result.json"
    body: dict[str, Any] = json.loads(file.read_text())
    body["cells"][0]["trials"][0]["evidence"] = path
    file.write_text(json.dumps(body))
    message = refusal(shards, tmp_path / "out")
    assert message.endswith("is not a path below its folder")


def test_results_of_scripts_had_an_empty_part_in_their_paths(
    shards: list[Path], tmp_path: Path
) -> None:
    file = shards[0] / "result.json"
    body: dict[str, Any] = json.loads(file.read_text())
    trial = body["cells"][0]["trials"][0]
    trial["evidence"] = trial["evidence"].replace("/", "//")
    file.write_text(json.dumps(body))
    document, folder = merge(shards, tmp_path / "out")
    (moved, *_) = document.cells[0].trials
    assert "//" not in moved.evidence
    assert (folder / moved.evidence / LOG).read_text().split()[0] == "shard-1"


def test_a_file_past_the_bound_is_refused(shards: list[Path], tmp_path: Path) -> None:
    with (shards[2] / TRIAL / LOG).open("wb") as file:
        file.truncate(carried_evidence.MOST_BYTES + 1)
    message = refusal(shards, tmp_path / "out")
    assert message == f"{shards[2]}: {TRIAL}/{LOG} has 256000001 bytes, more than 256000000"


@pytest.mark.parametrize(("bound", "value"), [("MOST_TOTAL", 100), ("MOST_FILES", 3)])
def test_more_than_the_bound_together_is_refused(
    shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    monkeypatch.setattr(carried_evidence, bound, value)
    assert refusal(shards, tmp_path / "out").startswith("the evidence has more than ")


def test_a_pipe_is_refused(shards: list[Path], tmp_path: Path) -> None:
    os.mkfifo(shards[0] / TRIAL / "pipe")
    message = refusal(shards, tmp_path / "out")
    assert message == f"{shards[0]}: {TRIAL}/pipe is neither a file nor a folder of files"


def test_folders_too_deep_are_refused(shards: list[Path], tmp_path: Path) -> None:
    (shards[0] / TRIAL / "/".join("d" * 40)).mkdir(parents=True)
    message = refusal(shards, tmp_path / "out")
    assert message.endswith("d is neither a file nor a folder of files")


def test_evidence_cannot_take_the_place_of_a_report(shards: list[Path], tmp_path: Path) -> None:
    file = shards[0] / "result.json"
    body: dict[str, Any] = json.loads(file.read_text())
    body["cells"][0]["log"] = "result.json"
    file.write_text(json.dumps(body))
    document, folder = merge(shards, tmp_path / "out")
    assert document.cells[0].log == "evidence/result.json"
    assert result.read(folder) == document


LONG = f"evidence/{'n' * 255}"


@pytest.mark.parametrize(
    ("first", "second", "target"),
    [
        ("evidence/x", "evidence/x/y", "evidence/2/x/y"),
        ("evidence/x/y", "evidence/x", "evidence/2/x"),
        ("evidence/x/y/z", "evidence/x/y", "evidence/2/x/y"),
        ("evidence/2", "evidence/2/y", "evidence/3/2/y"),
        ("logs/x", "logs/x/y", "evidence/2/logs/x/y"),
        ("evidence/x/", "evidence/x/y", "evidence/2/x/y"),
        ("evidence/x/y", "evidence/x/y//", "evidence/2/x/y"),
        (LONG, LONG, f"evidence/2/{'n' * 255}"),
    ],
)
def test_no_evidence_is_inside_of_other_evidence(
    tmp_path: Path, first: str, second: str, target: str
) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for number, path in enumerate((first, second)):
        one = part(number + 1)
        cells = tuple(
            replace(
                c, log="" if n else path, trials=tuple(replace(t, evidence="") for t in c.trials)
            )
            for n, c in enumerate(one.cells)
        )
        folders[number].mkdir()
        result.write(replace(one, cells=cells), folders[number])
        (folders[number] / path).parent.mkdir(parents=True)
        (folders[number] / path).write_text(folders[number].name)
    document, folder = merge(folders, tmp_path / "out")
    logs = [c.log for c in document.cells if c.log]
    assert logs[1] == target
    assert [(folder / log).read_text() for log in logs] == ["one", "two"]


def test_evidence_that_cannot_be_written_leaves_no_folder(
    shards: list[Path], tmp_path: Path
) -> None:
    deep = "/".join(["evidence", *["n" * 250] * 16])
    file = shards[0] / "result.json"
    body: dict[str, Any] = json.loads(file.read_text())
    body["cells"][0]["log"] = deep
    file.write_text(json.dumps(body))
    at = os.open(shards[0], os.O_RDONLY)
    for name in deep.split("/")[:-1]:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=at)
        inner = os.open(name, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(os.open(deep.split("/")[-1], os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)
    assert refusal(shards, tmp_path / "out").endswith(": File name too long")


def test_two_machines_with_the_same_paths(tmp_path: Path) -> None:
    folders = [
        written(tmp_path / "one", whole()),
        written(tmp_path / "two", elsewhere(whole(), kernel="6.8")),
    ]
    document, folder = merge(folders, tmp_path / "out")
    for cell in document.cells:
        for trial in cell.trials:
            owner = {"machine 1": "one", "machine 2": "two"}[cell.machine]
            assert (folder / trial.evidence / LOG).read_text().startswith(owner)


def test_the_reproduction_is_that_of_the_worst_cell_that_has_one(tmp_path: Path) -> None:
    def with_script(number: int, script: str) -> Result:
        one = part(number)
        cell = one.cells[-1]
        info = ReproductionInfo(
            scenario=cell.scenario, ref=cell.ref, revision=cell.revision, patches=cell.patches,
            axes=cell.axes, outcome=cell.outcome, verdict=cell.verdict, script=script,
        )  # fmt: skip
        return replace(one, reproduction=info)

    folders = [
        written(tmp_path / "a", with_script(4, "skipped")),
        written(tmp_path / "b", with_script(2, "bad")),
        written(tmp_path / "c", part(1)),
    ]
    document, _ = merge(folders, tmp_path / "out")
    assert document.reproduction
    assert document.reproduction.script == "bad"


def test_a_version_whose_commit_only_one_machine_knows_is_one_revision(tmp_path: Path) -> None:
    one = whole()
    cells = tuple(replace(c, revision=c.ref, build=None) for c in one.cells)
    revisions = tuple(replace(r, describe=r.ref) for r in one.revisions)
    own = replace(one, revisions=revisions, cells=tuple(replace(c, build=None) for c in one.cells))
    without = replace(
        elsewhere(replace(own, cells=cells), kernel="6.8"),
        revisions=tuple(replace(r, sha="") for r in revisions),
    )
    folders = [written(tmp_path / "one", without), written(tmp_path / "two", own)]
    document, _ = merge(folders, tmp_path / "out")
    assert document.revisions == revisions
    assert {c.revision for c in document.cells} == {r.sha for r in revisions}
    other = replace(
        without, revisions=tuple(replace(r, describe="v9.9.9") for r in without.revisions)
    )
    message = refusal([folders[1], written(tmp_path / "three", other)], tmp_path / "none")
    assert message.startswith("revision v0.24.0 is not the same: ")


def test_notes_on_pulled_builds_count_all_of_them(tmp_path: Path) -> None:
    def pulled(number: int) -> Result:
        one = part(number)
        cells = tuple(
            replace(c, build=c.build and replace(c.build, pulled_from="oci://x/y"))
            for c in one.cells
        )
        note = "pulled from oci://x/y, not compiled: 1 of 1 build"
        return replace(one, cells=cells, notes=(note, "another"))

    folders = [written(tmp_path / str(n), pulled(n)) for n in (1, 2)]
    document, _ = merge(folders, tmp_path / "out")
    assert document.notes == ("pulled from oci://x/y, not compiled: 2 of 2 builds", "another")


def test_nothing_to_merge(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="merge needs results"):
        merged.merge([], tmp_path, COMMAND)
    with pytest.raises(BadInput, match="no campaign"):
        merged.merge([str(tmp_path / "shards/*/result.json")], tmp_path, COMMAND)
