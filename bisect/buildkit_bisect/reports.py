"""The files that a result is rendered to, beside its ``result.json``."""

from __future__ import annotations

from pathlib import Path

from buildkit_bisect import render
from buildkit_bisect.result import Result


def write(result: Result, folder: Path) -> list[Path]:
    """Render *result* into *folder*; returns what was written."""
    texts = {"report.md": render.markdown(result, folder)}
    for name, text in texts.items():
        (folder / name).write_text(text)
    return [folder / name for name in texts]
