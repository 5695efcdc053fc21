"""Lines of output without what differs between trials."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit_bisect.scenario import normal, pattern
from buildkit_bisect.scenario.expectation import literal

HEX = "0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "exporting layer sha256:0a1b2c3d4e5f 0.1s done",
            "exporting layer <digest> <seconds> done",
        ),
        ("at 2026-11-30T14:09:44Z it ended", "at <time> it ended"),
        ('time="2026-11-30 14:09:44.123+01:00" x', 'time="<time>" x'),
        ("at 14:09:44.5", "at <time>"),
        ("dial 127.0.0.1:38123: refused", "dial <address>: refused"),
        ("http://localhost:5000/x", "http://<address>/x"),
        ("http://[::1]:5000/x", "http://<address>/x"),
        ("open /srv/cache/tmp/trial-123-ab_c/work/cache: no", "open <folder>/work/cache: no"),
        ("session 123e4567-e89b-12d3-a456-426614174000 lost", "session <id> lost"),
        ("ref v8i0eapzkpxc6crmhtbsgb2ah was not found", "ref <id> was not found"),
        ("goroutine at 0xc000123abc", "goroutine at <id>"),
        ("in 1m3.5s or 12 ms", "in <seconds> or <seconds>"),
        ("process 12345 exited with 137", "process <number> exited with 137"),
        ("exit code: 1", "exit code: 1"),
        (
            "failed to solve: missing descriptor handlers",
            "failed to solve: missing descriptor handlers",
        ),
        ("  added 3 packages  ", "added 3 packages"),
        ("the wordsareverylongbutnotanid", "the wordsareverylongbutnotanid"),
    ],
)
def test_what_varies_has_a_name(text: str, shown: str) -> None:
    line = normal.line(text)
    assert line.text == shown
    assert pattern.found(line.pattern, text)


def test_words_are_the_normal_form() -> None:
    text = "RUN echo ${jammy:-x} ^a$ | sha256:0a1b2c3d4e5f (9.5s) [0-9]+ C:\\x 14:09:44"
    made = normal.line(text)
    words = "RUN echo ${jammy:-x} ^a$ | <digest> (<seconds>) [0-9]+ C:\\x <time>"
    assert normal.in_words(f"{made.pattern}{made.end}") == str(made) == words


def test_lines_that_differ_only_in_what_varies_are_one() -> None:
    text = "a sha256:00112233\nb\na sha256:99887766\n\n  \n#7 0.123 progress\n\x07bell\nb\n"
    assert [line.text for line in normal.lines(text)] == ["a <digest>", "b"]


def test_a_long_line_is_cut() -> None:
    line = normal.line("x" * 5000)
    assert (len(line.text), line.end) == (200, "")
    assert pattern.problem(line.pattern) == ""
    assert normal.line("x" * 200).end == "$"
    digests = "lazy blobs [" + " ".join(["sha256:" + "0123" * 16] * 100)
    line = normal.line(digests)
    assert line.text.startswith("lazy blobs [<digest> <digest>")
    assert "0123" not in line.text
    assert pattern.found(line.pattern, digests)


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=300))
def test_the_pattern_finds_the_line_that_it_is_of(text: str) -> None:
    line = normal.line(text)
    assert pattern.problem(line.pattern) == ""
    assert pattern.found(line.pattern, text)
    assert pattern.found(f"^{line.pattern}{line.end}", text.strip())


@given(st.lists(st.sampled_from(["a", "$", "^", "\\", "[", "+", ".", " ", "12345", "1.5s", "::1"])))
def test_words_of_any_pattern_are_the_normal_form(parts: list[str]) -> None:
    made = normal.line("".join(parts))
    assert normal.in_words(f"{made.pattern}{made.end}") == str(made)


@given(
    st.text(HEX, min_size=64, max_size=64),
    st.text(HEX, min_size=64, max_size=64),
    st.integers(1024, 65535),
    st.integers(1024, 65535),
)
def test_other_digests_and_ports_are_the_same_line(
    one: str, two: str, port: int, other: int
) -> None:
    first, second = (
        f"pushing sha256:{digest} to 127.0.0.1:{at}/x" for digest, at in ((one, port), (two, other))
    )
    assert normal.line(first) == normal.line(second)
    assert pattern.found(normal.line(first).pattern, second)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=60))
def test_a_literal_matches_itself_only(text: str) -> None:
    compiled = re.compile(literal(text))
    assert compiled.fullmatch(text)
    assert pattern.found(f"^{literal(text)}$", text)
    assert not pattern.found(f"^{literal(text)}$", f"{text}x")
