"""Arranges the matrix in tables that fit a width: as it is, transposed, or in several parts."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from buildkit_bisect.events import Column
from buildkit_bisect.model import Verdict
from buildkit_bisect.render import symbols, table, text
from buildkit_bisect.render.text import fit
from buildkit_bisect.result.labels import heading

#: Pixels. A picture of at most this width is shown without being scaled down.
WIDTH, PAD = 780, 16

_LETTER, _SMALL, _MONO = 6.7, 5.6, 7.4  # width of a letter
_BOX = (92, 184)  # minimum and maximum width of a box
_NAME = (64, 210)  # and of the names on the left
_CELL_NAME = (64, 190)  # and of the cells' names there
_SYMBOL = 37  # a box without its text
_LINES = 5  # of a text that is wrapped


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """The name of a row or a column, in lines."""

    lines: tuple[str, ...]
    control: bool = False
    variant: bool = False
    title: str = ""  # the scenario, of its first row or column


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A cell, or the controls of a scenario together."""

    css: str
    word: str
    tally: str = ""
    known: str = ""  # for the tooltip
    control: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """One table. The widths are those of the names on the left, and of each column."""

    columns: tuple[Head, ...]
    rows: tuple[Head, ...]
    boxes: tuple[tuple[Box, ...], ...]  # row by row
    name: float
    widths: tuple[float, ...]

    @property
    def width(self) -> float:
        """The width with margins, and a gap before each scenario but the first."""
        gaps = sum(bool(head.title) for head in self.columns[1:])
        return self.name + sum(self.widths) + PAD * (2 + gaps)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Slot:
    """A column, or several control columns as one."""

    group: table.Group
    columns: tuple[Column, ...]

    @property
    def control(self) -> bool:
        return self.columns[0].control

    @property
    def lines(self) -> tuple[str, ...]:
        if len(self.columns) > 1:
            return (f"{len(self.columns)} controls",)
        labels = heading(self.group.scenario, dict(self.columns[0].axes))
        return (*labels, *(["control"] if self.control else []))


def sheets(grid: table.Matrix, most: float = WIDTH) -> list[Sheet]:
    """Return the matrix in the first of these forms that fits *most* pixels.

    Rows are variants; or rows are cells; or rows are variants, with the controls of a scenario
    as one column, in as many tables as it takes.
    """
    slots = [_Slot(group=g, columns=(c,)) for g in grid.groups for c in g.columns]
    plain = _sheet(grid, slots)
    if plain.width <= most:
        return [plain]
    turned = _turned(grid, slots)
    if turned.width <= most:
        return [turned]
    return list(_parts(grid, most))


def wrapped(content: str, width: float, letter: float) -> tuple[str, ...]:
    """Return *content*, cleaned, in at most `_LINES` lines of about *width* pixels."""
    room = max(1, int(width / letter))
    lines = textwrap.wrap(text.clean(content), room, break_on_hyphens=False) or [""]
    if len(lines) <= _LINES:
        return tuple(lines)
    return (*lines[: _LINES - 1], fit(" ".join(lines[_LINES - 1 :]), width, letter))


def word_lines(box: Box, width: float) -> tuple[str, ...]:
    """Return the outcome in a box of *width* pixels in lines."""
    return wrapped(box.word, width - _SYMBOL, _LETTER)


def tally_lines(box: Box, width: float) -> tuple[str, ...]:
    """Return the tally in a box of *width* pixels in lines."""
    return wrapped(box.tally, width - _SYMBOL, _SMALL) if box.tally else ()


def _sheet(grid: table.Matrix, slots: Sequence[_Slot]) -> Sheet:
    """Return the table with variants as rows and *slots* as columns."""
    titles = [slot.group.scenario.name for slot in slots]
    boxes = tuple(tuple(_box(grid, row, slot) for slot in slots) for row in grid.rows)
    widths = [
        _width([line[n] for line in boxes], " ".join(slot.lines).split(), _LETTER)
        for n, slot in enumerate(slots)
    ]
    for _, run in groupby(range(len(slots)), key=lambda n: titles[n]):
        own = list(run)  # together at least as wide as the scenario's name
        wanted = min(_BOX[1], len(text.clean(titles[own[0]])) * _MONO)
        widths[own[-1]] += max(0.0, round(wanted - sum(widths[n] for n in own)))
    name = _name_width([row.label for row in grid.rows], _MONO)
    return Sheet(
        columns=tuple(
            Head(
                lines=_head(slot.lines, widths[n], _LETTER),
                control=slot.control,
                title=_once(titles, n),
            )
            for n, slot in enumerate(slots)
        ),
        rows=tuple(
            Head(lines=wrapped(row.label, name - 4, _MONO), variant=True) for row in grid.rows
        ),
        boxes=boxes,
        name=name,
        widths=tuple(widths),
    )


