"""What was computed of git objects before: a file, shared by processes and repositories."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from pathlib import Path
from typing import Self

#: Seconds to wait for another process that writes; it holds the file for milliseconds.
PATIENCE = 60.0

#: Rows that are written together, and names that one query asks for.
_CHUNK = 400

# IMMEDIATE, here and below: one that reads first and then wants to write may be refused at once.
_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS gofile (blob TEXT PRIMARY KEY, said TEXT);
CREATE TABLE IF NOT EXISTS key (asked TEXT PRIMARY KEY, digest TEXT);
COMMIT;
"""


class Remembered:
    """Texts by name, in the SQLite file *path*: a digest, and what each Go file says.

    Nothing is lost but time when it goes. It is written in short transactions, so that nobody
    waits for what another process computes. Use as a context manager. Raises `sqlite3.Error`.
    """

    def __init__(self, path: Path) -> None:
        # Not in WAL mode: of several processes that turn a new file to it at once, all but one
        # are refused, and no timeout helps.
        self._db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        self._files: dict[str, str] = {}
        try:
            # Only where it is needed: to read, nobody has to wait for one that writes.
            if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
                self._db.executescript(_SCHEMA)
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, why: type[BaseException] | None, *_: object) -> None:
        try:
            if why is None:  # else that is what counts, and notes are made again
                self.save({})
        finally:
            self._db.close()

    def digests(self, asked: Collection[str]) -> dict[str, str]:
        """The digest of each name of *asked* that has one."""
        return self._named("SELECT asked, digest FROM key WHERE asked", asked)

    def files(self, blobs: Collection[str]) -> dict[str, str]:
        """What was noted of each of *blobs*; those that were never seen are left out."""
        return self._named("SELECT blob, said FROM gofile WHERE blob", blobs)

    def note(self, blob: str, said: str) -> None:
        """Remember *said* of a Go file; it is written some time before the end."""
        self._files[blob] = said
        if len(self._files) >= _CHUNK:
            self.save({})

    def save(self, digests: dict[str, str]) -> None:
        """Write *digests*, by name, and every file that was noted."""
        if not (self._files or digests):
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany(
                "INSERT OR REPLACE INTO gofile VALUES (?, ?)", list(self._files.items())
            )
            self._db.executemany("INSERT OR REPLACE INTO key VALUES (?, ?)", list(digests.items()))
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self._files.clear()

    def _named(self, query: str, names: Collection[str]) -> dict[str, str]:
        wanted = list(names)
        found: dict[str, str] = {}
        for start in range(0, len(wanted), _CHUNK):
            some = wanted[start : start + _CHUNK]
            marks = ",".join("?" * len(some))
            found.update(self._db.execute(f"{query} IN ({marks})", some).fetchall())
        return found
