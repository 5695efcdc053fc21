from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

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


def test_ours_is_owned_while_the_block_lasts() -> None:
    with paths.scratch("trial") as made:
        assert paths.owner_alive(aged(made))
    assert not made.exists()


def test_another_process_with_the_same_number_owns_nothing(entry: Path) -> None:
    assert not paths.owner_alive(of(entry, f"{owner.machine()}:{os.getpid()}:1"))


def test_a_process_of_another_container_counts_for_a_day(entry: Path) -> None:
    """Its number is nobody's here, and what it runs in must not be taken away."""
    of(entry, f"{owner.machine()}0:{2**22}:1")
    assert paths.owner_alive(entry)
    assert not paths.owner_alive(aged(entry))


def test_what_has_the_name_of_scratch_is_owned_with_it(entry: Path, tmp_path: Path) -> None:
    (tmp_path / entry.name).mkdir()
    assert paths.owner_alive(tmp_path / entry.name)
    of(entry, f"{owner.machine()}:{os.getpid()}:1")
    assert not paths.owner_alive(tmp_path / entry.name)


@pytest.mark.parametrize("name", ["", "junk", ":", "a:b:c"])
def test_junk_counts_for_a_day(entry: Path, name: str) -> None:
    assert paths.owner_alive(of(entry, name))
    assert not paths.owner_alive(aged(entry))


def test_one_that_was_killed_before_it_said_so(entry: Path) -> None:
    assert paths.owner_alive(entry)
    assert not paths.owner_alive(entry.rename(entry.with_name(f"trial-{2**22}-x")))
