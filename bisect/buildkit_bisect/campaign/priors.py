"""Weights of the candidates of a search, from what their commits change.

They choose what is tested next and never decide an answer: see `search.prior`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from buildkit_bisect.campaign.candidates import Line
from buildkit_bisect.events import Said
from buildkit_bisect.lab.coverage import Covered
from buildkit_bisect.options.choices import Prior
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Bisect
from buildkit_bisect.phrases import plural
from buildkit_bisect.search.prior import combined
from buildkit_bisect.source import GitSource
from buildkit_bisect.source.changes import Changes
from buildkit_bisect.system.announce import announce

Weights = Mapping[str, float]


def by_paths(changes: Mapping[str, Changes], patterns: Collection[str]) -> Weights:
    """Return 1 for each commit that touches *patterns*."""
    return {sha: 1.0 for sha, change in changes.items() if change.touches(patterns)}


def by_packages(changes: Mapping[str, Changes], imported: frozenset[str]) -> Weights:
    """Return 1 for each commit that changes a package of BuildKit which the daemon imports.

    Their number says little: most changes of many packages only move code.
    """
    return {sha: 1.0 for sha, change in changes.items() if change.packages(imported)}


def by_coverage(changes: Mapping[str, Changes], ran: frozenset[str]) -> Weights:
    """Return the square root of how many functions that ran each commit changes.

    By the number itself, the largest commit of a range would take most of the weight.
    """
    return {sha: math.sqrt(len(change.functions & ran)) for sha, change in changes.items()}


def candidates_of(line: Line, older: str, newer: str) -> tuple[str, ...]:
    """Return the commits between whose build inputs differ from those of all their parents."""
    key, history = line.same_build, line.history
    return tuple(
        sha
        for sha in key
        if history.contains(newer, sha)
        and not history.contains(older, sha)
        and not any(key.get(p, p) == key[sha] for p in history.parents(sha))
    )


@dataclass(kw_only=True)
class Priors:
    """What one request asks to weigh candidates by. Empty where it asks for nothing."""

    line: Line
    request: Bisect
    _changes: Mapping[str, Changes] = field(default_factory=dict)
    _free: list[Weights] = field(default_factory=list)
    notes: list[Said] = field(default_factory=list)  # for the user
    pending: bool = False  # a run of an instrumented build is still to come

    def __post_init__(self) -> None:
        request, source = self.request, self.line.source
        asked = request.suspect or request.prior is not Prior.UNIFORM
        if not asked or request.releases or not isinstance(source, GitSource):
            return
        with announce("reading what the candidates change"):
            self._changes = source.changes(candidates_of(self.line, self.older, self.newer))
        if request.suspect:
            found = by_paths(self._changes, request.suspect)
            self._free.append(found)
            paths = f"{words(Bisect, suspect=True)} {','.join(request.suspect)}"
            self._note(f"{paths}: touched by {self._of(found)}", warning=not found)
        if request.prior is Prior.PACKAGES:
            imported = source.daemon_packages(self.newer)
            found = by_packages(self._changes, imported)
            self._free.append(found)
            self._note(
                "prior: packages of BuildKit that buildkitd imports are changed by "
                f"{self._of(found)}"
            )
        self.pending = request.prior is Prior.COVERAGE

    @property
    def older(self) -> str:
        """The end that contains no candidate."""
        return self.line.bad if self.request.find_fix else self.line.good

    @property
    def newer(self) -> str:
        """The newer end: it has most of the functions that the candidates change."""
        return self.line.good if self.request.find_fix else self.line.bad

    def weights(self) -> Weights:
        """Return the weights that cost nothing; empty without any."""
        return combined(self._changes, self._free)

    def with_coverage(self, covered: Covered) -> Weights:
        """Return the weights with those of the functions that ran."""
        self.pending = False
        if covered.trouble:
            self._note(f"no coverage, and no weights by it: {covered.trouble}", warning=True)
            return self.weights()
        found = by_coverage(self._changes, covered.functions)
        some = [sha for sha, weight in found.items() if weight]
        how = "stored earlier" if covered.reused else f"took {covered.seconds:.0f} s"
        self._note(
            f"prior: the reproducer runs {plural(len(covered.functions), 'function')} of BuildKit;"
            f" some are changed by {self._of(some)} (instrumented build and run: {how})"
        )
        return combined(self._changes, [*self._free, found])

    def take_notes(self) -> Sequence[Said]:
        """Return the messages that were not returned yet."""
        taken, self.notes = self.notes, []
        return taken

    def _of(self, some: Collection[str]) -> str:
        total = len(self._changes)
        which = "commit that changes" if total == 1 else "commits that change"
        return f"{len(some)} of {total} {which} build inputs"

    def _note(self, text: str, *, warning: bool = False) -> None:
        self.notes.append(Said(text=text, warning=warning))
