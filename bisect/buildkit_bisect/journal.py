"""What was paid for: every finished trial, durable before the next one starts.

One sqlite file in the cache, shared by all campaigns of the machine. Trials are kept as
observations, not outcomes: rules may change without a new trial.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import cattrs

from buildkit_bisect import paths
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.model import Observation

VERSION = 1

_CONVERTER = cattrs.Converter()

_SCHEMA = """
CREATE TABLE trial (
    key TEXT NOT NULL,          -- trial.TrialJob.key
    number INTEGER NOT NULL,    -- 1, 2, ... in the order in which they ran
    campaign TEXT NOT NULL,
    created TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')),
    observation TEXT NOT NULL,  -- JSON
    PRIMARY KEY (key, number)
) WITHOUT ROWID;
"""


class Journal:
    """The machine's journal; use one per thread. Raises `InfraFailed` when it cannot write."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or paths.cache_root() / "journal.sqlite3"
        with self._told():
            self._db = sqlite3.connect(self._path, timeout=60, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._prepare()

    def _prepare(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._db.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={VERSION}; COMMIT;"
            )
        elif version != VERSION:
            self._db.close()
            raise InfraFailed(
                f"{self._path} is of version {version}; this tool reads version {VERSION}",
                hint=f"mv {self._path} {self._path}.old",
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def trials(self, key: str, campaigns: Collection[str] | None = None) -> list[Observation]:
        """Every stored observation of the cell *key*, oldest first; of *campaigns*, where given."""
        with self._told():
            rows = self._db.execute(
                "SELECT observation, campaign FROM trial WHERE key = ? ORDER BY number", (key,)
            ).fetchall()
            return [
                _CONVERTER.structure(json.loads(text), Observation)
                for text, campaign in rows
                if campaigns is None or campaign in campaigns
            ]

    def campaigns(self, key: str) -> set[str]:
        """The campaigns that ran trials of the cell *key*."""
        with self._told():
            rows = self._db.execute("SELECT DISTINCT campaign FROM trial WHERE key = ?", (key,))
            return {campaign for (campaign,) in rows}

    def add(self, key: str, observation: Observation, campaign: str) -> None:
        """Store one more observation of *key*, durable when this returns."""
        text = json.dumps(_CONVERTER.unstructure(observation))
        with self._told():
            self._db.execute(
                "INSERT INTO trial (key, number, campaign, observation) SELECT ?,"
                " 1 + coalesce(max(number), 0), ?, ? FROM trial WHERE key = ?",
                (key, campaign, text, key),
            )

    def mean_seconds(self) -> float | None:
        """Mean length of the last 50 trials, for estimates; None before the first."""
        with self._told():
            rows = self._db.execute(
                "SELECT json_extract(observation, '$.seconds') FROM trial"
                " ORDER BY created DESC LIMIT 50"
            ).fetchall()
        return sum(s for (s,) in rows) / len(rows) if rows else None

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, ValueError, cattrs.BaseValidationError) as error:
            raise InfraFailed(
                f"the journal {self._path} cannot be used: {error}",
                hint=f"mv {self._path} {self._path}.old, or free the disk",
            ) from error
