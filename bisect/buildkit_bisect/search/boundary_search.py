"""Every change of outcome along a line of commits, for all cells at once from shared builds.

First points along the line, so that changes which cancel out are seen too (as far as the
resolution goes), then between every two neighbours that differ. A merge at which a cell
turned is searched in the same way, from the base of its branch to the merge: all cells, all
their turns. One ask is one build, and all its cells are run.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence

from buildkit_bisect.errors import BadInput
from buildkit_bisect.options import requests
from buildkit_bisect.options.command import words
from buildkit_bisect.phrases import listed, plural
from buildkit_bisect.search.branches import Branch, branches
from buildkit_bisect.search.changes import Boundaries, Change, Line, Outcomes
from buildkit_bisect.search.cost import CostModel, FlatCost, cost_phrase
from buildkit_bisect.search.history import History
from buildkit_bisect.search.skips import testable
from buildkit_bisect.search.vocabulary import Ask, Candidate, Phase, Skip

#: Unbuilt commits between two grid points, unless the caller says otherwise.
RESOLUTION = 64


class BoundarySearch:
    """Driven like a session; cells are whatever hashable the caller names them by.

    *line* is a first-parent line, oldest first. *must_test* are commits on it (releases).
    *resolution* is the longest stretch of different builds that may stay untested between
    equal outcomes. With *history*, a merge at which a cell turned is searched inside. Raises
    `BadInput` for a line shorter than 2 or a *must_test* that is not on it.
    """

    def __init__(
        self,
        line: Sequence[str],
        *,
        history: History | None = None,
        must_test: Sequence[str] = (),
        resolution: int = RESOLUTION,
        trials: int = 1,
        max_skips: int = 16,
        cost: CostModel | None = None,
        same_build: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        if len(line) < 2:  # noqa: PLR2004 - a line has two ends
            raise BadInput(
                "boundaries: the two revisions are the same, or not on one line",
                hint=f"{words(requests.Boundaries, from_=True)} an older revision of the same line",
            )
        absent = [c for c in must_test if c not in set(line)]
        if absent:
            raise BadInput(
                f"boundaries: {absent[0]} is not on the first-parent line",
                hint=f"{words(requests.Boundaries, from_=True, to=True)} on one branch",
            )
        if resolution < 0:
            raise BadInput(
                f"boundaries: a resolution of {resolution} is below 0",
                hint=words(requests.Boundaries, resolution=1),
            )
        self._seen = Outcomes(same_build or {})
        self._line = Line(line, self._seen)
        self._history = history
        self._must = tuple(must_test)
        self._resolution = resolution
        self._trials = trials
        self._max_skips = max_skips
        self._cost = cost or FlatCost()
        self._labels = labels or {}
        self._next: Ask | Boundaries | None = None
        self._asked: set[str] = set()  # while more is asked for at once

    def next(self) -> Ask | Boundaries:
        """The next commit to build and run in every cell, or every change that was found."""
        if self._next is None:
            self._next = self._point() or self._narrow()
        return self._next

    def next_k(self, k: int, *, builds: int | None = None) -> tuple[Ask, ...] | Boundaries:
        """Up to *k* commits to build and run at once; with 1, what `next` says.

        Between two commits that differ there is one of them, since its outcomes say where to look
        next. At most *builds* of them have to be built.
        """
        step = self.next()
        if not isinstance(step, Ask):
            return step
        asks = [step]
        try:
            while len(asks) < k:
                self._asked.add(step.commit)
                more = self._point() or self._narrow()
                if not isinstance(more, Ask):
                    break
                step = more
                missing = sum(self._cost.build_seconds(one.commit) > 0 for one in (*asks, step))
                if builds is None or missing <= builds or not self._cost.build_seconds(step.commit):
                    asks.append(step)
        finally:
            self._asked.clear()
        return tuple(asks)

    def tell(
        self,
        commit: str,
        outcomes: Mapping[Hashable, str | None],
        *,
        skip: Skip | None = None,
        binary: str = "",
        build_seconds: float | None = None,
        trial_seconds: float | None = None,
    ) -> None:
        """What each cell showed (None: could not be tested); *skip* where there is no build."""
        self._seen.add(commit, outcomes, skip, binary)
        if not skip:
            self._cost.learn(commit, build_seconds=build_seconds, trial_seconds=trial_seconds)
        self._next = None

    def _point(self) -> Ask | None:
        """Ends, the commits that must be tested, then the widest gap of the grid."""
        line = self._line
        left = len(self._named_left())
        for commit in (*self._inward(line.commits), *self._inward(line.commits[::-1]), *self._must):
            if not self._known(commit):
                why = f"boundaries: {self._name(commit)} is an endpoint or a release"
                return self._ask(commit, Phase.GRID, why, self._grid_left() + left)
        return self._within_resolution(line)

    def _named_left(self) -> list[str]:
        """The ends and the commits that must be tested, but for those that were."""
        named = dict.fromkeys([self._line.commits[0], self._line.commits[-1], *self._must])
        return [c for c in named if not self._seen.tried(c)]

    def _within_resolution(self, line: Line) -> Ask | None:
        """The middle of the widest gap, where one is wider than the resolution."""
        wide = [
            (a, b)
            for a, b in line.gaps(line.places(self._asked))
            if b - a - 1 - line.skips(a, b) > self._resolution
            and line.skips(a, b) < self._max_skips
        ]
        if not wide:
            return None
        a, b = max(wide, key=lambda gap: gap[1] - gap[0])
        commit = line.commits[self._middle(line, [(a, b)])]
        why = (
            f"boundaries: {plural(b - a - 1, 'build')} between {self._name(line.commits[a])} and "
            f"{self._name(line.commits[b])}, more than the resolution of {self._resolution}"
        )
        return self._ask(commit, Phase.GRID, why, self._grid_left())

    def _known(self, commit: str) -> bool:
        """Whether a commit was tested, or will be."""
        return commit in self._asked or self._seen.tried(commit)

    def _inward(self, commits: Sequence[str]) -> Sequence[str]:
        """From an end of the line to the first commit that can be tested."""
        for at, commit in enumerate(commits[: self._max_skips]):
            if self._seen.shows(commit) or not self._seen.tried(commit):
                return commits[: at + 1]
        return ()

    def _narrow(self) -> Ask | Boundaries:
        best: tuple[int, str, int] | None = None
        steps = 0
        lines = self._lines()
        for branch in lines:
            line = branch.line
            if branch.merge and not self._known(line.commits[0]):
                why = f"boundaries: base of the branch that {self._name(branch.merge)} merged"
                return self._ask(line.commits[0], Phase.DESCEND, why, steps + 1)
            if ask := self._within_resolution(line):
                return ask
            asked = line.places(self._asked)
            opened = [
                (a, b)
                for cell in self._seen.cells
                for a, b in branch.turns(cell, self._seen)
                if line.skips(a, b) < min(self._max_skips, b - a - 1)
                and not any(a < at < b for at in asked)
            ]
            if not opened:
                continue
            steps += sum((b - a - 1).bit_length() for a, b in set(opened))
            at = self._middle(line, opened)
            shared = sum(a < at < b for a, b in opened)
            if best is None or shared > best[0]:
                best = (shared, line.commits[at], max(b - a - 1 for a, b in opened if a < at < b))
        if best:
            shared, commit, width = best
            why = (
                f"boundaries: between two outcomes in {plural(shared, 'cell')}, "
                f"{plural(width, 'build')} wide; {cost_phrase(self._cost.left_seconds(commit))}"
            )
            return self._ask(commit, Phase.NARROW, why, steps)
        return self._result(lines)

    def _lines(self) -> list[Branch]:
        """The line itself, then every branch of each merge at which some cell turned, once."""
        lines = [Branch(line=self._line, start=self._line.commits[0])]
        merges: set[str] = set()
        for branch in lines:
            for cell in self._seen.cells:
                for a, b in branch.turns(cell, self._seen):
                    merge = branch.line.commits[b]
                    if merge not in merges and (inner := self._inside(branch, a, b)):
                        merges.add(merge)
                        lines += inner
        return lines

    def _inside(self, branch: Branch, a: int, b: int) -> list[Branch]:
        """What was merged at a turn, where it is known to be at that commit of *branch*."""
        if not branch.line.exact(a, b) or branch.at_merge(b):
            return []
        return branches(branch.line.commits[b], branch, self._history, self._seen)

    def _changes(self, branch: Branch, walked: set[str]) -> Iterator[Change]:
        """Every turn of every cell along *branch*, those inside a merge before the merge.

        A turn at a merge is told by its branch, if that starts with what was before: then the
        changes on it lead from there to what the merge shows.
        """
        spans: dict[tuple[int, int], list[Hashable]] = {}
        for cell in self._seen.cells:
            for span in branch.told(cell, self._seen):
                spans.setdefault(span, []).append(cell)
        for a, b in sorted(spans, key=lambda span: span[::-1]):
            inner = self._inside(branch, a, b)
            commit = branch.line.commits[b]
            if inner and commit not in walked:
                walked.add(commit)
                for one in inner:
                    yield from self._changes(one, walked)
            for cell in spans[a, b]:
                before = branch.line.shows(a, cell)
                if not any(i.starts_as(before, cell) and i.told(cell, self._seen) for i in inner):
                    yield self._change(branch, cell, a, b, inner)

    def _change(
        self, branch: Branch, cell: Hashable, a: int, b: int, inner: Sequence[Branch]
    ) -> Change:
        line = branch.line
        before = line.shows(a, cell)
        exact = line.exact(a, b)
        return Change(
            cell=cell,
            before=before or "",
            after=line.shows(b, cell) or "",
            last_before=line.last_of(a),
            commit=line.commits[b] if exact else None,
            merge=branch.top if not exact or line.commits[b] != branch.top else None,
            candidates=()
            if exact
            else tuple(
                Candidate(commit=c, reason=self._seen.reason(c, cell))
                for c in line.commits[a + 1 : b + 1]
            ),
            notes=self._hidden_merges(branch, a, b)
            + tuple(
                f"the branch starts at {self._name(one.line.commits[0])}, "
                + (
                    f"whose outcome is {shown}"
                    if (shown := one.line.shows(0, cell))
                    else "which was not tested"
                )
                for one in inner
                if not one.starts_as(before, cell)
            ),
        )

    def _hidden_merges(self, branch: Branch, a: int, b: int) -> tuple[str, ...]:
        """Which merges among the candidates may have brought the change, and are not searched."""
        if branch.line.exact(a, b) or self._history is None:
            return ()
        merges = [
            self._name(branch.line.commits[i])
            for i in range(a + 1, b + 1)
            if not branch.at_merge(i)
            and branches(branch.line.commits[i], branch, self._history, self._seen)
        ]
        if not merges:
            return ()
        are, they = ("is a merge", "it") if len(merges) == 1 else ("are merges", "they")
        return (f"{listed(merges)} {are}: the commit may be one that {they} merged",)

    def _result(self, lines: Sequence[Branch]) -> Boundaries:
        changes: dict[Hashable, Change] = {}
        for change in self._changes(lines[0], set()):
            # A branch that merged the line in leads over commits of the line once more.
            where = change.commit or change.candidates
            changes.setdefault((change.cell, change.before, change.after, where), change)
        return Boundaries(
            changes=tuple(changes.values()),
            untested=tuple(self._line.untested()),
            inside=tuple(gap for branch in lines[1:] for gap in branch.line.untested()),
            tested=self._seen.tested(),
            skipped=tuple(
                Candidate(commit=c, reason=self._seen.reason(c)) for c in self._seen.skipped()
            ),
            resolution=self._resolution,
        )

    def _middle(self, line: Line, spans: Sequence[tuple[int, int]]) -> int:
        """The place that splits most of *spans*, each as evenly as can be."""
        low, high = min(a for a, _ in spans), max(b for _, b in spans)
        hidden = line.hidden(low, high)

        def worth(at: int) -> float:
            split = sum(min(at - a, b - at) / (b - a) for a, b in spans if a < at < b)
            around = [h - low for h in hidden]
            return split * (testable(at - low, around, high - low) if around else 1.0)

        return max(line.untried(low, high), key=worth)

    def _grid_left(self) -> int:
        return sum((b - a - 1) // (self._resolution + 1) for a, b in self._line.gaps())

    def _ask(self, commit: str, phase: Phase, why: str, steps: int) -> Ask:
        steps = max(1, steps)
        left = sum(b - a - 1 for a, b in self._line.gaps())
        wide = max((b - a for a, b in self._line.gaps()), default=1)
        known = [commit, *(c for c in self._named_left() if c != commit)]
        builds = (
            *map(self._cost.left_seconds, known),
            *self._cost.later_builds(max(0, steps - len(known)), wide),
        )
        trials = self._trials * steps
        return Ask(
            commit=commit,
            trials=self._trials,
            why=why,
            phase=phase,
            candidates_left=left,
            expected_steps=steps,
            expected_seconds=sum(builds) + trials * self._cost.trial_seconds(commit),
            builds_left=builds,
            trials_left=trials,
        )

    def _name(self, commit: str) -> str:
        return self._labels.get(commit, commit[:12])
