from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from buildkit_bisect.errors import BadInput
from buildkit_bisect.system import owner, paths


@pytest.fixture
def entry() -> Path:
    made = paths.cache("tmp") / f"trial-{os.getpid()}-x"
    made.mkdir()
    return made


def of(entry: Path, name: str) -> Path:
    (entry / ".owner").write_text(name)
    return entry


def aged(entry: Path) -> Path:
    old = time.time() - 2 * 86_400
    os.utime(entry, (old, old))
    return entry


@pytest.mark.parametrize("name", ["/proc/none", "{tmp}/file", "{tmp}/file/below"])
def test_a_cache_that_cannot_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "file").touch()
    place = name.format(tmp=tmp_path)
    monkeypatch.setenv("BKBISECT_CACHE_DIR", place)
    with pytest.raises(BadInput, match=f"BKBISECT_CACHE_DIR={place} cannot be made a folder: "):
        paths.cache_root()


def test_scratch_is_owned_during_the_block() -> None:
    with paths.scratch("trial") as made:
        assert paths.owner_alive(aged(made))
    assert not made.exists()


def test_a_later_process_with_the_same_id_owns_nothing(entry: Path) -> None:
    assert not paths.owner_alive(of(entry, f"{owner.machine()}:{os.getpid()}:1"))


def test_a_process_in_another_container_counts_as_alive_for_a_day(entry: Path) -> None:
    """Its process id means nothing in this PID namespace, and its directory must be kept."""
    of(entry, f"{owner.machine()}0:{2**22}:1")
    assert paths.owner_alive(entry)
    assert not paths.owner_alive(aged(entry))


def test_an_entry_named_like_scratch_has_the_same_owner(entry: Path, tmp_path: Path) -> None:
    (tmp_path / entry.name).mkdir()
    assert paths.owner_alive(tmp_path / entry.name)
    of(entry, f"{owner.machine()}:{os.getpid()}:1")
    assert not paths.owner_alive(tmp_path / entry.name)


@pytest.mark.parametrize("name", ["", "junk", ":", "a:b:c"])
def test_an_entry_with_an_invalid_owner_counts_as_alive_for_a_day(entry: Path, name: str) -> None:
    assert paths.owner_alive(of(entry, name))
    assert not paths.owner_alive(aged(entry))


def test_the_owner_was_killed_before_it_claimed_the_entry(entry: Path) -> None:
    assert paths.owner_alive(entry)
    assert not paths.owner_alive(entry.rename(entry.with_name(f"trial-{2**22}-x")))


def test_scratch_is_removed_however_deep_it_is() -> None:
    """A build under test may write as many folders in one another as fit into a path."""
    with paths.scratch("trial") as home:
        deep = home
        for _ in range(1500):
            deep /= "d"
            deep.mkdir()
    assert not home.exists()


@pytest.mark.parametrize(
    ("text", "path"),
    [("~/src", "/home/ada/src"), ("~no-such-user/src", "~no-such-user/src"), ("a/b", "a/b")],
)
def test_a_path_in_a_home(monkeypatch: pytest.MonkeyPatch, text: str, path: str) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert paths.expanded(text) == Path(path)
