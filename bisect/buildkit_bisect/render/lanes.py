"""Draws the outcomes of each cell along a history, as found by ``boundaries``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, pairwise, zip_longest

from buildkit_bisect.model import Verdict
from buildkit_bisect.phrases import plural
from buildkit_bisect.render import symbols, table, text
from buildkit_bisect.render.finding import finding
from buildkit_bisect.render.templates import Templates
from buildkit_bisect.result import CellInfo, ChangeInfo, Result

_LEFT, _WIDTH, _LANE, _TOP = 230.0, 750.0, 52, 62  # pixels
_LETTER, _ROW = 6.4, 12

#: Share of the width that is divided evenly, as a search tests most commits near changes.
_EVEN = 0.7


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stretch:
    """Adjacent tested commits of one outcome, or "open": the gap between two outcomes."""

    x0: float
    x1: float
    css: str
    word: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Word:
    """The outcome below a stretch, on a line with room for it."""

    x: float
    text: str
    line: int
    end: bool  # whether the text ends at x instead of starting there


@dataclass(frozen=True, kw_only=True, slots=True)
class _Lane:
    """One cell's history."""

    y: float
    name: tuple[str, ...]
    marks: tuple[tuple[float, str], ...]  # (x, class) of each tested commit
    stretches: tuple[_Stretch, ...]
    words: tuple[_Word, ...]

    @property
    def bottom(self) -> float:
        """Where the next lane begins."""
        return self.y + _LANE + _ROW * max((w.line for w in self.words), default=0)


def lanes(result: Result, *, templates: Templates | None = None, inline: bool = False) -> str:
    """Return a lane per tested cell, commits from left to right; "" if no commit has a position.

    Of the commits inside a merge, only those that changed an outcome are drawn.
    """
    info = result.bisect
    steps = [*info.gate, *info.steps] if info else []
    places = {s.sha: float(s.position) for s in steps if s.position is not None}
    if info is None or not places:
        return ""
    places |= _inside(info.changes, places, {c.revision for c in result.cells})
    at = _scale(sorted(set(places.values())))
    xs = {sha: at[place] for sha, place in places.items()}
    made = list(_lanes(result, xs))
    changes = _labels([(xs[sha], text.clean(c.sha[:10]) or f"one of {len(c.candidates)}")
                       for c in info.changes for sha in [_on_line(c, xs)] if sha])  # fmt: skip
    names = _labels([(xs[sha], text.clean(name)[:16]) for sha, name in table.names(result).items()
                     if sha in xs])  # fmt: skip
    aside = len({s.sha for s in steps} - xs.keys())
    bottom = round(made[-1].bottom) if made else _TOP
    named = bottom + 8 + 12 * (1 + max((line for _, _, line in changes), default=0))
    return (templates or Templates()).render(
        "lanes.svg.j2",
        title=text.clean(finding(result).partition(" (")[0]),
        full=text.clean(finding(result)),
        lanes=made,
        changes=changes,
        ticks=names,
        named=named,
        aside=f"{plural(aside, 'tested commit')} inside merges not shown" if aside else "",
        height=named + 12 * (1 + max((line for _, _, line in names), default=0)) + 16,
        bottom=bottom,
        top=_TOP,
        x0=_LEFT,
        x1=_LEFT + _WIDTH,
        total=info.total,
        inline=inline,
    )


def _inside(
    changes: Iterable[ChangeInfo], places: Mapping[str, float], tested: Collection[str]
) -> dict[str, float]:
    """Return places just before a merge for the tested commits inside it that changed a cell."""
    brought: dict[str, dict[str, None]] = {}
    for change in changes:
        if change.merge in places and change.sha in tested and change.sha not in places:
            brought.setdefault(change.merge, {})[change.sha] = None
    return {
        sha: places[merge] - 1 + n / (len(shas) + 1)
        for merge, shas in brought.items()
        for n, sha in enumerate(shas, 1)
    }


def _scale(places: list[float]) -> dict[float, float]:
    """Return the x coordinate of each place in the history, partly evenly, partly to scale."""
    span, gaps = max(1, places[-1] - places[0]), max(1, len(places) - 1)
    x, at = _LEFT, {places[0]: _LEFT}
    for before, place in pairwise(places):
        x += _WIDTH * (_EVEN / gaps + (1 - _EVEN) * (place - before) / span)
        at[place] = round(x, 1)
    return at


def _on_line(change: ChangeInfo, xs: Mapping[str, float]) -> str:
    """Return the drawn commit for *change*: its own, else the merge that contains it."""
    return next((sha for sha in (change.sha, change.merge) if sha in xs), "")


def _labels(wanted: Iterable[tuple[float, str]]) -> list[tuple[float, str, int]]:
    """Return (x, text, line) from left to right, each on the first line with room for it."""
    ends: list[float] = []
    placed = []
    for x, label in sorted(dict.fromkeys(wanted), key=lambda item: item[0]):
        half = len(label) * _LETTER / 2 + 4
        line = next((n for n, end in enumerate(ends) if end <= x - half), len(ends))
        ends[line : line + 1] = [x + half]
        placed.append((x, label, line))
    return placed


def _lanes(result: Result, xs: dict[str, float]) -> Iterator[_Lane]:
    grid = table.matrix(result)
    y = float(_TOP)
    for group in grid.groups:
        for column in group.columns:
            seen = sorted(
                (xs[row.sha], grid.symbol(row, column).css, cell)
                for row in grid.rows
                if row.sha in xs and (cell := grid.cell(row, column))
            ) if not column.control else []  # fmt: skip
            if seen:
                stretches = tuple(_stretches([(x, cell) for x, _, cell in seen]))
                lane = _Lane(
                    y=y,
                    name=tuple(text.clean(line)[:28] for line in group.header(column)),
                    marks=tuple((x, css) for x, css, _ in seen),
                    stretches=stretches,
                    words=tuple(_words(stretches)),
                )
                yield lane
                y = lane.bottom


def _stretches(seen: list[tuple[float, CellInfo]]) -> Iterator[_Stretch]:
    known = [(x, cell) for x, cell in seen if cell.verdict not in {Verdict.SKIP, Verdict.INFRA}]
    runs = [list(run) for _, run in groupby(known, key=lambda seen: seen[1].outcome)]
    for run, after in zip_longest(runs, runs[1:]):
        (x0, cell), x1 = run[0], run[-1][0]
        css = symbols.of(cell.outcome, cell.verdict).css
        yield _Stretch(x0=x0, x1=x1, css=css, word=symbols.word(text.clean(cell.outcome)))
        if after:
            yield _Stretch(x0=x1, x1=after[0][0], css="open")


def _words(stretches: Iterable[_Stretch]) -> Iterator[_Word]:
    ends: list[float] = []
    for stretch in stretches:
        if stretch.word:
            width = len(stretch.word) * _LETTER
            end = stretch.x0 + width > _LEFT + _WIDTH
            x = stretch.x1 + 8 if end else stretch.x0 - 4
            start = x - width if end else x
            line = next((n for n, taken in enumerate(ends) if taken <= start), len(ends))
            ends[line : line + 1] = [start + width]
            yield _Word(x=x, text=stretch.word, line=line, end=end)
