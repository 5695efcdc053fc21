"""A Dockerfile in one line, and rules that are learned, on real BuildKit."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from buildkit_bisect import scenario
from buildkit_bisect.system import checkout
from tool import inv, left_behind

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800), pytest.mark.alone]

#: With a warmed base the first build exports its cache at one, and fails at the other.
EXPORTS, FAILS = "v0.26.0", "v0.25.0"

DOCKERFILE = """\
# syntax=docker/dockerfile:1
FROM alpine:3.20 AS build
COPY a.txt /a.txt
RUN echo stable > /stable && cat /a.txt
ARG BUST
RUN cat /stable && echo "$BUST" > /out

FROM debian:12
COPY --from=build /out /a.txt /
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped scenario for overlayfs, as one file and without rules."""
    shared, own = (checkout.SCENARIOS / name for name in ("_cross-stage", "cross-stage-dedup"))
    made = tmp_path / "mine"
    shutil.copytree(shared, made)
    shutil.copytree(own, made, dirs_exist_ok=True)
    text = (own / "scenario.toml").read_text().replace('extends = "_cross-stage"\n', "")
    after = (shared / "scenario.toml").read_text()
    after = after[after.index("[[steps]]") : after.index("[[outcomes]]")]
    issue = 'issue = "https://github.com/moby/buildkit/issues/6893"\n'
    text = text.replace("title =", f"{issue}title =", 1)
    (made / "scenario.toml").write_text(f"{text}\n# The steps of the issue.\n{after}")
    return made


def test_rules_are_learned_and_hold(folder: Path, tmp_path: Path) -> None:
    before = (folder / "scenario.toml").read_text()
    common = ("--source", "module", "--axis", "warm=yes", "--out", str(tmp_path / "results"))
    ends = ("--good", EXPORTS, "--bad", FAILS)
    done = inv("scenario", "learn", str(folder), *ends, *common, "--pick", "1")
    assert done.code == 0, done.stderr
    assert f"{FAILS}: export fails\n" in done.stdout
    assert "missing descriptor handlers for lazy blobs" in done.stdout
    assert (folder / "scenario.toml").read_text().startswith(before)
    rules = scenario.load(f"{folder}/").outcomes
    assert [(rule.name, rule.verdict) for rule in rules] == [
        ("learned-good", "good"),
        ("learned-bad", "bad"),
    ]
    # The trials of `learn` count: only two more of the cell, and those of the control. Those of an
    # earlier run of this test, which the cache may have, count too.
    for revision, verdict in ((FAILS, "bad, learned-bad"), (EXPORTS, "good, learned-good")):
        done = inv("scenario", "check", str(folder), "--rev", revision, *common)
        assert done.code == 0, done.stdout + done.stderr
        line = rf"^ok     {re.escape(revision)} warm=yes: {verdict} (\d+) of \1$"
        found = re.search(line, done.stdout, re.MULTILINE)
        assert found, done.stdout
        assert int(found[1]) >= 5
    assert left_behind() == []


@pytest.mark.parametrize(
    ("expect", "outcome"),
    [
        ("cached: RUN echo stable", "cached"),
        ("prints: hello", "printed"),
        ("file: a.txt=^hello$", "content"),
        ("ok", "ok"),
    ],
)
def test_a_dockerfile_in_one_line(tmp_path: Path, expect: str, outcome: str) -> None:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "a.txt").write_text("hello\n")
    again = ("--rebuild-arg", "BUST=2") if expect.startswith("cached") else ()
    done = inv(
        *("run", "--source", "module", "--rev", EXPORTS, "--trials", "1", "--json"),
        *("--dockerfile", str(tmp_path / "Dockerfile"), "--expect", expect),
        *("--build-arg", "BUST=1", *again, "--out", str(tmp_path / "results")),
    )
    assert done.code == 0, done.stderr
    (cell,) = done.document["cells"]
    assert (cell["verdict"], cell["outcome"]) == ("good", outcome)
    assert "alpine:3.20 is a local image of busybox" in done.stderr
