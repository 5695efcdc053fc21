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
from buildkit_bisect.phrases import are, every, listed, plural, share
from buildkit_bisect.render import symbols, table
from buildkit_bisect.result import CellInfo, chance

Cells = Mapping[Column, CellInfo]


class Rank(IntEnum):
    """What patches do to the cells of one revision, beyond chance; breakage first."""

    BREAKS = 0  # a cell that was good is bad
    FIXES = 1  # every broken cell is good
    PARTLY = 2  # every broken cell that was tested is good, and some were not tested
    STILL_BAD = 3  # some cells are bad that were broken, or that are not known without it
    OTHER = 4
    UNTESTED = 5  # nothing could be tested, or nothing of it in the unpatched revision


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
    return [f"with {_each(names)} on {_each(r)}, {effect}" for ((_, effect), r), names in ordered]


def ranks(grid: table.Matrix) -> dict[tuple[str, ...], set[Rank]]:
    """Return what each set of patches does, over all revisions that it was applied to."""
    found: dict[tuple[str, ...], set[Rank]] = {}
    for row in grid.rows:
        if row.patches and tested(grid, row):
            found.setdefault(row.patches, set()).add(rank_of(grid, row))
    return found


def rank_of(grid: table.Matrix, row: table.Row) -> Rank:
    """Return what the patches of *row* do to its revision."""
    return compare(base_of(grid, row), tested(grid, row), str)[0]


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
    if not any(map(was_tested, own.values())):
        return Rank.UNTESTED, shown
    if not any(map(was_tested, base.values())):
        why = "could not be tested" if base else "was not run"
        return Rank.UNTESTED, f"{shown}, and the unpatched revision {why}"
    pairs = [_Pair(cell, own[column]) for column, cell in base.items() if column in own]
    all_broken = [c for c in base.values() if c.verdict == Verdict.BAD]
    broken = [p for p in pairs if p.before.verdict == Verdict.BAD]
    broke = [p for p in pairs if (p.before.verdict, p.verdict) == (Verdict.GOOD, Verdict.BAD)]
    sure = [p for p in broke if p.sure]
    unknown = _bad_unknown(base, own)
    parts = [_of_broke(some, mark) for some in (sure, [p for p in broke if not p.sure]) if some]
    if all_broken:
        parts.append(_of_broken(broken, len(all_broken), mark))
    if unknown:
        bad = f"{plural(len(unknown), 'cell')} {are(len(unknown))} bad ({_ways(unknown, mark)})"
        parts.append(f"{bad} that {are(len(unknown))} not known without it")
    if not parts:
        return _as_without(base, own, mark)
    return _rank(pairs, all_broken, unknown), " and ".join(parts)


def was_tested(cell: CellInfo) -> bool:
    """Whether trials of *cell* say anything."""
    return cell.verdict not in (Verdict.SKIP, Verdict.INFRA)


def _bad_unknown(base: Cells, own: Cells) -> list[CellInfo]:
    """Return what is bad with the patches, and neither good nor bad in *base*."""
    known = {c for c, cell in base.items() if cell.verdict in (Verdict.GOOD, Verdict.BAD)}
    return [cell for c, cell in own.items() if cell.verdict == Verdict.BAD and c not in known]


def _rank(
    pairs: Sequence[_Pair], all_broken: Sequence[CellInfo], unknown: Sequence[CellInfo]
) -> Rank:
    """Return the rank of patches of which some cells are bad, without or with them."""
    broken = [p for p in pairs if p.before.verdict == Verdict.BAD and was_tested(p.after)]
    if any((p.before.verdict, p.verdict) == (Verdict.GOOD, Verdict.BAD) and p.sure for p in pairs):
        return Rank.BREAKS
    if unknown or any(p.verdict == Verdict.BAD for p in broken):
        return Rank.STILL_BAD
    if all_broken and not broken:
        return Rank.UNTESTED
    if all_broken and all(p.verdict == Verdict.GOOD and p.sure for p in broken):
        return Rank.FIXES if len(broken) == len(all_broken) else Rank.PARTLY
    return Rank.OTHER


