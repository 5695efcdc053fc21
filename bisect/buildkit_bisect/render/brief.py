"""The table below the headline of a comment: at most five rows that carry the message."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from buildkit_bisect.events import Column
from buildkit_bisect.headline import cut
from buildkit_bisect.model import Verdict
from buildkit_bisect.phrases import are, listed, plural, several, share
from buildkit_bisect.render import changes, patched, symbols, table
from buildkit_bisect.render.clauses import controls_ran
from buildkit_bisect.render.links import commit, link
from buildkit_bisect.render.text import markdown, spaced_markup
from buildkit_bisect.render.validation import effects
from buildkit_bisect.result import (
    BisectInfo,
    CampaignKind,
    CellInfo,
    Result,
    SearchStatus,
    ValidationInfo,
)
from buildkit_bisect.result.labels import axis_labels, words_of

#: Maximum number of rows and of columns with outcomes; a comment is read on a phone too.
ROWS, COLUMNS = 5, 4

#: Maximum number of scenarios, if each has one cell and those that are not good are the rows.
SCENARIOS = 15

#: Maximum length of a name and of a list in the table, in characters.
_NAME, _LIST = 48, 120

#: What one cell showed at an end of a search.
_COUNTED = re.compile(r"([^()]+) \((\d+ of \d+)\)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Brief:
    """A table as cells of Markdown, and what it leaves out, a line each."""

    head: tuple[Markup, ...]
    rows: tuple[tuple[Markup, ...], ...]
    notes: tuple[str, ...] = ()


def brief(result: Result) -> Brief | None:
    """Return the table of *result*; None if nothing was run."""
    if result.bisect and result.kind == CampaignKind.BOUNDARIES:
        return _of_changes(result)
    if result.bisect:
        return _of_search(result, result.bisect)
    if result.validation:
        return _of_validation(result, result.validation)
    grid = table.matrix(result)
    return _of_matrix(result, grid) if grid.cells else None


def _text(text: str, width: int = _NAME) -> Markup:
    return markdown(cut(text, width))


def _shown(cell: CellInfo | None, tally: str = "") -> Markup:
    """Return a cell as a symbol, its outcome, and in how many trials it was seen."""
    if cell is None:
        return Markup(symbols.NONE.emoji)  # noqa: S704 - one of ours
    symbol = symbols.of_cell(cell)
    counted = tally or symbols.brief(cell)
    beside = Markup("<br><sub>{}</sub>").format(_text(counted, _LIST)) if counted else ""
    return Markup("{} {}").format(symbol.emoji, _text(symbols.word(cell.outcome))) + beside


# --- a matrix -------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rows:
    """Rows of the matrix that show the same in every column of the table."""

    rows: tuple[table.Row, ...]
    cells: tuple[tuple[CellInfo | None, ...], ...]  # by row, then by column


def _of_matrix(result: Result, grid: table.Matrix) -> Brief:
    every = [c for g in grid.groups for c in g.columns]
    tested = [c for c in every if not c.control] or every
    bad = [c for c in tested if any(grid.symbol(r, c) is not symbols.GOOD for r in grid.rows)]
    counted = len(bad or tested) > COLUMNS
    single = all(sum(not c.control for c in group.columns) == 1 for group in grid.groups)
    if counted and bad and single and len(grid.rows) <= COLUMNS:
        return _of_scenarios(result, grid, bad)
    columns = tested if counted or not bad else bad
    shown = _collapsed(grid, columns)
    kept = _important(grid, shown)
    rows = [
        (_label(result, one), *((_counts(one),) if counted else _cells(one, len(columns))))
        for one in kept
    ]
    if len(kept) < len(shown):
        more = markdown(f"and {plural(len(shown) - len(kept), 'more row')}, folded below")
        rows.append((more, *[Markup("")] * (len(rows[0]) - 1)))
    head = (_tested(grid, tested),) if counted else tuple(
        _text(grid.name(column), 2 * _NAME) for column in columns)  # fmt: skip
    notes = [] if counted or len(columns) == len(tested) else [
        f"{plural(len(tested) - len(columns), 'more tested cell')} of each row: good everywhere"
    ]  # fmt: skip
    return Brief(
        head=(Markup("revision"), *head),
        rows=tuple(rows),
        notes=(*notes, *_controls(grid)),
    )


def _of_scenarios(result: Result, grid: table.Matrix, bad: Sequence[Column]) -> Brief:
    """Return a row for each scenario that is not good everywhere: the library has many."""
    good = sum(not c.control for g in grid.groups for c in g.columns) - len(bad)
    shown = bad if len(bad) <= SCENARIOS else bad[: SCENARIOS - 1]
    rows = [
        (_text(column.scenario), *(_shown(grid.cell(row, column)) for row in grid.rows))
        for column in shown
    ]
    notes = [f"{plural(good, 'more scenario')}: good everywhere"] if good else []
    if len(shown) < len(bad):
        notes.insert(0, f"{plural(len(bad) - len(shown), 'more scenario')}, folded below")
    return Brief(
        head=(Markup("scenario"), *(_label(result, _Rows(rows=(r,), cells=())) for r in grid.rows)),
        rows=tuple(rows),
        notes=(*notes, *_controls(grid)),
    )


def _tested(grid: table.Matrix, tested: Sequence[Column]) -> Markup:
    """Return the head of a column that counts cells: what all of them have in common."""
    labels = [
        axis_labels(group.scenario, dict(column.axes))
        for group in grid.groups
        for column in group.columns
        if column in tested
    ]
    common = [part for part in labels[0] if all(part in each for each in labels)]
    shared = Markup(", all with {}").format(_text(listed(common), _LIST)) if common else ""
    return Markup("**tested cells**") + shared


def _controls(grid: table.Matrix) -> Iterator[str]:
    """Yield one line on the controls, if the scenarios have any."""
    controls = [c for (_, column), c in grid.cells.items() if column.control]
    ran = [c for c in controls if c.verdict != Verdict.SKIP or c.trials]
    good = sum(c.verdict == Verdict.GOOD for c in ran)
    if ran:
        what = "control" if controls_ran(grid) else "tested control"
        some = share(good or len(ran), len(ran), what)
        not_ = "" if good else "not "
        yield f"{some}, which the bug cannot affect, {are(good or len(ran))} {not_}good"
    elif controls:
        yield "no control could be tested"
    elif any(axis["controls"] for g in grid.groups for axis in g.scenario.axes.values()):
        yield "no control was run"


def _collapsed(grid: table.Matrix, columns: Sequence[Column]) -> list[_Rows]:
    """Return adjacent unpatched rows that show the same as one, and sets of patches alike.

    Only rows of one machine: their trials are counted together.
    """
    found: list[tuple[object, list[table.Row], list[tuple[CellInfo | None, ...]]]] = []
    machines = list(dict.fromkeys(row.machine for row in grid.rows))
    for row in sorted(grid.rows, key=lambda row: machines.index(row.machine)):
        if row.patches:
            continue
        cells, key = _row(grid, row, columns)
        if found and found[-1][0] == key:
            found[-1][1].append(row)
            found[-1][2].append(cells)
        else:
            found.append((key, [row], [cells]))
    patched_rows: dict[object, tuple[list[table.Row], list[tuple[CellInfo | None, ...]]]] = {}
    for row in grid.rows:
        if row.patches:
            cells, key = _row(grid, row, columns)
            rows, all_ = patched_rows.setdefault(key, ([], []))
            rows.append(row)
            all_.append(cells)
    return [
        _Rows(rows=tuple(rows), cells=tuple(cells))
        for rows, cells in (*((r, c) for _, r, c in found), *patched_rows.values())
    ]


def _row(
    grid: table.Matrix, row: table.Row, columns: Sequence[Column]
) -> tuple[tuple[CellInfo | None, ...], object]:
    cells = tuple(grid.cell(row, column) for column in columns)
    return cells, (row.machine, *((grid.symbol(row, c), x.outcome if x else "") for c, x in zip(
        columns, cells, strict=True)))  # fmt: skip


def _important(grid: table.Matrix, shown: list[_Rows]) -> list[_Rows]:
    """Return those of *shown* that `ROWS` rows have room for, in their order.

    Before others come the newest unpatched rows, patches that fix and then patches that break.
    """
    if len(shown) <= ROWS:
        return shown
    ranks = patched.ranks(grid)
    plain = [one for one in shown if not one.rows[0].patches]

    def rank(one: _Rows) -> tuple[int, int]:
        patches = one.rows[0].patches
        if not patches:
            newest = len(plain) - 1 - plain.index(one)
            return (0 if newest == 0 else 3 + newest, 0)
        worst = min(ranks.get(patches, {patched.Rank.OTHER}))
        order = (patched.Rank.FIXES, patched.Rank.BREAKS, patched.Rank.PARTLY)
        return (1 + order.index(worst) if worst in order else 4, 1)

    kept = sorted(shown, key=rank)[: ROWS - 1]
    return [one for one in shown if one in kept]


def _label(result: Result, one: _Rows) -> Markup:
    rows = one.rows
    if not rows[0].patches:
        first, last = rows[0], rows[-1]
        name = commit(result, first.sha, cut(first.label, _NAME))
        if first is last:
            return name
        count = plural(len(rows), table.noun(rows))
        until = commit(result, last.sha, cut(last.label, _NAME))
        return Markup("{} … {}<br><sub>{}: same</sub>").format(name, until, count)
    sets = list(dict.fromkeys(" + ".join(row.patches) for row in rows))
    refs = list(dict.fromkeys(row.named(row.ref) for row in rows))
    where = _text(listed(refs, 3))
    if len(sets) == 1:
        return Markup("{} + {}").format(where, _text(sets[0], _LIST))
    if len(rows) < len(sets) * len(refs):  # not each set on each revision
        each = _text(several([row.label for row in rows], 4), _LIST)
        return Markup("each of {} patched revisions<br><sub>{}</sub>").format(len(rows), each)
    names = _text(several(sets, 4), _LIST)
    return Markup("{} + each of {} sets of patches<br><sub>{}</sub>").format(
        where, len(sets), names
    )


def _cells(one: _Rows, columns: int) -> tuple[Markup, ...]:
    return tuple(_same([cells[n] for cells in one.cells]) for n in range(columns))


def _same(cells: Sequence[CellInfo | None]) -> Markup:
    """Return cells with the same outcome as one; of several, with the sum of their trials."""
    ran = [c for c in cells if c]
    if len(ran) < 2 or len(ran[0].counts) > 1:  # noqa: PLR2004
        return _shown(ran[0] if ran else None)
    k, n = (sum(c.rate[i] for c in ran) for i in (0, 1))
    return _shown(ran[0], f"{k} of {n}" if n else "")


def _counts(one: _Rows) -> Markup:
    """Return how many cells have each outcome: ``❌ layers dropped: 8 · ✅ cached: 2``."""
    found: dict[tuple[symbols.Symbol, str], int] = {}
    for cells in one.cells:
        for cell in cells:
            key = (symbols.of_cell(cell), cell.outcome) if cell else (symbols.NONE, "not run")
            found[key] = found.get(key, 0) + 1
    ranked = sorted(found.items(), key=lambda item: symbols.ALL.index(item[0][0]))
    parts = [
        Markup("{} {}: {}").format(symbol.emoji, _text(symbols.word(outcome), 40), n)
        for (symbol, outcome), n in ranked
    ]
    return Markup(" · ").join(parts[:5])


# --- a search -------------------------------------------------------------------------------


def _of_search(result: Result, info: BisectInfo) -> Brief:
    if len(info.tried) > 1 and not info.axes:
        return _of_tried(result, info)
    old, new = ("bad", "good") if info.find_fix else ("good", "bad")
    older, newer = (info.bad, info.good) if info.find_fix else (info.good, info.bad)
    by_ref = {r.ref: r.sha for r in result.revisions}
    given = "{} end" if info.first_bad else "given as {}"
    oldest = "{} end, not run" if info.not_run == older else given
    newest = "{} end, not run" if info.bad_not_run == newer else given
    if info.bad_shown:
        newest = f"given as {{}}, is {symbols.word(info.bad_shown)}"
    first = _Commit(what=oldest.format(old), sha=by_ref.get(older, ""), ref=older)
    last = _Commit(what=newest.format(new), sha=by_ref.get(newer, ""), ref=newer)
    middle = [
        *(_Commit(what=f"last {old}", sha=sha) for sha in info.parents[:1] if info.first_bad),
        *([_Commit(what=f"**first {new}**", sha=info.first_bad)] if info.first_bad else []),
    ]
    left: list[_Commit] = []
    if not info.first_bad:
        what = "candidate" if info.status == SearchStatus.RANGE else "tested"
        others = [c.sha for c in info.candidates if c.sha not in (first.sha, last.sha)]
        left = [_Commit(what=what, sha=sha) for sha in others]
        middle = left[: ROWS - 2]
    known = {one.sha for one in middle}
    ends = [one for one in (first, last) if not one.sha or one.sha not in known]
    dates = {r.sha: r.date for r in result.revisions}
    # A commit older than the older end says why there is no single change: it comes first.
    early = [one for one in left if "" < dates.get(one.sha, "") < dates.get(first.sha, "")]
    late = [one for one in middle if one not in early]
    order = [one for one in (*early, first, *late, last) if one in middle or one in ends]
    rows = [_commit_row(result, info, one) for one in order]
    undone = next((c for c in _own(result, info) if info.first_bad and _reverts(c)), None)
    if undone:
        name = Markup("{} without it").format(commit(result, undone.revision, cut(newer, _NAME)))
        rows.append((Markup("revert"), name, _shown(undone)))
    notes = [
        *([f"in releases: {listed(info.contained, 4)}"] if info.contained else []),
        *([f"{plural(len(left) - len(middle), 'more commit')}, folded below"]
          if len(left) > len(middle) else []),
    ]  # fmt: skip
    return Brief(
        head=(Markup(""), Markup("commit"), Markup("outcome")), rows=tuple(rows), notes=tuple(notes)
    )


def _of_tried(result: Result, info: BisectInfo) -> Brief:
    """Return both ends in each cell, of which none could be searched in."""
    ends = (("good", info.good), ("bad", info.bad))
    by_ref = {r.ref: r.sha for r in result.revisions}
    heads = [
        Markup("given as {}: {}").format(what, commit(result, by_ref.get(ref, ""), cut(ref, _NAME)))
        for what, ref in (reversed(ends) if info.find_fix else ends)
    ]
    shown = info.tried if len(info.tried) <= ROWS else info.tried[: ROWS - 1]
    rows: list[tuple[Markup, ...]] = []
    for one in shown:
        seen = [_tried(one.good, one.good_verdict), _tried(one.bad, one.bad_verdict)]
        name = _text(words_of(result, info.scenario, one.axes), 2 * _NAME)
        rows.append((name, *(reversed(seen) if info.find_fix else seen)))
    if len(info.tried) > len(shown):
        more = markdown(f"and {plural(len(info.tried) - len(shown), 'more cell')}, folded below")
        rows.append((more, Markup(""), Markup("")))
    return Brief(head=(Markup("cell"), *heads), rows=tuple(rows))


def _tried(seen: str, verdict: str) -> Markup:
    """Return ``layers-dropped (3 of 3)`` as a symbol, the outcome, and its trials below."""
    symbol = symbols.of("", verdict) if seen else symbols.NONE
    counted = _COUNTED.fullmatch(seen)
    if not counted:
        return Markup("{} {}").format(symbol.emoji, _text(seen, _LIST))
    outcome, trials = _text(symbols.word(counted[1])), _text(counted[2])
    return Markup("{} {}<br><sub>{}</sub>").format(symbol.emoji, outcome, trials)


def _own(result: Result, info: BisectInfo) -> list[CellInfo]:
    """Return the tested cells of the search: it may have tried its ends in others too."""
    return [
        c
        for c in result.cells
        if c.scenario == info.scenario and (c.axes == info.axes if info.axes else not c.control)
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Commit:
    """A row of a search's table; a *ref* is how the user named it."""

    what: str
    sha: str
    ref: str = ""


