"""What every part of a search looks at: the history, the evidence, the ends, and names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Bisect
from buildkit_bisect.search.cells import Cells
from buildkit_bisect.search.cost import CostModel
from buildkit_bisect.search.history import History, Mask, bits
from buildkit_bisect.search.prior import Weights
from buildkit_bisect.search.rates import Floats, as_floats
from buildkit_bisect.search.skips import testable
from buildkit_bisect.search.tally import Evidence, Status
from buildkit_bisect.search.vocabulary import Candidate, SearchOptions, Tested

_SHORT = 12

#: Every status but UNTESTED.
KNOWN = tuple(s for s in Status if s is not Status.UNTESTED)


@dataclass(slots=True, kw_only=True)
class State:
    """One search; *old* and *new* are the ends, as the user named them but for `given`."""

    history: History
    evidence: Evidence
    options: SearchOptions
    cost: CostModel
    old: str
    new: str
    labels: Mapping[str, str] = field(default_factory=dict)
    back: bool = False  # *new* is an older release than *old*, on another branch
    late: bool = False  # the good end is run only if no nearer commit shows the same
    neither: bool = False  # commits between the ends are run before either of them
    shows_new: str = ""  # a commit that was run in place of *new*, and showed the new behaviour
    given: str = ""  # the good end as it was named, if *old* is a nearer commit in its place
    nearer: tuple[str, ...] | None = None  # such commits, once they were looked for
    weights: Weights = field(default_factory=Weights)  # they choose what is asked, nothing else
    floor: tuple[str, ...] = ()  # ancestors of *new* that bound the search; set by the gate
    line: Mask = 0  # the first-parent line of *new*
    ready: bool = False  # the gate has let the search begin
    _ran: tuple[int, Mapping[str, str]] = (-1, MappingProxyType({}))
    _counts: tuple[int, Floats, Floats] = (-1, as_floats([]), as_floats([]))
    _build: Floats = field(default_factory=lambda: as_floats([]))
    _trial: Floats = field(default_factory=lambda: as_floats([]))
    _learned: set[str] = field(default_factory=set)
    _reach: tuple[tuple[str, ...] | None, Mask] = (None, 0)
    _cells: dict[Weights | None, tuple[tuple[Mask, Mask], Cells]] = field(default_factory=dict)
    _shown: tuple[int, Mapping[Status, Mask]] = (-1, MappingProxyType({}))
    _space: tuple[tuple[int, str, tuple[str, ...]], Mask] = ((-1, "", ()), 0)

    def name(self, commit: str) -> str:
        """The label the caller gave, else twelve hex digits."""
        return self.labels.get(commit, commit[:_SHORT])

    @property
    def old_word(self) -> str:
        """What the older end shows: ``good``, or ``bad`` in the search for a fix."""
        return "bad" if self.options.find_fix else "good"

    @property
    def new_word(self) -> str:
        """What the newer end shows."""
        return "good" if self.options.find_fix else "bad"

    @property
    def runs(self) -> int:
        """Trials of a commit that is asked for the first time, outside automatic mode."""
        return self.options.trials or 1

    @property
    def bad_end(self) -> str:
        """The end that defines what is looked for, or what was run in its place."""
        return self.old if self.options.find_fix else self.ran_new

    @property
    def good_end(self) -> str:
        """The other end."""
        return self.new if self.options.find_fix else self.old

    @property
    def ran_new(self) -> str:
        """The commit whose trials are those of the newer end."""
        return self.shows_new or self.new

    @property
    def named_old(self) -> str:
        """The older end as the user named it."""
        return self.given or self.old

    @property
    def not_run(self) -> str:
        """The good end as the user named it, if a nearer commit was run in its place; else ""."""
        return "" if self.given in self.evidence.told() else self.given

    @property
    def new_not_run(self) -> str:
        """The bad end, if another commit was run in its place; else ""."""
        return self.new if self.shows_new and self.new not in self.evidence.told() else ""

    def command(self, *, old: str, new: str, find_fix: bool) -> str:
        """The command line for a bisection between other ends."""
        if find_fix:
            return inv("bisect", bad=self.name(old), good=self.name(new), find_fix=True)
        return inv("bisect", good=self.name(old), bad=self.name(new))

    @property
    def more_trials_command(self) -> str:
        """The command line for the same search with more trials of each commit."""
        again = self.command(old=self.named_old, new=self.new, find_fix=self.options.find_fix)
        return f"{again} {words(Bisect, trials=20)}"

    @property
    def boundaries_command(self) -> str:
        """The command line that lists every change of outcome between the ends."""
        return inv("boundaries", from_=self.name(self.named_old), to=self.name(self.new))

    def merge_of(self, commit: str) -> str | None:
        """The merge on the first-parent line that brought a commit; None if it is on the line."""
        history = self.history
        number = history.number(commit)
        if self.line >> number & 1:
            return None
        brought = (i for i in bits(self.line) if history.ancestors_at(i) >> number & 1)
        return history.sha(next(brought))

    @property
    def reach(self) -> int:
        """Commits that the newer end contains and the older one does not."""
        history = self.history
        return (history.ancestors(self.new) & ~history.ancestors(self.named_old)).bit_count()

    def reach_mask(self) -> Mask:
        """Every commit between the ends: contained in the newer one, and in no old one."""
        if self._reach[0] != self.floor:
            history = self.history
            reach = history.ancestors(self.new) & ~history.union(self.floor)
            self._reach = (self.floor, reach)
        return self._reach[1]

    def shown(self, *statuses: Status) -> Mask:
        """The commits whose build was seen as one of *statuses*; UNTESTED is not among them."""
        if self._shown[0] != self.evidence.changes:
            masks: dict[Status, Mask] = {}
            for commit in self.evidence.known():
                if commit in self.history:
                    status = self.evidence.status(commit)
                    masks[status] = masks.get(status, 0) | 1 << self.history.number(commit)
            self._shown = (self.evidence.changes, masks)
        found = 0
        for status in statuses:
            found |= self._shown[1].get(status, 0)
        return found

    def untested(self, pool: Mask) -> list[tuple[str, float]]:
        """Commits of *pool* that nothing is known of, and how likely each can be tested."""
        fresh = pool & ~self.shown(*KNOWN)
        hidden = pool & self.shown(Status.SKIPPED, Status.WEAK)
        if not hidden:
            return [(self.history.sha(i), 1.0) for i in bits(fresh)]
        places = {i: at for at, i in enumerate(bits(pool))}
        stretch = [places[i] for i in bits(hidden)]
        return [
            (self.history.sha(i), testable(places[i], stretch, len(places))) for i in bits(fresh)
        ]

    def candidates(self) -> Mask:
        """`space`, also before the gate knows which commits are old."""
        history = self.history
        reach = history.ancestors(self.new) & ~history.ancestors(self.old)
        return self.space() if self.floor else reach & ~self._unchanged(reach)

    def space(self) -> Mask:
        """Every commit that may be the one, before any test between the ends."""
        seen = (self.evidence.merges, self.old, self.floor)
        if self._space[0] != seen:
            reach = self.reach_mask()
            self._space = (seen, reach & ~self._unchanged(reach))
        return self._space[1]

    def cells(self, weights: Weights | None = None) -> Cells:
        """The candidates in cells, cut by every build that was run; all alike without *weights*."""
        among = self.reach_mask(), self.space()
        ran = tuple(self.ran())
        known = self._cells.get(weights)
        cells = known[1] if known and known[0] == among else None
        if cells is None or tuple(cells.tests) != ran[: len(cells.tests)]:
            cells = Cells(self.history, *among, weights)
            self._cells[weights] = (among, cells)
        for commit in ran[len(cells.tests) :]:
            cells.cut(commit, aside=not self.history.contains(self.new, commit))
        return cells

    def ran(self) -> Mapping[str, str]:
        """The commits that have trials, by their first tells, and the first of the same build."""
        if self._ran[0] != self.evidence.changes:
            first: dict[str, str] = {}
            ran = {
                commit: first.setdefault(self.evidence.identity(commit), commit)
                for commit in self.evidence.told()
                if commit in self.history and self.evidence.tally(commit).decided
            }
            self._ran = (self.evidence.changes, ran)
        return self._ran[1]

    def counts(self) -> tuple[Floats, Floats]:
        """New and old trials of the commits that were run, in the order of `ran`."""
        evidence = self.evidence
        if self._counts[0] != evidence.tells:
            tallies = [evidence.tally(commit) for commit in self.ran()]
            new, old = as_floats([t.new for t in tallies]), as_floats([t.old for t in tallies])
            self._counts = (evidence.tells, new, old)
        return self._counts[1:]

    def _unchanged(self, reach: Mask) -> Mask:
        """What two commits that are the same build do not have in common: it changed nothing.

        So a merge that is the same build as its first parent rules out its whole branch, whatever
        the branch began from.
        """
        history, evidence = self.history, self.evidence
        if evidence.all_distinct:
            return 0
        common: dict[str, tuple[Mask, Mask]] = {}  # identity -> in any, in all of its commits
        ends = (history.number(end) for end in (self.old, *self.floor) if end in history)
        for i in {*bits(reach), *ends}:
            identity, contained = evidence.identity(history.sha(i)), history.ancestors_at(i)
            any_, all_ = common.get(identity, (contained, contained))
            common[identity] = (any_ | contained, all_ & contained)
        mask = 0
        for any_, all_ in common.values():
            mask |= any_ & ~all_
        return mask

    def seconds(self, cells: Cells, rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Expected seconds of a build (0 where there is one) and of a trial, by rows of *cells*."""
        if len(self._build) != len(cells.rows):
            self._build = np.full(len(cells.rows), np.nan)
            self._trial = self._build.copy()
        for row in rows[np.isnan(self._build[rows])]:
            commit = self.history.sha(int(cells.rows[row]))
            self._build[row] = self.cost.build_seconds(commit)
            self._trial[row] = self.cost.trial_seconds(commit)
        return self._build[rows], self._trial[rows]

    def learn(self, commit: str, tested: Tested) -> None:
        """Let the cost model see what a commit cost."""
        if tested.build_seconds or tested.trial_seconds or commit not in self._learned:
            self._learned.add(commit)
            self._build = np.array([])
        self.cost.learn(
            commit, build_seconds=tested.build_seconds, trial_seconds=tested.trial_seconds
        )

    def cost_of(self, commit: str, trials: int) -> float:
        """Expected seconds of building (where needed) and running a commit."""
        return self.cost.build_seconds(commit) + trials * self.cost.trial_seconds(commit)

    def candidate(self, commit: str, probability: float | None = None) -> Candidate:
        """A commit with what is known of it."""
        tally = self.evidence.tally(commit)
        seen = str(tally)
        match tally.status:
            case Status.NEW | Status.OLD:
                reason = f"{self.new_word if tally.new else self.old_word}: {seen}"
            case Status.MIXED:
                reason = f"mixed: {seen}"
            case Status.WEAK:
                reason = f"{seen}, the outcome of neither endpoint"
            case Status.SKIPPED:
                reason = f"could not be tested: {seen}"
            case Status.UNTESTED:
                reason = "not tested"
        return Candidate(commit=commit, reason=reason, probability=probability)
