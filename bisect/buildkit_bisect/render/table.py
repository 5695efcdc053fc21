"""The matrix of a result: rows are variants, columns are axis values grouped by scenario."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from buildkit_bisect.events import Column
from buildkit_bisect.phrases import labelled
from buildkit_bisect.render import symbols
from buildkit_bisect.result import CellInfo, Result, RevisionInfo, ScenarioInfo
from buildkit_bisect.result.labels import cell_label

UPSTREAM = "https://github.com/moby/buildkit"

_SHA = re.compile(r"[0-9a-f]{40}")

#: An axis value of this length needs no axis name; ``yes`` and ``no`` do.
_SPEAKS = 4


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Row:
    """A variant on a machine. A matrix has one object for each: looking up its cells is cheap."""

    ref: str
    sha: str  # as `CellInfo.revision`
    patches: tuple[str, ...]
    info: RevisionInfo | None
    machine: str = ""  # as `CellInfo.machine`

    @property
    def label(self) -> str:
        """The same as `model.Variant.label`, and the machine if the result has several."""
        return self.named(" + ".join([self.ref, *self.patches]))

    def named(self, text: str) -> str:
        """Return *text*, a name of this row's, with its machine if the result has several."""
        return f"{text} on {self.machine}" if self.machine else text

    @property
    def short(self) -> str:
        """Twelve digits of the commit ID, or the module version."""
        return self.sha[:12] if _SHA.fullmatch(self.sha) else self.sha


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """A scenario's columns, controls last."""

    scenario: ScenarioInfo
    columns: tuple[Column, ...]

    def header(self, column: Column) -> tuple[str, ...]:
        """Return what distinguishes *column* from the others: ``stargz``, ``bases different``.

        Axes that do not vary are omitted, and the first one's name if its value is long enough.
        """
        values = dict(column.axes)
        varying = [n for n, spec in self.scenario.axes.items() if len(spec["values"]) > 1]
        names = [n for n in varying or self.scenario.axes if n in values]
        return tuple(
            values[name] if n == 0 and len(values[name]) >= _SPEAKS else f"{name} {values[name]}"
            for n, name in enumerate(names)
        )

    def label(self, column: Column) -> str:
        """Return the column in words: ``lazy snapshotter (stargz), two base images``.

        It is "" if the scenario has no axes; `Matrix.name` never is.
        """
        return cell_label(self.scenario, dict(column.axes))


@dataclass(frozen=True, kw_only=True, slots=True)
class Matrix:
    """The matrix that all reports of a result show."""

    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    cells: dict[tuple[Row, Column], CellInfo]

    def cell(self, row: Row, column: Column) -> CellInfo | None:
        """Return the cell; None if it was not run."""
        return self.cells.get((row, column))

    def name(self, column: Column) -> str:
        """Return the column in words, after its scenario's name if there are several.

        The column of a scenario without axes has the scenario's name.
        """
        group = next(g for g in self.groups if g.scenario.name == column.scenario)
        label = group.label(column)
        return label if label and len(self.groups) == 1 else labelled(column.scenario, label)

    def symbol(self, row: Row, column: Column) -> symbols.Symbol:
        """Return the symbol of the cell."""
        cell = self.cell(row, column)
        return symbols.of_cell(cell) if cell else symbols.NONE


#: The ref, the revision, the patches and the machine of a row.
_Key = tuple[str, str, tuple[str, ...], str]


def _key(cell: CellInfo) -> _Key:
    return cell.ref, cell.revision, cell.patches, cell.machine


def column_of(cell: CellInfo) -> Column:
    """Return the column of *cell*."""
    axes = tuple(sorted(cell.axes.items()))
    return Column(scenario=cell.scenario, axes=axes, control=cell.control)


#: The last results and their matrices. Results as a whole, so that an id is not another's.
_last: list[tuple[Result, Matrix]] = []


def matrix(result: Result) -> Matrix:
    """Return rows in the order of revisions, unpatched first, and columns in that of the axes."""
    # Every part of a report asks for it, of the document and of what `spoken` makes of it.
    for known, made in _last:
        if known is result:
            return made
    _last[:] = [(result, _matrix(result)), *_last[:1]]
    return _last[0][1]


def _matrix(result: Result) -> Matrix:
    order = {(r.ref, r.sha): n for n, r in enumerate(result.revisions)}
    infos = {r.sha: r for r in result.revisions} | {
        (r.ref + r.sha): r for r in result.revisions
    }  # a commit may have two refs
    rows: dict[_Key, Row] = {}
    for cell in result.cells:
        key = _key(cell)
        if key in rows:
            continue
        info = infos.get(cell.ref + cell.revision) or infos.get(cell.revision)
        rows[key] = Row(
            ref=cell.ref,
            sha=cell.revision,
            patches=cell.patches,
            info=info,
            machine=cell.machine,
        )
    where = {key: n for n, key in enumerate(rows)}
    ranked = sorted(
        rows,
        key=lambda k: (order.get((k[0], k[1]), len(order)), len(k[2]), where[k]),
    )
    columns = {column_of(cell) for cell in result.cells}
    groups = tuple(Group(scenario=s, columns=_columns(s, columns)) for s in result.scenarios)
    return Matrix(
        rows=tuple(rows[k] for k in ranked),
        groups=tuple(g for g in groups if g.columns),
        cells={(rows[_key(c)], column_of(c)): c for c in result.cells},
    )


def noun(rows: Sequence[Row]) -> str:
    """Return ``revision``, or ``row`` if a revision is in several of *rows*, unpatched ones."""
    return "revision" if len({(row.ref, row.sha) for row in rows}) == len(rows) else "row"


def _columns(scenario: ScenarioInfo, columns: set[Column]) -> tuple[Column, ...]:
    own = [column for column in columns if column.scenario == scenario.name]
    return tuple(sorted(own, key=lambda column: _place(scenario, column)))


def _place(scenario: ScenarioInfo, column: Column) -> tuple[object, ...]:
    values = dict(column.axes)
    ranks = tuple(
        spec["values"].index(values[name]) if values.get(name) in spec["values"] else 99
        for name, spec in scenario.axes.items()
    )
    return (column.control, ranks, column.axes)


def names(result: Result) -> dict[str, str]:
    """Return the requested tag or branch of each commit ID, except for refs that are IDs."""
    return {r.sha: r.ref for r in result.revisions if r.sha and not r.sha.startswith(r.ref)}


def web(result: Result) -> str:
    """Return the URL of the source's GitHub repository, else upstream's."""
    match = re.match(
        r"(?:https://|git@|ssh://git@)github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?$",
        result.source.get("repo", ""),
    )
    return f"https://github.com/{match[1]}" if match else UPSTREAM


def commit_url(result: Result, sha: str) -> str:
    """Return the URL of the commit, of the tag for a module version, else ""."""
    if _SHA.fullmatch(sha):
        return f"{web(result)}/commit/{sha}"
    return f"{web(result)}/tree/{sha}" if re.fullmatch(r"v\d+\.\d+\.\d+(-rc\d+)?", sha) else ""


def compare_url(result: Result, old: str, new: str) -> str:
    """Return the URL that compares two revisions; "" if either has no page."""
    if not (commit_url(result, old) and commit_url(result, new)):
        return ""
    return f"{web(result)}/compare/{old[:12]}...{new[:12]}"
