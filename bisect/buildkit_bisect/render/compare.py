"""Compares two campaigns: what changed, and whether anything got worse. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from buildkit_bisect.model import Verdict
from buildkit_bisect.phrases import plural
from buildkit_bisect.render import symbols
from buildkit_bisect.render.text import one_line
from buildkit_bisect.result import CellInfo, Result

#: Best first. Cells that were not tested have no rank.
_RANK: dict[str, int] = {Verdict.GOOD: 0, Verdict.WEAK: 1, Verdict.BAD: 2}


class Change(StrEnum):
    """The change of a cell."""

    WORSE = "worse"
    BETTER = "better"
    CHANGED = "changed"  # another outcome, neither better nor worse
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
    keys = [*after, *(k for k in before if k not in after)]
    return Comparison(
        old=old.id,
        new=new.id,
        differences=tuple(
            Difference(
                name=_name(key),
                change=_change(before.get(key), after.get(key)),
                before=before.get(key),
                after=after.get(key),
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
    return f"{' + '.join([ref, *patches])}: {scenario} {cell}"


def _change(before: CellInfo | None, after: CellInfo | None) -> Change:
    if before is None or after is None:
        return Change.NEW if before is None else Change.GONE
    old, new = _RANK.get(before.verdict), _RANK.get(after.verdict)
    if old is None or new is None:
        return Change.SAME if old is new is None else Change.UNTESTED
    if old != new:
        return Change.WORSE if new > old else Change.BETTER
    return Change.SAME if before.outcome == after.outcome else Change.CHANGED


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
            line = one_line(f"{difference.name}: {was} -> {now}")
            lines.append(f"{difference.change:9} {line}")
    lines += [one_line(f"note: {note}") for note in comparison.notes]
    counts = [f"{comparison.count(c)} {c}" for c in Change if comparison.count(c)]
    lines.append(f"{plural(len(comparison.differences), 'cell')}: {', '.join(counts) or 'none'}")
    return "\n".join(lines) + "\n"


def _shown(cell: CellInfo | None) -> str:
    if cell is None:
        return "none"
    glyph = symbols.of(cell.outcome, cell.verdict).glyph
    return f"{glyph} {symbols.word(cell.outcome)} {symbols.tally(cell)}".rstrip()
