"""Progress on a terminal: one screen, readable at 80 columns."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from buildkit_bisect.events import Column
from buildkit_bisect.live.progress import BuildState, CellState, Making, Progress, WorkState
from buildkit_bisect.model import Verdict
from buildkit_bisect.phrases import plural
from buildkit_bisect.render import symbols
from buildkit_bisect.render.text import duration, one_line

_STYLES = {
    symbols.GOOD: "green",
    symbols.BAD: "bold red",
    symbols.MIXED: "yellow",
    symbols.WEAK: "magenta",
    symbols.SKIP: "dim",
    symbols.INFRA: "cyan",
    symbols.NONE: "dim",
}
_SPIN = "|/-\\"
_BAR = 20


def screen(progress: Progress, *, now: float, width: int, height: int) -> RenderableType:
    """The whole screen in at most *height* lines of fewer than *width* columns."""
    width = max(10, width - 1)
    head = list(_head(progress, now))
    foot = [*_running(progress, now), *_left(progress, now)]
    keys = list(_keys(progress, width))
    room = height - len(head) - len(foot) - len(keys) - 2
    rows = list(_rows(progress, now, width, max(1, room)))
    lines = [*head, *rows, *keys, *foot]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return Group(*lines[: max(1, height - 1)])


def _head(progress: Progress, now: float) -> Iterator[Text]:
    plan = progress.plan
    spent = "" if progress.started is None else duration(now - progress.started)
    if plan is None:
        yield Text(f"starting  {spent}", style="bold")
        return
    size = f"{plural(len(progress.rows), 'variant')} x {plural(len(progress.columns), 'cell')}"
    what = plan.search.what if plan.search else f"{size} x {plural(plan.trials, 'trial')}"
    yield Text.assemble((one_line(plan.kind), "bold"), f"  {one_line(what)}  ", (spent, "dim"))
    if progress.step:
        step = progress.step
        yield Text.assemble(
            (f"step {step.number}", "bold"),
            f"  {one_line(step.row)}: {one_line(step.why)}; {plural(step.left, 'candidate')} left",
        )


def _rows(progress: Progress, now: float, width: int, room: int) -> Iterator[Text]:
    """The matrix, one line per variant; if there are too many, those around the running one."""
    if not progress.rows or not progress.columns:
        return
    label = min(
        max(len(one_line(r)) for r in progress.rows), max(10, width - 4 * len(progress.columns) - 2)
    )
    marks = [_number(n) for n in range(1, len(progress.columns) + 1)]
    yield Text(" " * label + "".join(f"{m:>4}" for m in marks), style="dim")
    rows = progress.rows
    active = [n for n, r in enumerate(rows) if _active(progress, r)]
    room = max(1, room - 1)
    if len(rows) > room:
        middle = active[0] if active else len(rows) - 1 if progress.finished else 0
        first = min(max(0, middle - room // 2), len(rows) - room)
        rows = rows[first : first + room]
    for row in rows:
        line = Text(_fit(row, label))
        build = progress.builds[row]
        expected = progress.columns_of(row)
        cells = [progress.cells.get((row, column)) for column in progress.columns]
        if build.state is Making.SKIPPED and not any(cells):
            line.append(f"   {symbols.SKIP.glyph}  {one_line(build.reason)}", style="dim")
        elif build.state is Making.RUNNING:
            progressed = _packages(build) or duration(now - build.since)
            line.append(f"   building {progressed}", style="blue")
        else:
            for column, cell in zip(progress.columns, cells, strict=True):
                line.append("   ")
                line.append(*(_glyph(cell, now) if column in expected else (" ", "")))
        yield line


def _active(progress: Progress, row: str) -> bool:
    return progress.builds[row].state is Making.RUNNING or any(
        c.running for (r, _), c in progress.cells.items() if r == row
    )


def _number(n: int) -> str:
    return str(n) if n < 10 else chr(ord("a") + (n - 10) % 26)  # noqa: PLR2004


def _fit(text: str, width: int) -> str:
    text = one_line(text)
    return text.ljust(width) if len(text) <= width else text[: width - 3] + "..."


def _glyph(cell: CellState | None, now: float) -> tuple[str, str]:
    if cell is None:
        return symbols.NONE.glyph, "dim"
    if cell.running:
        return _SPIN[int(now * 4) % 4], "bold blue"
    tested = cell.verdict not in (Verdict.SKIP, Verdict.INFRA)
    if len(cell.counts) > 1 or (tested and len(cell.known) > 1):
        return symbols.MIXED.glyph, _STYLES[symbols.MIXED]
    symbol = symbols.of(cell.outcome, cell.verdict or Verdict.WEAK)
    return symbol.glyph, _STYLES[symbol]


def _keys(progress: Progress, width: int) -> Iterator[Text]:
    """The names of the columns, packed into lines, and the legend."""
    columns = progress.columns
    if not columns:
        return
    scenario = ""
    line = ""
    for n, column in enumerate(columns, 1):
        entry = f"{_number(n)} {_named(column, columns)}"
        if column.scenario != scenario:
            if line:
                yield Text(line, style="dim")
            # A scenario without axes is itself the name of its column.
            scenario, line = column.scenario, f"{one_line(column.scenario)}:" if column.axes else ""
        if line and len(line) + len(entry) + 2 > width:
            yield Text(line, style="dim")
            line = " "
        line += " " + entry
    yield Text(line, style="dim")
    usual = [symbols.GOOD, symbols.BAD, symbols.MIXED, symbols.SKIP]
    seen = {symbols.of(c.outcome, c.verdict) for c in progress.cells.values() if c.verdict}
    legend = Text()
    for symbol in usual + [s for s in symbols.ALL if s in seen and s not in usual]:
        legend.append(symbol.glyph, style=_STYLES[symbol])
        legend.append(f" {symbol.says.split(':')[0]}   ", style="dim")
    yield legend


def _named(column: Column, columns: list[Column]) -> str:
    same = [c for c in columns if c.scenario == column.scenario]
    varies = [n for n, v in column.axes if any(dict(c.axes).get(n) != v for c in same)]
    values = dict(column.axes)
    named = [values[n] if len(values[n]) > 3 else f"{n} {values[n]}" for n in varies]  # noqa: PLR2004
    name = "/".join(named or values.values()) or column.scenario
    return one_line(name) + (" (control)" if column.control else "")


def _packages(build: BuildState | WorkState) -> str:
    # What is expected is the most that a build here has had, or 0: not known.
    if not build.expected or build.done > build.expected:
        return plural(build.done, "package") if build.done else ""
    return f"{build.done} of {plural(build.expected, 'package')}"


def _bar(line: Text, state: BuildState | WorkState, now: float) -> Text:
    if state.done <= state.expected > 0:
        full = int(state.done / state.expected * _BAR)
        line.append("█" * full, style="blue").append("░" * (_BAR - full), style="dim")
        line.append(f"  {_packages(state)}  ")
    return line.append(duration(now - state.since))


def _running(progress: Progress, now: float) -> Iterator[Text]:
    for what, work in list(progress.works.items())[-3:]:
        yield _bar(Text(f"{one_line(what)}  "), work, now)
    for row, build in progress.running_builds[:3]:
        yield _bar(Text.assemble(("build  ", "bold"), f"{one_line(row)}  "), build, now)
    for row, column, cell in progress.running_cells[:3]:
        yield Text.assemble(
            ("trial  ", "bold"),
            f"{one_line(row)}  {_named(column, progress.columns)}  {cell.running} of {cell.of}  ",
            f"{duration(now - cell.since)}",
        )


def _left(progress: Progress, now: float) -> Iterator[Text]:
    done, running, left = progress.counted
    counts = f"{done} done, {running} running, {left} left"
    estimate = progress.estimate(now)
    line = Text.assemble(("cells  ", "bold"), counts)
    if estimate:
        over = estimate.left.most < 1
        line.append("; over the estimate" if over else f"; {estimate.left} to go")
    yield line
    for part in estimate.basis if estimate else ():
        yield Text(f"       {one_line(part)}", style="dim")
