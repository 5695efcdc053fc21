"""Compares two campaigns: what changed, and whether anything got worse. Pure."""

from __future__ import annotations

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


def compare(old: Result, new: Result) -> Comparison:
    """Compare cells of equal ref, patches, scenario and axes; a branch may have moved."""
    before, after = ({_key(c): c for c in r.cells} for r in (old, new))
    was, now = ({_key(c): c for c in spoken(r).cells} for r in (old, new))
    keys = [*after, *(k for k in before if k not in after)]
    return Comparison(
        old=old.id,
        new=new.id,
        differences=tuple(
            replace(
                _difference(_name(key), before.get(key), after.get(key)),
                before=was.get(key),
                after=now.get(key),
            )
            for key in keys
        ),
        notes=tuple(_notes(old, new)),
    )


def _key(cell: CellInfo) -> _Key:
    return cell.scenario, cell.ref, cell.patches, tuple(sorted(cell.axes.items()))


def _name(key: _Key) -> str:
    scenario, ref, patches, axes = key
    cell = ", ".join(f"{name} {value}" for name, value in axes)
    return f"{' + '.join([ref, *patches])}: {spaced(scenario, cell)}"


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
    differ = sorted(k for k in old.host if new.host.get(k, old.host[k]) != old.host[k])
    if differ:
        notes.append(f"the machines differ in {', '.join(differ)}")
    return notes


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
