"""The journal: every finished trial, durable before the next one starts.

One SQLite file in the cache, shared by all campaigns of the machine. It stores observations, not
outcomes, so that rules can change without a new trial. A journal that cannot be used is an error;
it is never treated as empty.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import cattrs

from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.model import Observation
from buildkit_bisect.options.command import inv
from buildkit_bisect.system import paths
from buildkit_bisect.system.announce import announce

VERSION = 1

#: Seconds to wait for another process to release the file; a transaction takes milliseconds.
PATIENCE = 30.0

#: Bytes; with less free space the disk counts as full, whatever SQLite reports.
_LEAST_FREE = 2**18

#: Trials that are kept in memory once read: a report asks twice. One takes about 100 kB.
_REMEMBERED = 2000

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
    campaign: str  # the one that ran it
    observation: Observation


class Journal:
    """The machine's journal; use one per thread. Raises `InfraFailed` if it cannot be used."""

    def __init__(self, *, patience: float = PATIENCE) -> None:
        self._path = paths.cache_root() / paths.JOURNAL
        self._patience = patience
        self._read: dict[tuple[str, int], Observation] = {}
        with self._journal_errors():
            if not self._path.exists():
                self._create()
            self._db = self._open(self._path)
            try:
                self._check()
            except BaseException:
                self._db.close()
                raise

    def _create(self) -> None:
        """Create an empty journal; it is complete as soon as it exists."""
        log = self._path.with_name(f"{self._path.name}-wal")
        # In this order, because a faster process creates the log after the journal.
        if log.exists() and not self._path.exists():
            raise InfraFailed(
                f"found {log} without its journal {self._path.name}",
                hint=f"restore the journal, or mv {log} elsewhere: trials then run again",
            )
        with paths.scratch("journal") as tmp:
            draft = tmp / self._path.name
            draft.touch()
            with closing(self._open(draft)) as db:
                db.execute("PRAGMA journal_mode=WAL")
                db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={VERSION}; COMMIT;")
            with suppress(FileExistsError):  # another process was faster
                self._path.hardlink_to(draft)

    def _open(self, path: Path) -> sqlite3.Connection:
        # rw, so that opening a missing file does not create it.
        return sqlite3.connect(
            f"{path.as_uri()}?mode=rw", uri=True, timeout=self._patience, isolation_level=None
        )

    def _check(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise InfraFailed(
                f"{self._path} has version {version}, but this tool reads version {VERSION}:"
                " a newer tool wrote it",
                hint="git pull, or BKBISECT_CACHE_DIR=DIR",
            )
        if version != VERSION:
            raise InfraFailed(
                f"{self._path} has version {version}, but this tool reads version {VERSION}"
                + ("" if version else ": it is empty, or another program wrote it"),
                hint=self._aside,
            )
        # Without this check a damaged page could look like trials that never ran.
        with announce("checking the journal"):
            (found,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            what = " ".join(found.split())[:300]
            raise InfraFailed(f"the journal {self._path} is damaged: {what}", hint=self._aside)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")

    @property
    def _aside(self) -> str:
        folder = self._path.with_name("journal.old")
        return f"mkdir {folder} && mv {self._path}* {folder}: trials then run again"

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def trials(self, key: str, campaigns: Collection[str] | None = None) -> list[Stored]:
        """Return the stored trials of the cell *key*, oldest first; only those of *campaigns*."""
        return [
            Stored(number=number, campaign=campaign, observation=self.observation(key, number))
            for number, campaign in self.rows(key)
            if campaigns is None or campaign in campaigns
        ]

    def rows(self, key: str) -> list[tuple[int, str]]:
        """Return the number and the campaign of each stored trial of *key*, oldest first.

        It reads no observation: these are nearly all of the file.
        """
        with self._journal_errors():
            return self._db.execute(
                "SELECT number, campaign FROM trial WHERE key = ? ORDER BY number", (key,)
            ).fetchall()

    def campaigns(self, key: str) -> Counter[str]:
        """Return how many trials of the cell *key* each campaign ran."""
        return Counter(campaign for _, campaign in self.rows(key))

    def observation(self, key: str, number: int) -> Observation:
        """Return a stored trial, as it was when this journal first read it: no row changes."""
        if found := self._read.get((key, number)):
            return found
        with self._journal_errors():
            row = self._db.execute(
                "SELECT created, observation FROM trial WHERE key = ? AND number = ?", (key, number)
            ).fetchone()
            found = _observation(*row)
        if len(self._read) >= _REMEMBERED:
            self._read.pop(next(iter(self._read)))
        self._read[key, number] = found
        return found

    def add(self, key: str, observation: Observation, campaign: str) -> int:
        """Store an observation of *key*, durable on return. Returns its number."""
        text = json.dumps(_CONVERTER.unstructure(observation))
        with self._journal_errors():
            self._db.execute(
                "INSERT INTO trial (key, number, campaign, observation) SELECT ?,"
                " 1 + coalesce(max(number), 0), ?, ? FROM trial WHERE key = ?",
                (key, campaign, text, key),
            )
            # Not with RETURNING, which needs SQLite 3.35.
            (number,) = self._db.execute(
                "SELECT max(number) FROM trial WHERE key = ? AND campaign = ?", (key, campaign)
            ).fetchone()
        return int(number)

    def mean_seconds(self) -> float | None:
        """Return the mean duration of the last 50 trials, for estimates; None without trials."""
        with self._journal_errors():
            rows = self._db.execute(
                "SELECT json_extract(observation, '$.seconds') FROM trial"
                " ORDER BY created DESC LIMIT 50"
            ).fetchall()
        return sum(s for (s,) in rows) / len(rows) if rows else None

    @contextmanager
    def _journal_errors(self) -> Iterator[None]:
        """Raise failures inside the block as `InfraFailed`."""
        try:
            yield
        except (sqlite3.Error, OSError, ValueError, cattrs.BaseValidationError) as error:
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> InfraFailed:
        """Explain *error* by SQLite's code and the state of the disk."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        where = self._path
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return InfraFailed(
                f"another process has held the journal {where} for {self._patience:g} s",
                hint=f"fuser {where}, then {inv('resume')}",
            )
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return InfraFailed(f"the journal {where} is damaged: {error}", hint=self._aside)
        if not code and not isinstance(error, OSError):  # the row is not an observation
            return InfraFailed(f"a trial in the journal {where} is damaged: {error!r}"[:500],
                               hint=self._aside)  # fmt: skip
        if code == sqlite3.SQLITE_FULL or shutil.disk_usage(where.parent).free < _LEAST_FREE:
            return InfraFailed(
                f"the disk of the journal {where} is full",
                hint=f"free some space there, then {inv('resume')}",
            )
        # SQLite creates other files beside this one.
        needed = [p for p in (where, where.parent) if p.exists()]
        if code == sqlite3.SQLITE_READONLY or not all(os.access(p, os.W_OK) for p in needed):
            return InfraFailed(
                f"cannot write the journal {where}",
                hint="make it writable, or set BKBISECT_CACHE_DIR=DIR",
            )
        return InfraFailed(f"cannot use the journal {where}: {error}", hint=inv("doctor"))


def count(path: Path) -> int:
    """Return how many trials the journal at *path* holds; 0 if there is none. Creates nothing.

    Raises `InfraFailed` if it cannot be read.
    """
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
            (found,) = db.execute("SELECT count(*) FROM trial").fetchone()
    except sqlite3.Error as error:
        raise InfraFailed(f"cannot read the journal {path}: {error}", hint=inv("doctor")) from None
    return int(found)


def _observation(created: str, text: str) -> Observation:
    # Earlier versions did not record when a trial ended, but stored it right after.
    return _CONVERTER.structure({"ended": created, **json.loads(text)}, Observation)
