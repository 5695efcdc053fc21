"""The outcomes of each cell along a history: what `boundaries` found, as a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, zip_longest

from buildkit_bisect.render import symbols, table, text
from buildkit_bisect.render.finding import finding
from buildkit_bisect.render.templates import Templates
from buildkit_bisect.result import CellInfo, Result

_LEFT, _WIDTH, _LANE, _TOP = 230.0, 750.0, 52, 62  # pixels
_LETTER = 6.4
_APART = 64.0  # names of revisions on the axis need that much


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stretch:
    """Neighbouring tested commits of one outcome, or "open": what is between two."""

    x0: float
    x1: float
    css: str
    word: str
    end: bool  # the word ends at x1 instead of beginning at x0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Lane:
    """One cell's history."""

    y: float
    name: tuple[str, ...]
    marks: tuple[tuple[float, str], ...]  # (x, class) of each tested commit
    stretches: tuple[_Stretch, ...]


def lanes(result: Result, *, templates: Templates | None = None, inline: bool = False) -> str:
    """A lane for each tested cell, commits from left to right; "" where none has a position."""
    info = result.bisect
    steps = [*info.gate, *info.steps] if info else []
    places = {s.sha: float(s.position) for s in steps if s.position is not None}
    if info is None or not places:
        return ""
    span = max(places.values()) or 1.0
    xs = {sha: round(_LEFT + _WIDTH * at / span, 1) for sha, at in places.items()}
    made = list(_lanes(result, xs))
    changes = [(xs[c.sha], c.sha[:10]) for c in info.changes if c.sha in xs]
    return (templates or Templates()).render(
        "lanes.svg.j2",
        title=text.clean(finding(result).partition(":")[0]),
        full=text.clean(finding(result)),
        lanes=made,
        lane=_LANE,
        changes=changes,
        ticks=_ticks(result, xs),
        height=_TOP + len(made) * _LANE + 54,
        bottom=_TOP + len(made) * _LANE,
        top=_TOP,
        x0=_LEFT,
        x1=_LEFT + _WIDTH,
        total=info.total,
        inline=inline,
    )


def _lanes(result: Result, xs: dict[str, float]) -> Iterator[_Lane]:
    grid = table.matrix(result)
    y = float(_TOP)
    for group in grid.groups:
        for column in group.columns:
            told = sorted(
                (xs[row.sha], grid.symbol(row, column).css, cell)
                for row in grid.rows
                if row.sha in xs and (cell := grid.cell(row, column))
            ) if not column.control else []  # fmt: skip
            if told:
                yield _Lane(
                    y=y,
                    name=tuple(text.clean(line)[:28] for line in group.header(column)),
                    marks=tuple((x, css) for x, css, _ in told),
                    stretches=tuple(_stretches([(x, cell) for x, _, cell in told])),
                )
                y += _LANE


def _stretches(told: list[tuple[float, CellInfo]]) -> Iterator[_Stretch]:
    known = [(x, cell) for x, cell in told if cell.verdict not in {"skip", "infra"}]
    runs = [list(run) for _, run in groupby(known, key=lambda told: told[1].outcome)]
    for run, after in zip_longest(runs, runs[1:]):
        (x0, cell), x1 = run[0], run[-1][0]
        word = symbols.word(text.clean(cell.outcome))
        room = (after[0][0] if after else _LEFT + _WIDTH) - x0
        fits = len(word) * _LETTER <= room
        yield _Stretch(
            x0=x0,
            x1=x1,
            css=symbols.of(cell.outcome, cell.verdict).css,
            word=word if fits or not after else "",
            end=not fits,
        )
        if after:
            yield _Stretch(x0=x1, x1=after[0][0], css="open", word="", end=False)


def _ticks(result: Result, xs: dict[str, float]) -> list[tuple[float, str]]:
    """Names of tested revisions, left to right, those that have room."""
    ticks: list[tuple[float, str]] = []
    for sha, name in sorted(table.names(result).items(), key=lambda item: xs.get(item[0], 0.0)):
        if sha in xs and (not ticks or xs[sha] - ticks[-1][0] >= _APART):
            ticks.append((xs[sha], text.clean(name)[:12]))
    return ticks