def _turned(grid: table.Matrix, slots: Sequence[_Slot]) -> Sheet:
    """Return the table with variants as columns and *slots* as rows."""
    titles = [slot.group.scenario.name for slot in slots]
    boxes = tuple(tuple(_box(grid, row, slot) for row in grid.rows) for slot in slots)
    widths = [
        _width([line[n] for line in boxes], row.label.replace(" + ", " +\n").splitlines(), _MONO)
        for n, row in enumerate(grid.rows)
    ]
    name = _name_width([", ".join(slot.lines) for slot in slots], _LETTER, _CELL_NAME)
    return Sheet(
        columns=tuple(
            Head(lines=wrapped(row.label, widths[n] - 10, _MONO), variant=True)
            for n, row in enumerate(grid.rows)
        ),
        rows=tuple(
            Head(
                lines=_head([", ".join(slot.lines)], name, _LETTER),
                control=slot.control,
                title=_once(titles, n),
            )
            for n, slot in enumerate(slots)
        ),
        boxes=boxes,
        name=name,
        widths=tuple(widths),
    )


def _parts(grid: table.Matrix, most: float) -> Iterator[Sheet]:
    """Yield tables of whole scenarios where these fit, else of some of their columns."""
    taken: list[_Slot] = []
    for group in grid.groups:
        own = [_Slot(group=group, columns=(c,)) for c in group.columns if not c.control]
        controls = tuple(c for c in group.columns if c.control)
        own += [_Slot(group=group, columns=controls)] if controls else []
        if taken and _sheet(grid, [*taken, *own]).width > most:
            yield _sheet(grid, taken)
            taken = []
        for slot in own:
            if taken and _sheet(grid, [*taken, slot]).width > most:
                yield _sheet(grid, taken)
                taken = []
            taken.append(slot)
    if taken:
        yield _sheet(grid, taken)


def _box(grid: table.Matrix, row: table.Row, slot: _Slot) -> Box:
    """Return the box of *slot*; that of several controls has the worst symbol of them."""
    cells = [cell for column in slot.columns if (cell := grid.cell(row, column))]
    if not cells:
        return Box(css=symbols.NONE.css, word=symbols.NONE.says, control=slot.control)
    if len(slot.columns) > 1:
        good = sum(cell.verdict == Verdict.GOOD for cell in cells)
        worst = min((symbols.of_cell(cell) for cell in cells), key=symbols.ALL.index)
        word = f"{good} of {len(cells)} good"
        return Box(css=worst.css, word=word, control=True)
    (cell,) = cells
    return Box(
        css=symbols.of_cell(cell).css,
        word=symbols.word(cell.outcome),
        tally=symbols.brief(cell),
        known=text.clean(symbols.all_known(cell)),
        control=slot.control,
    )


def _width(boxes: Sequence[Box], lines: Sequence[str], letter: float) -> float:
    """Return a width that fits the longest text of a column, within `_BOX`."""
    words = [len(box.word) * _LETTER + _SYMBOL for box in boxes]
    tallies = [len(box.tally) * _SMALL + _SYMBOL for box in boxes]
    heads = [len(text.clean(line)) * letter + 14 for line in lines]
    return round(min(_BOX[1], max([_BOX[0], *words, *tallies, *heads])))


def _name_width(names: Sequence[str], letter: float, bounds: tuple[int, int] = _NAME) -> float:
    long = max((len(text.clean(name)) for name in names), default=0) * letter + 12
    return min(bounds[1], max(bounds[0], round(long)))


def _head(parts: Sequence[str], width: float, letter: float) -> tuple[str, ...]:
    return tuple(line for part in parts for line in wrapped(part, width - 10, letter))


def _once(titles: Sequence[str], n: int) -> str:
    """Return the title at *n* if the one before is another."""
    return titles[n] if n == 0 or titles[n - 1] != titles[n] else ""
