"""No sentence has an empty part where a scenario has no axes, no issue, no title, no reason."""

from __future__ import annotations

import html as entities
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser

import pytest

import results
import validations
from buildkit_bisect import render
from buildkit_bisect.phrases import labelled, spaced
from buildkit_bisect.render import compare, github, svg
from buildkit_bisect.render.text import spaced_markup
from buildkit_bisect.result import Result
from buildkit_bisect.result.labels import words_of

#: What an empty part leaves behind: ``with  is``, ``[issue]()``, ``v0.14.0:``, ``x (): y``.
EMPTY = {
    "link without an address": r"\]\(\)",
    "link without a text": r"(?<!!)\[\]\(",
    "two spaces": r"\S  +\S",
    "space before a mark": r"\s[:;,.](\s|$)",
    "nothing after a colon": r":$",
    "empty parentheses": r"\(\s*\)|\(\s|\s\)",
    "nothing in bold": r"\*\*\*\*",
    "two marks": r"[,;:] *[,;:.](\s|$)",
    "nothing after a word": r"\b(with|in|of|on|at|for|from|and|or|to|is)\s*([.,:;)]|$)",
    "begins with a mark": r"^[,;:.] ",
    "empty element": r"!empty",
    "empty item": r"^[-·]$",
}

#: Texts that end so on purpose, or that the picture breaks into lines.
FINE = re.compile(
    r"Next:|The answer again:|changed by|merged by|- Merged by: \w+"
    r"|.*\balternating without and with|(with|without)|build:|.*main\.go:7:2:( undefined:)?"
    r"|(boundaries|validate): .*\.\.\."  # the title of a page is cut
)


class Page(HTMLParser):
    """The texts of a page or picture, one in a line; scripts and logs are left out."""

    LINES = frozenset((
        *("p", "div", "tr", "td", "th", "li", "h1", "h2", "h3", "summary", "dt", "dd", "br"),
        *("caption", "section", "title", "button", "text", "option", "label"),
    ))  # fmt: skip
    UNREAD = frozenset(("style", "script", "pre"))

    def __init__(self) -> None:
        super().__init__()
        self.made: list[str] = []
        self.unread = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.unread += tag in self.UNREAD
        self.made.append("\n" if tag in self.LINES else "")
        for name, value in attrs:
            if name in ("href", "aria-label"):
                self.made.append("" if (value or "").strip() else f"\n!empty {name} of {tag}\n")

    def handle_endtag(self, tag: str) -> None:
        self.unread -= tag in self.UNREAD
        self.made.append("\n" if tag in self.LINES else "")

    def handle_data(self, data: str) -> None:
        self.made.append("" if self.unread else data)


def of_page(page: str) -> Iterator[str]:
    reader = Page()
    reader.feed(page)
    yield from "".join(reader.made).splitlines()


def of_markdown(page: str) -> Iterator[str]:
    page = re.sub(r"<pre>.*?</pre>", "", page, flags=re.DOTALL)
    for line in page.splitlines():
        yield from re.findall(r"\[[^\]]*\]\(\)", line)
        shown = re.sub(r"\[([^\]]*)\]\([^)]+\)", r"\1", line)
        shown = re.sub(r"<(code|b|a)\b[^>]*></\1>", "!empty", shown)
        shown = re.sub(r"</?(code|b|a)\b[^>]*>", "", shown)
        shown = re.sub(r"(?: *</?[a-z][^>]*>)+ *", " ", shown)
        shown = entities.unescape(shown)
        yield from shown.strip("| ").split(" | ") if shown.startswith("|") else [shown]


def of_junit(page: str) -> Iterator[str]:
    for name, value in re.findall(r' (name|classname|message)="([^"]*)"', page):
        yield entities.unescape(value) or f"!empty {name}"


def of_commands(lines: list[str]) -> Iterator[str]:
    for line in lines:
        _, title, message = line.split("::") if line.count("::") == 2 else ("", line, "")
        yield from (title.replace("%3A", ":").replace("%2C", ","), message)


def of_columns(text: str) -> Iterator[str]:
    """Read what `diff` prints, without what pads its first column."""
    yield from (re.sub(r"^(\w+) +", r"\1 ", line) for line in text.splitlines())


