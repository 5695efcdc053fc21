"""The sentence at the top of a report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from buildkit_bisect.events import Column
from buildkit_bisect.model import ToolOutcome, Verdict
from buildkit_bisect.phrases import listed, plural
from buildkit_bisect.render import patched, symbols, table
from buildkit_bisect.render.text import shorten
from buildkit_bisect.result import (
    BisectInfo,
    CampaignKind,
    CellInfo,
    ChangeInfo,
    Result,
    SearchStatus,
)
from buildkit_bisect.result.sentence import verdict

#: Maximum number of columns that a sentence names.
_NAMED = 3

#: Maximum length of a name in a sentence with many.
_NAME = 80

#: Marks up a commit ID, a name or an outcome.
Mark = Callable[[str], str]


def finding(result: Result, mark: Mark = str) -> str:
    """Return the finding as a sentence, with names passed through *mark* and the rest plain.

    Names longer than a log line may be are shortened.
    """
    return _finding(result, lambda name: mark(shorten(name)))


def _finding(result: Result, mark: Mark) -> str:
    if result.bisect:
        return _search(result, result.bisect, mark)
    if result.validation:
        return verdict(result.validation, mark)
    grid = table.matrix(result)
    if not grid.cells:
        return "Nothing was run."
    if len(grid.cells) == 1:
        ((row, column), cell) = next(iter(grid.cells.items()))
        where = listed([mark(f"{n} {v}") for n, v in column.axes])
        outcome = f"{mark(symbols.word(cell.outcome))} {_of(cell)}".rstrip()
        beside = symbols.more(cell)
        known = f"; {symbols.known(cell.outcome, beside)}" if beside else ""
        return f"{mark(row.label)} with {where} is {cell.verdict}: {outcome}{known}."

    def brief(name: str) -> str:
        return mark(shorten(name, _NAME))

    return _sentence(
        [
            *_broken(grid, brief),
            *patched.clauses(grid, brief),
            _flaky_elsewhere(grid, brief),
            *_controls(grid, brief),
        ]
    )


def _sentence(parts: Iterable[str]) -> str:
    text = "; ".join(part for part in parts if part)
    return text[:1].upper() + text[1:] + "."


def _of(cell: CellInfo) -> str:
    tally = symbols.own(cell)
    return f"({tally})" if tally else ""


def _tested(grid: table.Matrix) -> dict[tuple[table.Row, Column], CellInfo]:
    return {key: cell for key, cell in grid.cells.items() if not key[1].control}


def _broken(grid: table.Matrix, mark: Mark) -> list[str]:
    """Return clauses on which unpatched variants are broken, where and how."""
    tested = {k: c for k, c in _tested(grid).items() if not k[0].patches}
    own: dict[table.Row, list[CellInfo]] = defaultdict(list)
    for (row, _), cell in tested.items():
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
        return [_whole(own, mark)]
    if len(rows) == 1:
        head = f"broken in {mark(rows[0].label)}"
    elif len(bad) == len(rows):
        head = f"broken in all {len(rows)} variants"
    else:
        head = f"broken in {len(bad)} of {len(rows)} variants"
    common = _where(tested, bad_columns, mark)
    columns, failing = {column for _, column in tested}, set(bad_columns)
    parts = []
    for outcome in sorted(ways, key=lambda o: (-len(places[o]), o)):
        cells = _cells(grid, places[outcome], columns, mark)
        where = _spans(rows, ways[outcome], mark) if len(rows) > 1 else []
        every = bool(common) and set(places[outcome]) == failing
        with_ = f" with {listed(cells)}" if cells and not every else ""
        parts.append(
            f"{mark(symbols.word(outcome))}{with_}" + (f" ({_few(where)})" if where else "")
        )
    untested = [r for r in rows if all(c.verdict in {Verdict.SKIP, Verdict.INFRA} for c in own[r])]
    missing = f"{listed([mark(r.label) for r in untested])} could not be tested"
    flaky = [k[0] for k, c in tested.items() if c.outcome == ToolOutcome.FLAKY]
    names = listed([mark(r.label) for r in dict.fromkeys(flaky)])
    doubt = f"{plural(len(flaky), 'cell')} flaky ({names})"
    return [
        f"{head}{common}: {_few(parts)}",
        doubt if flaky else "",
        missing if untested else "",
    ]


def _cells(grid: table.Matrix, some: list[Column], tested: set[Column], mark: Mark) -> list[str]:
    """Return the headers of *some* columns; none if they are many, or all that were tested."""
    distinct = dict.fromkeys(some)
    if len(distinct) == len(tested) or len(distinct) > _NAMED:
        return []
    headers = {c: " ".join(g.header(c)) for g in grid.groups for c in g.columns}
    return [mark(headers[column]) for column in headers if column in distinct]


def _few(names: list[str], limit: int = 6) -> str:
    """Join at most *limit* names for a parenthesis."""
    more = len(names) - limit + 1
    shown = [*names[: limit - 1], f"{more} more"] if more > 1 else names
    return ", ".join(shown)


def _whole(own: Mapping[table.Row, list[CellInfo]], mark: Mark) -> str:
    """Return the clause for a matrix without a bad cell."""
    unsure = [
        mark(r.label) for r, cells in own.items() if any(c.verdict != Verdict.GOOD for c in cells)
    ]
    if unsure:
        return f"no tested cell is bad, but some cells of {listed(unsure)} are inconclusive"
    count = sum(len(cells) for cells in own.values())
    return f"nothing is broken: all {plural(count, 'tested cell')} are good"


def _where(tested: Iterable[tuple[table.Row, Column]], bad: list[Column], mark: Mark) -> str:
    """Return the axis values that all bad cells have, but not all tested cells."""
    common = []
    columns = {column for _, column in tested}
    if len({c.scenario for c in bad}) == 1 and len({c.scenario for c in columns}) > 1:
        common.append(f"scenario {mark(bad[0].scenario)}")
    if len({c.scenario for c in bad}) == 1:
        for name, _ in bad[0].axes:
            values = {dict(c.axes)[name] for c in bad}
            every = {dict(c.axes)[name] for c in columns if c.scenario == bad[0].scenario}
            if len(values) == 1 and len(every) > 1:
                common.append(mark(f"{name} {values.pop()}"))
    return f", only with {listed(common)}" if common else ""


def _spans(rows: list[table.Row], some: list[table.Row], mark: Mark) -> list[str]:
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


def _controls(grid: table.Matrix, mark: Mark) -> list[str]:
    """Return a clause on the controls; a row whose controls fail proves nothing."""
    controls = {k: c for k, c in grid.cells.items() if k[1].control}
    ran = [c for c in controls.values() if c.verdict != Verdict.SKIP or c.trials]
    if not ran:
        return []
    failed = [k[0] for k, c in controls.items() if c in ran and c.verdict != Verdict.GOOD]
    if not failed:
        return [f"all {len(ran)} control cells are good"]
    rows = listed([mark(r.label) for r in dict.fromkeys(failed)])
    count = f"{len(failed)} of {len(ran)}"
    return [f"{count} control cells are not good, so their rows prove nothing ({rows})"]


def _search(result: Result, info: BisectInfo, mark: Mark) -> str:
    subjects = {r.sha: r.subject for r in result.revisions if r.subject}
    which = Verdict.GOOD if info.find_fix else Verdict.BAD
    if info.changes:
        headers = _headers(result)
        names = listed(_changed(info.changes, headers, mark), 5)
        count = plural(len(info.changes), "change")
        return f"{count} of outcome between {mark(info.good)} and {mark(info.bad)}: {names}."
    if result.kind == CampaignKind.BOUNDARIES and info.status == SearchStatus.FOUND:
        return f"No change of outcome between {mark(info.good)} and {mark(info.bad)}."
    match info.status:
        case SearchStatus.FOUND:
            subject = subjects.get(info.first_bad, "")
            title = f" ({mark(subject)})" if subject else ""
            sure = f", confidence {percent(info.confidence)}" if info.confidence else ""
            return f"The first {which} commit is {mark(info.first_bad[:12])}{title}{sure}."
        case SearchStatus.RANGE:
            return _range(info, which, mark)
        case SearchStatus.REFUSED:
            return f"No search between these endpoints: {mark(info.reason)}."
        case _:
            return f"The search is inconclusive: {mark(info.reason)}."


def _range(info: BisectInfo, which: str, mark: Mark) -> str:
    reason = mark(info.reason)
    if len(info.candidates) == 1:  # it could not be tested itself
        return f"The first {which} commit is not proven: {reason}."
    names = listed([mark(c.sha[:12]) for c in info.candidates])
    return _sentence([
        f"the first {which} commit is one of {len(info.candidates)} ({names})",
        f"it cannot be narrowed further: {reason}",
    ])  # fmt: skip


def _headers(result: Result) -> dict[tuple[str, frozenset[tuple[str, str]]], str]:
    """Return ``stargz bases different`` for the scenario and axes of each column."""
    return {
        (column.scenario, frozenset(column.axes)): " ".join(group.header(column))
        for group in table.matrix(result).groups
        for column in group.columns
    }


def _changed(
    changes: Iterable[ChangeInfo],
    headers: Mapping[tuple[str, frozenset[tuple[str, str]]], str],
    mark: Mark,
) -> list[str]:
    """Return ``051818cf3 (stargz bases same: cached, then export failed)`` for each change.

    Cells in which a commit makes the same change are listed together.
    """
    cells_of: dict[tuple[str, tuple[str, ...], str], list[str]] = {}
    for change in changes:
        how = f"{mark(symbols.word(change.before))}, then {mark(symbols.word(change.after))}"
        count = len(change.candidates)
        within = f" in {mark(change.merge[:12])}" if change.merge else ""
        one = f"one of {plural(count, 'commit')}{within}"
        commit = mark(change.sha[:12]) if change.sha else one
        plain = " ".join(f"{name} {value}" for name, value in sorted(change.axes.items()))
        cell = headers.get((change.scenario, frozenset(change.axes.items())), plain)
        where = tuple(c.sha for c in change.candidates)
        cells_of.setdefault((commit, where, how), []).extend([mark(cell)] if cell else [])
    return [
        f"{commit} ({listed(cells, 3)}{': ' if cells else ''}{how})"
        for (commit, _, how), cells in cells_of.items()
    ]


def percent(share: float) -> str:
    """Return ``99.7 %``; never rounded up to 100 %."""
    return f"{min(share * 100, 99.99):.4g} %"
