"""Clauses on patches in a matrix: each patched row compared with the unpatched revision.

Only ``validate`` concludes that a patch fixes something: it alternates both sides and runs more
trials. A matrix only reports what is good and what is bad with the patch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from enum import IntEnum

from buildkit_bisect.events import Column
from buildkit_bisect.headline import Mark
from buildkit_bisect.model import Verdict
from buildkit_bisect.phrases import are, listed, plural, share
from buildkit_bisect.render import symbols, table
from buildkit_bisect.result import CellInfo, chance

Cells = Mapping[Column, CellInfo]

#: Verdicts of cells that say nothing.
_UNTESTED = (Verdict.SKIP, Verdict.INFRA)


class Rank(IntEnum):
    """What patches do to the cells of one revision, beyond chance; breakage first."""

    BREAKS = 0  # a cell that was good is bad
    FIXES = 1  # every broken cell is good
    OTHER = 2
    UNTESTED = 3  # nothing could be tested, or the unpatched revision was not run


#: Maximum number of outcomes that a clause names.
_NAMED = 3


def clauses(grid: table.Matrix, mark: Mark) -> list[str]:
    """Return a clause per set of patches, one for all with the same effect, breakage first."""
    effects: dict[tuple[str, tuple[Rank, str]], list[str]] = {}
    for row in grid.rows:
        own = tested(grid, row)
        if row.patches and own:
            patches = mark(" + ".join(row.patches))
            effect = compare(base_of(grid, row), own, mark)
            effects.setdefault((patches, effect), []).append(mark(row.named(row.ref)))
    alike: dict[tuple[tuple[Rank, str], tuple[str, ...]], list[str]] = {}
    for (patches, effect), refs in effects.items():
        alike.setdefault((effect, tuple(refs)), []).append(patches)
    ordered = sorted(alike.items(), key=lambda item: item[0][0][0])
    return [
        f"with {_each(names)} on {listed(list(r))}, {effect}" for ((_, effect), r), names in ordered
    ]


def ranks(grid: table.Matrix) -> dict[tuple[str, ...], set[Rank]]:
    """Return what each set of patches does, over all revisions that it was applied to."""
    found: dict[tuple[str, ...], set[Rank]] = {}
    for row in grid.rows:
        own = tested(grid, row)
        if row.patches and own:
            effect, _ = compare(base_of(grid, row), own, str)
            found.setdefault(row.patches, set()).add(effect)
    return found


def base_of(grid: table.Matrix, row: table.Row) -> Cells:
    """Return the tested cells of the unpatched revision of *row*, {} if it was not run."""
    same = (r for r in grid.rows if (r.sha, r.machine) == (row.sha, row.machine))
    plain = next((r for r in same if not r.patches), None)
    return tested(grid, plain) if plain else {}


def tested(grid: table.Matrix, row: table.Row) -> Cells:
    """Return the cells of *row* that are not controls."""
    cells = {c: grid.cell(row, c) for g in grid.groups for c in g.columns if not c.control}
    return {column: cell for column, cell in cells.items() if cell}


def _each(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"each of {listed(list(names))}"


def compare(base: Cells, own: Cells, mark: Mark) -> tuple[Rank, str]:
    """Return (rank, clause): the *own* cells compared with those of *base*, which may be empty."""
    shown = seen(list(own.values()), mark)
    if all(c.verdict in _UNTESTED for c in own.values()):
        return Rank.UNTESTED, shown
    if not base:
        return Rank.UNTESTED, f"{shown}, and the unpatched revision was not run"
    pairs = [_Pair(cell, own[column]) for column, cell in base.items() if column in own]
    broken = [p for p in pairs if p.before.verdict == Verdict.BAD]
    broke = [p for p in pairs if (p.before.verdict, p.verdict) == (Verdict.GOOD, Verdict.BAD)]
    sure = [p for p in broke if p.sure]
    parts = [_of_broke(some, mark) for some in (sure, [p for p in broke if not p.sure]) if some]
    if broken:
        parts.append(_of_broken(broken, mark))
    elif not broke:
        parts.append(f"{shown}, as without it" if _all_good(own) else "the result is inconclusive")
    every = bool(broken) and all(p.verdict == Verdict.GOOD and p.sure for p in broken)
    rank = Rank.BREAKS if sure else Rank.FIXES if every else Rank.OTHER
    return rank, " and ".join(parts)


class _Pair:
    """A cell without and with the patches; whether it changed is known only beyond chance."""

    def __init__(self, before: CellInfo, after: CellInfo) -> None:
        self.before = before
        self.after = after
        self.verdict = after.verdict
        tested = {before.verdict, after.verdict} <= chance.RANK.keys()
        self.how = chance.difference(before, after) if tested else None

    @property
    def sure(self) -> bool:
        """Whether it got worse or better beyond chance."""
        return self.how is not None and self.how.kind in (chance.Kind.WORSE, chance.Kind.BETTER)


def _may_be_chance(pairs: Sequence[_Pair]) -> str:
    """Return a clause with the p-value, the smallest of several; "" if all are sure."""
    odds = [p.how for p in pairs if p.how and not p.sure]
    if not odds:
        return ""
    least = min(odds, key=lambda how: how.p)
    more = max(how.trials for how in odds)
    shown = replace(least, trials=more).shown
    return f" (may be chance: {shown if len(odds) == 1 else shown.replace('=', '≥', 1)})"


def _of_broke(broke: Sequence[_Pair], mark: Mark) -> str:
    were = "that was good is" if len(broke) == 1 else "that were good are"
    ways = _ways([p.after for p in broke], mark)
    return f"{plural(len(broke), 'cell')} {were} bad ({ways}){_may_be_chance(broke)}"


def _all_good(own: Cells) -> bool:
    return all(c.verdict == Verdict.GOOD for c in own.values())


def seen(own: Sequence[CellInfo], mark: Mark) -> str:
    """Return what cells show, compared with nothing: ``all 9 tested cells are good``."""
    tested = [c for c in own if c.verdict not in _UNTESTED]
    bad = [c for c in tested if c.verdict == Verdict.BAD]
    if not tested:
        return "nothing could be tested"
    left = len(own) - len(tested)
    more = f", {left} could not be tested" if left else ""
    cells = share(len(bad) or len(tested), len(tested), "tested cell")
    if bad:
        return f"{cells} {are(len(bad))} bad ({_ways(bad, mark)}){more}"
    if all(c.verdict == Verdict.GOOD for c in tested):
        return f"{cells} {are(len(tested))} good{more}"
    return "the result is inconclusive"


def _of_broken(broken: Sequence[_Pair], mark: Mark) -> str:
    """Return the clause on cells that are bad without the patches."""
    good = [p for p in broken if p.verdict == Verdict.GOOD]
    sure, unsure_good = [p for p in good if p.sure], [p for p in good if not p.sure]
    bad = [p.after for p in broken if p.verdict == Verdict.BAD]
    one = len(broken) == 1
    every = "the one broken cell is" if one else f"all {len(broken)} broken cells are"
    if len(good) == len(broken) and not (sure and unsure_good):
        return f"{every} good{_may_be_chance(good)}"
    if len(bad) == len(broken):
        return f"{every} still bad ({_ways(bad, mark)})"
    unsure = len(broken) - len(good) - len(bad)
    parts: list[str] = []
    for some in (sure, unsure_good):
        if some:
            of = "" if parts else f" of {len(broken)} broken cells"
            parts.append(f"{len(some)}{of} {are(len(some))} good{_may_be_chance(some)}")
    of = "" if good else f" of {len(broken)} broken cells"
    if bad:
        parts.append(f"{len(bad)}{of} {are(len(bad))} still bad ({_ways(bad, mark)})")
    if unsure:
        parts.append(f"{unsure}{'' if parts else of} inconclusive")
    return listed(parts)


def _ways(cells: Iterable[CellInfo], mark: Mark) -> str:
    return listed(sorted({mark(symbols.word(c.outcome)) for c in cells}), _NAMED)
