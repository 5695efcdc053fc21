"""Renders Markdown for a GitHub comment: the matrix is always complete, logs are cut first."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from buildkit_bisect.events import Column
from buildkit_bisect.model import Verdict
from buildkit_bisect.options.command import again
from buildkit_bisect.phrases import listed, percent, plural
from buildkit_bisect.render import cell_evidence, hunks, legend, symbols, table, text, validation
from buildkit_bisect.render.basis import basis
from buildkit_bisect.render.brief import Brief, brief, change_name, change_ways
from buildkit_bisect.render.changes import changes as history
from buildkit_bisect.render.clauses import clauses
from buildkit_bisect.render.finding import finding
from buildkit_bisect.render.links import commit
from buildkit_bisect.render.machines import incomplete, machines, parts
from buildkit_bisect.render.spoken import spoken
from buildkit_bisect.render.steps import collapsed
from buildkit_bisect.render.symbols import FITS
from buildkit_bisect.render.templates import Templates
from buildkit_bisect.result import CellInfo, FitState, Result, ValidationInfo, chance
from buildkit_bisect.result.labels import heading, words_of

#: Maximum length of a report, in characters. GitHub accepts 65,536 in a comment.
LIMIT = 60_000


@dataclass(frozen=True, kw_only=True, slots=True)
class _Detail:
    """How detailed a report is; the first one that fits is used."""

    log: int  # lines of a log
    good: bool = True  # whether good cells have evidence too
    folds: int = 1000  # sets of evidence
    cells: str = "words"  # or symbols, spans (adjacent equal rows as one), text
    more: int = 1000  # rows of every other list


_DETAILS = (
    _Detail(log=40),
    _Detail(log=15),
    _Detail(log=6),
    _Detail(log=6, good=False),
    _Detail(log=3, good=False, folds=40, more=60),
    _Detail(log=0, good=False, folds=20, more=30),
    _Detail(log=0, folds=0, more=20),
    _Detail(log=0, folds=0, more=10, cells="symbols"),
    _Detail(log=0, folds=0, more=3, cells="spans"),
    _Detail(log=0, folds=0, more=3, cells="text"),
)

#: Minimum length of a variant's name, in characters, if space is short.
_LABEL = 16

#: Maximum number of scenarios that a report names with their titles below its table.
_TITLES = 2

#: Maximum length of a command that is shown below the table, in characters.
_COMMAND = 160

#: With more cells than this, the evidence cannot fit: skip this many levels of detail.
_MANY, _SKIP = 1500, 6


def markdown(
    result: Result,
    folder: Path | None = None,
    *,
    templates: Templates | None = None,
    limit: int = LIMIT,
) -> str:
    """Return the report of *result*, shorter than *limit* characters.

    *folder* contains the result's evidence; without it the report has no compiler output.
    """
    result, templates = spoken(result), templates or Templates()
    values = _values(result)
    folds = cache(partial(cell_evidence.folds, result, folder))
    blocks = cache(partial(_blocks, result))
    for detail in _DETAILS[_SKIP if len(result.cells) > _MANY else 0 :]:
        every = folds(detail.log) if detail.folds else []
        shown = [f for f in every if detail.good or f.verdict != Verdict.GOOD][: detail.folds]
        detailed = {
            "detail": detail,
            "blocks": blocks(detail.cells) if detail.cells != "text" else [],
            "lines": list(_lines(values["grid"])) if detail.cells == "text" else [],
            "folds": shown,
            "dropped": len(every) - len(shown) if every else len(values["grid"].cells),
            "cut": detail is not _DETAILS[0],
            "counted": detail.cells == "words" and any(c.counts for c in result.cells),
            "known": detail.cells == "words" and any(symbols.more(c) for c in result.cells),
            "history": values["history"][: detail.more],
            "changes": values["changes"][: detail.more],
        }
        made = templates.render("report.md.j2", **(values | detailed))
        if len(made) < limit:
            return made
    return _cut(made, limit)


def _values(result: Result) -> dict[str, Any]:
    """Return what the template shows of *result*, whatever the detail: all rows of all lists."""
    grid = table.matrix(result)
    used = {grid.symbol(r, c) for r in grid.rows for g in grid.groups for c in g.columns}
    v = result.validation
    return {
        "result": result,
        "info": result.bisect,
        **validation.values(result),
        **hunks.values(result),
        "finding": Markup(finding(result, text.markdown)),  # noqa: S704 - what varies is escaped
        "grid": grid,
        "brief": _table(brief(result), basis(result)),
        "clauses": [Markup(c) for c in clauses(result, text.markdown)],  # noqa: S704 - as above
        "history": [(change_name(result, c), change_ways(result, c), c) for c in history(result)],
        "steps_of": collapsed,
        "words_of": partial(words_of, result),
        "issues": issues(result),
        "short_command": short_command(result),
        "hint": next_command(result),
        "check_counts": Counter(symbols.of_check(c) for c in v.checks).items() if v else (),
        "fits": _fits(v) if v else "",
        "size": _size(grid),
        "controls": any(c.control for g in grid.groups for c in g.columns),
        "search_notes": search_notes(result),
        "legend": [s for s in symbols.ALL if s in used],
        "symbol": symbols.of,
        "means": means(result),
        "changes": _changes(result, grid),
        "command": text.command(result.command),
        "incomplete": incomplete(result),
        "machines": machines(result),
        "parts": parts(result),
        "commit": lambda sha, label="": commit(result, sha, label),
        "subject": {r.sha: r.subject for r in result.revisions},
        "names": table.names(result),
        "percent": percent,
        "tally": symbols.tally,
    }


def _table(made: Brief | None, rests_on: tuple[str, ...]) -> tuple[list[Markup], tuple[str, ...]]:
    """Return the table below the headline as lines, and the notes below it."""
    if made is None:
        return [], rests_on
    rows = [Markup("| {} |").format(Markup(" | ").join(row)) for row in (made.head, *made.rows)]
    return [rows[0], Markup("|" + " :-- |" * len(made.head)), *rows[1:]], (*rests_on, *made.notes)  # noqa: S704


def next_command(result: Result) -> str:
    """Return the next command, or "", with the campaign's own options.

    Hints in results of earlier versions lack these.
    """
    hint = next((part.hint for part in (result.bisect, result.validation) if part), "")
    return again(hint, result.command)


def search_notes(result: Result) -> list[str]:
    """Return the notes of a search; a command in one has the campaign's own options, as above."""
    return [again(note, result.command) for note in (result.bisect.notes if result.bisect else ())]


