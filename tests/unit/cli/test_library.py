"""The published results of the library render to the same today, and none is missing."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import jsonschema
import pytest

import results
from buildkit_bisect import result, scenario
from buildkit_bisect.cli import library
from buildkit_bisect.errors import BadInput
from buildkit_bisect.render import redact, reports
from buildkit_bisect.render.library import KEPT, Entry, agrees
from buildkit_bisect.render.text import markdown
from buildkit_bisect.scenario import upstream
from buildkit_bisect.system.checkout import PROJECT

FOLDERS = sorted(p.parent for p in library.PUBLISHED.glob("*/result.json"))
SEARCHES = [folder for folder in FOLDERS if folder.name != "matrix"]
HOST = re.compile(r"(?<![\w./-])/(?:root|home|work|tmp)/")
AGAIN = "run: python -m buildkit_bisect.cli.library"


def test_the_index_is_up_to_date() -> None:
    assert (library.PUBLISHED / "README.md").read_text() == library.text(), AGAIN


def test_each_search_is_of_a_report_of_the_library_and_the_rest_is_listed() -> None:
    done = {f"library/{folder.name}" for folder in SEARCHES}
    assert SEARCHES
    assert done <= set(scenario.library())
    _, _, rest = library.text().partition("Not bisected yet:")
    for name in scenario.library():
        assert (f": {markdown(scenario.load(name).title)}\n" in rest) == (name not in done)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_it_renders_to_the_same(folder: Path, tmp_path: Path) -> None:
    written = {p.name: p for p in reports.write(result.read(folder), tmp_path)}
    kept = set(KEPT) & set(written)
    assert {p.name for p in folder.iterdir()} == kept | {"result.json"}
    for name in kept:
        assert written[name].read_text() == (folder / name).read_text(), AGAIN


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_it_follows_the_schema_and_names_nothing_of_the_host(folder: Path) -> None:
    schema = json.loads((PROJECT / "docs" / "result.schema.json").read_text())
    jsonschema.validate(json.loads((folder / "result.json").read_text()), schema)
    full = result.read(folder)
    assert redact.cleaned(full) == full
    for path in folder.iterdir():
        assert not HOST.search(path.read_text()), path


@pytest.mark.parametrize("folder", SEARCHES, ids=lambda p: p.name)
def test_its_answer_was_found_and_a_difference_is_explained(folder: Path) -> None:
    entry = Entry(upstream=upstream.load(f"library/{folder.name}"), result=result.read(folder))
    assert entry.search.status == "found"
    assert entry.search.scenario == f"library/{folder.name}"
    if entry.upstream.named and not agrees(entry):
        assert entry.upstream.differs


@pytest.mark.parametrize("folder", SEARCHES, ids=lambda p: p.name)
def test_its_scenario_is_still_the_one_that_was_searched(folder: Path) -> None:
    """The outcomes that the report explains are those of the scenario as it is."""
    full = result.read(folder)
    now = scenario.load(f"library/{folder.name}")
    (then,) = full.scenarios
    assert (then.issue, [o["name"] for o in then.outcomes]) == (
        now.issue,
        [rule.name for rule in now.outcomes],
    )


def test_a_campaign_is_copied_without_what_is_not_kept(tmp_path: Path) -> None:
    campaign, published = tmp_path / "campaign", tmp_path / "published"
    shutil.copytree(SEARCHES[0], campaign)
    (campaign / "evidence").mkdir()
    target = library.publish(campaign, published)
    assert target == published / SEARCHES[0].name
    assert {p.name for p in target.iterdir()} == {p.name for p in SEARCHES[0].iterdir()}
    first = (target / "report.md").read_text()
    assert library.publish(campaign, published) == target
    assert (target / "report.md").read_text() == first
    assert f"[{target.name}]({target.name}/report.md)" in library.text(published)


def test_a_campaign_of_another_scenario_is_refused(tmp_path: Path) -> None:
    result.write(results.bisect(), tmp_path)
    with pytest.raises(BadInput, match="is not of the library: cross-stage-lazy"):
        library.publish(tmp_path, tmp_path / "published")
    assert not (tmp_path / "published").exists()
