"""Pictures that GitHub shows: the matrix, and the timeline of a search."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from itertools import pairwise

from buildkit_bisect.events import Column
from buildkit_bisect.render import lanes, symbols, table, text
from buildkit_bisect.render.finding import finding, percent
from buildkit_bisect.render.templates import Templates
from buildkit_bisect.result import BisectInfo, BisectStep, Result

_ROW, _PAD = 38, 16  # pixels
_LETTER, _SMALL, _MONO = 6.7, 5.6, 7.4  # width of a letter
_CELL = (96, 190)  # narrowest and widest
_LINE, _TRACK = 26, 420


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cell:
    x: float
    y: float
    width: float
    css: str
    word: str
    tally: str


def matrix(result: Result, *, templates: Templates | None = None) -> str:
    """The matrix as SVG; a symbol, a word and k of n in each cell."""
    grid = table.matrix(result)
    label = max((len(r.label) for r in grid.rows), default=0)
    left = _PAD + min(360.0, max(90.0, label * _MONO + 12))
    x, heads, cells, titles = left, [], [], []
    widths = {c: _width(grid, g, c) for g in grid.groups for c in g.columns}
    full = max(320.0, left + sum(widths.values()) + _PAD * len(grid.groups))
    said = _wrap(finding(result), full - 2 * _PAD)
    top = 78 + 18 * len(said)
    for group in grid.groups:
        titles.append((x, group.scenario.name))
        for column in group.columns:
            width = widths[column]
            lines = [*group.header(column), *(["control"] if column.control else [])]
            heads.append((x, [_fit(line, width - 10) for line in lines], column.control))
            for n, row in enumerate(grid.rows):
                cell, symbol = grid.cell(row, column), grid.symbol(row, column)
                cells.append(
                    _Cell(
                        x=x,
                        y=top + n * _ROW,
                        width=width,
                        css=symbol.css,
                        word=_fit(symbols.word(cell.outcome), width - 36) if cell else "not run",
                        tally=_fit(symbols.tally(cell), width - 36, _SMALL) if cell else "",
                    )
                )
            x += width
        x += _PAD
    return (templates or Templates()).render(
        "matrix.svg.j2",
        title=said,
        full=text.clean(finding(result)),
        width=full,
        head=top - 78,
        height=top + len(grid.rows) * _ROW + 34,
        rows=[
            (top + n * _ROW, _fit(row.label, left - _PAD - 4, _MONO))
            for n, row in enumerate(grid.rows)
        ],
        heads=heads,
        titles=titles,
        cells=cells,
        row_height=_ROW,
        used=[s for s in symbols.ALL if any(c.css == s.css for c in cells)],
    )


def _width(grid: table.Matrix, group: table.Group, column: Column) -> float:
    """Wide enough for the longest text in a column, within reason."""
    cells = [cell for row in grid.rows if (cell := grid.cell(row, column))]
    words = [len(symbols.word(cell.outcome)) * _LETTER for cell in cells]
    tallies = [len(symbols.tally(cell)) * _SMALL for cell in cells]
    heads = [len(line) * _LETTER - 26 for line in group.header(column)]
    return round(min(_CELL[1], max([_CELL[0] - 40, *words, *tallies, *heads]) + 40))


def _wrap(said: str, width: float) -> list[str]:
    """*said* in lines of about *width* pixels of the title's letters."""
    return textwrap.wrap(text.clean(said), max(20, int(width / 8.1))) or [""]


def _fit(said: str, width: float, letter: float = _LETTER) -> str:
    """*said* cut to about *width* pixels."""
    said, room = text.clean(said), int(width / letter)
    return said if len(said) <= room else said[: max(1, room - 1)] + "…"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Point:
    """A step of a search on its line."""

    y: float
    x: float
    css: str
    label: str
    seen: str
    low: float  # what was left to search before it
    high: float
    culprit: bool


def timeline(result: Result, *, templates: Templates | None = None, inline: bool = False) -> str:
    """What each step of a search saw, over the commits; "" where nothing was searched.

    From top to bottom in the order of steps, from left to right in the order of commits.
    *inline*: for a page that has its own styles.
    """
    info = result.bisect
    steps = [*info.gate, *info.steps] if info else []
    if info is None or not steps:
        return ""
    if result.kind == "boundaries":
        drawn = lanes.lanes(result, templates=templates, inline=inline)
        if drawn:
            return drawn
    places = _places(steps)
    span = max(places.values()) or 1
    names = {r.sha: r for r in result.revisions}
    points: list[_Point] = []
    low, high = 0.0, float(span)
    for n, step in enumerate(steps):
        at = places[step.sha]
        points.append(
            _Point(
                y=64 + n * _LINE,
                x=_x(at, span),
                css=symbols.of("", step.verdict).css,
                label=f"{step.number} {step.phase}  {step.sha[:10]}",
                seen=_fit(step.shown, 320),
                low=_x(low, span),
                high=_x(high, span),
                culprit=step.sha == info.first_bad,
            )
        )
        low, high = _narrow(info, step, at, low, high)
    culprit = names.get(info.first_bad)
    return (templates or Templates()).render(
        "timeline.svg.j2",
        title=_fit(finding(result), 990, 8.1),
        full=text.clean(finding(result)),
        points=points,
        strip=_strip(steps, places, span),
        changes=[_x(places[c.sha], span) for c in info.changes if c.sha in places],
        x0=_x(0, span),
        x1=_x(span, span),
        culprit=_x(places[info.first_bad], span) if info.first_bad in places else None,
        caption=_fit(f"{info.first_bad[:10]} {culprit.subject if culprit else ''}", 520, 6.6),
        confidence=percent(info.confidence) if info.confidence else "",
        total=info.total,
        good=_fit(info.good, 150),
        bad=_fit(info.bad, 150),
        height=64 + len(steps) * _LINE + 76,
        inline=inline,
    )


def _places(steps: list[BisectStep]) -> dict[str, float]:
    """Where each commit stands: its position, else beside those tested around it."""
    known = {s.sha: float(s.position) for s in steps if s.position is not None}
    if not known:
        unique = list(dict.fromkeys(s.sha for s in steps))
        return {sha: float(n) for n, sha in enumerate(unique)}
    last = 0.0
    places: dict[str, float] = {}
    for step in steps:
        last = known.get(step.sha, last)
        places.setdefault(step.sha, last)
    return places


def _x(at: float, span: float) -> float:
    return round(250 + _TRACK * at / span, 1)


def _narrow(
    info: BisectInfo, step: BisectStep, at: float, low: float, high: float
) -> tuple[float, float]:
    """What is left after *step*: the newer side shows what the search looks for."""
    newer = "good" if info.find_fix else "bad"
    older = "bad" if info.find_fix else "good"
    if step.phase in {"proof", "descend"} or info.changes or not low <= at <= high:
        return low, high
    if step.verdict == newer:
        return low, at
    return (at, high) if step.verdict == older else (low, high)


def _strip(
    steps: list[BisectStep], places: dict[str, float], span: float
) -> list[tuple[float, float, str]]:
    """(from, to, class): stretches between tested commits that show the same, or "open"."""
    tested = sorted((places[s.sha], s.verdict) for s in steps if s.verdict in {"good", "bad"})
    return [
        (_x(a, span), _x(b, span), symbols.of("", v).css if v == w else "open")
        for (a, v), (b, w) in pairwise(tested)
        if b > a
    ]