def _reverts(cell: CellInfo) -> bool:
    return any(name.startswith("revert-") for name in cell.patches)


def _commit_row(result: Result, info: BisectInfo, one: _Commit) -> tuple[Markup, ...]:
    name = commit(result, one.sha, cut(one.ref, _NAME)) if one.sha else _text(one.ref)
    subject = next((r.subject for r in result.revisions if r.sha == one.sha), "")
    if subject and not one.ref:
        name += Markup(" {}").format(_text(subject, 72))
    number = changes.pull_of_commit(result, info, one.sha) if one.sha == info.first_bad else ""
    if number:
        name += Markup(" ({})").format(link(f"PR {number}", changes.pull_url(result, number)))
    cell = next((c for c in _own(result, info) if c.revision == one.sha and not _reverts(c)), None)
    step = next((s for s in (*info.steps, *info.gate) if s.sha == one.sha), None)
    outcome = _shown(cell)
    if cell is None and step:
        symbol = symbols.of("", step.verdict)
        outcome = Markup("{} {}").format(symbol.emoji, _text(step.shown))
    elif cell is None:
        outcome = _same_build(info, one.sha) or outcome
    return Markup(one.what), name, outcome  # noqa: S704 - ours


def _same_build(info: BisectInfo, sha: str) -> Markup | None:
    """Return what a commit shows whose build was run as that of another commit, often its merge."""
    reason = next((c.reason for c in info.candidates if c.sha == sha), "")
    verdict, _, seen = reason.partition(": ")
    if not _COUNTED.fullmatch(seen):
        return None
    return _tried(seen, verdict) + Markup("<br><sub>run as another commit, the same build</sub>")


