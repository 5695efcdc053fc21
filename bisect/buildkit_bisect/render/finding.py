"""The headline of a report: what was found, in at most two sentences and 200 characters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from buildkit_bisect.headline import Mark, Said, Words, cut, headline
from buildkit_bisect.model import ToolOutcome, Verdict
from buildkit_bisect.phrases import every, labelled, percent, plural, share
from buildkit_bisect.render import changes, clauses, patched, symbols, table
from buildkit_bisect.render.patched import Rank
from buildkit_bisect.render.spoken import spoken
from buildkit_bisect.render.text import one_line
from buildkit_bisect.result import (
    BisectInfo,
    CampaignKind,
    CellInfo,
    Result,
    ScenarioInfo,
    SearchStatus,
)
from buildkit_bisect.result.labels import cell_label
from buildkit_bisect.result.sentence import say_verdict
from buildkit_bisect.search.vocabulary import MORE_THAN_ONCE

#: How a search says that there are several changes; the second in results of earlier versions.
_MORE_THAN_ONCE = (MORE_THAN_ONCE, "the history turned more than once")


#: How much longer than a subject a clause on patches may be that a headline quotes.
_CLAUSE = 30


def finding(result: Result, mark: Mark = str) -> str:
    """Return the finding, with names passed through *mark* and the rest plain.

    Without what *mark* adds it is at most `headline.LIMIT` characters long.
    """
    result = spoken(result)
    return headline(lambda words: _said(result, words), mark, clean=one_line)


def _said(result: Result, words: Words) -> Said:
    if result.bisect and result.kind == CampaignKind.BOUNDARIES:
        return _boundaries(result, result.bisect, words)
    if result.bisect:
        return _search(result, result.bisect, words)
    if result.validation:
        return say_verdict(result.validation, words)
    grid = table.matrix(result)
    if not grid.cells:
        return Said(first="Nothing was run")
    if len(grid.cells) == 1:
        return _cell(grid, words)
    return _matrix(grid, words)


def _cell(grid: table.Matrix, words: Words) -> Said:
    (((row, column), cell),) = grid.cells.items()
    # A scenario without axes has one cell in each row: nothing distinguishes it.
    where = f" with {words.cell(grid.name(column))}" if column.axes else ""
    tally = symbols.own(cell)
    shown = f"{words.name(symbols.word(cell.outcome))}{f' ({words.long(tally)})' if tally else ''}"
    beside = symbols.more(cell)
    return Said(
        first=f"{words.name(row.label)} {_is(cell)}{where}: {shown}",
        must=(symbols.known(cell.outcome, beside),) if beside else (),
    )


def _is(cell: CellInfo) -> str:
    match cell.verdict:
        case Verdict.SKIP | Verdict.INFRA:
            return "could not be tested"
        case Verdict.WEAK:
            return "is inconclusive"
        case _:
            return f"is {cell.verdict}"


def _matrix(grid: table.Matrix, words: Words) -> Said:
    effects = clauses.controls(grid, words.name)
    failed = any(clauses.failed_controls(grid))
    patches = _patches(grid, words)
    flaky = sum(symbols.of_cell(cell) is symbols.MIXED for cell in grid.cells.values())
    first = _broken(grid, words)
    rest = [
        *([f"{plural(flaky, 'cell')} {'is' if flaky == 1 else 'are'} flaky"] if flaky else []),
        *_least(grid),
        *(() if failed else effects),
    ]
    must = [*(effects if failed else []), *([patches] if patches and first else [])]
    first = first or _capital(patches) or "Only controls were run"
    return Said(first=first, must=tuple(must), may=tuple(rest))


def _broken(grid: table.Matrix, words: Words) -> str:
    """Return which unpatched revisions are broken, and what their bad cells share."""
    plain = {k: c for k, c in clauses.own_cells(grid).items() if not k[0].patches}
    tested = {key: cell for key, cell in plain.items() if patched.was_tested(cell)}
    own: dict[table.Row, list[CellInfo]] = {}
    for (row, _), cell in plain.items():
        own.setdefault(row, []).append(cell)
    rows = [row for row in grid.rows if row in own]
    bad = [r for r in rows if any(c.verdict == Verdict.BAD for c in own[r])]
    if not rows:
        return ""
    if not bad:
        return _capital(clauses.whole(own, words.name))
    columns = [column for (_, column), c in tested.items() if c.verdict == Verdict.BAD]
    where = clauses.only_in(grid, tested, words.name)
    outcomes = {c.outcome for c in tested.values() if c.verdict == Verdict.BAD}
    how = f": {words.name(symbols.word(outcomes.pop()))}" if len(outcomes) == 1 else ""
    if len(rows) == 1:
        count = f" in {share(len(columns), len(tested), 'tested cell')}"
        return f"{words.name(bad[0].label)} is broken{where or count}{how}"
    spans = ", ".join(clauses.spans(rows, bad, words.name)[: words.few])
    without = "unpatched " if any(row.patches for row in grid.rows) else ""
    without = clauses.ran(grid, rows) + without
    count = every(len(rows)) if len(bad) == len(rows) else f"{len(bad)} of {len(rows)}"
    return f"Broken in {count} {without}{table.noun(rows)}s ({spans}){where}{how}"


def _least(grid: table.Matrix) -> list[str]:
    """Return how many cells of each broken unpatched revision are bad, if that says more."""
    tested = {k: c for k, c in clauses.own_cells(grid).items() if not k[0].patches}
    bad = [key for key, cell in tested.items() if cell.verdict == Verdict.BAD]
    counts = Counter(row for row, _ in bad)
    columns = len({column for _, column in tested})
    whole = len({row for row, _ in tested}) * columns == len(tested)
    if not whole or not all(map(patched.was_tested, tested.values())):
        return []
    if len(counts) < 2 or set(counts.values()) == {columns}:  # noqa: PLR2004
        return []
    if clauses.only_in(grid, tested, str):
        return []
    few, many = min(counts.values()), max(counts.values())
    joined = "or" if many == few + 1 else "to"
    count = f"{few}" if few == many else f"{few} {joined} {many}"
    where = "in each unpatched revision" if any(row.patches for row in grid.rows) else "in each"
    return [f"{where}, {count} of the {columns} tested cells {'is' if many == 1 else 'are'} bad"]


def _patches(grid: table.Matrix, words: Words) -> str:
    """Return which sets of patches make every broken cell good, and which break a good one.

    If none can be compared with its unpatched revision, it is what they show.
    """
    effects = {p: r for p, r in patched.ranks(grid).items() if r != {Rank.UNTESTED}}
    if not effects:
        return _one_clause(grid, words) or _alone(grid, words)
    return _one_clause(grid, words) or _several_sets(grid, effects, words)


def _one_clause(grid: table.Matrix, words: Words) -> str:
    """Return the clause on all sets of patches if there is only one and room for it, or ""."""
    # Measured without marks, so that both texts of a headline say the same.
    plain = patched.clauses(grid, lambda name: cut(one_line(name), words.width))
    room = len(plain) == 1 and len(plain[0]) <= words.reach + _CLAUSE
    return patched.clauses(grid, words.name)[0] if room else ""


def _alone(grid: table.Matrix, words: Words) -> str:
    """Return what patched cells show if none can be compared; "" if there is none."""
    rows = [row for row in grid.rows if row.patches and patched.tested(grid, row)]
    if not rows:
        return ""
    cells = [cell for row in rows for cell in patched.tested(grid, row).values()]
    said = f"with {_on(grid, list(dict.fromkeys(row.patches for row in rows)), words)}, "
    said += patched.seen(cells, words.name)
    bases = [patched.base_of(grid, row) for row in rows]
    if any(cell.verdict == Verdict.BAD for base in bases for cell in base.values()):
        return f"{said}, and no broken cell was tested"
    if any(bases):
        return said
    one = len({(row.sha, row.machine) for row in rows}) == 1
    return f"{said}, and the unpatched {'revision was' if one else 'revisions were'} not run"


def _several_sets(
    grid: table.Matrix, effects: Mapping[tuple[str, ...], set[Rank]], words: Words
) -> str:
    fix = [p for p, ranks in effects.items() if ranks == {Rank.FIXES}]
    broke = [p for p, ranks in effects.items() if Rank.BREAKS in ranks]
    partly = [p for p, r in effects.items() if Rank.PARTLY in r and r <= {Rank.FIXES, Rank.PARTLY}]
    rest = [p for p in effects if p not in fix]
    if fix:
        others = f"{len(rest)} other {'set' if len(rest) == 1 else 'sets'} of patches"
        breaks = f"; {len(broke)} of {others} {_break(broke)} a good cell" if broke else ""
        said = f"with {_on(grid, fix, words)}, every broken cell is good"
        return f"{said}{breaks or _others(effects, rest)}"
    if len(broke) == len(effects):
        cells = "a cell that was good is" if len(broke) == 1 else "cells that were good are"
        return f"with {_on(grid, broke, words)}, {cells} bad"
    if broke:
        return f"{len(broke)} of {plural(len(rest), 'set')} of patches {_break(broke)} a good cell"
    if some := [p for p, r in effects.items() if Rank.FIXES in r and p not in partly]:
        return _on_some(grid, some, words) + _others(effects, [p for p in rest if p not in some])
    if partly:
        said = "every broken cell that was tested is good, but some were not tested"
        others = _others(effects, [p for p in rest if p not in partly])
        return f"with {_on(grid, partly, words)}, {said}{others}"
    return f"with {_on(grid, rest, words)}, {_without_effect(grid, effects)}"


def _on_some(grid: table.Matrix, sets: list[tuple[str, ...]], words: Words) -> str:
    """Return where *sets* of patches make every broken cell good, if each does on some revision."""
    said = f"with {_on(grid, sets, words, rank=Rank.FIXES)}, every broken cell is good"
    bad = _refs(grid, sets, Rank.STILL_BAD)
    if not bad:
        return f"{said}; not known on other revisions"
    return f"{said}; not so on {words.list(bad) if len(sets) == 1 else 'other revisions'}"


def _others(effects: Mapping[tuple[str, ...], set[Rank]], others: Sequence[tuple[str, ...]]) -> str:
    """Return of how many *others* it is not so that every broken cell is good, or not known."""
    if not others:
        return ""
    bad = sum(Rank.STILL_BAD in effects[patches] for patches in others)
    sets = f"{len(others)} other {'set' if len(others) == 1 else 'sets'} of patches"
    if bad == len(others):
        return f"; not so with {sets}"
    if not bad:
        return f"; not known for {sets}"
    return f"; not so with {bad} of {sets}, not known for {len(others) - bad}"


def _break(sets: list[tuple[str, ...]]) -> str:
    return "breaks" if len(sets) == 1 else "break"


def _without_effect(grid: table.Matrix, effects: Mapping[tuple[str, ...], set[Rank]]) -> str:
    """Return what the cells of sets of patches show if none is fixed or broken beyond chance."""
    rows = [row for row in grid.rows if row.patches in effects]
    cells = [cell for row in rows for cell in patched.tested(grid, row).values()]
    bases = [cell for row in rows for cell in patched.base_of(grid, row).values()]
    if any(cell.verdict == Verdict.BAD for cell in cells):
        return "some cells are bad"
    if doubt := clauses.doubt(cells):
        return f"no tested cell is bad, but some {doubt}"
    if any(Rank.UNTESTED in ranks for ranks in effects.values()):
        return "no tested cell is bad, but not all can be compared"
    if any(cell.verdict == Verdict.BAD for cell in bases):
        return "no tested cell is bad, which may be chance"
    return "no tested cell is bad either"


def _sets(sets: list[tuple[str, ...]], words: Words) -> str:
    names = [" + ".join(patches) for patches in sets]
    if len(names) == 1:
        return words.sum(sets[0])
    alike = len({cut(one_line(name), words.width) for name in names}) < len(names)
    if alike or words.few < len(names):
        return f"each of {len(names)} sets of patches"
    return f"each of {words.list(names)}"


def _on(
    grid: table.Matrix, sets: list[tuple[str, ...]], words: Words, *, rank: Rank | None = None
) -> str:
    """Return *sets* of patches with the revisions that each was applied to; *rank*: only there."""
    on: dict[tuple[str, ...], list[tuple[str, ...]]] = {}  # sets by their revisions
    for patches in sets:
        on.setdefault(_refs(grid, [patches], rank), []).append(patches)
    if len(on) > words.few:
        return f"{_sets(sets, words)}, where it was tried"
    parts = [f"{_sets(some, words)} on {words.list(refs)}" for refs, some in on.items()]
    return ", and ".join(parts)


def _refs(
    grid: table.Matrix, sets: Sequence[tuple[str, ...]], rank: Rank | None
) -> tuple[str, ...]:
    """Return the revisions that *sets* of patches were applied to; *rank*: only those."""
    rows = [row for row in grid.rows if row.patches in sets and patched.tested(grid, row)]
    some = [row for row in rows if rank is None or patched.rank_of(grid, row) is rank]
    return tuple(dict.fromkeys(row.named(row.ref) for row in some))


def _capital(clause: str) -> str:
    """Return a clause as the beginning of a sentence."""
    return clause[:1].upper() + clause[1:]


def _scenarios(result: Result) -> Mapping[str, ScenarioInfo]:
    return {scenario.name: scenario for scenario in result.scenarios}


def _place(result: Result, info: BisectInfo, words: Words) -> str:
    """Return in which cell, between which ends and with which patches a search was made."""
    older, newer = (info.bad, info.good) if info.find_fix else (info.good, info.bad)
    scenario = _scenarios(result).get(info.scenario)
    label = cell_label(scenario, info.axes) if scenario else " ".join(info.axes.values())
    return "tested with " + ", ".join(filter(None, [
        f"{words.sum(info.patches)} applied" if info.patches else "",
        words.cell(label or info.scenario),
        (f"{plural(info.total, 'candidate')} in " if info.total else "")
        + f"{words.name(older)}..{words.name(newer)}",
    ]))  # fmt: skip


def _search(result: Result, info: BisectInfo, words: Words) -> Said:
    which = Verdict.GOOD if info.find_fix else Verdict.BAD
    place = _place(result, info, words)
    match info.status:
        case SearchStatus.FOUND:
            subject = {r.sha: r.subject for r in result.revisions}.get(info.first_bad, "")
            title = f" ({words.long(subject)})" if subject else ""
            sure = f", confidence {percent(info.confidence)}" if info.confidence else ""
            doubt = ", but reverting it does not undo it" if _unconfirmed(info) else ""
            first = f"First {which} commit: {words.name(info.first_bad[:12])}{title}{sure}{doubt}"
        case SearchStatus.RANGE if len(info.candidates) == 1:  # it could not be tested itself
            not_proven = f"The first {which} commit is not proven"
            first = labelled(not_proven, words.long(info.reason))
        case SearchStatus.RANGE:
            names = words.list([c.sha[:12] for c in info.candidates])
            first = f"The first {which} commit is one of {len(info.candidates)}: {names}"
        case SearchStatus.REFUSED:
            first = labelled("No search", words.long(info.reason))
        case _ if any(phrase in info.reason for phrase in _MORE_THAN_ONCE):
            first = f"No single first {which} commit: the outcome changed more than once"
        case _:
            first = labelled("No answer", words.long(info.reason))
    # Without cells nothing ran: the ends themselves were refused.
    return Said(first=first, must=(place,) if result.cells else ())


def _unconfirmed(info: BisectInfo) -> bool:
    return info.reverted.startswith("NOT ")


def _boundaries(result: Result, info: BisectInfo, words: Words) -> Said:
    ends = f"between {words.name(info.good)} and {words.name(info.bad)}"
    cells = {(c.scenario, tuple(sorted(c.axes.items()))) for c in result.cells if not c.control}
    where = f"in {plural(len(cells), 'cell')}"
    if len(cells) == 1:
        ((name, axes),) = cells
        scenario = _scenarios(result).get(name)
        label = cell_label(scenario, dict(axes)) if scenario else ""
        where = f"with {words.cell(label or name)}"
    applied = f"with {words.sum(info.patches)} applied " if info.patches else ""
    tested = f"tested {applied}{where}: {info.tested} of {plural(info.total, 'commit')}"
    if not info.changes:
        if info.status == SearchStatus.REFUSED:
            return Said(first=labelled("No search", words.long(info.reason)))
        if info.status == SearchStatus.INCONCLUSIVE:
            first = labelled("No answer", words.long(info.reason))
            return Said(first=first, must=(tested,))
        bad = any(c.verdict == Verdict.BAD for c in result.cells if not c.control)
        good = any(c.verdict == Verdict.GOOD for c in result.cells if not c.control)
        state = ("bad" if bad else "good") if bad != good else ""
        all_ = f", {state} throughout" if state and not _unsure(result) else ""
        return Said(first=f"No change of outcome {ends}{all_}", must=(tested,))
    found = changes.changes(result)
    named = words.list([c.sha[:12] for c in found if c.sha])
    count = sum(1 for c in found if c.sha)
    hidden = len(found) - count
    parts = [f"at {plural(count, 'commit')} ({named})"] if count else []
    if hidden:
        parts.append(f"in {plural(hidden, 'range')} of untestable commits")
    return Said(
        first=f"The outcome changes {ends} {' and '.join(parts)}",
        must=(tested,),
        may=_bad_at_the_end(result, info),
    )


def _bad_at_the_end(result: Result, info: BisectInfo) -> tuple[str, ...]:
    """Return how many cells are bad at the newest tested commit of the line, if some are."""
    places = {step.sha: step.position for step in info.steps if step.position is not None}
    seen = [c for c in result.cells if c.revision in places and not c.control]
    last = max((places[c.revision] for c in seen), default=0)
    bad = sum(c.verdict == Verdict.BAD for c in seen if places[c.revision] == last)
    cells = len({table.column_of(c) for c in seen})  # some may lack the newest commit
    if not bad or cells == 1:
        return ()
    count = every(bad) if bad == cells else f"{bad} of {cells}"
    return (f"{count} cells {'is' if bad == 1 else 'are'} bad at the newest",)


def _unsure(result: Result) -> bool:
    """Whether some trials were inconclusive, flaky or missing."""
    sure = (Verdict.GOOD, Verdict.BAD)
    return any(c.verdict not in sure or c.outcome == ToolOutcome.FLAKY for c in result.cells)
