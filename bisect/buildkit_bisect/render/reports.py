"""Writes the reports of a result beside its ``result.json``."""

from __future__ import annotations

from pathlib import Path

from buildkit_bisect import render
from buildkit_bisect.render import svg
from buildkit_bisect.render.templates import Templates
from buildkit_bisect.render.text import clean
from buildkit_bisect.result import Result


def write(result: Result, folder: Path, templates: Templates | None = None) -> list[Path]:
    """Render *result* into *folder*. Return the files written."""
    given = templates or Templates()
    texts = {
        "report.md": render.markdown(result, folder, templates=given),
        "report.html": render.html(result, folder, templates=given),
        "matrix.svg": svg.matrix(result, templates=given),
        "timeline.svg": svg.timeline(result, templates=given),
        "junit.xml": render.junit(result, folder),
        "reproduce.sh": clean(result.reproduction.script) if result.reproduction else "",
    }
    written = {name: text for name, text in texts.items() if text}
    for name, text in written.items():
        (folder / name).write_text(text)
    return [folder / name for name in written]
