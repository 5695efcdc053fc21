"""Renders a self-contained HTML page: no network, a strict policy, all text escaped."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from markupsafe import Markup

from buildkit_bisect.events import Column
from buildkit_bisect.model import Verdict
from buildkit_bisect.phrases import percent
from buildkit_bisect.render import (
    brief_html,
    hunks,
    legend,
    page,
    svg,
    symbols,
    table,
    text,
    validation,
)
from buildkit_bisect.render.basis import basis, sentence
from buildkit_bisect.render.brief import brief
from buildkit_bisect.render.finding import finding
from buildkit_bisect.render.machines import incomplete, machines, parts
from buildkit_bisect.render.markdown import issues, next_command, search_notes
from buildkit_bisect.render.spoken import spoken
from buildkit_bisect.render.steps import collapsed
from buildkit_bisect.render.templates import Templates
from buildkit_bisect.result import CellInfo, Result, chance
from buildkit_bisect.result.labels import heading, words_of

#: Maximum size of a page, in bytes; logs are shortened until it fits.
LIMIT = 1_500_000

_LOG_LINES = (200, 60, 20, 8, 0)

#: A command longer than this, in characters, is one line that scrolls; a shorter one is wrapped.
_LONG = 120

#: Lines of a diff per line of a log, as patches matter more.
_DIFF_LINES = 10


def html(
    result: Result,
    folder: Path | None = None,
    *,
    templates: Templates | None = None,
    limit: int = LIMIT,
) -> str:
    """Return the page for *result*; it links to the evidence beside ``result.json``."""
    result, templates = spoken(result), templates or Templates()
    for lines in _LOG_LINES:
        made = _render(result, folder, lines, templates)
        if len(made.encode()) < limit:
            break
    return made


def _render(result: Result, folder: Path | None, lines: int, templates: Templates) -> str:
    grid = table.matrix(result)
    style, script = templates.text("report.css"), templates.text("report.js")
    numbers = {
        (row, column): n
        for n, (row, column) in enumerate(
            (r, c) for r in grid.rows for g in grid.groups for c in g.columns if grid.cell(r, c)
        )
    }
    used = {grid.symbol(r, c) for r in grid.rows for g in grid.groups for c in g.columns}
    return templates.render(
        "report.html.j2",
        result=result,
        info=result.bisect,
        **validation.values(result),
        **hunks.values(result),
        title=finding(result),
        finding=Markup(finding(result, lambda name: Markup("<b>{}</b>").format(text.clean(name)))),  # noqa: S704 - escaped by format()
        grid=grid,
        numbers=numbers,
        axes=_axes(result),
        axes_of=_axes_of,
        known=any(symbols.more(c) for c in result.cells),
        legend=[s for s in symbols.ALL if s in used],
        control=symbols.CONTROL if any(c.control for c in result.cells) else "",
        meanings=legend.legends(result),
        brief=brief_html.in_html(brief(result)),
        basis=sentence(basis(result)),
        words_of=partial(words_of, result),
        labels=lambda group, column: heading(group.scenario, dict(column.axes)),
        versus=_versus(grid),
        times=_times(grid),
        timeline=_picture(result, templates),
        slim_timeline=_picture(result, templates, narrow=True),
        data=page.script_json(page.data(result, folder, lines)),
        diff_lines=lines * _DIFF_LINES,
        style=Markup(style),  # noqa: S704 - ours, or the user's own
        script=Markup(script),  # noqa: S704 - same
        policy=_policy(style, script),
        command=text.command(result.command),
        incomplete=incomplete(result),
        machines=machines(result),
        parts=parts(result),
        hint=next_command(result),
        search_notes=search_notes(result),
        long=_LONG,
        issues=issues(result),
        commit_url=lambda sha: table.commit_url(result, sha),
        subject={r.sha: text.clean(r.subject) for r in result.revisions},
        names=table.names(result),
        percent=percent,
        steps_of=collapsed,
        symbol=symbols.of,
        tally=symbols.tally,
    )


def _picture(result: Result, templates: Templates, *, narrow: bool = False) -> Markup:
    made = svg.timeline(result, templates=templates, inline=True, narrow=narrow)
    return Markup(made)  # noqa: S704 - an escaping template


def _policy(style: str, script: str) -> str:
    """Return a policy that allows no requests, and only our inline code."""
    rules = ("default-src 'none'", f"style-src '{_hash(style)}'", f"script-src '{_hash(script)}'",
             "base-uri 'none'", "form-action 'none'")  # fmt: skip
    return "; ".join(rules)


def _hash(code: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()


def _axes(result: Result) -> dict[str, list[str]]:
    """Return the values of each axis that varies, over all scenarios."""
    axes: dict[str, list[str]] = {}
    for scenario in result.scenarios:
        for name, spec in scenario.axes.items():
            known = axes.setdefault(name, [])
            known += [v for v in spec["values"] if v not in known]
    return {name: values for name, values in axes.items() if len(values) > 1}


class Change(StrEnum):
    """The change of a cell from its base; also the class of its row on the page."""

    FIXED = "fixed"
    BROKEN = "broken"
    CHANGED = "changed"
    SAME = "same"
    CHANCE = "chance"  # another outcome, but too few trials to exclude chance
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pair:
    """One column of a variant and of its base."""

    column: Column
    name: str
    change: Change
    odds: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Versus:
    """A patched variant, and the same revision without patches."""

    row: table.Row
    base: table.Row
    pairs: tuple[_Pair, ...]

    @property
    def changed(self) -> list[_Pair]:
        """The cells that do not simply have the same outcome."""
        return [pair for pair in self.pairs if pair.change is not Change.SAME]

    @property
    def same(self) -> list[_Pair]:
        """The cells with the same outcome on both sides."""
        return [pair for pair in self.pairs if pair.change is Change.SAME]


def _versus(grid: table.Matrix) -> list[_Versus]:
    bases = {(row.sha, row.ref, row.machine): row for row in grid.rows if not row.patches}
    made = []
    for row in grid.rows:
        base = bases.get((row.sha, row.ref, row.machine))
        if row.patches and base:
            pairs = tuple(
                _pair(c, grid.name(c), before, after)
                for g in grid.groups
                for c in g.columns
                if (before := grid.cell(base, c)) and (after := grid.cell(row, c))
            )
            made.append(_Versus(row=row, base=base, pairs=pairs))
    return made


def _pair(column: Column, name: str, before: CellInfo, after: CellInfo) -> _Pair:
    if not {before.verdict, after.verdict} <= chance.RANK.keys():
        same = before.outcome == after.outcome
        return _Pair(column=column, name=name, change=Change.SAME if same else Change.UNKNOWN)
    how = chance.difference(before, after)
    odds = "" if how.kind is chance.Kind.SAME else how.shown
    return _Pair(column=column, name=name, change=_change(how, before, after), odds=odds)


def _change(how: chance.Difference, before: CellInfo, after: CellInfo) -> Change:
    """Return the change of a tested cell, by its verdict on either side if it is sure."""
    if not how.sure:
        return Change.CHANCE if how.kind is chance.Kind.CHANCE else Change.SAME
    if before.outcome != after.outcome:
        if how.kind is chance.Kind.BETTER and after.verdict == Verdict.GOOD:
            return Change.FIXED
        if how.kind is chance.Kind.WORSE and before.verdict == Verdict.GOOD:
            return Change.BROKEN
    return Change.CHANGED


@dataclass(frozen=True, kw_only=True, slots=True)
class _Time:
    """The time that one variant took."""

    row: table.Row
    build: float
    reused: bool
    trials: float
    count: int


def _times(grid: table.Matrix) -> list[_Time]:
    made = []
    for row in grid.rows:
        cells = [c for (r, _), c in grid.cells.items() if r == row]
        build = next((c.build for c in cells if c.build), None)
        trials = [t for c in cells for t in c.trials]
        if build or trials:
            made.append(
                _Time(
                    row=row,
                    build=build.seconds if build else 0.0,
                    reused=build.reused if build else False,
                    trials=sum(t.seconds for t in trials),
                    count=len(trials),
                )
            )
    return made


def _axes_of(column: Column) -> str:
    """Return the axis values as JSON for the page's filters."""
    return json.dumps([[text.clean(part) for part in pair] for pair in column.axes])
