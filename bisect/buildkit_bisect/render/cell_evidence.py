"""The evidence for cells in a report: the relevant lines, shown once for equal cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from buildkit_bisect.events import Column
from buildkit_bisect.model import ToolOutcome, Verdict, VertexState
from buildkit_bisect.phrases import listed
from buildkit_bisect.render import symbols, table, text
from buildkit_bisect.result import CellInfo, Result, StepInfo, TrialInfo

#: Most important first.
_ORDER: dict[str, int] = {
    Verdict.BAD: 0,
    Verdict.WEAK: 1,
    Verdict.INFRA: 2,
    Verdict.SKIP: 3,
    Verdict.GOOD: 4,
}

#: Maximum number of rows and of columns in the title of a fold.
_ROWS, _HEADERS = 6, 4

#: Bytes read from the end of a log beside the result.
_TAIL = 256 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A cell and its place in the matrix."""

    row: table.Row
    column: Column
    header: str  # the column in words, with its scenario if there are several
    values: str  # its axis values as options name them: ``stargz bases different``
    cell: CellInfo


@dataclass(frozen=True, kw_only=True, slots=True)
class Fold:
    """Cells of one scenario with the same evidence, which is shown once for all of them."""

    symbol: symbols.Symbol
    outcome: str
    verdict: str
    reason: str
    lines: tuple[str, ...]
    places: list[Place] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether the title names every cell: they are all its rows in all its columns."""
        rows = {p.row for p in self.places}
        headers = {p.header for p in self.places}
        named = len(rows) <= _ROWS and len(headers) <= _HEADERS
        return named and len(rows) * len(headers) == len(self.places)

    @property
    def title(self) -> str:
        """``v0.26.0 and master: lazy snapshotter (stargz), two base images``."""
        rows = dict.fromkeys(p.row.label for p in self.places)
        headers = dict.fromkeys(p.header for p in self.places)
        return f"{listed(rows, _ROWS)}: {listed(headers, _HEADERS)}"


def folds(result: Result, folder: Path | None, limit: int) -> list[Fold]:
    """Return all cells that were run, folded, bad ones first; at most *limit* log lines each."""
    grid = table.matrix(result)
    made: dict[tuple[object, ...], Fold] = {}
    dull = boring(result)
    for place in places(grid):
        cell = place.cell
        shown = tuple(lines(cell, folder, limit, dull))
        fold = made.setdefault(
            (cell.scenario, cell.outcome, cell.verdict, cell.reason, shown),
            Fold(
                symbol=symbols.of(cell.outcome, cell.verdict),
                outcome=cell.outcome,
                verdict=cell.verdict,
                reason=text.shorten(cell.reason, text.TEXT),
                lines=shown,
            ),
        )
        fold.places.append(place)
    return sorted(made.values(), key=lambda f: _ORDER.get(f.verdict, 1))


def boring(result: Result) -> frozenset[str]:
    """Return the `text.gist` of daemon log lines that explain no failure.

    These are the lines of good trials, and those that trials of every outcome have.
    """
    logged: dict[tuple[str, str], set[str]] = {}
    for trial in (t for c in result.cells for t in c.trials):
        lines = logged.setdefault((trial.verdict, trial.outcome), set())
        lines.update(text.gist(line) for line in text.stripped(trial.daemon_log))
    good = [lines for (verdict, _), lines in logged.items() if verdict == Verdict.GOOD]
    always = set.intersection(*logged.values()) if len(logged) > 1 else set()
    return frozenset(always.union(*good))


def places(grid: table.Matrix) -> Iterator[Place]:
    """Yield every cell that was run, row by row."""
    columns = [
        (column, grid.name(column), " ".join(group.header(column)))
        for group in grid.groups
        for column in group.columns
    ]
    for row in grid.rows:
        for column, header, values in columns:
            if cell := grid.cell(row, column):
                yield Place(row=row, column=column, header=header, values=values, cell=cell)


def lines(cell: CellInfo, folder: Path | None, limit: int, dull: frozenset[str]) -> Iterator[str]:
    """Yield a cell's evidence: compile output, then one trial of each outcome."""
    if cell.log and folder:
        yield from text.matters(tail(folder, cell.log), limit)
    for trial in representatives(cell):
        if cell.outcome == ToolOutcome.FLAKY:
            yield f"trial with the outcome {symbols.word(text.clean(trial.outcome))}:"
        yield from map(text.clean, trial_lines(trial, limit, dull))


def representatives(cell: CellInfo) -> list[TrialInfo]:
    """Return one trial of each outcome, the most frequent outcome first."""
    first: dict[str, TrialInfo] = {}
    for trial in cell.trials:
        first.setdefault(trial.outcome, trial)
    return sorted(first.values(), key=lambda t: (-cell.counts.get(t.outcome, 0), t.outcome))


def trial_lines(trial: TrialInfo, limit: int, dull: frozenset[str]) -> Iterator[str]:
    """Yield a trial in a few lines: the result of each step, what was cached, the daemon's log."""
    for step in trial.steps:
        yield f"step {step.id}: {ended(step)}"
        for vertex in step.vertices:
            if " RUN " in f" {vertex['name']} " or vertex["state"] == VertexState.FAILED:
                yield f"  {vertex['state']:6} {text.shorten(vertex['name'], 120)}"
                printed = text.stripped(vertex.get("log", ""))[-limit:] if limit else ()
                yield from (f"    | {text.shorten(line)}" for line in printed)
        if step.error:
            yield from (f"  {line}" for line in text.matters(step.error, limit))
    if trial.daemon_log and trial.verdict != Verdict.GOOD:
        logged = text.matters(trial.daemon_log, limit, dull)
        if logged:
            yield "daemon log:"
            yield from (f"  {line}" for line in logged)


def ended(step: StepInfo) -> str:
    """Return ``ok`` or ``exited 1``, and how many records kept their layers in the export."""
    how = "timed out" if step.timed_out else f"exited {step.exit}" if step.exit else "ok"
    kept = f", {step.kept[0]} of {step.kept[1]} inner records have layers" if step.kept else ""
    return how + kept


def tail(folder: Path, name: str) -> str:
    """Return the end of a file beside the result; "" if it is missing or outside *folder*."""
    try:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            return file.read().decode(errors="replace")
    except (OSError, ValueError):  # a document may contain an invalid path
        return ""
