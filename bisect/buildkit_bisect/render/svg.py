"""Draws SVG that GitHub displays: the matrix, and the timeline of a search."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from buildkit_bisect.phrases import labelled
from buildkit_bisect.render import legend, sheets, symbols, table, text
from buildkit_bisect.render.finding import finding
from buildkit_bisect.render.machines import machines
from buildkit_bisect.render.sheets import PAD, WIDTH, Box, Head, Sheet
from buildkit_bisect.render.spoken import spoken
from buildkit_bisect.render.templates import Templates
from buildkit_bisect.render.text import fit
from buildkit_bisect.render.timeline import timeline
from buildkit_bisect.result import Result

__all__ = ["matrix", "timeline"]

_ROW, _TITLE, _HEAD, _SMALL_LINE, _SCENARIO = 38, 18, 14, 12, 24  # pixels: height of a line
_SMALL, _MONO, _BOLD = 5.6, 7.4, 8.7  # width of a letter
_NARROWEST = 480  # a title needs some room


@dataclass(frozen=True, kw_only=True, slots=True)
class _Text:
    x: float
    y: float
    css: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cell:
    x: float
    y: float
    width: float
    height: float
    box: Box
    texts: tuple[_Text, ...]


@dataclass(kw_only=True, slots=True)
class _Drawing:
    """What was placed so far, and where it ends."""

    y: float
    texts: list[_Text]
    rules: list[float]
    cells: list[_Cell]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Mark:
    """A symbol of the legend, and what it means."""

    x: float
    y: float
    css: str
    says: str


def matrix(result: Result, *, templates: Templates | None = None) -> str:
    """Return the matrix as SVG, with a symbol, the outcome and k of n in each cell.

    It is at most about 780 pixels wide, so that its letters are readable beside other text.
    """
    result = spoken(result)
    grid = table.matrix(result)
    made = sheets.sheets(grid)
    full = max([float(_NARROWEST), *(sheet.width for sheet in made)])
    title = textwrap.wrap(text.clean(finding(result)), max(20, int((full - 2 * PAD) / _BOLD)))
    drawing = _Drawing(y=10.0 + _TITLE * max(1, len(title)), texts=[], rules=[], cells=[])
    for sheet in made:
        _place(drawing, sheet)
    marks = list(_legend(result, drawing, full))
    return (templates or Templates()).render(
        "matrix.svg.j2",
        title=title,
        full=text.clean(finding(result)),
        width=round(full),
        height=round(drawing.y + 8),
        texts=drawing.texts,
        rules=drawing.rules,
        cells=drawing.cells,
        legend=marks,
    )


def _place(drawing: _Drawing, sheet: Sheet) -> None:
    """Add a table below what is there."""
    xs: list[float] = []
    x = PAD + sheet.name
    for head, width in zip(sheet.columns, sheet.widths, strict=True):
        x += PAD if xs and head.title else 0
        xs.append(x)
        x += width
    if any(head.title for head in sheet.columns):
        drawing.y += _SCENARIO
        for x, head in zip(xs, sheet.columns, strict=True):
            if head.title:
                title = fit(head.title, WIDTH - x, _MONO)
                drawing.texts.append(_Text(x=x + 4, y=drawing.y - 4, css="mono small", text=title))
    drawing.y += 6
    for x, head in zip(xs, sheet.columns, strict=True):
        drawing.texts += _names(head, x + 4, drawing.y + 12)
    drawing.y += 6 + _HEAD * max((len(head.lines) for head in sheet.columns), default=0)
    for head, boxes in zip(sheet.rows, sheet.boxes, strict=True):
        if head.title:
            drawing.y += _SCENARIO
            title = fit(head.title, WIDTH - PAD, _MONO)
            drawing.texts.append(_Text(x=PAD, y=drawing.y - 7, css="mono small", text=title))
        height = max(
            _ROW,
            _HEAD * len(head.lines) + 10,
            *(_tall(box, width) for box, width in zip(boxes, sheet.widths, strict=True)),
        )
        drawing.rules.append(drawing.y)
        first = drawing.y + (height - _HEAD * len(head.lines)) / 2 + 11
        drawing.texts += _names(head, PAD, first)
        for x, width, box in zip(xs, sheet.widths, boxes, strict=True):
            drawing.cells.append(_cell(box, x, drawing.y, width, height))
        drawing.y += height
    drawing.y += 6


def _names(head: Head, x: float, y: float) -> Iterator[_Text]:
    """Yield the lines of a head."""
    for n, line in enumerate(head.lines):
        css = "mono" if head.variant else "dim" if head.control else ""
        yield _Text(x=x, y=y + n * _HEAD, css=css, text=line)


def _tall(box: Box, width: float) -> float:
    words, tallies = sheets.word_lines(box, width), sheets.tally_lines(box, width)
    return _HEAD * len(words) + _SMALL_LINE * len(tallies) + 10


def _cell(box: Box, x: float, y: float, width: float, height: float) -> _Cell:
    line = y + (height - _tall(box, width) + 10) / 2 - 3
    texts = []
    for word in sheets.word_lines(box, width):
        line += _HEAD
        texts.append(_Text(x=x + 31, y=line, css="word", text=word))
    for tally in sheets.tally_lines(box, width):
        line += _SMALL_LINE
        texts.append(_Text(x=x + 31, y=line, css="small", text=tally))
    return _Cell(x=x, y=y, width=width, height=height, box=box, texts=tuple(texts))


def _legend(result: Result, drawing: _Drawing, width: float) -> Iterator[_Mark]:
    """Yield what the symbols mean, then what the outcomes of each scenario mean."""
    used = [s for s in symbols.ALL if any(c.box.css == s.css for c in drawing.cells)]
    says = [(s.css, s.says) for s in used]
    if any(cell.box.control for cell in drawing.cells):
        says.append(("control", symbols.CONTROL))
    x = float(PAD)
    drawing.y += 18
    for css, words in says:
        takes = 40 + len(words) * _SMALL
        if x > PAD and x + takes > width:
            x = float(PAD)
            drawing.y += _TITLE
        yield _Mark(x=x, y=drawing.y, css=css, says=words)
        x += takes
    if result.machines:
        drawing.y += 6
    for machine in machines(result):
        for part in sheets.wrapped(machine, width - 2 * PAD, _SMALL):
            drawing.y += _SMALL_LINE + 2
            drawing.texts.append(_Text(x=PAD, y=drawing.y, css="small", text=part))
    for each in legend.legends(result):
        drawing.y += _SCENARIO
        name = fit(each.scenario.name, width - 2 * PAD, _MONO)
        drawing.texts.append(_Text(x=PAD, y=drawing.y, css="mono small", text=name))
        for meaning in each.meanings:
            line = text.one_line(labelled(symbols.word(meaning.outcome), meaning.means))
            first, *more = sheets.wrapped(line, width - 2 * PAD - 22, _SMALL)
            drawing.y += 16
            yield _Mark(x=PAD, y=drawing.y, css=meaning.symbol.css, says=first)
            for rest in more:
                drawing.y += _SMALL_LINE
                drawing.texts.append(_Text(x=PAD + 22, y=drawing.y, css="small", text=rest))
