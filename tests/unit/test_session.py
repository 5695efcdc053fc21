"""The recorded session in README.md: what it shows, and that the picture is the recording."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET

import pytest
import session

README = session.README.read_text()
#: Paths and names of the machine on which it was recorded.
MACHINE = re.compile(r"/(?:root|home|work|tmp|var|usr)/|(?:\d{1,3}\.){3}\d{1,3}|\w+@\w+")


def cast(*events: tuple[float, str]) -> str:
    head = {"version": 2, "width": 20, "height": 4}
    return "\n".join(json.dumps(line) for line in (head, *((at, "o", text) for at, text in events)))


def text(frame: session.Frame) -> str:
    """The frame as plain lines, without those that are empty."""
    shown = []
    for line in frame.lines:
        row = ""
        for run in line:
            row = row.ljust(run.column) + run.text
        shown.append(row)
    return "\n".join(shown).rstrip()


@pytest.fixture(scope="module")
def recorded() -> list[session.Frame]:
    return session.frames(session.read())


def test_the_picture_is_drawn_from_the_recording(recorded: list[session.Frame]) -> None:
    assert session.SVG.read_text() == session.draw(recorded), "benchmarks/session.py draw"


def test_the_picture_is_small_and_whole() -> None:
    svg = session.SVG.read_text()
    assert len(svg.encode()) < 300_000
    root = ET.fromstring(svg)  # noqa: S314 - our own file
    assert root.get("width") == "780"
    assert root.get("role") == "img"
    assert "prefers-color-scheme: dark" in svg
    assert "prefers-reduced-motion" in svg
    assert "waits are shortened" in svg
    assert not re.search(r"(?:href|src)=\"(?!#)|url\(|@import", svg), "it needs no other file"
    assert f"![{session.TITLE}]({session.SVG.relative_to(session.PROJECT)})" in README


def test_it_shows_nothing_of_the_machine(recorded: list[session.Frame]) -> None:
    for frame in recorded:
        assert not MACHINE.search(text(frame).replace("/commit/", ""))
    assert not MACHINE.search(session.read().splitlines()[0])


def test_it_shows_the_script_and_the_command_of_the_readme(recorded: list[session.Frame]) -> None:
    shown = [text(frame) for frame in recorded]
    commands = re.findall(r"^\./inv bisect .*$", README, re.MULTILINE)
    assert len(commands) == 1
    assert any(f"$ cat my-test.sh\n{session.script()}$ {commands[0]}" in one for one in shown)


def test_it_ends_with_the_answer(recorded: list[session.Frame]) -> None:
    assert "The first bad commit is" in text(recorded[-1])
    assert text(recorded[-1]).endswith("\n$"), "the prompt is back"


def test_waits_are_shortened() -> None:
    seen = session.frames(cast((0.0, "one"), (1.0, " two"), (301.0, " three"), (301.2, " four")))
    assert [text(frame) for frame in seen] == [
        "one", "one two", "one two three", "one two three four"[:20],
    ]  # fmt: skip
    assert session.starts(seen) == pytest.approx(
        [0, session.FIRST, session.FIRST + session.LONGEST, session.FIRST + session.LONGEST + 0.2]
    )


def test_counters_alone_are_drawn_seldom() -> None:
    ticks = [(n / 4, f"\rat {n:03} of 399 {'|/-'[n % 3]}") for n in range(1, 400)]
    seen = session.frames(cast((0.0, "at"), *ticks))
    assert len(seen) == 1 + 1 + 3 + 1
    assert text(seen[-1]) == "at 399 of 399 |", "the last screen is kept"


def test_a_screen_is_not_drawn_in_the_middle_of_a_redraw() -> None:
    seen = session.frames(cast((0.0, "old"), (1.0, "\r\x1b[2K"), (1.01, "new")))
    assert [text(frame) for frame in seen] == ["old", "new"]


def test_colours_are_classes_of_the_style() -> None:
    svg = session.draw(session.frames(cast((0.0, "\x1b[1;32m<ok>\x1b[0m a\x1b[31mb"), (1.0, "c"))))
    assert 'class="green bold"' in svg
    assert "&lt;ok&gt;" in svg
    style = session.TEMPLATE.read_text()
    drawn = set(re.findall(r'<text [^>]*class="([^"]*)"', session.SVG.read_text()))
    for name in {word for words in drawn for word in words.split()}:
        assert f'"{name}"' in style or f".{name} " in style


def test_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="asciicast"):
        session.frames('{"version": 3}')
