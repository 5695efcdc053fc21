"""Runs the newer end without a found commit, and that end itself if the search did not."""

from __future__ import annotations

from dataclasses import replace

from buildkit_bisect.campaign.cell_search import CellSearch
from buildkit_bisect.campaign.driver import Work
from buildkit_bisect.campaign.search_steps import counted
from buildkit_bisect.lab.cell import Cell, merge
from buildkit_bisect.model import Outcome, Variant, Verdict
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.result.chance import SIGNIFICANCE, fisher

#: Most trials of the revert, unless the request gives a number.
_MOST = 30


def shown(cell: Cell) -> str:
    """Return what a cell shows: ``dropped 3 of 3``, ``no-build: compile: undefined: x``."""
    counts = counted(cell.counts)
    if cell.outcome.verdict in (Verdict.SKIP, Verdict.INFRA) or not counts:
        return f"{cell.outcome.name}: {cell.outcome.reason}"
    return counts


class NewerEnd:
    """The newer end of a search that has found a commit."""

    def __init__(self, work: Work, search: CellSearch, tip: Variant) -> None:
        self._work, self._search, self._tip = work, search, tip
        self._itself: Cell | None = None

    @property
    def ran(self) -> bool:
        """Whether it was run after the search, which had not run it."""
        return self._itself is not None and bool(self._itself.trials)

    @property
    def not_bad(self) -> str:
        """What it showed if it was run after the search, and no trial was of the newer side."""
        itself = self._itself
        if itself is None or not self.ran or any(map(self._search.is_new, _judged(itself))):
            return ""
        return shown(itself)

    def not_new(self) -> str:
        """Return what the end itself shows if that is not the newer side; "" if it is.

        The search may not have run it: then it is run. Without that, a good outcome of the revert
        would confirm nothing.
        """
        itself = self._run()
        if itself is None or any(self._search.is_new(o) for o in _judged(itself)):
            return ""
        return f"{self._tip.revision.ref} itself is {shown(itself)}"

    def without(self, revert: Patch) -> str:
        """Return what the end shows without the commit, as a sentence.

        "confirmed" needs trials that chance does not explain, where the end itself is flaky.
        """
        ref, search, itself = self._tip.revision.ref, self._search, self._run()
        new, total = self._as_new()
        also = f"; {ref} itself is {shown(itself)}" if itself else ""
        self._work.lab.add_patch(revert)
        variant = replace(self._tip, patches=(*self._tip.patches, revert.ref))
        flaky = 0 < new < total and not search.options.find_fix
        least = _enough(new, total) if flaky else 0
        cell = search.visit(self._work, variant, least=least)
        without = f"{ref} without this commit is {shown(cell)}{also}"
        judged = _judged(cell)
        if cell.outcome.verdict is Verdict.INFRA:
            return f"not tried: {cell.outcome.reason}"
        if not judged:
            return f"not tested: {without}"
        old = [search.is_old(o) for o in judged]
        if all(old) or (any(old) and search.options.find_fix):  # bad at times is bad
            if flaky and fisher((0, len(old)), (new, total)) > SIGNIFICANCE:
                return f"not decided, as this may be chance: {without}"
            return f"confirmed: {without}"
        if any(search.is_new(o) for o in judged):
            return f"NOT confirmed: {without}"
        return f"not decided, as this is another outcome: {without}"

    def _run(self) -> Cell | None:
        if self._itself is None and self._search.session.bad_not_run:
            self._itself = self._search.visit(self._work, self._tip)
        return self._itself

    def _as_new(self) -> tuple[int, int]:
        """Return how many trials of the end itself are of the newer side, and how many it has."""
        parts = [self._itself] if self._itself else self._search.cells.get(self._tip.revision.sha)
        judged = _judged(merge(parts)) if parts else []
        return sum(map(self._search.is_new, judged)), len(judged)


def _enough(new: int, total: int) -> int:
    """Return how many good trials exclude chance beside *new* bad ones of *total*."""
    several = range(1, _MOST + 1)
    return next((n for n in several if fisher((0, n), (new, total)) <= SIGNIFICANCE), _MOST)


def _judged(cell: Cell) -> list[Outcome]:
    """Return the outcomes of the trials that say something."""
    if cell.outcome.verdict in (Verdict.SKIP, Verdict.INFRA):
        return []
    return [o for o in cell.judged if o.verdict is not Verdict.INFRA]
