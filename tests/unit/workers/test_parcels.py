"""Files that travel: bounded, whole, and never written outside of their folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import small_scenario
from buildkit_bisect.errors import BadInput, InfraFailed
from buildkit_bisect.patch import diffs
from buildkit_bisect.patch.patches import Metadata, Patch
from buildkit_bisect.scenario import from_script
from buildkit_bisect.workers import parcels
from buildkit_bisect.workers.parcels import LEFT_OUT, Parcel


def tree(folder: Path) -> dict[str, tuple[int, bytes | str]]:
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            str(path.readlink())
            if path.is_symlink()
            else b""
            if path.is_dir()
            else path.read_bytes(),
        )
        for path in folder.rglob("*")
    }


def test_evidence_is_the_same_at_home(tmp_path: Path) -> None:
    there = tmp_path / "there"
    (there / "cache").mkdir(parents=True)
    (there / "build.log").write_bytes(b"\xff\x00log")
    (there / "cache" / "index.json").write_text("{}")
    parcels.write(parcels.evidence(there), tmp_path / "here")
    assert {k: v[1] for k, v in tree(tmp_path / "here").items()} == {
        "build.log": b"\xff\x00log",
        "cache": b"",
        "cache/index.json": b"{}",
    }


def test_a_large_file_of_evidence_is_cut_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parcels, "LARGEST_FILE", 100)
    (tmp_path / "buildkitd.log").write_bytes(b"a" * 500 + b"z" * 500)
    (found,) = parcels.evidence(tmp_path)
    assert found.data == b"a" * 50 + b"\n[900 bytes left out]\n" + b"z" * 50


def test_evidence_past_the_bound_is_left_out_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parcels, "LARGEST_EVIDENCE", 1000)
    for name, size in (("small.log", 100), ("middle", 800), ("large.tar", 900)):
        (tmp_path / name).write_bytes(bytes(size))
    found = {one.path: one.data or b"" for one in parcels.evidence(tmp_path)}
    assert found.keys() == {"small.log", "middle", LEFT_OUT}
    assert found[LEFT_OUT].decode() == (
        "The evidence of a trial on a worker comes home up to 1 kB: left out are\n"
        "large.tar: 900 bytes\n"
    )


def test_links_and_pipes_are_no_evidence(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/shadow")
    assert parcels.evidence(tmp_path) == ()


@pytest.mark.parametrize(
    "sent",
    [
        [Parcel(path="../x", data=b"")],
        [Parcel(path="/x", data=b"")],
        [Parcel(path="", data=b"")],
        [Parcel(path="a/../../x", data=b"")],
        [Parcel(path="out", link="/tmp"), Parcel(path="out/x", data=b"")],  # noqa: S108
    ],
)
def test_nothing_is_written_elsewhere(tmp_path: Path, sent: list[Parcel]) -> None:
    with pytest.raises(InfraFailed, match="a file from another machine"):
        parcels.write(sent, tmp_path / "folder")
    assert not (tmp_path / "x").exists()


def test_a_scenario_is_the_same_on_a_worker(tmp_path: Path) -> None:
    folder = small_scenario.written(
        tmp_path / "own", '[context]\nfolder = "context"\n', files={"context/run.sh": "#!/bin/sh\n"}
    )
    (folder / "context" / "run.sh").chmod(0o755)
    (folder / "context" / "link").symlink_to("run.sh")
    (folder / "context" / "empty").mkdir(mode=0o700)
    one = small_scenario.loaded(folder)
    there = parcels.unpacked(one, parcels.of_scenario(one), tmp_path / "there")
    assert tree(there.folders[0]) == tree(folder)
    assert replace(there, folders=one.folders) == one


def test_a_script_is_sent_with_what_it_declares_and_nothing_else(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "data").mkdir(parents=True)
    (home / "secret").write_text("no")
    (home / "data" / "x.json").write_text("{}")
    script = home / "test.sh"
    script.write_text("#!/bin/sh\n# bkbisect-files: data/x.json\nexit 0\n")
    script.chmod(0o755)
    one = from_script(str(script), timeout=10)
    there = parcels.unpacked(one, parcels.of_scenario(one), tmp_path / "there")
    assert tree(tmp_path / "there" / "0").keys() == {"test.sh", "data", "data/x.json"}
    assert there.steps[0].path == str(tmp_path / "there" / "0" / "test.sh")
    assert Path(there.steps[0].path).stat().st_mode & 0o777 == 0o755
    assert there.run_digest == one.run_digest


def test_a_script_that_changed_meanwhile_is_not_run(tmp_path: Path) -> None:
    script = tmp_path / "test.sh"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    one = from_script(str(script), timeout=10)
    script.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(InfraFailed, match=r"test\.sh changed since the campaign began"):
        parcels.unpacked(one, parcels.of_scenario(one), tmp_path / "there")


@pytest.mark.parametrize(("name", "most"), [("LARGEST_SCENARIO", 50), ("MOST_FILES", 1)])
def test_a_scenario_that_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, most: int
) -> None:
    one = small_scenario.loaded(small_scenario.written(tmp_path / "own", ""))
    monkeypatch.setattr(parcels, name, most)
    with pytest.raises(BadInput, match="too much to send to workers"):
        parcels.of_scenario(one)


def test_patches_have_their_diffs_on_a_worker(tmp_path: Path) -> None:
    text = "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
    diff = diffs.parse("fix.patch", text.encode())
    patch = Patch(name="fix", folder="/home", meta=Metadata(title="t"), diffs=(diff,))
    (there,) = parcels.patches([patch], tmp_path / "patches")
    assert (Path(there.folder) / "fix.patch").read_text() == text
    assert there.digest == patch.digest
