"""Small scenarios in folders of their own, for tests of single keys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from buildkit_bisect import scenario
from buildkit_bisect.scenario import Scenario

_HEAD = """\
schema = 1
name = "small"
title = "a small scenario"
issue = "https://github.com/moby/buildkit/issues/1"

"""

_BUILD = """
[[steps]]
id = "build"
action = "build"
dockerfile = "Dockerfile"

[[outcomes]]
name = "built"
verdict = "good"
means = "the build is ok"
all = [{ step = "build", exit = "ok" }]

[[outcomes]]
name = "failed"
verdict = "bad"
means = "the build fails"
all = [{ step = "build", exit = "failed" }]
"""


def written(
    folder: Path,
    text: str,
    *,
    dockerfile: str = "FROM scratch\nCOPY . /\n",
    files: Mapping[str, bytes | str] | None = None,
    end: str = _BUILD,
) -> Path:
    """Write a scenario with *text*, a build of *dockerfile* and its two rules; return its folder.

    *files* are further files of the folder. *end* replaces the build and its rules.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scenario.toml").write_text(f"{_HEAD}{text}{end}")
    for name, content in {"Dockerfile": dockerfile, **(files or {})}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def loaded(folder: Path) -> Scenario:
    """Load the scenario in *folder*. Raises `BadInput`."""
    return scenario.load(f"{folder}/scenario.toml")
