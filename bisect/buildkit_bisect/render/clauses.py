"""What a matrix shows, clause by clause: where it is broken and how, and what patches do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from buildkit_bisect.events import Column
from buildkit_bisect.headline import Mark
from buildkit_bisect.model import ToolOutcome, Verdict
from buildkit_bisect.phrases import are, every, listed, plural, share
from buildkit_bisect.render import patched, symbols, table
from buildkit_bisect.render.text import shorten
from buildkit_bisect.result import (
    CellInfo,
    Result,
)
from buildkit_bisect.result.labels import axis_label

#: Maximum number of columns that a sentence names.
_NAMED = 3

#: Maximum length of a name in a sentence with many.
_NAME = 80


def clauses(result: Result, mark: Mark = str) -> list[str]:
    """Return what a matrix shows, clause by clause; [] if nothing ran or there is a search.

    Names are passed through *mark*, and the rest is plain.
    """

    def brief(name: str) -> str:
        return mark(shorten(name, _NAME))

    grid = table.matrix(result)
    if result.bisect or result.validation or not grid.cells:
        return []
    found = [
        *_broken(grid, brief),
        *patched.clauses(grid, brief),
        _flaky_elsewhere(grid, brief),
        *controls(grid, brief),
    ]
    return [part[:1].upper() + part[1:] for part in found if part]


def own_cells(grid: table.Matrix) -> dict[tuple[table.Row, Column], CellInfo]:
    """Return the cells that are not controls."""
    return {key: cell for key, cell in grid.cells.items() if not key[1].control}


def _broken(grid: table.Matrix, mark: Mark) -> list[str]:
    """Return clauses on which unpatched variants are broken, where and how."""
    plain = {k: c for k, c in own_cells(grid).items() if not k[0].patches}
    tested = {key: cell for key, cell in plain.items() if patched.was_tested(cell)}
    own: dict[table.Row, list[CellInfo]] = defaultdict(list)
    for (row, _), cell in plain.items():
        own[row].append(cell)
    rows = [r for r in grid.rows if r in own]
    if not rows:
        return []
    ways: dict[str, list[table.Row]] = defaultdict(list)
    places: dict[str, list[Column]] = defaultdict(list)
    bad_columns: list[Column] = []
    for (row, column), cell in tested.items():
        if cell.verdict == Verdict.BAD:
            bad_columns.append(column)
            places[cell.outcome].append(column)
            if row not in ways[cell.outcome]:
                ways[cell.outcome].append(row)
    bad = [r for r in rows if any(c.verdict == Verdict.BAD for c in own[r])]
    if not bad:
        return [whole(own, mark)]
    if len(rows) == 1:
        head = f"broken in {mark(rows[0].label)}"
    elif len(bad) == len(rows):
        head = f"broken in {every(len(rows))} {ran(grid, rows)}{table.noun(rows)}s"
    else:
        head = f"broken in {len(bad)} of {len(rows)} {ran(grid, rows)}{table.noun(rows)}s"
    common = only_in(grid, tested, mark)
    columns, failing = {column for _, column in tested}, set(bad_columns)
    parts = []
    for outcome in sorted(ways, key=lambda o: (-len(places[o]), o)):
        cells = _cells(grid, places[outcome], columns, mark)
        where = spans(rows, ways[outcome], mark) if len(rows) > 1 else []
        same = bool(common) and set(places[outcome]) == failing
        with_ = f" {cells}" if cells and not same else ""
        parts.append(
            f"{mark(symbols.word(outcome))}{with_}" + (f" ({_few(where)})" if where else "")
        )
    untested = [r for r in rows if not any(map(patched.was_tested, own[r]))]
    # A clause begins with a capital, which would change a name.
    missing = f"could not be tested: {listed([mark(r.label) for r in untested])}"
    flaky = [k[0] for k, c in tested.items() if c.outcome == ToolOutcome.FLAKY]
    names = listed([mark(r.label) for r in dict.fromkeys(flaky)])
    doubt = f"{plural(len(flaky), 'cell')} flaky ({names})"
    return [
        f"{head}{common}: {_few(parts, between='; ')}",
        doubt if flaky else "",
        missing if untested else "",
    ]


def ran(grid: table.Matrix, rows: Sequence[table.Row]) -> str:
    """Return ``tested `` if only controls of some unpatched row ran, which is not in *rows*."""
    return "tested " if len(rows) < sum(not row.patches for row in grid.rows) else ""


def _cells(grid: table.Matrix, some: list[Column], tested: set[Column], mark: Mark) -> str:
    """Return ``with`` the headers of *some* columns, or how many; "" if all that were tested."""
    distinct = dict.fromkeys(some)
    if len(distinct) == len(tested):
        return ""
    if len(distinct) > _NAMED:
        return f"in {len(distinct)} of {len(tested)} cells"
    headers = {c: grid.name(c) for g in grid.groups for c in g.columns}
    return f"with {listed([mark(headers[column]) for column in headers if column in distinct])}"


def _few(names: list[str], limit: int = 6, between: str = ", ") -> str:
    """Join at most *limit* names, with *between* them."""
    more = len(names) - limit + 1
    shown = [*names[: limit - 1], f"{more} more"] if more > 1 else names
    return between.join(shown)


def whole(own: Mapping[table.Row, list[CellInfo]], mark: Mark) -> str:
    """Return the clause for a matrix without a bad cell."""
    cells = [cell for some in own.values() for cell in some]
    if not any(map(patched.was_tested, cells)):
        return "nothing could be tested"
    unsure = [r for r, some in own.items() if any(c.verdict != Verdict.GOOD for c in some)]
    if unsure:
        names = listed([mark(row.label) for row in unsure])
        return f"no tested cell is bad, but some cells of {names} {doubt(cells)}"
    count = len(cells)
    return f"nothing is broken: {share(count, count, 'tested cell')} {are(count)} good"


def doubt(cells: Sequence[CellInfo]) -> str:
    """Return why some of *cells* are neither good nor bad: ``are inconclusive``; or ""."""
    weak = any(
        c.verdict not in (Verdict.GOOD, Verdict.BAD) and patched.was_tested(c) for c in cells
    )
    missing = not all(map(patched.was_tested, cells))
    return " or ".join([*["are inconclusive"] * weak, *["could not be tested"] * missing])


def only_in(
    grid: table.Matrix, tested: Mapping[tuple[table.Row, Column], CellInfo], mark: Mark
) -> str:
    """Return the axis values that all bad cells have, but not all of *tested*, the tested cells.

    "" also if a row with bad cells lacks others: they may be bad too.
    """
    columns = {column for _, column in tested}
    found = [key for key, cell in tested.items() if cell.verdict == Verdict.BAD]
    if any((row, column) not in tested for row, _ in found for column in columns):
        return ""
    bad = [column for _, column in found]
    common = []
    scenarios = {group.scenario.name: group.scenario for group in grid.groups}
    if len({c.scenario for c in bad}) == 1 and len({c.scenario for c in columns}) > 1:
        common.append(f"scenario {mark(bad[0].scenario)}")
    if len({c.scenario for c in bad}) == 1:
        for name, _ in bad[0].axes:
            values = {dict(c.axes)[name] for c in bad}
            every = {dict(c.axes)[name] for c in columns if c.scenario == bad[0].scenario}
            if len(values) == 1 and len(every) > 1:
                common.append(mark(axis_label(scenarios[bad[0].scenario], name, values.pop())))
    return f", only with {listed(common)}" if common else ""


def spans(rows: list[table.Row], some: list[table.Row], mark: Mark) -> list[str]:
    """Return labels of rows, with three or more adjacent ones as ``v0.20.0 to v0.24.0``."""
    spans: list[list[table.Row]] = []
    for n, row in enumerate(rows):
        if row not in some:
            continue
        if spans and n and rows[n - 1] is spans[-1][-1]:
            spans[-1].append(row)
        else:
            spans.append([row])
    named: list[str] = []
    for span in spans:
        if len(span) > 2:  # noqa: PLR2004 - both are named
            named.append(f"{mark(span[0].label)} to {mark(span[-1].label)}")
        else:
            named += [mark(row.label) for row in span]
    return named


def _flaky_elsewhere(grid: table.Matrix, mark: Mark) -> str:
    """Return a clause on cells whose trials agree here, but not all that are known; or ""."""
    rows = [
        row
        for (row, _), cell in grid.cells.items()
        if symbols.flaky(cell) and cell.outcome != ToolOutcome.FLAKY
    ]
    names = listed([mark(row.label) for row in dict.fromkeys(rows)])
    known = "by all trials known on this machine"
    return f"{plural(len(rows), 'cell')} flaky {known} ({names})" if rows else ""


def controls(grid: table.Matrix, mark: Mark) -> list[str]:
    """Return a clause on the controls; a row whose controls fail proves nothing."""
    ran = _ran(grid)
    if not ran:
        return []
    failed = failed_controls(grid)
    if not failed:
        cell = "control cell" if controls_ran(grid) else "tested control cell"
        return [f"{share(len(ran), len(ran), cell)} {are(len(ran))} good"]
    rows = dict.fromkeys(failed)
    cells = share(len(failed), len(ran), "control cell")
    its = "its" if len(failed) == 1 else "their"
    nothing = f"{its} {'row proves' if len(rows) == 1 else 'rows prove'} nothing"
    names = listed([mark(row.label) for row in rows])
    return [f"{cells} {are(len(failed))} not good, so {nothing} ({names})"]


def failed_controls(grid: table.Matrix) -> list[table.Row]:
    """Return the row of each control that ran and is not good."""
    return [row for row, cell in _ran(grid) if cell.verdict != Verdict.GOOD]


def controls_ran(grid: table.Matrix) -> bool:
    """Whether every control ran in every row."""
    columns = [c for group in grid.groups for c in group.columns if c.control]
    return len(_ran(grid)) == len(columns) * len(grid.rows)


def _ran(grid: table.Matrix) -> list[tuple[table.Row, CellInfo]]:
    return [
        (row, cell)
        for (row, column), cell in grid.cells.items()
        if column.control and (cell.verdict != Verdict.SKIP or cell.trials)
    ]
