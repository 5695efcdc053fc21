"""Draws SVG that GitHub displays: the matrix, and the timeline of a search."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from buildkit_bisect.events import Column
from buildkit_bisect.render import symbols, table, text
from buildkit_bisect.render.finding import finding
from buildkit_bisect.render.templates import Templates
from buildkit_bisect.render.text import fit
from buildkit_bisect.render.timeline import timeline
from buildkit_bisect.result import Result

__all__ = ["matrix", "timeline"]

_ROW, _PAD, _TITLE, _HEAD = 38, 16, 18, 14  # pixels: a row's, the margin, a line's
_LETTER, _SMALL, _MONO, _BOLD = 6.7, 5.6, 7.4, 8.7  # width of a letter
_CELL = (96, 300)  # minimum and maximum width


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cell:
    x: float
    y: float
    width: float
    css: str
    word: str
    tally: str
    known: str  # for the tooltip


def matrix(result: Result, *, templates: Templates | None = None) -> str:
    """Return the matrix as SVG, with a symbol, the outcome and k of n in each cell."""
    grid = table.matrix(result)
    label = max((len(r.label) for r in grid.rows), default=0)
    left = _PAD + min(360.0, max(90.0, label * _MONO + 12))
    x, heads, cells, titles = left, [], [], []
    widths = {c: w for g in grid.groups for c, w in _widths(grid, g)}
    full = max(320.0, left + sum(widths.values()) + _PAD * len(grid.groups))
    title = _wrap(finding(result), full - 2 * _PAD)
    head = 10 + _TITLE * len(title)
    depth = max((len(_head(g, c)) for g in grid.groups for c in g.columns), default=0)
    top = head + 40 + _HEAD * depth
    bottom = top + len(grid.rows) * _ROW
    for group in grid.groups:
        titles.append((x, fit(group.scenario.name, _CELL[1], _MONO)))
        for column in group.columns:
            width = widths[column]
            lines = [fit(line, width - 10, _LETTER) for line in _head(group, column)]
            heads.append((x, lines, column.control))
            for n, row in enumerate(grid.rows):
                cell, symbol = grid.cell(row, column), grid.symbol(row, column)
                cells.append(
                    _Cell(
                        x=x,
                        y=top + n * _ROW,
                        width=width,
                        css=symbol.css,
                        word=fit(symbols.word(cell.outcome), width - 36, _LETTER)
                        if cell
                        else "not run",
                        tally=fit(symbols.brief(cell), width - 36, _SMALL) if cell else "",
                        known=text.clean(symbols.all_known(cell)) if cell else "",
                    )
                )
            x += width
        x += _PAD
    used = [s for s in symbols.ALL if any(c.css == s.css for c in cells)]
    legend = _legend(used, full)
    return (templates or Templates()).render(
        "matrix.svg.j2",
        title=title,
        full=text.clean(finding(result)),
        width=full,
        head=head,
        height=bottom + 20 + _TITLE * (1 + max((line for _, line, _ in legend), default=0)),
        rows=[
            (top + n * _ROW, _lines(row.label, left - _PAD - 4)) for n, row in enumerate(grid.rows)
        ],
        heads=heads,
        titles=titles,
        cells=cells,
        row_height=_ROW,
        legend=[(x, bottom + 22 + line * _TITLE, s) for x, line, s in legend],
    )


def _lines(label: str, width: float) -> list[str]:
    """Return a row's name in one or two lines, truncated if it does not fit."""
    letters = max(1, int(width / _MONO))
    first, *rest = textwrap.wrap(text.clean(label), letters, break_on_hyphens=False) or [""]
    return [fit(first, width, _MONO), *([fit(" ".join(rest), width, _MONO)] if rest else [])]


def _head(group: table.Group, column: Column) -> list[str]:
    return [*group.header(column), *(["control"] if column.control else [])]


def _widths(grid: table.Matrix, group: table.Group) -> list[tuple[Column, float]]:
    """Return columns with their widths, together at least as wide as the scenario's name."""
    widths = [_width(grid, group, column) for column in group.columns]
    name = len(text.clean(group.scenario.name)) * _MONO
    widths[-1] += max(0.0, min(name, _CELL[1]) - sum(widths))
    return list(zip(group.columns, widths, strict=True))


def _width(grid: table.Matrix, group: table.Group, column: Column) -> float:
    """Return a width that fits the longest text in a column, within `_CELL`."""
    cells = [cell for row in grid.rows if (cell := grid.cell(row, column))]
    words = [len(symbols.word(cell.outcome)) * _LETTER for cell in cells]
    tallies = [len(symbols.brief(cell)) * _SMALL for cell in cells]
    heads = [len(line) * _LETTER - 26 for line in group.header(column)]
    return round(min(_CELL[1], max([_CELL[0] - 40, *words, *tallies, *heads]) + 40))


def _legend(used: list[symbols.Symbol], width: float) -> list[tuple[float, int, symbols.Symbol]]:
    """Return (x, line, symbol) of the legend, in as many lines as needed."""
    placed: list[tuple[float, int, symbols.Symbol]] = []
    x, line = float(_PAD), 0
    for symbol in used:
        takes = 40 + len(symbol.says) * _SMALL
        if placed and x + takes > width:
            x, line = float(_PAD), line + 1
        placed.append((x, line, symbol))
        x += takes
    return placed


def _wrap(content: str, width: float) -> list[str]:
    """Return *content* in lines of about *width* pixels in the title's font."""
    return textwrap.wrap(text.clean(content), max(20, int(width / _BOLD))) or [""]
