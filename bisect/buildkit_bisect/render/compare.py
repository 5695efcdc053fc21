"""Compares two campaigns: what changed, and whether anything got worse. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum

from buildkit_bisect.options import requests
from buildkit_bisect.options.command import words
from buildkit_bisect.phrases import plural, spaced
from buildkit_bisect.render import symbols
from buildkit_bisect.render.spoken import spoken
from buildkit_bisect.render.text import one_line
from buildkit_bisect.result import CellInfo, Result, chance


class Change(StrEnum):
    """The change of a cell."""

    WORSE = "worse"
    BETTER = "better"
    CHANGED = "changed"  # another outcome, neither better nor worse
    CHANCE = "chance"  # another outcome, but too few trials to exclude chance
    UNTESTED = "untested"  # tested in one campaign only
    NEW = "new"
    GONE = "gone"
    SAME = "same"


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One cell in both campaigns, or in one."""

    name: str  # "v0.26.0 + record-ctx-opts: cross-stage-lazy bases different, snapshotter stargz"
    change: Change
    before: CellInfo | None
    after: CellInfo | None
    how: chance.Difference | None = None  # if both were tested


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """All cells of both, in the order of the newer campaign."""

    old: str
    new: str
    differences: tuple[Difference, ...]
    notes: tuple[str, ...] = ()

    @property
    def worse(self) -> bool:
        """Whether any cell got worse, on which a nightly check fails."""
        return any(d.change is Change.WORSE for d in self.differences)

    def count(self, change: Change) -> int:
        """Return the number of cells with that change."""
        return sum(d.change is change for d in self.differences)


_Key = tuple[str, str, tuple[str, ...], tuple[tuple[str, str], ...]]

#: With the machine, if there are several in either campaign that ran the cell.
_Place = tuple[_Key, tuple[object, ...]]


def compare(old: Result, new: Result) -> Comparison:
    """Compare cells of equal ref, patches, scenario and axes; a branch may have moved.

    Cells that several machines ran are compared with those of a machine with the same facts.
    """
    several = _on_several(old) | _on_several(new)
    before, after = ({_place(r, c, several): c for c in r.cells} for r in (old, new))
    was, now = ({_place(r, c, several): c for c in spoken(r).cells} for r in (old, new))
    keys = [*after, *(k for k in before if k not in after)]
    return Comparison(
        old=old.id,
        new=new.id,
        differences=tuple(
            replace(
                _difference(
                    _name(key, after.get(key) or before[key]), before.get(key), after.get(key)
                ),
                before=was.get(key),
                after=now.get(key),
            )
            for key in keys
        ),
        notes=tuple(_notes(old, new)),
    )


def _key(cell: CellInfo) -> _Key:
    return cell.scenario, cell.ref, cell.patches, tuple(sorted(cell.axes.items()))


def _on_several(result: Result) -> set[_Key]:
    """Return the cells that several machines ran."""
    return {key for key, count in Counter(map(_key, result.cells)).items() if count > 1}


def _place(result: Result, cell: CellInfo, several: Collection[_Key]) -> _Place:
    key = _key(cell)
    if key not in several:
        return key, ()
    facts = result.machines.get(cell.machine, result.host)
    # Two machines may have the same facts: the first of them is compared with the first.
    alike = [name for name, others in result.machines.items() if others == facts]
    number = alike.index(cell.machine) if cell.machine in alike else 0
    return key, (number, *sorted(facts.items()))


def _name(place: _Place, cell: CellInfo) -> str:
    (scenario, ref, patches, axes), machine = place
    values = ", ".join(f"{name} {value}" for name, value in axes)
    on = f" on {cell.machine}" if machine and cell.machine else ""
    return f"{' + '.join([ref, *patches])}{on}: {spaced(scenario, values)}"


def _difference(name: str, before: CellInfo | None, after: CellInfo | None) -> Difference:
    how = None
    if before is None or after is None:
        change = Change.NEW if before is None else Change.GONE
    elif {before.verdict, after.verdict} <= chance.RANK.keys():
        how = chance.difference(before, after)
        change = Change(how.kind)
    else:
        tested = before.verdict in chance.RANK or after.verdict in chance.RANK
        change = Change.UNTESTED if tested else Change.SAME
    return Difference(name=name, change=change, before=before, after=after, how=how)


def _notes(old: Result, new: Result) -> list[str]:
    """Return the caveats of a comparison."""
    notes = []
    scenarios = {s.name: s.digest for s in old.scenarios}
    changed = [s.name for s in new.scenarios if scenarios.get(s.name, s.digest) != s.digest]
    notes += [f"scenario {name} itself changed between the campaigns" for name in changed]
    moved = {c.ref: c.revision for c in old.cells}
    for cell in {c.ref: c for c in new.cells}.values():
        was = moved.get(cell.ref, cell.revision)
        if was != cell.revision:
            notes.append(f"{cell.ref} moved from {was[:12]} to {cell.revision[:12]}")
    were, are = _facts(old), _facts(new)
    differ = sorted(k for k in were if are.get(k, were[k]) != were[k])
    if differ:
        notes.append(f"the machines differ in {', '.join(differ)}")
    return notes


def _facts(result: Result) -> dict[str, set[str]]:
    """Return the values of each fact, over all machines."""
    found: dict[str, set[str]] = {}
    for facts in (*result.machines.values(),) or (result.host,):
        for key, value in facts.items():
            found.setdefault(key, set()).add(value)
    return found


def text(comparison: Comparison) -> str:
    """Return the comparison for a terminal: the differences, worst first, then the counts."""
    order = list(Change)
    lines = [one_line(f"{comparison.old} -> {comparison.new}")]
    for difference in sorted(comparison.differences, key=lambda d: order.index(d.change)):
        if difference.change is not Change.SAME:
            was, now = _shown(difference.before), _shown(difference.after)
            line = one_line(f"{difference.name}: {was} -> {now}{_odds(difference)}")
            lines.append(f"{difference.change:9} {line}")
    lines += [one_line(f"note: {note}") for note in comparison.notes]
    if more := max((d.how.trials for d in comparison.differences if d.how), default=0):
        option = words(requests.Campaign, trials=more)
        lines.append(f"hint: test both revisions with {option}; completed trials are reused")
    counts = [f"{comparison.count(c)} {c}" for c in Change if comparison.count(c)]
    lines.append(f"{plural(len(comparison.differences), 'cell')}: {', '.join(counts) or 'none'}")
    return "\n".join(lines) + "\n"


def _odds(difference: Difference) -> str:
    how = difference.how
    if how is None:
        return ""
    return f" ({how.shown})" if how.sure else f" (may be chance: {how.shown})"


def _shown(cell: CellInfo | None) -> str:
    if cell is None:
        return "none"
    glyph = symbols.of_cell(cell).glyph
    return spaced(glyph, symbols.word(cell.outcome), symbols.tally(cell))
