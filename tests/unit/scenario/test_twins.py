"""Which programs a local image has."""

from __future__ import annotations

import time

import pytest

from buildkit_bisect.scenario.dockerfile import parse, stages
from buildkit_bisect.scenario.twins import lacking


@pytest.mark.parametrize(
    "run",
    [
        "RUN echo $(date) hello `ls` world",
        "RUN echo ${NAME} {x} a=$((1 + (2))) b",
        "RUN case $X in a) ls;; b) pwd;; *) echo no;; esac",
        "RUN (cd /x && ls) 2>&1 > /y; { pwd; }",
        "RUN <<EOF\nif true; then\n  echo a \\\n    b\nfi\n# git\nEOF",
        "RUN <<EOF\n#!/usr/bin/env sh\nls\nEOF",
        "RUN cat <<EOF > /x\ngit\nEOF",
        "RUN env A=1 time ls",
        "RUN A=1",
        "RUN echo '$(git status)' \"git $(ls) git\" it\\'s",
    ],
)
def test_what_busybox_has(run: str) -> None:
    assert lacking(stages(parse(f"FROM alpine\n{run}\n"), {}), "alpine") is None


@pytest.mark.parametrize(
    ("run", "program"),
    [
        ("RUN echo $(ls $(git status)) x", "git"),
        ("RUN echo `git status` x", "git"),
        ('RUN echo "a $(git status) b"', "git"),
        ("RUN (ls) || rsync a b", "rsync"),
        ("RUN case $X in a) ls;; b) git status;; esac", "git"),
        ("RUN <<EOF\n#!/usr/bin/env bash\nls\nEOF", "bash"),
        ("RUN <<A <<B\nls\nA\ngit status\nB", "git"),
        ("RUN python3 <<EOF\nprint()\nEOF", "python3"),
        ("RUN env A=1 time /usr/bin/gcc x.c", "gcc"),
        ("RUN\tgit status", "git"),
    ],
)
def test_what_busybox_lacks(run: str, program: str) -> None:
    found = lacking(stages(parse(f"FROM alpine\n{run}\n"), {}), "alpine")
    assert found is not None
    assert (found[0].word, found[1]) == ("RUN", program)


@pytest.mark.parametrize(
    "part", ["$(", "`", "$((", "(", ";;", "$(ls)", " ", "\n", "a;", "<<A ", "'"]
)
def test_a_long_command_takes_no_time(part: str) -> None:
    text = f"FROM alpine\nRUN <<EOF\n{part * (200_000 // len(part))}\nEOF\nRUN git\n"
    start = time.monotonic()
    assert lacking(stages(parse(text), {}), "alpine")
    assert time.monotonic() - start < 10


def test_only_the_stages_of_the_image_count() -> None:
    made = stages(parse("FROM a AS x\nRUN ls\nFROM b\nRUN git\nFROM x\nRUN gcc\n"), {})
    assert [found and found[1] for found in (lacking(made, "a"), lacking(made, "b"))] == [
        "gcc", "git",
    ]  # fmt: skip