def short_command(result: Result) -> str:
    """Return the campaign's command if the reader sees it without unfolding anything, or ""."""
    line = text.command(result.command)
    return line if len(line) <= _COMMAND else ""


def issues(result: Result) -> list[tuple[str, list[str]]]:
    """Return the scenarios by the issue that they reproduce, "" for those without one.

    A few have their titles: what was asked.
    """
    found: dict[str, list[str]] = {}
    for scenario in result.scenarios:
        few = scenario.title and len(result.scenarios) <= _TITLES
        title = f" ({scenario.title})" if few else ""
        found.setdefault(scenario.issue, []).append(scenario.name + title)
    return list(found.items())


def _fits(info: ValidationInfo) -> str:
    """Return ``applies: 5, conflicts: 2``."""
    counts = Counter(FITS[FitState(b.state)] for b in info.backports)
    return ", ".join(f"{what}: {n}" for what, n in counts.items())


def _size(grid: table.Matrix) -> str:
    """Return ``15 revisions and 16 with patches; 3 cells and up to 5 controls each``."""
    unpatched = [row for row in grid.rows if not row.patches]
    plain = len(unpatched)
    more = len(grid.rows) - plain
    columns = [c for g in grid.groups for c in g.columns]
    each: list[str] = []
    for control, noun in ((False, "cell"), (True, "control")):
        some = [c for c in columns if c.control == control]
        gaps = any(grid.cell(row, column) is None for row in grid.rows for column in some)
        if some or not control:
            said = any(part.startswith("up to") for part in each)  # once is enough
            each.append(f"{'up to ' if gaps and not said else ''}{plural(len(some), noun)}")
    return "; ".join([
        listed(filter(None, [plural(plain, table.noun(unpatched)) if plain else "",
                             f"{more} with patches" if more else ""])),
        listed(each) + " each",
    ])  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class _Block:
    """One scenario's part of the matrix, as cells of Markdown."""

    group: table.Group
    head: tuple[Markup, ...]
    rows: tuple[tuple[Markup, ...], ...]


def _blocks(result: Result, how: str) -> list[_Block]:
    """Return the matrix with its cells as `_Detail.cells` says."""
    grid, made = table.matrix(result), []
    for group in grid.groups:
        head = tuple(
            Markup("<br>").join(
                text.markdown(part) for part in heading(group.scenario, dict(c.axes))
            )
            + (Markup("<br><sub>control</sub>") if c.control else "")
            for c in group.columns
        )
        rows: list[tuple[Markup, ...]] = []
        spans: list[tuple[table.Row, table.Row, tuple[Markup, ...]]] = []
        for row in grid.rows:
            cells = tuple(_cell(grid, row, c, how) for c in group.columns)
            if how == "spans" and spans and spans[-1][2] == cells:
                spans[-1] = (spans[-1][0], row, cells)
            else:
                spans.append((row, row, cells))
        for first, last, cells in spans:
            linked = how == "words"
            name = commit(result, first.sha, first.label) if linked else text.code(first.label)
            if last is not first:
                name += Markup(" to ") + text.code(last.label)
            rows.append((name, *cells))
        made.append(_Block(group=group, head=head, rows=tuple(rows)))
    return made


