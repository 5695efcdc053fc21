"""The data of each cell in the HTML page, with equal evidence stored once."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from buildkit_bisect.events import Column
from buildkit_bisect.model import Verdict
from buildkit_bisect.render import cell_evidence, symbols, table, text
from buildkit_bisect.result import CellInfo, Result, StepInfo, TrialInfo

_NAME = 150  # maximum length of the name of a variant or an outcome
_DIGEST = 12  # digits of a digest

_encoded = json.JSONEncoder(sort_keys=True).encode


class Pool:
    """Numbered values, equal ones stored once, as many cells have the same evidence."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[str, int] = {}

    def number(self, value: Any) -> int:
        """Return the index of *value* in `values`."""
        key = _encoded(value)
        if key not in self._numbers:
            self._numbers[key] = len(self.values)
            self.values.append(value)
        return self._numbers[key]


def data(result: Result, folder: Path | None, limit: int) -> dict[str, Any]:
    """Return the cells in the order of the matrix, with at most *limit* log lines per trial."""
    grid = table.matrix(result)
    pool = Pool()
    dull = cell_evidence.boring(result)
    names = {column: grid.name(column) for group in grid.groups for column in group.columns}
    cells = []
    for row in grid.rows:
        for group in grid.groups:
            for column in group.columns:
                cell = grid.cell(row, column)
                if cell is None:
                    continue
                at = control(grid, row, column)
                other = grid.cell(row, at) if at else None
                cells.append({
                    "title": _short(f"{row.label}: {names[column]}"),
                    "outcome": _short(symbols.word(cell.outcome)),
                    "css": symbols.of_cell(cell).css,
                    "verdict": cell.verdict,
                    "tally": _short(symbols.whole(cell)),
                    "reason": text.shorten(text.clean(cell.reason), text.TEXT if limit else 200),
                    "control": text.clean(group.label(at)) if at else "",
                    "build": _build(cell),
                    "log": _log(cell, folder, limit),
                    "trials": [
                        _trial(t, other, pool, limit=limit, dull=dull, folder=folder)
                        for t in cell_evidence.representatives(cell)
                    ],
                })  # fmt: skip
    return {"cells": cells, "pool": pool.values}


def _short(content: str) -> str:
    return text.shorten(text.clean(content), _NAME)


def control(grid: table.Matrix, row: table.Row, column: Column) -> Column | None:
    """Return the column of the variant's good control that differs in the fewest axes."""
    axes = set(column.axes)
    good = [
        other
        for group in grid.groups
        for other in group.columns
        if other.scenario == column.scenario and other.control
        and (cell := grid.cell(row, other)) and cell.verdict == Verdict.GOOD
    ]  # fmt: skip
    return min(good, key=lambda other: len(axes - set(other.axes)), default=None)


def _build(cell: CellInfo) -> list[str]:
    if not cell.build:
        return []
    b = cell.build
    how = "build reused" if b.reused else f"built in {text.duration(b.seconds)}"
    how = f"pulled from {b.pulled_from}" if b.pulled_from else how
    parts = (f"Go {b.go}", f"from {b.source}", how, f"buildkitd sha256 {b.binary_sha256[:12]}")
    return [text.clean(part) for part in parts]


def _log(cell: CellInfo, folder: Path | None, limit: int) -> dict[str, Any] | None:
    if not cell.log:
        return None
    lines = text.matters(cell_evidence.tail(folder, cell.log), limit) if folder else []
    return {"href": href(cell.log), "lines": lines}


def href(path: str) -> str:
    """Return *path* as a relative link; "" if it is absolute, a URL or outside the folder."""
    parts = path.split("/")
    if not path or path.startswith("/") or ".." in parts or ":" in path or "\\" in path:
        return ""
    return quote(path) if path.isprintable() else ""


def _trial(
    trial: TrialInfo,
    other: CellInfo | None,
    pool: Pool,
    *,
    limit: int,
    dull: frozenset[str],
    folder: Path | None,
) -> dict[str, Any]:
    """Return the data of a trial, with what other trials may share in the pool."""
    good = cell_evidence.representatives(other)[0] if other and other.trials else None
    control_steps = {s.id: s for s in good.steps} if good else {}
    steps = [
        {
            "id": text.clean(step.id),
            "ended": cell_evidence.ended(step),
            "failed": bool(step.exit or step.timed_out),
            "seconds": round(step.seconds, 2),
            "vertices": pool.number([
                [v["state"], text.shorten(" ".join(text.stripped(v["name"])), 200),
                 text.shorten(" ".join(text.stripped(v.get("error", ""))), 300),
                 [text.shorten(line) for line in text.stripped(v.get("log", ""))][-limit:]
                 if limit else []]
                for v in step.vertices
            ]),
            "graph": pool.number(graph(step, control_steps.get(step.id))),
            "error": pool.number(text.stripped(step.error)[-limit:] if limit else []),
        }
        for step in trial.steps
    ]  # fmt: skip
    daemon = text.stripped(trial.daemon_log)
    lines = [[line, int(text.gist(line) not in dull)] for line in map(text.shorten, daemon)]
    return {
        "outcome": _short(symbols.word(trial.outcome)),
        "css": symbols.of(trial.outcome, trial.verdict).css,
        "seconds": round(trial.seconds, 2),
        "reused": trial.reused,
        "at": text.clean(trial.ended),
        "files": _files(trial, folder),
        "steps": steps,
        "daemon": pool.number(lines[-limit:] if limit else []),
    }


def _files(trial: TrialInfo, folder: Path | None) -> list[list[str]]:
    """Return (name, link) of the trial's evidence files beside the page."""
    link = href(trial.evidence)
    if not folder or not link:
        return []
    try:
        with os.scandir(folder / trial.evidence) as entries:
            names = sorted(entry.name for entry in entries if entry.is_file())
    except OSError:  # it does not exist, or a document contains an invalid path
        return []
    return [[text.clean(name), f"{link}/{quote(name)}"] for name in names]


def graph(step: StepInfo, control_step: StepInfo | None) -> list[list[Any]]:
    """Return records as [ID, layers, layers in the control or None, inputs, depth].

    The layers are None for a record that only the control has. Inputs are indexes in this list.
    Depth is the number of links to the records that depend on nothing.
    """
    here = {str(r["digest"]): r for r in step.records}
    there = {str(r["digest"]): r for r in control_step.records} if control_step else {}
    if not here:
        return []
    names = [*here, *(d for d in there if d not in here)]
    place = {digest: n for n, digest in enumerate(names)}
    links = {
        d: [place[i] for i in map(str, (here.get(d) or there[d])["inputs"]) if i in place]
        for d in names
    }
    depths = _depths([links[d] for d in names])
    return [
        [
            text.clean(digest.removeprefix("sha256:"))[:_DIGEST],
            here[digest]["layers"] if digest in here else None,
            there[digest]["layers"] if digest in there else None,
            links[digest],
            depths[place[digest]],
        ]
        for digest in names
    ]


def _depths(links: list[list[int]]) -> list[int]:
    """Return the longest path from each record; rounds are limited in case of a cycle."""
    depths = [0] * len(links)
    for _ in range(len(links)):
        deeper = [max((depths[i] + 1 for i in inputs), default=0) for inputs in links]
        if deeper == depths:
            break
        depths = deeper
    return [min(depth, len(links)) for depth in depths]


def script_json(value: Any) -> Markup:
    """Return *value* as JSON that cannot end the script element around it."""
    dumped = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        dumped = dumped.replace(char, f"\\u{ord(char):04x}")
    return Markup(dumped)  # noqa: S704 - nothing in it can close or open an element
