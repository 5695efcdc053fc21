"""Runs the newer end without a found commit, and that end itself if the search did not."""

from __future__ import annotations

from dataclasses import replace

from buildkit_bisect.campaign.cell_search import CellSearch
from buildkit_bisect.campaign.driver import Work
from buildkit_bisect.campaign.search_steps import counted
from buildkit_bisect.lab.cell import Cell
from buildkit_bisect.model import Outcome, Variant, Verdict
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.result.chance import fisher
from buildkit_bisect.search import Found
from buildkit_bisect.search.judge import like_before

#: How often more trials of the revert may run, unless the request gives a number.
_VISITS = 10


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

    def without(self, revert: Patch, found: Found) -> str:
        """Return what the end shows without the commit, as a sentence.

        More trials run until they decide at the search's confidence, as in a flaky bug.
        """
        ref, search, itself = self._tip.revision.ref, self._search, self._run()
        options, found = search.options, self._with_own(found)
        rarely = found.bad_with if options.find_fix else found.bad_without
        self._work.lab.add_patch(revert)
        variant = replace(self._tip, patches=(*self._tip.patches, revert.ref))
        for _ in range(_VISITS):
            cell = search.visit(self._work, variant)
            judged = _judged(cell)
            bad, good = sum(map(search.is_bad, judged)), sum(map(search.is_good, judged))
            undone = like_before(options, found, bad, good)
            if not rarely[0] and fisher(rarely, (bad, bad + good)) <= 1 - options.confidence:
                undone = float(options.find_fix)  # bad at times is bad
            known = max(undone, 1 - undone) >= options.confidence
            if known or options.trials or not 0 < len(judged) == bad + good:
                break
        also = f"; {ref} itself is {shown(itself)}" if itself else ""
        also += _flaky(found) if _mixed(found) or (bad and good) else ""
        without = f"{ref} without this commit is {shown(cell)}{also}"
        if cell.outcome.verdict is Verdict.INFRA:
            return f"not tried: {cell.outcome.reason}"
        if not judged:
            return f"not tested: {without}"
        if not bad and good < len(judged):
            return f"not decided, as this is another outcome: {without}"
        if not known:
            return f"not decided, as this may be chance: {without}"
        return f"{'confirmed' if undone > 1 / 2 else 'NOT confirmed'}: {without}"

    def _with_own(self, found: Found) -> Found:
        """Add the trials of the end itself that the search has not run."""
        own = _judged(self._itself) if self._itself else []
        bad, good = (sum(map(is_, own)) for is_ in (self._search.is_bad, self._search.is_good))
        known, total = found.bad_with
        return replace(found, bad_with=(known + bad, total + bad + good))

    def _run(self) -> Cell | None:
        if self._itself is None and self._search.session.bad_not_run:
            self._itself = self._search.visit(self._work, self._tip)
        return self._itself


def _mixed(found: Found) -> bool:
    return any(0 < bad < total for bad, total in (found.bad_with, found.bad_without))


def _flaky(found: Found) -> str:
    (bad, total), (before, of) = found.bad_with, found.bad_without
    return f"; {bad} of {total} trials with it are bad, and {before} of {of} before it"


def _judged(cell: Cell) -> list[Outcome]:
    """Return the outcomes of the trials that say something."""
    if cell.outcome.verdict in (Verdict.SKIP, Verdict.INFRA):
        return []
    return [o for o in cell.judged if o.verdict is not Verdict.INFRA]
