"""What a report shows of a cell: the lines that matter, and the same lines once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from buildkit_bisect.events import Column
from buildkit_bisect.model import ToolOutcome, Verdict, VertexState
from buildkit_bisect.phrases import listed
from buildkit_bisect.render import symbols, table, text
from buildkit_bisect.result import CellInfo, Result, StepInfo, TrialInfo

#: What matters most comes first.
_ORDER: dict[str, int] = {
    Verdict.BAD: 0,
    Verdict.WEAK: 1,
    Verdict.INFRA: 2,
    Verdict.SKIP: 3,
    Verdict.GOOD: 4,
}

#: Rows and columns that the title of a fold names.
_ROWS, _HEADERS = 6, 4

#: Bytes read of a log that lies beside the result.
_TAIL = 256 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A cell with its place in the matrix."""

    row: table.Row
    column: Column
    header: str  # of the column, on one line
    cell: CellInfo


@dataclass(frozen=True, kw_only=True, slots=True)
class Fold:
    """Cells of one scenario that show the same; *lines* is shown once for all of them."""

    symbol: symbols.Symbol
    outcome: str
    verdict: str
    reason: str
    lines: tuple[str, ...]
    places: list[Place] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether the title names every cell: all of its rows in all of its columns."""
        rows = {p.row for p in self.places}
        headers = {p.header for p in self.places}
        named = len(rows) <= _ROWS and len(headers) <= _HEADERS
        return named and len(rows) * len(headers) == len(self.places)

    @property
    def title(self) -> str:
        """``v0.26.0 and master: stargz bases different``."""
        rows = dict.fromkeys(p.row.label for p in self.places)
        headers = dict.fromkeys(p.header for p in self.places)
        return f"{listed(rows, _ROWS)}: {listed(headers, _HEADERS)}"


def folds(result: Result, folder: Path | None, limit: int) -> list[Fold]:
    """Every cell that was run, folded; bad ones first. At most *limit* log lines each."""
    grid = table.matrix(result)
    made: dict[tuple[object, ...], Fold] = {}
    dull = boring(result)
    for place in places(grid):
        cell = place.cell
        told = tuple(lines(cell, folder, limit, dull))
        fold = made.setdefault(
            (cell.scenario, cell.outcome, cell.verdict, cell.reason, told),
            Fold(
                symbol=symbols.of(cell.outcome, cell.verdict),
                outcome=cell.outcome,
                verdict=cell.verdict,
                reason=text.shorten(cell.reason, text.TEXT),
                lines=told,
            ),
        )
        fold.places.append(place)
    return sorted(made.values(), key=lambda f: _ORDER.get(f.verdict, 1))


def boring(result: Result) -> frozenset[str]:
    """The `text.gist` of what daemons say whatever happens: it explains no failure.

    That is what good trials say too, and what trials of every outcome say.
    """
    said: dict[tuple[str, str], set[str]] = {}
    for trial in (t for c in result.cells for t in c.trials):
        lines = said.setdefault((trial.verdict, trial.outcome), set())
        lines.update(text.gist(line) for line in text.stripped(trial.daemon_log))
    good = [lines for (verdict, _), lines in said.items() if verdict == Verdict.GOOD]
    always = set.intersection(*said.values()) if len(said) > 1 else set()
    return frozenset(always.union(*good))


def places(grid: table.Matrix) -> Iterator[Place]:
    """Every cell that was run, row by row."""
    for row in grid.rows:
        for group in grid.groups:
            for column in group.columns:
                cell = grid.cell(row, column)
                if cell:
                    header = " ".join(group.header(column))
                    yield Place(row=row, column=column, header=header, cell=cell)


def lines(cell: CellInfo, folder: Path | None, limit: int, dull: frozenset[str]) -> Iterator[str]:
    """A cell's evidence: compile output, then one trial of each outcome."""
    if cell.log and folder:
        yield from text.matters(tail(folder, cell.log), limit)
    for trial in telling(cell):
        if cell.outcome == ToolOutcome.FLAKY:
            yield f"trial that was {symbols.word(text.clean(trial.outcome))}:"
        yield from map(text.clean, trial_lines(trial, limit, dull))


def telling(cell: CellInfo) -> list[TrialInfo]:
    """One trial of each outcome that was seen, the commonest first."""
    first: dict[str, TrialInfo] = {}
    for trial in cell.trials:
        first.setdefault(trial.outcome, trial)
    return sorted(first.values(), key=lambda t: (-cell.counts.get(t.outcome, 0), t.outcome))


def trial_lines(trial: TrialInfo, limit: int, dull: frozenset[str]) -> Iterator[str]:
    """A trial in a few lines: how each step ended, what was cached, what the daemon said."""
    for step in trial.steps:
        yield f"step {step.id}: {ended(step)}"
        for vertex in step.vertices:
            if " RUN " in f" {vertex['name']} " or vertex["state"] == VertexState.FAILED:
                yield f"  {vertex['state']:6} {text.shorten(vertex['name'], 120)}"
        if step.error:
            yield from (f"  {line}" for line in text.matters(step.error, limit))
    if trial.daemon_log and trial.verdict != Verdict.GOOD:
        said = text.matters(trial.daemon_log, limit, dull)
        if said:
            yield "daemon log:"
            yield from (f"  {line}" for line in said)


def ended(step: StepInfo) -> str:
    """``ok``, ``exited 1``, and how many layers the export kept."""
    how = "timed out" if step.timed_out else f"exited {step.exit}" if step.exit else "ok"
    kept = f", {step.kept[0]} of {step.kept[1]} inner records have layers" if step.kept else ""
    return how + kept


def tail(folder: Path, name: str) -> str:
    """The end of a file beside the result; "" where it is not there, or not below *folder*."""
    try:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            return file.read().decode(errors="replace")
    except (OSError, ValueError):  # a document may name what no path can be
        return ""
