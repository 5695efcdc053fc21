"""What `clean` takes to be ours, on this machine and on an Engine, and what it leaves."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit_bisect import bounds, paths
from buildkit_bisect.commands import machine

PACKAGE = paths.PROJECT / "bisect" / "buildkit_bisect"


@pytest.fixture(autouse=True)
def _nothing_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """No run was killed, and no Engine is there: tests of these take it away again."""
    monkeypatch.setattr("buildkit_bisect.leftovers.find", list)
    monkeypatch.setattr(machine, "_on_engine", lambda **_: [])


def asked_for() -> Iterator[str]:
    """The names in the package's own calls of `paths.cache`."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "paths.cache":
                (name,) = node.args
                if isinstance(name, ast.Constant):
                    yield str(name.value).partition("/")[0]


def test_every_directory_of_the_cache_is_listed_and_no_other() -> None:
    listed = {*asked_for(), *bounds.KINDS}
    assert listed == paths.DIRECTORIES
    assert len(paths.DIRECTORIES) == 14


def test_a_directory_that_is_not_listed_is_refused() -> None:
    with pytest.raises(ValueError, match="thesis"):
        paths.cache("thesis")
    assert not (paths.cache_root() / "thesis").exists()


def test_the_whole_cache_goes_and_what_is_not_of_it_stays(
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
    assert machine.clean({"cache": True, "dry_run": True}) == 0
    assert len(list(root.iterdir())) == 14 + 4 + len(theirs)
    assert machine.clean({"cache": True}) == 0
    assert sorted(p.name for p in root.iterdir()) == sorted(theirs)
    assert all((root / name / "thesis.txt").is_file() for name in theirs)
    said = capsys.readouterr().out
    assert said.count(f"left {root / 'mydocs'}: it is not of this tool") == 2


def test_a_link_to_another_cache_goes_and_that_cache_stays(tmp_path: Path) -> None:
    (tmp_path / "shared" / "x").mkdir(parents=True)
    (paths.cache_root() / "mirrors").symlink_to(tmp_path / "shared")
    machine.clean({"cache": True})
    assert not (paths.cache_root() / "mirrors").is_symlink()
    assert (tmp_path / "shared" / "x").is_dir()