# --- changes along a history ----------------------------------------------------------------


def _of_changes(result: Result) -> Brief | None:
    found = changes.changes(result)
    if not found:
        return _of_matrix(result, table.matrix(result)) if result.cells else None
    shown = found if len(found) <= ROWS else found[: ROWS - 1]
    optional = [
        ("PR", [_pull(result, c) for c in shown]),
        ("author", [_text(c.author) for c in shown]),
        ("first release", [_text(c.release) for c in shown]),
    ]
    known = [(name, column) for name, column in optional if any(column)]
    rows = [
        (
            markdown(c.date),
            change_name(result, c),
            change_ways(result, c),
            *(col[n] for _, col in known),
        )
        for n, c in enumerate(shown)
    ]
    if len(found) > len(shown):
        rest = f"and {plural(len(found) - len(shown), 'more change')}, folded below"
        rows.append((Markup(""), markdown(rest), *[Markup("")] * (1 + len(known))))
    head = ("date", "commit", "before → after", *(name for name, _ in known))
    return Brief(head=tuple(map(Markup, head)), rows=tuple(rows))


def change_name(result: Result, change: changes.Change) -> Markup:
    """Return the commit of a change, with a link that compares it with the last one before."""
    if not change.sha:
        names = [commit(result, sha) for sha in change.candidates[:4]]
        return Markup("one of {}: {}").format(len(change.candidates), Markup(", ").join(names))
    url = table.compare_url(result, change.last_before, change.sha)
    compare = Markup("({})").format(link("compare", url)) if url else Markup("")
    return spaced_markup(commit(result, change.sha), _text(change.subject, 72), compare)