def _as_without(base: Cells, own: Cells, mark: Mark) -> tuple[Rank, str]:
    """Return (rank, clause) of patches if no cell is bad, without or with them."""
    tested = {column: cell for column, cell in own.items() if was_tested(cell)}
    if any(cell.verdict != Verdict.GOOD for cell in tested.values()):
        return Rank.OTHER, "the result is inconclusive"
    alike = sum(c in base and base[c].verdict == Verdict.GOOD for c in tested)
    shown, left = seen(list(tested.values()), mark), len(own) - len(tested)
    more = f", {left} could not be tested" if left else ""
    if not alike:
        which = "which is" if len(tested) == 1 else "which are"
        return Rank.UNTESTED, f"{shown}, {which} not known without it{more}"
    same = "as without it" if alike == len(tested) else f"{alike} of them also without it"
    return Rank.OTHER, f"{shown}, {same}{more}"


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


def seen(own: Sequence[CellInfo], mark: Mark) -> str:
    """Return what cells show, compared with nothing: ``all 9 tested cells are good``."""
    tested = [c for c in own if was_tested(c)]
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


def _of_broken(broken: Sequence[_Pair], count: int, mark: Mark) -> str:
    """Return the clause on *count* cells that are bad without the patches.

    Those of *broken* were run with them.
    """
    tested = [p for p in broken if was_tested(p.after)]
    good = [p for p in tested if p.verdict == Verdict.GOOD]
    sure, unsure_good = [p for p in good if p.sure], [p for p in good if not p.sure]
    bad = [p.after for p in tested if p.verdict == Verdict.BAD]
    those = _those(len(tested), len(broken), count)
    if not tested:
        return those
    if len(good) == len(tested) and not (sure and unsure_good):
        return f"{those} good{_may_be_chance(good)}"
    if len(bad) == len(tested):
        return f"{those} still bad ({_ways(bad, mark)})"
    unsure = len(tested) - len(good) - len(bad)
    if unsure == len(tested):
        return f"{those} inconclusive"
    parts: list[str] = []
    for some in (sure, unsure_good):
        if some:
            of = "" if parts else f" of {count} broken cells"
            parts.append(f"{len(some)}{of} {are(len(some))} good{_may_be_chance(some)}")
    of = "" if good else f" of {count} broken cells"
    if bad:
        parts.append(f"{len(bad)}{of} {are(len(bad))} still bad ({_ways(bad, mark)})")
    if unsure:
        parts.append(f"{unsure}{'' if parts else of} inconclusive")
    return listed([*parts, *_untested(len(tested), len(broken), count)])


def _untested(tested: int, run: int, count: int) -> list[str]:
    """Return parts of a list: how many of *count* broken cells were not tested, and why."""
    missing = count - run
    return [
        *([f"{run - tested} could not be tested"] if tested < run else []),
        *([f"{missing} {'was' if missing == 1 else 'were'} not run"] if missing else []),
    ]


def _those(tested: int, run: int, count: int) -> str:
    """Return ``all 6 of the 10 broken cells that were run are``, of *count* broken cells.

    If none was tested, it is a whole clause.
    """
    how = "run" if tested == run else "tested"
    if not tested and count == 1:
        return f"the one broken cell {'could not be tested' if run else 'was not run'}"
    if not tested:
        return f"none of {count} broken cells was {'tested' if run else 'run'}"
    if tested == count:
        return "the one broken cell is" if count == 1 else f"{every(count)} broken cells are"
    if tested == 1:
        return f"the one of {count} broken cells that was {how} is"
    return f"all {tested} of the {count} broken cells that were {how} are"


def _ways(cells: Iterable[CellInfo], mark: Mark) -> str:
    return listed(sorted({mark(symbols.word(c.outcome)) for c in cells}), _NAMED)
