"""Workflows and actions: pinned, with the least permissions, no text of others in a script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from buildkit_bisect.options.option import options_of
from buildkit_bisect.options.requests import TASKS
from buildkit_bisect.system import checkout

FILES = sorted((checkout.PROJECT / ".github").rglob("*.yml"))
ACTIONS = [path for path in FILES if path.name == "action.yml"]
WORKFLOWS = [path for path in FILES if path not in ACTIONS]


def steps(path: Path) -> Iterator[dict[str, Any]]:
    loaded = yaml.safe_load(path.read_text())
    jobs = loaded["jobs"].values() if "jobs" in loaded else [loaded["runs"]]
    for job in jobs:
        yield from job["steps"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name + "/" + path.name)
def test_actions_of_others_are_pinned_by_commit(path: Path) -> None:
    for line in path.read_text().splitlines():
        used = re.search(r"uses: (\S+)(.*)", line)
        if used and not used[1].startswith("./"):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", used[1]), line
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", used[2]), line


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name + "/" + path.name)
def test_no_expression_is_part_of_a_script(path: Path) -> None:
    for step in steps(path):
        assert "${{" not in step.get("run", "")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_only_read(path: Path) -> None:
    loaded = yaml.safe_load(path.read_text())
    assert loaded["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in loaded["jobs"].values())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name + "/" + path.name)
def test_variables_are_those_of_options(path: Path) -> None:
    twins = {option.twin for kind in TASKS.values() for option in options_of(kind)}
    known = {*twins, "BKBISECT_CACHE_DIR", "BKBISECT_TESTS"}
    assert {*re.findall(r"BKBISECT_\w+", path.read_text())} <= known
