"""The outcomes of each cell along a history: what `boundaries` found, as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, pairwise, zip_longest

from buildkit_bisect.render import symbols, table, text
from buildkit_bisect.render.finding import finding
from buildkit_bisect.render.templates import Templates
from buildkit_bisect.result import CellInfo, ChangeInfo, Result

_LEFT, _WIDTH, _LANE, _TOP = 230.0, 750.0, 52, 62  # pixels
_LETTER = 6.4

#: Share of the width that tested commits get evenly: a search tests most where it changes.
_EVEN = 0.7


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
    places = {s.sha: s.position for s in steps if s.position is not None}
    if info is None or not places:
        return ""
    at = _scale(sorted(set(places.values())))
    xs = {sha: at[place] for sha, place in places.items()}
    made = list(_lanes(result, xs))
    changes = _labels({(xs[sha], c.sha[:10]) for c in info.changes
                       for sha in [_on_line(c, xs)] if sha})  # fmt: skip
    names = _labels({(xs[sha], text.clean(name)[:16]) for sha, name in table.names(result).items()
                     if sha in xs})  # fmt: skip
    aside = len({s.sha for s in steps} - xs.keys())
    bottom = _TOP + len(made) * _LANE
    named = bottom + 8 + 12 * (1 + max((line for _, _, line in changes), default=0))
    return (templates or Templates()).render(
        "lanes.svg.j2",
        title=text.clean(finding(result).partition(":")[0]),
        full=text.clean(finding(result)),
        lanes=made,
        lane=_LANE,
        changes=changes,
        ticks=names,
        named=named,
        aside=f"{text.plural(aside, 'tested commit')} within merges not drawn" if aside else "",
        height=named + 12 * (1 + max((line for _, _, line in names), default=0)) + 16,
        bottom=bottom,
        top=_TOP,
        x0=_LEFT,
        x1=_LEFT + _WIDTH,
        total=info.total,
        inline=inline,
    )


def _scale(places: list[int]) -> dict[int, float]:
    """Where on the picture each place of the history is: in part evenly, in part to scale."""
    span, gaps = max(1, places[-1] - places[0]), max(1, len(places) - 1)
    x, at = _LEFT, {places[0]: _LEFT}
    for before, place in pairwise(places):
        x += _WIDTH * (_EVEN / gaps + (1 - _EVEN) * (place - before) / span)
        at[place] = round(x, 1)
    return at


def _on_line(change: ChangeInfo, xs: Mapping[str, float]) -> str:
    """The commit on the line that brings *change*: itself, else the merge that it came with."""
    return next((sha for sha in (change.sha, change.merge) if sha in xs), "")


def _labels(wanted: set[tuple[float, str]]) -> list[tuple[float, str, int]]:
    """(x, text, line) from left to right: each on the first line that has room for it."""
    ends: list[float] = []
    placed = []
    for x, said in sorted(wanted):
        half = len(said) * _LETTER / 2 + 4
        line = next((n for n, end in enumerate(ends) if end <= x - half), len(ends))
        ends[line : line + 1] = [x + half]
        placed.append((x, said, line))
    return placed


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
