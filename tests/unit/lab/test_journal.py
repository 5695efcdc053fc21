from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.lab import journal as journals
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


def test_stored_trials_are_read_back() -> None:
    store("k")
    with closing(Journal()) as again:
        again.add("k", SEEN, "c2")
        assert seen(again) == [SEEN, SEEN]
        assert again.trials("other") == []
        assert again.mean_seconds() == 2.0


def test_the_end_time_of_each_trial_is_read_back(file: Path) -> None:
    store("k")
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("UPDATE trial SET created='2026-01-02T03:04:05Z'")
        # As stored before observations had an end time.
        db.execute("UPDATE trial SET observation=json_remove(observation, '$.ended')")
    ended = replace(SEEN, ended="2026-03-04T05:06:07Z")
    with closing(Journal()) as journal:
        journal.add("k", ended, "c2")
        assert seen(journal) == [replace(SEEN, ended="2026-01-02T03:04:05Z"), ended]


def test_a_new_journal_is_complete(file: Path) -> None:
    Journal().close()
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert [p.name for p in file.parent.iterdir() if p.name != "tmp"] == [file.name]
    assert list((file.parent / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("version", "message"), [(99, "version 1: a newer tool wrote it"), (-1, r"version 1 \(try")]
)
def test_another_version_is_refused_and_not_changed(file: Path, version: int, message: str) -> None:
    store("k")
    with closing(sqlite3.connect(file)) as db:
        db.execute(f"PRAGMA user_version={version}")
    before = file.read_bytes()
    with pytest.raises(InfraFailed, match=f"has version {version}, .*{message}"):
        Journal()
    assert file.read_bytes() == before


@pytest.mark.parametrize("content", [b"not a database" * 100, b"\0" * 8192, b"SQLite format 3\0"])
def test_a_damaged_file_is_an_error_and_not_changed(file: Path, content: bytes) -> None:
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


def test_a_log_without_its_journal_is_an_error(file: Path) -> None:
    store("k")
    with closing(Journal()) as journal:
        journal.add("k", SEEN, "c2")  # stays in the log while the file is open
        moved = file.rename(file.with_name("elsewhere"))
        with pytest.raises(InfraFailed, match="-wal without its journal"):
            Journal()
        moved.rename(file)
    with closing(Journal()) as again:
        assert len(again.trials("k")) == 2


def test_every_damaged_page_is_found(file: Path) -> None:
    """Overwriting any page is an error; trials never disappear silently."""
    store(*(f"{n:064d}" for n in range(30)))
    whole = file.read_bytes()
    size = 4096
    assert len(whole) > 4 * size
    for start in range(0, len(whole), size):
        for junk in (b"\0" * size, b"\xa5" * size):
            file.write_bytes(whole[:start] + junk + whole[start + size :])
            with pytest.raises(InfraFailed, match=r"is damaged|has version"):
                Journal()
    file.write_bytes(whole)
    with closing(Journal()) as again:
        assert len(again.trials(f"{29:064d}")) == 1


def test_a_journal_that_another_process_creates_first_is_used(file: Path) -> None:
    store("k")
    with closing(Journal()) as journal:
        assert file.with_name(f"{file.name}-wal").exists()
        journal._create()  # as a process does that looked before the journal existed
        assert len(journal.trials("k")) == 1


def test_a_locked_journal_is_an_error_after_a_wait(file: Path) -> None:
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


def test_an_invalid_observation_is_an_error(file: Path) -> None:
    store("k")
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("UPDATE trial SET observation = '{\"steps\": 3'")
    with closing(Journal()) as journal, pytest.raises(InfraFailed, match="a trial in the journal"):
        journal.trials("k")


def test_a_trial_without_metrics_and_one_with_them(file: Path) -> None:
    """A trial that was stored before steps had metrics counts as one whose steps have none."""
    counted = StepResult(id="du", exit=0, seconds=1, metrics={"records": 3, "bytes.regular": 0.5})
    with closing(Journal()) as journal:
        journal.add("k", Observation(steps=(counted,), seconds=1), "c")
        with closing(sqlite3.connect(file)) as db, db:
            old = '{"steps": [{"id": "a", "exit": 0, "seconds": 1}], "seconds": 1}'
            db.execute(
                "INSERT INTO trial (key, number, campaign, observation) VALUES ('k', 2, 'c', ?)",
                (old,),
            )
        assert [s.metrics for o in seen(journal) for s in o.steps] == [counted.metrics, {}]


def test_an_observation_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    store("a", "a", "b")
    read: list[str] = []
    original = journals._observation

    def observation(created: str, text: str) -> Observation:
        read.append(text)
        return original(created, text)

    monkeypatch.setattr(journals, "_observation", observation)
    with closing(Journal()) as journal, closing(Journal()) as another:
        assert [number for number, _ in journal.rows("a")] == [1, 2]
        assert not read, "the numbers need no observation"
        before = journal.trials("a")
        number = another.add("a", before[0].observation, "later")
        assert [row.number for row in journal.trials("a")] == [1, 2, number]
        assert journal.trials("a")[:2] == before
        assert len(read) == 3


def test_what_a_journal_remembers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "_REMEMBERED", 2)
    store("a", "a", "a")
    with closing(Journal()) as journal:
        assert len(journal.trials("a")) == 3
        assert len(journal._read) == 2
        assert len(journal.trials("a")) == 3