READ: dict[str, Callable[[Result], Iterator[str]]] = {
    "headline": lambda r: iter([render.finding(r), render.finding(r, spaced_markup)]),
    "report.md": lambda r: of_markdown(render.markdown(r)),
    "short report.md": lambda r: of_markdown(render.markdown(r, limit=6000)),
    "report.html": lambda r: of_page(render.html(r)),
    "matrix.svg": lambda r: of_page(svg.matrix(r)),
    "timeline.svg": lambda r: of_page(svg.timeline(r)),
    "junit.xml": lambda r: of_junit(render.junit(r)),
    "workflow commands": lambda r: of_commands(github.commands(r)),
    "diff": lambda r: of_columns(compare.text(compare.compare(r, worse(r)))),
}


def worse(result: Result) -> Result:
    """Return *result* with another outcome in each cell, so that a comparison shows them all."""
    return replace(result, cells=tuple(
        replace(c, outcome="unclassified", verdict="weak", counts={}, rate=(0, 0), trials=())
        for c in result.cells
    ))  # fmt: skip


def empty_parts(read: Iterator[str], *, broken: bool = False) -> list[str]:
    """Return the lines with an empty part; *broken* into lines, only what a line break leaves."""
    breaks = ("nothing after a word", "nothing after a colon", "begins with a mark")
    found = []
    for line in map(str.strip, read):
        if not line or set(line) <= set(":-| ·") or FINE.fullmatch(line):
            continue
        found += [
            f"{what}: {line}"
            for what, pattern in EMPTY.items()
            if not (broken and what in breaks) and re.search(pattern, line)
        ]
    return found


def one_cell() -> Result:
    made = results.matrix()
    return replace(made, kind="run", cells=made.cells[2:3])


def untested() -> Result:
    made = results.matrix()
    return replace(made, cells=tuple(c for c in made.cells if c.verdict == "skip"))


RESULTS: dict[str, Callable[[], Result]] = {
    "run": one_cell,
    "matrix": results.matrix,
    "two scenarios": results.two_scenarios,
    "untested": untested,
    "bisect": results.bisect,
    "refused": results.refused,
    "chosen": results.chosen,
    "boundaries": results.boundaries,
    "merged": results.merged,
    "validate": validations.result,
}


@pytest.mark.parametrize("how", READ)
@pytest.mark.parametrize("texts", [True, False])
@pytest.mark.parametrize("kind", RESULTS)
def test_no_sentence_has_an_empty_part(kind: str, texts: bool, how: str) -> None:
    read = READ[how](results.bare(RESULTS[kind](), texts=texts))
    assert empty_parts(read, broken=how.endswith(".svg")) == []


@pytest.mark.parametrize("how", READ)
@pytest.mark.parametrize("kind", RESULTS)
def test_nor_where_everything_is_known(kind: str, how: str) -> None:
    assert empty_parts(READ[how](RESULTS[kind]()), broken=how.endswith(".svg")) == []


@pytest.mark.parametrize(
    "line",
    [
        "v0.25.0 with  is bad",
        "reproducer: script ([issue]())",
        "v0.14.0:",
        "No search: . Tested with script",
        "reproducer: script ()",
        "tested with : 3 of 9 commits",
        "- ❌ **export failed**:",
        "trial 1 of 3: v0.25.0, script : bad",
        "skip (build) : main.go",
        ": export failed 3 of 3",
    ],
)
def test_an_empty_part_is_found(line: str) -> None:
    assert empty_parts(iter([line]))


def test_a_cell_without_axes_has_a_name() -> None:
    bare = results.bare(results.matrix())
    assert words_of(bare, "cross-stage-lazy", {}) == "cross-stage-lazy"
    assert render.finding(results.bare(one_cell())).startswith("v0.24.0 is bad: layers dropped")


def test_parts_of_a_sentence() -> None:
    assert labelled("No answer", "too few trials") == "No answer: too few trials"
    assert labelled("No answer", "") == "No answer"
    assert labelled("", "too few trials") == "too few trials"
    assert spaced("a", "", "b") == "a b"
    assert spaced_markup("<a>", "", "b") == "&lt;a&gt; b"
