"""Any text is read to its end: no exception, no endless loop, and what is written is TOML."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pastes
from buildkit_bisect.scenario import paste_writer
from buildkit_bisect.scenario.paste_draft import draft

LINES = sorted({
    line for name, text in vars(pastes).items() if name.isupper() for line in text.split("\n")
})  # fmt: skip

ODD = [
    *("```", "~~~", "```sh", "'", '"', "\\", "`", "$(", "${", "$((", "<<EOF", "EOF", ">", "|", "("),
    *("for x in a; do", "done", "docker build -o type=local .", "docker build -f - .", "cd /"),
    *("docker build --label =x .", "docker build --secret id= .", "docker build -t '' ."),
    *('docker buildx create --buildkitd-flags "\'"', "docker build --build-context =x ."),
    *("COPY . .", "FROM $X", "FROM", "RUN <<EOF", "touch {1..99}", "ln -s a b", "\x00\x1b[31m"),
    *("docker buildx create --config x.toml", "x.toml:", "debug = 1979-05-27", "\ud800"),
]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(LINES), st.sampled_from(ODD)), max_size=40))
def test_lines_of_reports_in_any_order(lines: list[str]) -> None:
    made = draft("\n".join(lines))
    if made.steps:
        tomllib.loads(paste_writer.toml(made, "name"))
        assert all("\n" not in line for line in paste_writer.summary(made, "folder"))


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_any_text(text: str) -> None:
    draft(text)


def test_a_long_text_takes_no_long_time() -> None:
    """Patterns are linear: the longest text that is taken."""
    for part in ("a", "`", "x/", "FROM x\n", "\\\n"):
        draft(part * (2**18 // len(part)))


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "part",
    [
        *("the cache ", "not use the ", "cache isn't ", "no first build ", "rebuilt instead of "),
        *("docker -a b ", "buildkit version ", "v0.1", "A=<x", "a/b#1", "Client: "),
    ],
)
def test_long_lines_take_no_long_time(part: str) -> None:
    line = part * (4000 // len(part))
    text = f"{line}\n" * 30
    draft(f"```\n$ docker build .\n{text}```\n{text}```sh\n{text}```\n")
