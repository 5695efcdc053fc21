"""What was paid for: every finished trial, durable before the next one starts.

One sqlite file in the cache, shared by all campaigns of the machine. Trials are kept as
observations, not outcomes: rules may change without a new trial. A journal that cannot be used
is said to be so, and never taken for an empty one.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import cattrs

from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.model import Observation
from buildkit_bisect.options.command import inv
from buildkit_bisect.system import paths

VERSION = 1

#: Seconds for another process to let go of the file; a transaction takes milliseconds.
PATIENCE = 30.0

#: Bytes; where less is free the disk is full, whatever sqlite makes of that.
_LEAST_FREE = 2**18

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """One row of the journal."""

    number: int  # 1, 2, ... within its cell
    campaign: str  # that ran it
    observation: Observation


class Journal:
    """The machine's journal; use one per thread. Raises `InfraFailed` when it cannot be used."""

    def __init__(self, *, patience: float = PATIENCE) -> None:
        self._path = paths.cache_root() / paths.JOURNAL
        self._patience = patience
        with self._told():
            if not self._path.exists():
                self._create()
            self._db = self._open(self._path)
            try:
                self._check()
            except BaseException:
                self._db.close()
                raise

    def _create(self) -> None:
        """Make an empty journal, whole from the moment it is there."""
        log = self._path.with_name(f"{self._path.name}-wal")
        # In this order: another process that is quicker makes the log after the journal.
        if log.exists() and not self._path.exists():
            raise InfraFailed(
                f"{log} is here and {self._path.name}, which it belongs to, is not",
                hint=f"bring that back, or mv {log} elsewhere: trials are then run again",
            )
        with paths.scratch("journal") as tmp:
            draft = tmp / self._path.name
            draft.touch()
            with closing(self._open(draft)) as db:
                db.execute("PRAGMA journal_mode=WAL")
                db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={VERSION}; COMMIT;")
            with suppress(FileExistsError):  # another process was quicker
                self._path.hardlink_to(draft)

    def _open(self, path: Path) -> sqlite3.Connection:
        # rw: what is not there is never made by being looked for.
        return sqlite3.connect(
            f"{path.as_uri()}?mode=rw", uri=True, timeout=self._patience, isolation_level=None
        )

    def _check(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise InfraFailed(
                f"{self._path} is of version {version}, this tool reads version {VERSION}:"
                " a newer one made it",
                hint="git pull, or BKBISECT_CACHE_DIR=DIR",
            )
        if version != VERSION:
            raise InfraFailed(
                f"{self._path} is of version {version}, this tool reads version {VERSION} only"
                + ("" if version else ": it is empty, or was made by something else"),
                hint=self._aside,
            )
        # Without it a damaged page could look like trials that never ran.
        (found,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            what = " ".join(found.split())[:300]
            raise InfraFailed(f"the journal {self._path} is damaged: {what}", hint=self._aside)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")

    @property
    def _aside(self) -> str:
        folder = self._path.with_name("journal.old")
        return f"mkdir {folder} && mv {self._path}* {folder}: trials are then run again"

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def trials(self, key: str, campaigns: Collection[str] | None = None) -> list[Stored]:
        """Every stored trial of the cell *key*, oldest first; of *campaigns*, where given."""
        with self._told():
            rows = self._db.execute(
                "SELECT number, campaign, created, observation FROM trial WHERE key = ?"
                " ORDER BY number",
                (key,),
            ).fetchall()
            return [
                Stored(number=number, campaign=campaign, observation=_observation(created, text))
                for number, campaign, created, text in rows
                if campaigns is None or campaign in campaigns
            ]

    def campaigns(self, key: str) -> set[str]:
        """The campaigns that ran trials of the cell *key*."""
        with self._told():
            rows = self._db.execute("SELECT DISTINCT campaign FROM trial WHERE key = ?", (key,))
            return {campaign for (campaign,) in rows}

    def add(self, key: str, observation: Observation, campaign: str) -> int:
        """Store one more observation of *key*, durable when this returns; its number."""
        text = json.dumps(_CONVERTER.unstructure(observation))
        with self._told():
            self._db.execute(
                "INSERT INTO trial (key, number, campaign, observation) SELECT ?,"
                " 1 + coalesce(max(number), 0), ?, ? FROM trial WHERE key = ?",
                (key, campaign, text, key),
            )
            # Not by RETURNING, which sqlite has since 3.35 only.
            (number,) = self._db.execute(
                "SELECT max(number) FROM trial WHERE key = ? AND campaign = ?", (key, campaign)
            ).fetchone()
        return int(number)

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
        except (sqlite3.Error, OSError, ValueError, cattrs.BaseValidationError) as error:
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> InfraFailed:
        """What is the matter, by sqlite's code and by a look at the disk."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        where = self._path
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return InfraFailed(
                f"another process has held the journal {where} for {self._patience:g} s",
                hint=f"fuser {where}, then {inv('resume')}",
            )
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return InfraFailed(f"the journal {where} is damaged: {error}", hint=self._aside)
        if not code and not isinstance(error, OSError):  # what sqlite gave is no observation
            return InfraFailed(f"a trial in the journal {where} is damaged: {error!r}"[:500],
                               hint=self._aside)  # fmt: skip
        if code == sqlite3.SQLITE_FULL or shutil.disk_usage(where.parent).free < _LEAST_FREE:
            return InfraFailed(
                f"the disk of the journal {where} is full",
                hint=f"free some space there, then {inv('resume')}",
            )
        # Beside the file sqlite makes others.
        needed = [p for p in (where, where.parent) if p.exists()]
        if code == sqlite3.SQLITE_READONLY or not all(os.access(p, os.W_OK) for p in needed):
            return InfraFailed(
                f"the journal {where} may not be written",
                hint="make it so, or BKBISECT_CACHE_DIR=DIR",
            )
        return InfraFailed(f"the journal {where} cannot be used: {error}", hint=inv("doctor"))


def _observation(created: str, text: str) -> Observation:
    # Earlier versions did not record when a trial ended; it was stored right after.
    return _CONVERTER.structure({"ended": created, **json.loads(text)}, Observation)
