"""Each kind of page is accessible (WCAG 2 A and AA, by axe-core), and fits its window."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

import results
import validations
from browsing import Reader, keep
from buildkit_bisect import result
from buildkit_bisect.result import Result
from buildkit_bisect.system.checkout import PROJECT

pytestmark = pytest.mark.system

PHONE, HALF, DESK = 390, 780, 1280
#: Height of a phone's screen.
TALL = 844
PUBLISHED = sorted(p.parent.name for p in (PROJECT / "results/issue-6893").glob("*/result.json"))
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}


def published(name: str) -> Callable[[], Result]:
    return lambda: result.read(PROJECT / "results/issue-6893" / name)


def one_cell() -> Result:
    return results.matrix(cells=results.matrix().cells[2:3])


def many_scenarios() -> Result:
    """Return a validation whose cells are in two scenarios."""
    whole = results.two_scenarios()
    return replace(whole, kind="validate", validation=validations.info())


#: Every kind of page, as published where there is one, as results differ more than examples.
KINDS: dict[str, Callable[[], Result]] = {
    "one-cell": one_cell,
    "matrix": published("matrix-whole"),
    "found": published("bisect-same-bases"),
    "inconclusive": published("bisect-overlay-wide"),
    "refused": published("bisect-refused"),
    "boundaries": published("boundaries"),
    "range": results.merged,
    "validation": published("validate-series"),
    "partly": many_scenarios,
    "hostile": results.hostile,
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def violations(page: Page) -> list[str]:
    """Return what axe-core finds, with the elements that it is about."""
    found: Any = Axe().run(page, options=RULES).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:120]} ({node['failureSummary'][:200]})"
        for rule in found for node in rule["nodes"][:3]
    ]  # fmt: skip


@each_kind
def test_accessible(kind: str, reader: Reader) -> None:
    reader.write(KINDS[kind]())
    for width in (PHONE, DESK):
        for dark in (False, True):
            page = reader.again(dark=dark, width=width)
            assert violations(page) == [], (width, dark)
            keep(page, f"{kind}-{width}-{'dark' if dark else 'light'}")
            page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
            page.locator(".matrix tbody button").first.click()
            expect(page.get_by_role("dialog")).to_be_visible()
            assert violations(page) == [], (width, dark, "with a cell open")
            page.context.close()


#: Elements with content beyond their own edges that cannot be reached with the keyboard.
CUT = """() => [...document.querySelectorAll("body *")]
    .filter((e) => e.checkVisibility() && !e.closest("svg, select, option, input, meter"))
    .filter((e) => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== "inline"
        && getComputedStyle(e).overflowX !== "visible")
    .filter((e) => e.tabIndex !== 0 || !(e.getAttribute("aria-label") || e.tagName === "PRE"))
    .map((e) => `${e.tagName} ${e.className}: ${e.textContent.trim().slice(0, 60)}`)"""

#: Elements outside of the window that no scroll region contains.
BEYOND = """() => [...document.querySelectorAll("body *")]
    .filter((e) => e.checkVisibility() && e.getBoundingClientRect().width)
    .filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .filter((e) => !e.closest('[role=region][tabindex="0"], pre[tabindex="0"]'))
    .map((e) => `${e.tagName} ${e.className}: ${e.textContent.trim().slice(0, 60)}`)"""

#: Texts in pictures, with their size as shown, in pixels.
LETTERS = """() => [...document.querySelectorAll("svg text")]
    .filter((e) => e.checkVisibility() && e.textContent)
    .map((e) => [parseFloat(getComputedStyle(e).fontSize) * e.getScreenCTM().a, e.textContent])"""


@pytest.mark.parametrize("width", [PHONE, HALF, DESK])
@each_kind
def test_only_declared_regions_scroll_sideways(kind: str, width: int, reader: Reader) -> None:
    page = reader.open(KINDS[kind](), width=width)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(BEYOND) == []
    assert page.evaluate(CUT) == []
    small = [text for size, text in page.evaluate(LETTERS) if size < 10]
    assert small == [], "letters in pictures of less than ten pixels"


@each_kind
def test_a_timeline_is_whole_on_a_phone(kind: str, reader: Reader) -> None:
    page = reader.open(KINDS[kind](), width=PHONE)
    for picture in page.locator(".timeline:visible svg").all():
        box = picture.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE
    info = KINDS[kind]().bisect
    searched = info is not None and bool(info.gate or info.steps)
    assert page.locator(".timeline:visible svg").count() == int(searched)


@each_kind
def test_the_answer_is_on_the_first_screen_of_a_phone(kind: str, reader: Reader) -> None:
    """Headline, then the small table, then the rest; the longest attacks may take more room."""
    page = reader.open(KINDS[kind](), width=PHONE)
    tops = [page.locator(name).bounding_box() for name in ("h1", ".brief", "main")]
    ys = [box["y"] for box in tops if box]
    assert len(ys) == 3
    assert ys == sorted(ys)
    if kind != "hostile":
        assert ys[1] < 400, "the table begins in the upper half"


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_phone_shows_four_answers_without_scrolling(name: str, reader: Reader) -> None:
    """What is broken where; which commit, or that none was searched for; trials; the command."""
    document = published(name)()
    reader.write(document)
    page = reader.again(width=PHONE, height=TALL)
    trials = page.locator("header .basis")
    command = page.locator(".again pre").first
    for answer in (page.locator("h1"), trials, command, page.locator(".brief tbody tr").first):
        box = answer.bounding_box()
        assert box
        assert box["y"] + box["height"] <= TALL
    assert "trial" in trials.inner_text()
    assert command.inner_text().startswith("./inv ")
    found = document.bisect
    if found is None:
        assert "not bisected" in trials.inner_text()
    named = [found.first_bad, *(c.sha for c in found.changes)] if found else []
    for sha in filter(None, named):
        box = page.locator(f".brief a[href$='/commit/{sha}']").first.bounding_box()
        assert box
        assert box["y"] + box["height"] <= TALL


def test_a_command_is_copied_or_selected(reader: Reader) -> None:
    page = reader.open(results.refused(), width=PHONE)
    command, button = page.locator(".again pre").first, page.locator(".copy").first
    button.click()
    expect(button).to_have_text(re.compile("copied|selected"))
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    expect(button).to_have_text("copy", timeout=5000)
    button.click()
    expect(button).to_have_text("selected")
    assert page.evaluate("getSelection().toString().trim()") == command.inner_text().strip()


def test_a_region_with_more_in_it_shows_on_which_side(reader: Reader) -> None:
    page = reader.open(results.two_scenarios(), width=PHONE)
    region = page.get_by_role("region", name="Matrix, scrollable")
    sides = "e => ['left', 'right', 'up', 'down'].filter((s) => e.classList.contains(`more-${s}`))"
    mask = "e => getComputedStyle(e).maskImage"
    expect(region).to_have_attribute("tabindex", "0")
    assert "right" in region.evaluate(sides)
    assert "36px" in region.evaluate(mask)
    region.focus()
    page.keyboard.press("ArrowRight")
    expect(region).to_have_class(re.compile("more-left"))
    assert region.evaluate(mask) == "none", "nothing is faded where the focus is"
    region.evaluate("e => { e.blur(); e.scrollTo(e.scrollWidth, 0); }")
    expect(region).not_to_have_class(re.compile("more-right"))
    page.set_viewport_size({"width": 1800, "height": 2000})
    expect(region).not_to_have_class(re.compile("more-"))


def test_on_a_phone_only_tables_scroll_sideways(reader: Reader) -> None:
    page = reader.open(results.two_scenarios(), width=390)
    keep(page, "phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    answer = page.locator(".brief tbody tr").first.bounding_box()
    assert answer
    assert answer["y"] < 500, "the answer is on the first screen"
    first = page.locator("td.bad button").first.bounding_box()
    assert first
    assert first["height"] >= 44
    page.locator(".scroll").first.evaluate("e => e.scrollLeft = 300")
    label = page.locator(".matrix tbody th").first.bounding_box()
    assert label
    assert label["x"] < 30, "variants stay in sight"
