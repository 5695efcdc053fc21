"""The lines that are searched for changes: the history's own, and each branch that a merge brought.

A branch is a line like any other: from its base, along it, to the merge. Only the last place
is special, since the line above ends there too.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from buildkit_bisect.search.changes import Line, Outcomes
from buildkit_bisect.search.history import History


@dataclass(frozen=True, kw_only=True, slots=True)
class Branch:
    """A line to search. The history's own has no *merge*."""

    line: Line
    start: str  # where the history's own line starts
    merge: str | None = None  # ends the line
    top: str | None = None  # the merge on the history's own line that brought it
    others: tuple[str, ...] = ()  # the merge's other parents, its first one first

    def at_merge(self, place: int) -> bool:
        """Whether a place is the merge itself: not where its tree is that of the branch's tip."""
        return self.line.commits[place] == self.merge

    def turns(self, cell: Hashable, seen: Outcomes) -> list[tuple[int, int]]:
        """Neighbouring known places where *cell* differs, oldest first.

        None where only the merge differs from its branch, and another of its parents shows
        what it shows: then the change came from there.
        """
        turns = self.line.differing(cell)
        if self._only_merge(turns):
            shown = self.line.shows(-1, cell)
            if any(seen.of(parent, cell) == shown for parent in self.others):
                return []
        return turns

    def told(self, cell: Hashable, seen: Outcomes) -> list[tuple[int, int]]:
        """The turns that are changes of this line, and not of the one that the merge is on.

        That is all of them, but for a branch that nothing is seen to turn on before the merge,
        unless commits of it that could not be tested may be where *cell* turned.
        """
        turns = self.turns(cell, seen)
        if self._only_merge(turns):
            hidden = not self.line.exact(*turns[0])
            return turns if hidden and self.starts_as(seen.of(self.others[0], cell), cell) else []
        return turns

    def starts_as(self, outcome: str | None, cell: Hashable) -> bool:
        """Whether the branch comes from a commit that shows *outcome*."""
        return self.line.shows(0, cell) == outcome

    def _only_merge(self, turns: list[tuple[int, int]]) -> bool:
        return len(turns) == 1 and self.at_merge(turns[0][1])


def branches(merge: str, above: Branch, history: History | None, seen: Outcomes) -> list[Branch]:
    """From the base of each branch that *merge*, on the line *above*, merged, to the merge.

    Commits from before the history's own line are left out: a branch may have merged them in.
    """
    if history is None or merge not in history:
        return []
    parents = history.parents(merge)
    found = []
    for tip in parents[1:]:
        chain = [
            c
            for c in history.first_parent_line(tip)
            if not history.contains(parents[0], c) and not history.contains(above.start, c)
        ]
        base = history.parents(chain[0])[:1] if chain else ()
        if base:
            branch = Branch(
                line=Line([*base, *chain, merge], seen),
                start=above.start,
                merge=merge,
                top=above.top or merge,
                others=tuple(p for p in parents if p != tip),
            )
            found.append(branch)
    return found
