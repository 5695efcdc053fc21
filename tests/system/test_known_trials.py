"""Three campaigns of one flaky cell: each shows what the machine knows of it from all of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from buildkit_bisect.system import paths
from golang_repo import GolangRepo
from tool import TaskOutput, inv

pytestmark = pytest.mark.system

#: Fails in its fourth run.
SCRIPT = """#!/bin/sh
echo >> {0}/runs
test $(wc -l < {0}/runs) -ne 4
"""


def cell(done: TaskOutput) -> dict[str, Any]:
    assert done.code == 0, done.stderr
    (only,) = done.document["cells"]
    found: dict[str, Any] = only
    return found


def test_campaigns_that_disagree_say_that_the_cell_is_flaky(tmp_path: Path) -> None:
    cache, script, out = tmp_path / "cache", tmp_path / "script", tmp_path / "out"
    cache.mkdir()
    for name in ("toolchains", "gocache", "gomod"):
        (cache / name).symlink_to(paths.cache(name))
    script.write_text(SCRIPT.format(tmp_path))
    script.chmod(0o755)
    repo = GolangRepo.create(tmp_path / "upstream")
    env = {"BKBISECT_CACHE_DIR": str(cache)}
    words = ("run", "--rev", "master", "--repo", str(repo.path), "--script", str(script),
             "--trials", "3", "--json", "--out", str(out))  # fmt: skip

    first = inv(*words, env=env)
    assert cell(first)["counts"] == {"script-good": 3}
    assert cell(first)["known"] == {"counts": {"script-good": 3}, "verdicts": {"good": 3}}
    assert "known" not in first.stderr

    second = inv(*words, "--fresh", env=env)
    assert cell(second)["counts"] == {"script-bad": 1, "script-good": 2}
    assert cell(second)["outcome"] == "flaky"

    # The trials of the first one are reused, as many as were asked for.
    third = inv(*words, env=env)
    assert cell(third)["counts"] == {"script-good": 3}
    assert cell(third)["verdict"] == "good"
    assert cell(third)["known"] == {
        "counts": {"script-good": 5, "script-bad": 1},
        "verdicts": {"good": 5, "bad": 1},
    }
    said = "flaky: 5 of 6 known on this machine"
    assert f"good, script good 3 of 3 ({said})" in third.stderr
    for name in ("report.md", "report.html", "matrix.svg"):
        text = (out / third.document["id"] / name).read_text()
        shown = " ".join(re.sub(r"<[^>]*>", " ", text).split())  # a picture breaks the line
        assert "flaky: 5 of 6 known" in shown, (name, shown[-600:])
    assert len((tmp_path / "runs").read_text()) == 6

    diff = inv("diff", first.document["id"], second.document["id"], "--out", str(out), env=env)
    assert diff.code == 0, diff.stdout
    assert "(may be chance: p = 0.5, the same binary)" in diff.stdout