def change_ways(result: Result, change: changes.Change) -> Markup:
    """Return what changes and in which cells, a line for each way."""
    verdicts = symbols.verdicts(result)
    parts = []
    for (before, after), cells in change.ways.items():
        how = Markup("{} → {}").format(_side(before, verdicts), _side(after, verdicts))
        parts.append(Markup("{}<br><sub>{}</sub>").format(how, _text(several(cells, 3), _LIST)))
    return Markup("<br>").join(parts)


def _side(outcome: str, verdicts: Mapping[str, str]) -> Markup:
    """Return one side of a change, with a symbol if the outcome has one verdict everywhere."""
    shown = _text(symbols.word(outcome))
    if outcome not in verdicts:
        return shown
    # A no-break space, since the two sides follow each other in one line.
    return Markup("{}\u00a0{}").format(symbols.of(outcome, verdicts[outcome]).emoji, shown)


def _pull(result: Result, change: changes.Change) -> Markup:
    return link(change.pull, changes.pull_url(result, change.pull)) if change.pull else Markup("")


# --- a validation ---------------------------------------------------------------------------


def _of_validation(result: Result, info: ValidationInfo) -> Brief | None:
    rows = [
        (Markup("{} {}").format(symbol.emoji, title), _text(names, 2 * _LIST), _text(how, _LIST))
        for symbol, title, names, how in effects(info, result.scenarios)
    ]
    if not rows:
        return None
    return Brief(
        head=(Markup(""), Markup("cells"), Markup("before → after")),
        rows=tuple(rows[:ROWS]),
    )
