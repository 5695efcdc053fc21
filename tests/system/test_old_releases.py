"""BuildKit before v0.13, whose buildctl has no ``rawjson``, beside a newer one: both tell the same.

What each form looks like is in tests/unit/solve_status; one old release is compiled here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from buildkit_bisect.lab import base_images
from tool import TaskOutput, inv, left_behind

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800), pytest.mark.alone]

OLD, NEW = "v0.12.5", base_images.REFERENCE

#: What a RUN prints when it fails is in its log alone: a rule on messages must not find it.
SCENARIO = """\
schema = 1
name = "telling-line"
title = "a RUN whose output says why it fails"
issue = "https://github.com/moby/buildkit/issues/6893"
images.base = { dockerfile = "base.Dockerfile" }

[[steps]]
id = "go"
action = "build"
dockerfile = "Dockerfile"
args = { BASE = "${image.base}" }

[[outcomes]]
name = "in-messages"
verdict = "weak"
means = "messages have the output of a RUN"
all = [{ step = "go", stderr = "Not a directory" }]

[[outcomes]]
name = "unseen"
verdict = "weak"
means = "the RUN was not seen"
all = [{ step = "go", vertex = "RUN echo hello", is = "absent" }]

[[outcomes]]
name = "not-a-directory"
verdict = "bad"
means = "mkdir says that it is not a directory"
all = [
  { step = "go", exit = "failed", stderr = "did not complete successfully: exit code: 1" },
  { step = "go", vertex = "RUN echo hello", is = "failed", log = "(?m)^mkdir: .*Not a directory$" },
]
"""
DOCKERFILES = {
    "base.Dockerfile": "FROM scratch\nCOPY busybox /bin/sh\nCOPY busybox /bin/busybox\n",
    "Dockerfile": "ARG BASE\nFROM ${BASE}\nRUN echo hello && busybox mkdir /etc/hosts/www\n",
}


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> tuple[TaskOutput, Path]:
    folder = tmp_path_factory.mktemp("telling-line")
    (folder / "scenario.toml").write_text(SCENARIO)
    for name, text in DOCKERFILES.items():
        (folder / name).write_text(text)
    out = tmp_path_factory.mktemp("results")
    done = inv(
        *("matrix", "--source", "module", "--revs", f"{OLD},{NEW}", "--scenario", str(folder)),
        *("--trials", "1", "--fresh", "--json", "--out", str(out)),
    )
    assert done.code == 0, done.stderr
    return done, next(out.iterdir())


def test_a_rule_finds_what_a_run_printed(matrix: tuple[TaskOutput, Path]) -> None:
    done, _ = matrix
    cells = done.document["cells"]
    assert {c["ref"]: c["outcome"] for c in cells} == dict.fromkeys((OLD, NEW), "not-a-directory")


def test_reports_and_evidence_have_it(matrix: tuple[TaskOutput, Path]) -> None:
    done, folder = matrix
    line = "mkdir: can't create directory '/etc/hosts/www': Not a directory"
    assert f"    | {line}\n" in (folder / "report.md").read_text()
    for cell in done.document["cells"]:
        kept = folder / cell["trials"][0]["evidence"]
        # The one is on stdout, the other on stderr: either may come first.
        printed = (kept / "go.vertices.log").read_text().splitlines()
        assert {"hello", line} <= {*printed}
        assert (kept / "go.progress.jsonl").stat().st_size > 1000


def test_a_shipped_scenario_is_good_at_an_old_release(tmp_path: Path) -> None:
    """It was bad there: "invalid progress mode rawjson" is a failed build."""
    done = inv(
        *("run", "--rev", OLD, "--source", "module", "--scenario", "inline", "--trials", "1"),
        *("--axis", "snapshotter=overlayfs", "--axis", "stages=one", "--fresh", "--json"),
        *("--out", str(tmp_path)),
    )
    assert [c["outcome"] for c in done.document["cells"]] == ["cached"], done.stderr
    assert left_behind() == []
