import multiprocessing
import sqlite3
import threading
from contextlib import ExitStack, closing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from buildkit_bisect.source import remembered
from buildkit_bisect.source.remembered import Remembered


def test_notes_and_digests_are_stored(tmp_path: Path) -> None:
    path = tmp_path / "one.sqlite"
    many = [f"blob{n}" for n in range(1000)]
    with Remembered(path) as first:
        for blob in many:
            first.note(blob, f"text of {blob}")
        first.save({"commit extra": "digest"})
        first.note("late", "noted at the end")
    with Remembered(path) as second:
        assert second.files([*many, "late", "other"]) == {
            **{b: f"text of {b}" for b in many},
            "late": "noted at the end",
        }
        assert second.digests(["commit", "commit extra"]) == {"commit extra": "digest"}


def test_no_process_waits_while_another_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "PATIENCE", 0.1)
    path = tmp_path / "one.sqlite"
    with Remembered(path) as one, Remembered(path) as other:
        one.note("a", "learned while it computes")
        other.note("b", "so does this one")
        other.save({"c": "d"})
        assert one.digests(["c"]) == {"c": "d"}
        one.save({"e": "f"})
        assert other.files(["a", "b"]).keys() == {"a", "b"}


def test_a_locked_file_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "one.sqlite"
    with Remembered(path) as ours, closing(_holding(path)) as other:
        threading.Timer(0.3, other.execute, ("COMMIT",)).start()
        ours.save({"a": "b"})
        assert ours.digests(["a"]) == {"a": "b"}


def test_a_file_that_stays_locked_is_an_error_and_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "PATIENCE", 0.1)
    path = tmp_path / "one.sqlite"
    with closing(_holding(path)), pytest.raises(sqlite3.OperationalError, match="locked"):
        Remembered(path)
    with Remembered(path) as ours, closing(_holding(path)) as other:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            ours.save({"a": "b"})
        other.execute("COMMIT")


def test_a_failed_write_does_not_hide_the_first_exception(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "PATIENCE", 0.1)
    path = tmp_path / "one.sqlite"

    def interrupted() -> None:
        with ExitStack() as stack:
            ours = Remembered(path)
            stack.enter_context(closing(_holding(path)))
            stack.enter_context(ours)
            ours.note("a", "b")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()


def test_readers_do_not_wait_for_a_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "PATIENCE", 0.1)
    path = tmp_path / "one.sqlite"
    with Remembered(path) as first:
        first.save({"a": "b"})
    with closing(_holding(path)), Remembered(path) as ours:
        assert ours.digests(["a"]) == {"a": "b"}


def _holding(path: Path) -> sqlite3.Connection:
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    return other


def _use(folder: Path, gate: Barrier, number: int) -> None:
    for turn in range(TURNS):
        gate.wait(60)
        with Remembered(folder / f"{turn}.sqlite") as ours:
            ours.note(f"blob{number}", "text")
            ours.save({f"commit{number}": "digest"})


#: With four at once, about one in ten fails if a new file is switched to WAL mode.
TURNS, AT_ONCE = 25, 4


def test_several_processes_may_create_the_file_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(AT_ONCE)
    children = [context.Process(target=_use, args=(tmp_path, gate, n)) for n in range(AT_ONCE)]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
    assert [c.exitcode for c in children] == [0] * AT_ONCE
    for turn in range(TURNS):
        with Remembered(tmp_path / f"{turn}.sqlite") as whole:
            assert len(whole.digests([f"commit{n}" for n in range(AT_ONCE)])) == AT_ONCE
