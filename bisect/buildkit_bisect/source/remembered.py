"""Stored results about git objects: a SQLite file, shared by processes and repositories."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from pathlib import Path
from typing import Self

#: Seconds to wait for another process that writes; it locks the file for milliseconds.
PATIENCE = 60.0

#: Rows in one write, and names in one query.
_CHUNK = 400

# IMMEDIATE, here and below: SQLite may refuse at once to upgrade a read transaction to a write.
_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS gofile (blob TEXT PRIMARY KEY, said TEXT);
CREATE TABLE IF NOT EXISTS key (asked TEXT PRIMARY KEY, digest TEXT);
COMMIT;
"""


class Remembered:
    """Texts by name in the SQLite file *path*: digests, and the scan of each Go file.

    All of it can be computed again. Transactions are short, so no process waits while another
    one computes. Use as a context manager. Raises `sqlite3.Error`.
    """

    def __init__(self, path: Path) -> None:
        # Not in WAL mode: if several processes switch a new file to it at once, all but one
        # fail, and no timeout helps.
        self._db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        self._files: dict[str, str] = {}
        try:
            # Only for a new file: readers do not have to wait for a writer.
            if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
                self._db.executescript(_SCHEMA)
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, why: type[BaseException] | None, *_: object) -> None:
        try:
            if why is None:  # on an exception the unsaved notes are computed again later
                self.save({})
        finally:
            self._db.close()

    def digests(self, asked: Collection[str]) -> dict[str, str]:
        """Return the stored digest of each name in *asked*; unknown names are left out."""
        return self._named("SELECT asked, digest FROM key WHERE asked", asked)

    def files(self, blobs: Collection[str]) -> dict[str, str]:
        """Return the stored text of each of *blobs*; unknown blobs are left out."""
        return self._named("SELECT blob, said FROM gofile WHERE blob", blobs)

    def note(self, blob: str, text: str) -> None:
        """Store *text* for the Go file *blob*; it is written at the latest on exit."""
        self._files[blob] = text
        if len(self._files) >= _CHUNK:
            self.save({})

    def save(self, digests: dict[str, str]) -> None:
        """Write *digests*, by name, and all noted files."""
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
