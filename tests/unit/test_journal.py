from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.journal import Journal
from buildkit_bisect.model import CacheConfig, CacheRecord, Observation, StepResult, Vertex

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


def test_what_was_paid_for_comes_back(tmp_path: Path) -> None:
    first = Journal(tmp_path / "j")
    first.add("k", SEEN, "c1")
    first.close()
    again = Journal(tmp_path / "j")
    again.add("k", SEEN, "c2")
    assert again.trials("k") == [SEEN, SEEN]
    assert again.trials("other") == []
    assert again.mean_seconds() == 2.0


def test_another_version_is_refused(tmp_path: Path) -> None:
    Journal(tmp_path / "j").close()
    with sqlite3.connect(tmp_path / "j") as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(InfraFailed, match="version 99"):
        Journal(tmp_path / "j")


def test_a_broken_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b"not a database" * 100)
    with pytest.raises(InfraFailed, match="cannot be used"):
        Journal(tmp_path / "j")
