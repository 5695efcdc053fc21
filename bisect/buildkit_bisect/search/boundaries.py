"""Every change of outcome along a line of commits, for all cells at once from shared builds.

First points along the line, so that changes which cancel out are seen too (as far as the
resolution goes), then between every two neighbours that differ, then inside the merge where
the change turned out to be. One ask is one build, and all its cells are run.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from buildkit_bisect.errors import BadInput
from buildkit_bisect.search.changes import Boundaries, Change, Gap, Line, Outcomes
from buildkit_bisect.search.cost import CostModel, FlatCost
from buildkit_bisect.search.explain import cost_phrase, plural
from buildkit_bisect.search.history import History
from buildkit_bisect.search.skips import testable
from buildkit_bisect.search.steps import Ask, Candidate, Phase, Skip

#: Unbuilt commits between two grid points, unless the caller says otherwise.
RESOLUTION = 64


class BoundarySearch:
    """Driven like a session; cells are whatever hashable the caller names them by.

    *line* is a first-parent line, oldest first. *must_test* are commits on it (releases).
    *resolution* is the longest stretch of different builds that may stay untested between
    equal outcomes. With *history*, a change at a merge is searched for inside it. Raises
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
                hint="--from an older revision of the same line",
            )
        absent = [c for c in must_test if c not in set(line)]
        if absent:
            raise BadInput(
                f"boundaries: {absent[0]} is not on the first-parent line",
                hint="--from and --to on one branch",
            )
        if resolution < 0:
            raise BadInput(f"boundaries: a resolution of {resolution} is below 0")
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

    def next(self) -> Ask | Boundaries:
        """The next commit to build and run in every cell, or every change that was found."""
        if self._next is None:
            self._next = self._point() or self._narrow()
        return self._next

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
        for commit in (*self._inward(line.commits), *self._inward(line.commits[::-1]), *self._must):
            if not self._seen.tried(commit):
                why = f"boundaries: {self._name(commit)} is an end, or was asked for"
                return self._ask(commit, Phase.GRID, why, self._grid_left() + 1)
        wide = [
            (a, b)
            for a, b in line.gaps()
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

    def _inward(self, commits: Sequence[str]) -> Sequence[str]:
        """From an end of the line to the first commit that can be tested."""
        for at, commit in enumerate(commits[: self._max_skips]):
            if self._seen.shows(commit) or not self._seen.tried(commit):
                return commits[: at + 1]
        return ()

    def _narrow(self) -> Ask | Boundaries:
        best: tuple[int, str, int] | None = None
        changes: list[Change] = []
        steps = 0
        for line, cells, merge in self._lines():
            opened: list[tuple[int, int]] = []
            for cell in cells:
                for a, b in line.differing(cell):
                    if line.skips(a, b) < min(self._max_skips, b - a - 1):
                        opened.append((a, b))
                    elif merge is None:
                        changes.append(self._change(line, cell, a, b))
            if merge is not None and not self._seen.tried(line.commits[0]):
                why = f"boundaries: base of the branch that {self._name(merge)} merged"
                return self._ask(line.commits[0], Phase.DESCEND, why, steps + 1)
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
                f"{plural(width, 'build')} wide; {cost_phrase(self._cost.build_seconds(commit))}"
            )
            return self._ask(commit, Phase.NARROW, why, steps)
        return self._result(changes)

    def _lines(self) -> list[tuple[Line, list[Hashable], str | None]]:
        """The line itself, then a line through every branch whose merge changed a cell."""
        lines: list[tuple[Line, list[Hashable], str | None]] = [
            (self._line, list(self._seen.cells), None)
        ]
        for line, cells, inside in lines:
            last = len(line.commits) - 1
            turned: dict[int, list[Hashable]] = {}
            for cell in cells:
                for a, b in line.differing(cell):
                    if line.exact(a, b) and (inside is None or b < last):
                        turned.setdefault(b, []).append(cell)
            for at, inner in turned.items():
                merge = line.commits[at]
                lines += [(b, inner, merge) for b in self._branches(merge)]
        return lines

    def _branches(self, merge: str) -> list[Line]:
        """From the base of each branch that *merge* merged, along it, to the merge."""
        history = self._history
        if history is None or merge not in history:
            return []
        first, *others = history.parents(merge) or ("",)
        found = []
        for tip in others:
            chain = [c for c in history.first_parent_line(tip) if not history.contains(first, c)]
            base = history.parents(chain[0])[:1] if chain else ()
            if chain and base:
                found.append(Line([*base, *chain, merge], self._seen))
        return found

    def _change(self, line: Line, cell: Hashable, a: int, b: int) -> Change:
        """A change on the line, at its commit, inside the merge if it is found there."""
        before, after = self._seen.of(line.commits[a], cell), self._seen.of(line.commits[b], cell)
        exact = line.exact(a, b)
        commit = line.commits[b] if exact else None
        inner = commit and self._inner(commit, cell, before, after)
        found, notes = inner or (commit, ())
        return Change(
            cell=cell,
            before=before or "",
            after=after or "",
            last_before=line.last_of(a),
            commit=found,
            merge=commit if found != commit else None,
            candidates=tuple(
                Candidate(commit=c, reason=self._seen.reason(c, cell))
                for c in line.commits[a + 1 : b + 1]
            )
            if commit is None
            else (),
            notes=notes,
        )

    def _inner(
        self, merge: str, cell: Hashable, before: str | None, after: str | None
    ) -> tuple[str | None, tuple[str, ...]]:
        """The commit inside *merge* where the cell turned; the merge itself if none did."""
        for line in self._branches(merge):
            if self._seen.of(line.commits[0], cell) != before:
                shown = self._seen.of(line.commits[0], cell) or "nothing"
                base = self._name(line.commits[0])
                return merge, (f"the branch comes from {base}, which shows {shown}",)
            last = len(line.commits) - 1
            turns = [(a, b) for a, b in line.differing(cell) if b < last]
            into = [(a, b) for a, b in turns if self._seen.of(line.commits[b], cell) == after]
            if not into:
                continue
            a, b = into[-1]
            commit = line.commits[b]
            if not line.exact(a, b):
                hidden = ", ".join(self._name(c) for c in line.commits[a + 1 : b])
                return merge, (f"inside it at or before {self._name(commit)}: {hidden} untested",)
            deeper, notes = self._inner(commit, cell, before, after)
            return deeper, notes
        return merge, ()

    def _result(self, changes: list[Change]) -> Boundaries:
        line = self._line
        gaps = tuple(
            Gap(
                after=line.last_of(a),
                before=line.commits[b],
                builds=b - a - 1,
                skipped=line.skips(a, b),
            )
            for a, b in line.gaps()
            if b - a > 1
        )
        return Boundaries(
            changes=tuple(changes),
            untested=gaps,
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
        seconds = self._cost.build_seconds(commit)
        seconds += self._trials * self._cost.trial_seconds(commit)
        steps = max(1, steps)
        return Ask(
            commit=commit,
            trials=self._trials,
            why=why,
            phase=phase,
            candidates_left=sum(b - a - 1 for a, b in self._line.gaps()),
            expected_steps=steps,
            expected_seconds=seconds * steps,
        )

    def _name(self, commit: str) -> str:
        return self._labels.get(commit, commit[:12])
