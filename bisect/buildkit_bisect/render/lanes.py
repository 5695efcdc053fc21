"""Draws the outcomes of each cell along a history, as found by ``boundaries``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby, pairwise, zip_longest

from buildkit_bisect.model import Verdict
from buildkit_bisect.phrases import plural
from buildkit_bisect.render import releases, sheets, symbols, table, text
from buildkit_bisect.render.finding import finding
from buildkit_bisect.render.spoken import spoken
from buildkit_bisect.render.templates import Templates
from buildkit_bisect.result import CellInfo, ChangeInfo, Result

_LANE = 66  # pixels
_LETTER, _MONO, _NAME, _BOLD, _ROW = 5.9, 6.6, 6.9, 8.7, 12  # width of a letter, height of a line


@dataclass(frozen=True, kw_only=True, slots=True)
class _Frame:
    """Where a history is drawn."""

    width: int = 780
    radius: int = 9  # of a commit's symbol
    #: Share of the width that is divided evenly, as a search tests most commits near changes.
    even: float = 0.7
    x0: float = field(default=30.0, init=False)

    @property
    def x1(self) -> float:
        return self.width - self.x0


_WIDE, _NARROW = _Frame(), _Frame(width=366, radius=6, even=0.95)


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

    top: float
    name: tuple[str, ...]
    marks: tuple[tuple[float, str], ...]  # (x, class) of tested commits
    ticks: tuple[tuple[float, str], ...]  # of those between whose symbols would overlap
    stretches: tuple[_Stretch, ...]
    words: tuple[_Word, ...]

    @property
    def y(self) -> float:
        """Where the lane begins: at the last line of its name."""
        return self.top + 15 * (len(self.name) - 1)

    @property
    def bottom(self) -> float:
        """Where the next lane begins."""
        return self.y + _LANE + _ROW * max((w.line for w in self.words), default=0)


def lanes(
    result: Result,
    *,
    templates: Templates | None = None,
    inline: bool = False,
    narrow: bool = False,
) -> str:
    """Return a lane per tested cell, commits from left to right; "" if no commit has a position.

    Of the commits inside a merge, only those that changed an outcome are drawn. *narrow*: for a
    phone.
    """
    result = spoken(result)
    info = result.bisect
    steps = [*info.gate, *info.steps] if info else []
    line = {s.sha: float(s.position) for s in steps if s.position is not None}
    if info is None or not line:
        return ""
    frame = _NARROW if narrow else _WIDE
    places = line | _inside(info.changes, line, {c.revision for c in result.cells})
    marks = releases.releases(result, line)
    at = _scale(sorted({*places.values(), *(mark.place for mark in marks)}), frame)
    xs = {sha: at[place] for sha, place in places.items()}
    title = () if inline else sheets.wrapped(_title(result), frame.width - 32, _BOLD)
    head = 18 * len(title) + 28  # the line with the ends of the history
    top = head + 12
    made = list(_lanes(result, xs, frame, top))
    found = [(xs[sha], text.clean(c.sha[:10]) or f"one of {len(c.candidates)}")
             for c in info.changes for sha in [_on_line(c, xs)] if sha]  # fmt: skip
    changes = releases.labels(found, _LETTER, 16, frame.width - 16)
    tags = [(at[mark.place], text.clean(mark.name)[:16]) for mark in marks]
    names = releases.labels(tags, _MONO, 16, frame.width - 16)
    aside = len({s.sha for s in steps} - xs.keys())
    bottom = round(made[-1].bottom) if made else top
    named = bottom + 14 + _ROW * (1 + max((line for _, _, line in changes), default=-1))
    return (templates or Templates()).render(
        "lanes.svg.j2",
        title=title,
        head=head,
        full=text.clean(finding(result)),
        lanes=made,
        changes=changes,
        changed_at=sorted({x for x, _ in found}),
        names=names,
        named_at=sorted({(at[mark.place], mark.exact) for mark in marks}),
        named=named,
        aside=f"{plural(aside, 'tested commit')} inside merges not shown" if aside else "",
        height=named + _ROW * (3 + max((line for _, _, line in names), default=0)) + 8,
        bottom=bottom,
        top=top,
        frame=frame,
        total=info.total,
        inline=inline,
    )


def _title(result: Result) -> str:
    """Return the finding without the list of changes, which the picture shows."""
    return finding(result).partition(" (")[0]


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


def _scale(places: list[float], frame: _Frame) -> dict[float, float]:
    """Return the x coordinate of each place in the history, partly evenly, partly to scale."""
    span, gaps = max(1, places[-1] - places[0]), max(1, len(places) - 1)
    x, at = frame.x0, {places[0]: frame.x0}
    for before, place in pairwise(places):
        width = frame.x1 - frame.x0
        x += width * (frame.even / gaps + (1 - frame.even) * (place - before) / span)
        at[place] = round(x, 1)
    return at


def _on_line(change: ChangeInfo, xs: Mapping[str, float]) -> str:
    """Return the drawn commit for *change*: its own, else the merge that contains it."""
    return next((sha for sha in (change.sha, change.merge) if sha in xs), "")


def _lanes(result: Result, xs: dict[str, float], frame: _Frame, top: float) -> Iterator[_Lane]:
    grid = table.matrix(result)
    y = float(top)
    for group in grid.groups:
        for column in group.columns:
            seen = sorted(
                (xs[row.sha], grid.symbol(row, column).css, cell)
                for row in grid.rows
                if row.sha in xs and (cell := grid.cell(row, column))
            ) if not column.control else []  # fmt: skip
            if seen:
                stretches = tuple(_stretches([(x, cell) for x, _, cell in seen]))
                marks = _apart([(x, css) for x, css, _ in seen], stretches, frame)
                lane = _Lane(
                    top=y,
                    name=sheets.wrapped(grid.name(column), frame.width - 32, _NAME),
                    marks=marks,
                    ticks=tuple((x, css) for x, css, _ in seen if (x, css) not in marks),
                    stretches=stretches,
                    words=tuple(_words(stretches, frame)),
                )
                yield lane
                y = lane.bottom


def _apart(
    seen: list[tuple[float, str]], stretches: Iterable[_Stretch], frame: _Frame
) -> tuple[tuple[float, str], ...]:
    """Return the first commit of each stretch, and of the others those with room for a symbol."""
    first = {s.x0 for s in stretches if s.word}
    taken = [x for x, _ in seen if x in first]
    for x, _ in seen:
        if all(abs(x - other) >= 2 * frame.radius for other in taken):
            taken.append(x)
    return tuple((x, css) for x, css in seen if x in taken)


def _stretches(seen: list[tuple[float, CellInfo]]) -> Iterator[_Stretch]:
    known = [(x, cell) for x, cell in seen if cell.verdict not in {Verdict.SKIP, Verdict.INFRA}]
    runs = [list(run) for _, run in groupby(known, key=lambda seen: seen[1].outcome)]
    for run, after in zip_longest(runs, runs[1:]):
        (x0, cell), x1 = run[0], run[-1][0]
        css = symbols.of(cell.outcome, cell.verdict).css
        yield _Stretch(x0=x0, x1=x1, css=css, word=symbols.word(text.clean(cell.outcome)))
        if after:
            yield _Stretch(x0=x1, x1=after[0][0], css="open")


def _words(stretches: Iterable[_Stretch], frame: _Frame) -> Iterator[_Word]:
    ends: list[float] = []
    for stretch in stretches:
        if stretch.word:
            width = len(stretch.word) * _LETTER
            end = stretch.x0 + width > frame.width - 8
            x = stretch.x1 + 8 if end else stretch.x0 - 4
            start = x - width if end else x
            line = next((n for n, taken in enumerate(ends) if taken <= start), len(ends))
            ends[line : line + 1] = [start + width + 6]
            yield _Word(x=x, text=stretch.word, line=line, end=end)
