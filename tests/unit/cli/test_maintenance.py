"""What `clean` removes, on this machine and on an Engine, and what it keeps."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit_bisect.cli import leftovers, maintenance
from buildkit_bisect.options.requests import Clean
from buildkit_bisect.system import cache_limit, checkout, owner, paths

FIND = leftovers.find
DEAD = f"{owner.machine()}:{2**22}:1"
PACKAGE = checkout.PROJECT / "bisect" / "buildkit_bisect"


@pytest.fixture(autouse=True)
def _nothing_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """No killed run and no Engine; tests of those undo it."""
    monkeypatch.setattr(leftovers, "find", list)
    monkeypatch.setattr(maintenance, "_on_engine", lambda **_: [])


def used_directories() -> Iterator[str]:
    """The directory names in the package's calls of `paths.cache`."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "paths.cache":
                (name,) = node.args
                if isinstance(name, ast.Constant):
                    yield str(name.value).partition("/")[0]


def test_every_directory_of_the_cache_is_listed_and_no_other() -> None:
    listed = {*used_directories(), *cache_limit.KINDS}
    assert listed == paths.DIRECTORIES
    assert len(paths.DIRECTORIES) == 20


def test_an_unlisted_directory_is_rejected() -> None:
    with pytest.raises(ValueError, match="thesis"):
        paths.cache("thesis")
    assert not (paths.cache_root() / "thesis").exists()


def test_the_cache_is_removed_and_other_files_are_kept(
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = paths.cache_root()
    for name in paths.DIRECTORIES:
        (paths.cache(name) / "x").touch()
    for name in ("journal.sqlite3", "journal.sqlite3-wal", "sizes.json", "sizes.json.12"):
        (root / name).touch()
    theirs = ("mydocs", "journal.sqlite3.bak", "journal_sqlite3", "sizes.json.old", "my-builds")
    for name in theirs:
        (root / name).mkdir()
        (root / name / "thesis.txt").touch()
    assert maintenance.clean(Clean(cache=True, dry_run=True)) == 0
    assert len(list(root.iterdir())) == 20 + 4 + len(theirs)
    assert maintenance.clean(Clean(cache=True)) == 0
    assert sorted(p.name for p in root.iterdir()) == sorted(theirs)
    assert all((root / name / "thesis.txt").is_file() for name in theirs)
    output = capsys.readouterr().out
    assert output.count(f"kept {root / 'mydocs'}: not created by this tool") == 2


def test_a_symlink_to_another_cache_is_removed_and_that_cache_is_kept(tmp_path: Path) -> None:
    (tmp_path / "shared" / "x").mkdir(parents=True)
    (paths.cache_root() / "mirrors").symlink_to(tmp_path / "shared")
    maintenance.clean(Clean(cache=True))
    assert not (paths.cache_root() / "mirrors").is_symlink()
    assert (tmp_path / "shared" / "x").is_dir()


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A temporary directory shared with other programs, with a killed run's leftovers."""
    monkeypatch.setattr(leftovers, "find", FIND)
    monkeypatch.setattr(leftovers, "SOCKETS", tmp_path / "tmp")
    monkeypatch.setattr(leftovers, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr("buildkit_bisect.system.marks.orphans", list)
    socket_of(tmp_path / "tmp", f"bkb-{2**22}-abc_d3f9")
    return tmp_path / "tmp"


def socket_of(folder: Path, name: str, by: str = DEAD) -> Path:
    made = folder / name
    made.mkdir(parents=True)
    (made / "s").touch()
    (made / ".owner").write_text(by)
    return made


def aged(path: Path) -> Path:
    os.utime(path, (1, 1))
    return path


@pytest.mark.parametrize(
    "name",
    ["bkb-notes", "bkb-1-2", f"bkb-{2**22}-mine", f"bkb-{2**22}-abcdefghi", "bkb-²-abcdefgh"],
)
def test_a_similar_name_is_not_ours(sockets: Path, name: str) -> None:
    theirs = aged(socket_of(sockets, name))
    assert leftovers.find() == [sockets / f"bkb-{2**22}-abc_d3f9"]
    maintenance.clean(Clean())
    assert list(sockets.iterdir()) == [theirs]


def test_our_name_without_our_mark_is_not_ours(sockets: Path) -> None:
    theirs = sockets / f"bkb-{2**22}-notes_24"
    theirs.mkdir()
    (theirs / "thesis.txt").touch()
    maintenance.clean(Clean())
    assert list(sockets.iterdir()) == [theirs]


def test_directories_of_another_user_are_not_ours(
    sockets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert leftovers.find() == []


def test_a_symlink_is_not_ours(sockets: Path, tmp_path: Path) -> None:
    theirs = socket_of(tmp_path, "theirs")
    (sockets / f"bkb-{2**22}-abcdefgh").symlink_to(theirs)
    assert leftovers.find() == [sockets / f"bkb-{2**22}-abc_d3f9"]


def test_a_running_daemons_directory_is_kept(sockets: Path) -> None:
    """The owner is its process ID with its start time, as the ID may have been reused."""
    socket_of(sockets, f"bkb-{2**22}-abcdefgh", owner.me())
    again = socket_of(sockets, f"bkb-{os.getpid()}-abcdefgh")
    assert sorted(map(str, leftovers.find())) == sorted(
        map(str, [again, sockets / f"bkb-{2**22}-abc_d3f9"])
    )
