"""What `boundaries` knows and reports: outcomes by build and cell, lines, and changes."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from buildkit_bisect.phrases import plural
from buildkit_bisect.search.vocabulary import Candidate, Skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One cell's outcome changed at *commit*, or at one of the candidates."""

    cell: Hashable
    before: str
    after: str
    last_before: str  # the newest commit on the line or branch that is known to show *before*
    commit: str | None  # None: the commits between could not be tested
    merge: str | None  # the merge on the line that brought it, if it is inside one
    candidates: tuple[Candidate, ...] = ()  # where commit is None; the last one shows *after*
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """Builds between two commits that were not tested."""

    after: str
    before: str
    builds: int
    skipped: int  # of them were tried, and could not be tested


@dataclass(frozen=True, kw_only=True, slots=True)
class Boundaries:
    """Every change that was found; two that cancel out inside one of the gaps were not.

    *changes* are oldest first: those that a merge brought stand before it, in their order there.
    """

    changes: tuple[Change, ...]
    untested: tuple[Gap, ...]  # on the line
    inside: tuple[Gap, ...]  # on the branches that were searched
    tested: tuple[str, ...]
    skipped: tuple[Candidate, ...]
    resolution: int

    @property
    def untested_note(self) -> str:
        """What was not tested, in one sentence."""
        places = (("line", self.untested), ("branches searched", self.inside))
        said = [
            f"{plural(sum(gap.builds for gap in gaps), 'build')} of the {where}"
            for where, gaps in places
            if gaps
        ]
        if not said:
            return "every build of the line was tested"
        widest = max(gap.builds for _, gaps in places for gap in gaps)
        return (
            f"{' and '.join(said)} were not tested, at most {widest} in a row: changes "
            "that cancel out within such a gap are not detected"
        )


@dataclass(slots=True)
class _Told:
    outcomes: dict[Hashable, str] = field(default_factory=dict)
    skip: Skip | None = None


class Outcomes:
    """What every cell showed at every build that was tried."""

    def __init__(self, same_build: Mapping[str, str]) -> None:
        self._key = same_build
        self._binary: dict[str, str] = {}
        self._told: dict[str, _Told] = {}  # by identity
        self._commits: dict[str, None] = {}
        self.cells: dict[Hashable, None] = {}
        self.keys: dict[str, None] = {}  # what was tried

    def add(
        self,
        commit: str,
        outcomes: Mapping[Hashable, str | None],
        skip: Skip | None,
        binary: str,
    ) -> None:
        """Take a tell in; a later outcome of the same build and cell stands."""
        if binary:
            before = self.identity(commit)
            self._binary[self.key(commit)] = binary
            if before in self._told and before != binary:
                self._told.setdefault(binary, self._told.pop(before))
        told = self._told.setdefault(self.identity(commit), _Told())
        told.outcomes.update({cell: o for cell, o in outcomes.items() if o is not None})
        told.skip = skip or told.skip
        self._commits.setdefault(commit)
        self.keys.setdefault(self.key(commit))
        self.cells.update(dict.fromkeys(outcomes))

    def key(self, commit: str) -> str:
        """What the commit is built from."""
        return self._key.get(commit, commit)

    def identity(self, commit: str) -> str:
        """The binary where it is known, else the key."""
        return self._binary.get(self.key(commit), self.key(commit))

    def of(self, commit: str, cell: Hashable) -> str | None:
        """The outcome of a cell; None if it was not or could not be tested."""
        told = self._told.get(self.identity(commit))
        return told.outcomes.get(cell) if told else None

    def tried(self, commit: str) -> bool:
        """Whether its build was told at all."""
        return self.identity(commit) in self._told

    def shows(self, commit: str) -> bool:
        """Whether any cell of its build has an outcome."""
        told = self._told.get(self.identity(commit))
        return bool(told and told.outcomes)

    def tested(self) -> tuple[str, ...]:
        """Commits with an outcome, in the order of their tells."""
        return tuple(c for c in self._commits if self.shows(c))

    def skipped(self) -> tuple[str, ...]:
        """Commits that were tried in vain."""
        return tuple(c for c in self._commits if not self.shows(c))

    def reason(self, commit: str, cell: Hashable = None) -> str:
        """What is known of a commit, for a list of candidates."""
        told = self._told.get(self.identity(commit))
        if told is None:
            return "not tested"
        if cell in told.outcomes:
            return told.outcomes[cell]
        if told.skip:
            return f"could not be tested: {told.skip.kind}: {told.skip.reason}"
        return "this cell could not be tested"


class Line:
    """Commits, oldest first, of which neighbours that are one build count once."""

    def __init__(self, commits: Sequence[str], seen: Outcomes) -> None:
        self._seen = seen
        self.commits: list[str] = []  # the first commit of each build
        self._last: list[str] = []
        self._places: dict[str, list[int]] = {}  # by build key
        for commit in commits:
            key = seen.key(commit)
            if self.commits and key == seen.key(self.commits[-1]):
                self._last[-1] = commit
            else:
                self._places.setdefault(key, []).append(len(self.commits))
                self.commits.append(commit)
                self._last.append(commit)

    def shows(self, at: int, cell: Hashable) -> str | None:
        """The outcome of a cell at a place."""
        return self._seen.of(self.commits[at], cell)

    def last_of(self, at: int) -> str:
        """The last commit of a build."""
        return self._last[at]

    def exact(self, a: int, b: int) -> bool:
        """Whether no build lies between."""
        return b == a + 1

    def places(self, commits: Collection[str]) -> set[int]:
        """Where builds of *commits* are."""
        return {i for commit in commits for i in self._places.get(self._seen.key(commit), ())}

    def gaps(self, also: Collection[int] = ()) -> list[tuple[int, int]]:
        """Neighbouring places that are tested (or ends of the line, or *also*)."""
        shown = {i for i in self._tried() if self._seen.shows(self.commits[i])}
        return list(pairwise(sorted({0, len(self.commits) - 1, *also} | shown)))

    def untested(self) -> list[Gap]:
        """The gaps that have builds in them."""
        return [
            Gap(
                after=self.last_of(a),
                before=self.commits[b],
                builds=b - a - 1,
                skipped=self.skips(a, b),
            )
            for a, b in self.gaps()
            if b - a > 1
        ]

    def differing(self, cell: Hashable) -> list[tuple[int, int]]:
        """Neighbouring places known for a cell, where its outcome differs."""
        shown = ((i, self._seen.of(self.commits[i], cell)) for i in self._tried())
        known = [(i, outcome) for i, outcome in shown if outcome]
        return [(i, j) for (i, before), (j, after) in pairwise(known) if before != after]

    def untried(self, a: int, b: int) -> list[int]:
        """Places strictly between that were not tried."""
        tried = set(self._tried())
        return [i for i in range(a + 1, b) if i not in tried]

    def skips(self, a: int, b: int) -> int:
        """How many strictly between were tried."""
        return sum(a < i < b for i in self._tried())

    def hidden(self, a: int, b: int) -> list[int]:
        """Places strictly between where no cell could be tested."""
        return [i for i in self._tried() if a < i < b and not self._seen.shows(self.commits[i])]

    def _tried(self) -> list[int]:
        return sorted(i for key in self._seen.keys for i in self._places.get(key, ()))