def _lines(grid: table.Matrix) -> Iterator[str]:
    """Yield the matrix as text, one character per cell: the most compact form."""
    for group in grid.groups:
        yield f"{group.scenario.name}, from left to right:"
        for column in group.columns:
            label = ", ".join(heading(group.scenario, dict(column.axes)))
            yield f"  {label}{' (control)' if column.control else ''}"
    yield ""
    room = max(_LABEL, LIMIT // 2 // max(1, len(grid.rows)))
    for row in grid.rows:
        cells = (
            "".join(grid.symbol(row, column).glyph for column in group.columns)
            for group in grid.groups
        )
        yield f"{' '.join(cells)} {text.fit(row.label, room, 1)}"


def _cell(grid: table.Matrix, row: table.Row, column: Column, how: str) -> Markup:
    cell = grid.cell(row, column)
    symbol = Markup(grid.symbol(row, column).emoji)  # noqa: S704 - one of ours
    if cell is None or how != "words":
        return symbol
    tally = text.markdown(symbols.tally(cell))
    counted = Markup("<br><sub>{}</sub>").format(tally) if tally else ""
    return symbol + " " + text.markdown(symbols.word(cell.outcome)) + counted


def means(result: Result) -> list[tuple[str, tuple[legend.Meaning, ...]]]:
    """Return, for each scenario, the meanings of the outcomes that its cells and trials show.

    Two scenarios may give one name to different outcomes.
    """
    return [(one.scenario.name, one.meanings) for one in legend.legends(result)]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Change:
    """Two adjacent tested revisions between which a column changes."""

    old: table.Row
    new: table.Row
    details: tuple[str, ...]  # "layers dropped, then export failed: stargz bases different"
    url: str
    sure: bool = True  # or it may be chance


def _changes(result: Result, grid: table.Matrix) -> list[_Change]:
    """Return where unpatched rows change, then where they may; untested rows are skipped.

    Rows of different machines are not compared.
    """
    found: dict[tuple[bool, table.Row, table.Row], dict[str, list[str]]] = {}
    every = list(dict.fromkeys(row.machine for row in grid.rows))
    for group in grid.groups:
        for column, machine in itertools.product(group.columns, every):
            tested = [
                (row, cell)
                for row in grid.rows
                if not row.patches and row.machine == machine
                and (cell := grid.cell(row, column)) and _conclusive(cell)
            ]  # fmt: skip
            for (old, before), (new, after), odds in _turns(tested):
                how = ", then ".join(
                    text.shorten(symbols.word(cell.outcome), 100) for cell in (before, after)
                )
                names = found.setdefault((odds == "", old, new), {}).setdefault(how + odds, [])
                names.append(grid.name(column))
    order = {row: n for n, row in enumerate(grid.rows)}
    return [
        _Change(
            old=old,
            new=new,
            details=tuple(f"{how}: {listed(names)}" for how, names in ways.items()),
            url=table.compare_url(result, old.sha, new.sha),
            sure=sure,
        )
        for (sure, old, new), ways in sorted(
            found.items(), key=lambda item: (not item[0][0], order[item[0][2]])
        )
    ]


_Tested = tuple[table.Row, CellInfo]


def _turns(tested: Sequence[_Tested]) -> Iterator[tuple[_Tested, _Tested, str]]:
    """Yield where the outcome changes, with "", or may change, with the odds.

    A row that may differ from the one before only by chance is no new state: what follows is
    compared with the last state too, so that a change over several rows is seen.
    """
    before = state = tested[0] if tested else None
    for one in tested[1:]:
        assert before
        assert state
        if state[1].outcome == one[1].outcome:
            state = one
        elif before[1].outcome != one[1].outcome:
            odds = [(old, chance.difference(old[1], one[1])) for old in (before, state)]
            if sure := next((old for old, how in odds if how.sure), None):
                yield sure, one, ""
                state = one
            else:
                yield before, one, f" (may be chance: {odds[0][1].shown})"
        before = one


def _conclusive(cell: CellInfo) -> bool:
    return cell.verdict not in {Verdict.SKIP, Verdict.INFRA}


def _cut(made: str, limit: int) -> str:
    """Return as many lines as fit, and a note that the rest is missing."""
    note = "\n\n*Truncated: too long for a comment. `report.html` has the rest.*\n"
    kept = made[: limit - len(note) - 1]
    return kept[: kept.rfind("\n")] + note
