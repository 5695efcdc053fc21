"""Which entries are removed from the cache, and which are kept."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from buildkit_bisect.builds import store
from buildkit_bisect.system import cache_limit, owner, paths

MB = 1_000_000


def test_sizes_are_shown_with_units() -> None:
    shown = [cache_limit.shown(n) for n in (0, 999, 20_000, 1_400_000_000, 5 * 10**12)]
    assert shown == ["0 B", "999 B", "20 kB", "1.4 GB", "5000.0 GB"]


def make(name: str, age: float, size: int = MB) -> Path:
    """Create a cache entry that was last used *age* seconds ago."""
    path = paths.cache_root() / name
    path.mkdir(parents=True)
    (path / "file").write_bytes(b"x" * size)
    return at(path, age)


def at(path: Path, age: float) -> Path:
    then = time.time() - age
    os.utime(path, (then, then))
    return path


def names(entries: list[cache_limit.Entry]) -> list[str]:
    return [f"{e.kind}/{e.path.name}" for e in entries]


def test_the_least_recently_used_entry_is_removed_first() -> None:
    make("builds/new", 10)
    make("builds/old", 3000)
    make("toolchains/go1.22.1-linux-amd64", 2000)
    make("evidence/abc", 1000)
    make("failures/def", 2500)
    assert cache_limit.surplus(cache_limit.entries(), 10 * MB) == []
    found = cache_limit.surplus(cache_limit.entries(), int(2.5 * MB))
    assert names(found) == ["builds/old", "failures/def", "toolchains/go1.22.1-linux-amd64"]
    assert names(cache_limit.trim(int(2.5 * MB))) == names(found)
    assert sorted(names(cache_limit.entries())) == ["builds/new", "evidence/abc"]
    assert list(paths.cache("tmp").iterdir()) == []


def test_entries_used_by_this_process_are_kept() -> None:
    kept = make("builds/mine", 3000)
    gone = make("builds/other", 10)
    cache_limit.used(kept)
    assert names(cache_limit.trim(0)) == ["builds/other"]
    assert kept.is_dir()
    assert not gone.exists()


def test_entries_used_by_another_process_are_kept_until_it_ends() -> None:
    busy = make("mirrors/x.git", 100)
    make("mirrors/y.git", 300)
    parent = f"{owner.machine()}:{os.getppid()}"
    note = paths.cache("locks") / f"user-{parent}:{owner.started(os.getppid())}"
    note.touch()
    at(note, 200)
    assert cache_limit.others() == [os.getppid()]
    assert names(cache_limit.trim(0)) == ["mirrors/y.git"]
    dead = note.rename(note.with_name(f"user-{parent}:1"))
    assert names(cache_limit.trim(0)) == ["mirrors/x.git"]
    assert not dead.exists()
    assert not busy.exists()


def test_a_process_in_another_container_counts_as_alive_for_a_day() -> None:
    """Its process id means nothing in this PID namespace."""
    make("builds/theirs", 100)
    note = paths.cache("locks") / f"user-{owner.machine()}0:7:1"
    note.touch()
    at(note, 200)
    assert cache_limit.others() == [7]
    assert cache_limit.trim(0) == []
    at(note, 2 * 86_400)
    assert cache_limit.others() == []
    assert not note.exists()


def test_a_note_with_only_a_process_id_of_another_program_is_removed() -> None:
    note = paths.cache("locks") / "user-1"
    note.touch()
    assert cache_limit.others() == []
    assert not note.exists()


def test_an_entry_used_after_it_was_listed_is_kept() -> None:
    path = make("builds/raced", 3000)
    (entry,) = cache_limit.entries()
    cache_limit.used(path)
    assert not cache_limit._take(entry, paths.cache("tmp") / "x")
    assert path.is_dir()


def test_the_go_cache_loses_single_files_but_none_of_the_last_hour() -> None:
    for name, age in (("a", 7200), ("b", 5400), ("c", 1800)):
        at(make(f"gocache/0{name}", 9000) / "file", age)
    at(paths.cache("gocache"), 9000)
    gone = cache_limit.trim(0)
    assert [e.path.parent.name for e in gone] == ["0a", "0b"]
    assert [p.name for p in paths.cache("gocache").glob("*/file")] == ["file"]


def test_evidence_that_results_link_to_is_not_counted() -> None:
    path = make("evidence/abc", 3000)
    (paths.cache_root() / "result").hardlink_to(path / "file")
    (entry,) = cache_limit.entries()
    assert entry.bytes == 0
    assert cache_limit.trim(0) == []


def test_only_changed_entries_are_measured_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build, evidence = make("builds/a", 50), make("evidence/a", 50)
    make("gomod", 50)
    cache_limit.entries()
    measured: list[str] = []
    original = cache_limit._measure

    def measure(path: Path) -> int:
        measured.append(path.parent.name)
        return original(path)

    monkeypatch.setattr(cache_limit, "_measure", measure)
    cache_limit.entries()
    assert measured == []
    cache_limit.used(build)  # it never changes
    cache_limit.used(evidence)
    cache_limit.entries()
    assert measured == ["evidence"]
    cache_limit.entries(fresh=True)
    assert len(measured) == 4
    (paths.cache_root() / "sizes.json").write_text("[1")
    assert len(cache_limit.entries()) == 3


def test_other_directories_and_links_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "shared" / "x").mkdir(parents=True)
    (paths.cache_root() / "mirrors").symlink_to(tmp_path / "shared")
    for name in ("inputs/a", "coverage/b", "builds/requests", "locks/c", "tmp/trial-1-x"):
        make(name, 3000)
    (paths.cache_root() / "journal.sqlite3").write_text("x" * 5000)
    assert cache_limit.entries() == []


def test_read_only_directories_are_removed() -> None:
    path = make("gomod", 3000) / "example.org@v1"
    path.mkdir()
    (path / "go.mod").touch()
    path.chmod(0o500)
    at(paths.cache_root() / "gomod", 3000)
    assert names(cache_limit.trim(0)) == ["gomod/gomod"]
    assert list(paths.cache("tmp").iterdir()) == []


def test_loading_a_build_marks_it_as_used() -> None:
    path = make("builds/key", 3000)
    assert store.load("key") is None  # no build.json in it
    assert time.time() - path.stat().st_mtime < 60


def test_what_did_not_make_the_cache_grow_measures_only_what_never_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make("gocache/00", 9000)
    make("evidence/abc", 9000)
    linked = make("evidence/linked", 9000)
    (paths.cache_root() / "result").hardlink_to(linked / "file")
    assert cache_limit.trim(10 * MB) == []
    measured: list[str] = []
    original = cache_limit._measure

    def measure(path: Path) -> int:
        measured.append(path.name)
        return original(path)

    monkeypatch.setattr(cache_limit, "_measure", measure)
    cache_limit.used(paths.cache("gocache"))
    make("evidence/new", 9000)
    assert cache_limit.trim(10 * MB, grew=False) == []
    assert measured == ["new"]
    assert cache_limit.trim(10 * MB) == []
    assert set(measured) == {"new", "gocache", "linked"}


def test_a_cache_that_was_too_large_is_trimmed_by_what_did_not_make_it_grow() -> None:
    make("evidence/abc", 9000)
    cache_limit.trim(10 * MB)
    assert names(cache_limit.trim(0, grew=False)) == ["evidence/abc"]
