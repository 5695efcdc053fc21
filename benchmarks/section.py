"""The part of a document that a benchmark writes: what is between its two marks."""

from __future__ import annotations

import sys
from pathlib import Path


def put(document: Path | None, mark: str, text: str) -> None:
    """Put *text* between the marks ``<!-- MARK: begin -->`` and ``<!-- MARK: end -->``.

    Print it if there is no document. Raises `ValueError` if the document lacks a mark.
    """
    if document is None:
        sys.stdout.write(f"{text}\n")
        return
    begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    before, found, rest = document.read_text().partition(begin)
    _, also, after = rest.partition(end)
    if not found or not also:
        raise ValueError(f"{document} lacks {begin} or {end}")
    document.write_text(f"{before}{begin}\n{text}\n{end}{after}")
