"""What is published under results/ is what its document renders to today, and shows no host."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from buildkit_bisect import publish, reports, result
from buildkit_bisect.paths import PROJECT

PUBLISHED = sorted(p.parent for p in (PROJECT / "results").glob("issue-*/*/result.json"))
HOST = re.compile(r"(?<![\w./-])/(?:root|home|work)/")


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda p: p.name)
def test_it_is_up_to_date(folder: Path, tmp_path: Path) -> None:
    written = reports.write(result.read(folder), tmp_path)
    for path in written:
        assert path.read_text() == (folder / path.name).read_text(), f"./inv report {folder}"
    there = {p.name for p in folder.iterdir()} - {"result.json"}
    assert there == {p.name for p in written}


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda p: p.name)
def test_it_follows_the_schema_and_is_clean(folder: Path) -> None:
    schema = json.loads((PROJECT / "docs" / "result.schema.json").read_text())
    jsonschema.validate(json.loads((folder / "result.json").read_text()), schema)
    full = result.read(folder)
    assert publish.cleaned(full) == full
    assert not HOST.search(full.command)
    assert not HOST.search((folder / "result.json").read_text())


def test_something_is_published() -> None:
    assert PUBLISHED
