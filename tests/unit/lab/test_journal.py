from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.lab.journal import Journal
from buildkit_bisect.model import CacheConfig, CacheRecord, Observation, StepResult, Vertex
from buildkit_bisect.system import paths

SEEN = Observation(
    steps=(
        StepResult(
            id="export",
            exit=0,
            seconds=1.5,
            vertices=(Vertex(name="RUN", digest="d", cached=True),),
            export=CacheConfig(
                records=(CacheRecord(digest="r", layers=("l",)),), layers=("l",), form="image"
            ),
        ),
    ),
    seconds=2.0,
    facts={"runtime": "host", "images": {"build": "sha256:1"}},
)


@pytest.fixture
def file() -> Path:
    return paths.cache_root() / "journal.sqlite3"


def seen(journal: Journal) -> list[Observation]:
    return [trial.observation for trial in journal.trials("k")]


def store(*keys: str) -> None:
    with closing(Journal()) as journal:
        for key in keys:
            journal.add(key, SEEN, "c1")


def test_what_was_paid_for_comes_back() -> None:
    store("k")
    with closing(Journal()) as again:
        again.add("k", SEEN, "c2")
        assert seen(again) == [SEEN, SEEN]
        assert again.trials("other") == []
        assert again.mean_seconds() == 2.0


def test_when_each_trial_ended_comes_back_too(file: Path) -> None:
    store("k")
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("UPDATE trial SET created='2026-01-02T03:04:05Z'")
        # As before trials said it themselves.
        db.execute("UPDATE trial SET observation=json_remove(observation, '$.ended')")
    ended = replace(SEEN, ended="2026-03-04T05:06:07Z")
    with closing(Journal()) as journal:
        journal.add("k", ended, "c2")
        assert seen(journal) == [replace(SEEN, ended="2026-01-02T03:04:05Z"), ended]


def test_a_new_one_is_whole_from_the_start(file: Path) -> None:
    Journal().close()
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert [p.name for p in file.parent.iterdir() if p.name != "tmp"] == [file.name]
    assert list((file.parent / "tmp").iterdir()) == []


@pytest.mark.parametrize(("version", "says"), [(99, "a newer one made it"), (-1, "1 only")])
def test_another_version_is_refused_and_kept(file: Path, version: int, says: str) -> None:
    store("k")
    with closing(sqlite3.connect(file)) as db:
        db.execute(f"PRAGMA user_version={version}")
    before = file.read_bytes()
    with pytest.raises(InfraFailed, match=f"is of version {version}, .*{says}"):
        Journal()
    assert file.read_bytes() == before


@pytest.mark.parametrize("content", [b"not a database" * 100, b"\0" * 8192, b"SQLite format 3\0"])
def test_a_broken_file_is_told_and_kept(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(InfraFailed, match="is damaged"):
        Journal()
    assert file.read_bytes() == content


def test_an_empty_file_is_not_a_new_journal(file: Path) -> None:
    file.touch()
    with pytest.raises(InfraFailed, match=r"version 0, .* it is empty") as caught:
        Journal()
    assert "journal.old" in caught.value.hint
    assert file.stat().st_size == 0


def test_a_log_without_its_journal_is_told(file: Path) -> None:
    store("k")
    with closing(Journal()) as journal:
        journal.add("k", SEEN, "c2")  # in the log, as long as the file is open
        moved = file.rename(file.with_name("elsewhere"))
        with pytest.raises(InfraFailed, match="which it belongs to, is not"):
            Journal()
        moved.rename(file)
    with closing(Journal()) as again:
        assert len(again.trials("k")) == 2


def test_every_damaged_page_is_found(file: Path) -> None:
    """Whatever page is overwritten: never fewer trials than there were, without a word."""
    store(*(f"{n:064d}" for n in range(30)))
    whole = file.read_bytes()
    size = 4096
    assert len(whole) > 4 * size
    for start in range(0, len(whole), size):
        for junk in (b"\0" * size, b"\xa5" * size):
            file.write_bytes(whole[:start] + junk + whole[start + size :])
            with pytest.raises(InfraFailed, match=r"is damaged|is of version"):
                Journal()
    file.write_bytes(whole)
    with closing(Journal()) as again:
        assert len(again.trials(f"{29:064d}")) == 1


def test_one_that_another_process_makes_meanwhile_is_taken(file: Path) -> None:
    store("k")
    with closing(Journal()) as journal:
        assert file.with_name(f"{file.name}-wal").exists()
        journal._create()  # as by one that looked before it was there
        assert len(journal.trials("k")) == 1


def test_one_that_another_holds_is_waited_for_and_then_told(file: Path) -> None:
    store("k")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with closing(Journal(patience=0.2)) as journal:
            assert seen(journal) == [SEEN]
            with pytest.raises(InfraFailed, match=r"another process has held .* for 0\.2 s"):
                journal.add("k", SEEN, "c2")
            other.execute("ROLLBACK")
            journal.add("k", SEEN, "c2")
            assert len(journal.trials("k")) == 2


def test_an_observation_that_is_none_is_told(file: Path) -> None:
    store("k")
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("UPDATE trial SET observation = '{\"steps\": 3'")
    with closing(Journal()) as journal, pytest.raises(InfraFailed, match="a trial in the journal"):
        journal.trials("k")
