"""The build context of a trial: steps change it, and never anything outside of it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from buildkit_bisect.lab import context, image_files
from buildkit_bisect.scenario import Action, Scenario, Step, content
from small_scenario import loaded, written


@pytest.fixture
def made(tmp_path: Path) -> Scenario:
    files: dict[str, bytes | str] = {
        "context/a/run.sh": "echo",
        "context/b": "b",
        "data": b"\0\xff",
    }
    folder = written(tmp_path / "scenario", '[context]\nfolder = "context"\n', files=files)
    (folder / "context/a/run.sh").chmod(0o750)
    (folder / "context/link").symlink_to("/etc/passwd")
    return loaded(folder)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "context").mkdir()
    return tmp_path / "context"


def tree(root: Path) -> dict[str, str]:
    """Return each path below *root* with its permissions, or where it points to."""
    return {
        str(p.relative_to(root)): (
            f"-> {p.readlink()}" if p.is_symlink() else f"{p.stat().st_mode & 0o7777:o}"
        )
        for p in sorted(root.rglob("*"))
    }


def change(root: Path, made: Scenario, action: Action, path: str, **keys: object) -> str:
    step = Step(id="x", action=action, path=path, **keys)  # type: ignore[arg-type]
    return context.change(root, step, made, lambda text: text)


def test_the_initial_context(made: Scenario, root: Path) -> None:
    old = os.umask(0o077)
    try:
        context.begin(made, root)
    finally:
        os.umask(old)
    assert tree(root) == {
        "a": "755",
        "a/run.sh": "755",
        "b": "644",
        "link": "-> /etc/passwd",
    }
    assert (root / "b").read_text() == "b"
    assert {p.lstat().st_mtime for p in root.rglob("*")} == {content.MTIME}


def test_busybox(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").write_text("#!/bin/sh\n")
    monkeypatch.setattr(image_files, "busybox", lambda: tmp_path / "bin")
    context.begin(loaded(written(tmp_path / "s", "[context]\nbusybox = true\n")), root)
    assert tree(root) == {"busybox": "755"}
    assert (root / "busybox").read_text() == "#!/bin/sh\n"


def test_each_step(made: Scenario, root: Path) -> None:
    old = os.umask(0o077)
    try:
        assert change(root, made, Action.WRITE, "d/e/file", file="data", mode="4711", mtime=5) == ""
        assert change(root, made, Action.WRITE, "text", content="1") == ""
        assert change(root, made, Action.WRITE, "bin", base64="AP8=") == ""
        assert change(root, made, Action.WRITE, "l", symlink="d/e", mtime=7) == ""
        assert change(root, made, Action.MKDIR, "m/n", mode="1777") == ""
        assert change(root, made, Action.RENAME, "text", to="d/new/text") == ""
        assert change(root, made, Action.WRITE, "gone/x", content="1") == ""
        assert change(root, made, Action.DELETE, "gone") == ""
        assert change(root, made, Action.WRITE, "l2", symlink="x") == ""
        assert change(root, made, Action.DELETE, "l2") == ""
    finally:
        os.umask(old)
    assert tree(root) == {
        "bin": "644",
        "d": "755",
        "d/e": "755",
        "d/e/file": "4711",
        "d/new": "755",
        "d/new/text": "644",
        "l": "-> d/e",
        "m": "755",
        "m/n": "1777",
    }
    assert (root / "d/e/file").read_bytes() == (root / "bin").read_bytes() == b"\0\xff"
    assert ((root / "d/e/file").stat().st_mtime, (root / "l").lstat().st_mtime) == (5, 7)


def test_a_file_that_is_written_again_is_a_new_one(made: Scenario, root: Path) -> None:
    change(root, made, Action.WRITE, "x", content="1", mode="755")
    change(root, made, Action.WRITE, "x", content="2")
    assert tree(root) == {"x": "644"}
    assert (root / "x").read_text() == "2"


@pytest.mark.parametrize("name", ["out/sub", "out/sub/file"])
@pytest.mark.parametrize("action", [Action.WRITE, Action.DELETE, Action.RENAME, Action.MKDIR])
def test_no_step_follows_a_link_out(
    made: Scenario, root: Path, tmp_path: Path, action: Action, name: str
) -> None:
    outside = tmp_path / "outside"
    (outside / "sub").mkdir(parents=True)
    (outside / "sub/file").write_text("mine")
    before = tree(outside)
    change(root, made, Action.WRITE, "out", symlink=str(outside))
    problem = change(root, made, action, name, content="x", to="y", mode="777", mtime=1)
    assert problem == f"cannot {action} {name}: out is a symbolic link, which steps do not follow"
    if action is Action.RENAME:
        change(root, made, Action.WRITE, "own", content="x")
        assert "symbolic link" in change(root, made, action, "own", to=name)
    assert tree(outside) == before
    assert (outside / "sub/file").read_text() == "mine"


def test_a_link_is_replaced_and_not_written_through(
    made: Scenario, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text("mine")
    change(root, made, Action.WRITE, "x", symlink=str(tmp_path / "mine"))
    assert change(root, made, Action.WRITE, "x", content="y", mode="777", mtime=1) == ""
    assert tree(root) == {"x": "777"}
    assert (tmp_path / "mine").read_text() == "mine"
    change(root, made, Action.WRITE, "d", symlink=str(tmp_path))
    assert change(root, made, Action.MKDIR, "d", mode="700") == "cannot mkdir d: File exists"
    assert change(root, made, Action.DELETE, "d") == ""
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize(
    ("action", "path", "problem"),
    [
        (Action.DELETE, "gone", "cannot delete gone: No such file or directory"),
        (Action.RENAME, "gone", "cannot rename gone: No such file or directory"),
        (Action.WRITE, "d", "cannot write d: Is a directory"),
        (Action.WRITE, "f/x", "cannot write f/x: f is not a folder"),
        (Action.MKDIR, "f", "cannot mkdir f: File exists"),
        (Action.DELETE, "no/x", "cannot delete no/x: No such file or directory"),
    ],
)
def test_a_step_that_cannot_be_done_fails(
    made: Scenario, root: Path, action: Action, path: str, problem: str
) -> None:
    (root / "d").mkdir()
    (root / "f").touch()
    assert change(root, made, action, path, to="y") == problem


def test_a_full_disk_is_not_a_fact_of_the_step(
    made: Scenario, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        change(root, made, Action.WRITE, "x", content="1")
