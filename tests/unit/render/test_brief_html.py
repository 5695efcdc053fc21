from __future__ import annotations

from html.parser import HTMLParser

import pytest
from markupsafe import Markup

import results
import validations
from buildkit_bisect import render
from buildkit_bisect.render import brief_html
from buildkit_bisect.render.brief import brief
from buildkit_bisect.render.text import markdown
from buildkit_bisect.result import Result


class Tags(HTMLParser):
    """The elements of a text with their attributes, and its plain text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.plain = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.plain += data


def test_our_markdown_becomes_html() -> None:
    made = Tags(
        brief_html.cell(Markup("**first bad** [<code>v1</code>](https://example.org/a) \u274c"))
    )
    assert [tag for tag, _ in made.elements] == ["b", "a", "code", "span"]
    assert made.elements[1][1]["href"] == "https://example.org/a"
    assert made.plain == "first bad v1 \u2717"


def test_a_date_stays_on_one_line() -> None:
    assert brief_html.cell(markdown("2025-09-11")) == '<span class="date">2025-09-11</span>'
    assert "date" not in brief_html.cell(markdown("2025-09-11 and later"))


def test_markdown_of_others_stays_text() -> None:
    made = Tags(brief_html.cell(markdown(f"**x** [a](https://evil.example) {results.HOSTILE}")))
    assert made.elements == []
    assert made.plain.startswith("**x** [a](https://evil.example) <script>")


@pytest.mark.parametrize(
    "result",
    [results.two_scenarios(), results.bisect(), results.boundaries(), validations.result(),
     results.hostile(), results.many(60, 12)],
)  # fmt: skip
def test_the_page_has_the_table_of_the_comment_first(result: Result) -> None:
    table = brief_html.in_html(brief(result))
    assert table
    cells = [cell for row in (table.head, *table.rows) for cell in row]
    ours = {"a", "b", "code", "span", "br", "sub"}
    assert {tag for cell in cells for tag, _ in Tags(cell).elements} <= ours
    page = render.html(result)
    assert page.index('class="plain brief') < page.index("<main>")
    assert all(str(cell) in page for cell in cells)
    assert "folded" not in page[page.index('class="plain brief') : page.index("<main>")]


def test_nothing_run_has_no_table() -> None:
    assert brief_html.in_html(brief(results.matrix(cells=()))) is None


def test_names_beside_each_other_in_a_headline_are_marked_once() -> None:
    page = render.html(validations.result())
    heading = page[page.index("<h1>") : page.index("</h1>")]
    assert "<b>master</b> (<b>" in heading
    assert "&lt;b&gt;" not in heading
