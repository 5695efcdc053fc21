"""What the next test will cost, in seconds: how a search weighs a build against a run."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

#: Changes after which most of a Go build cache no longer helps.
_FAR = 200.0

#: A build that took longer or shorter than predicted by more than this factor counts as this.
_SURPRISE = 2.0


class CostModel(Protocol):
    """Owned by the caller, who knows which builds are cached and what changed since them."""

    def build_seconds(self, commit: str) -> float:
        """Expected seconds until the commit can be run; 0 where its build is cached."""

    def trial_seconds(self, commit: str) -> float:
        """Expected seconds of one trial; more than 0."""

    def learn(
        self, commit: str, *, build_seconds: float | None, trial_seconds: float | None
    ) -> None:
        """A commit was built, or its build was found (None), and run; None: not measured."""


class FlatCost:
    """Every uncached build costs the same, and every trial; a commit is built once."""

    def __init__(self, *, build: float = 60.0, trial: float = 10.0) -> None:
        self._build = build
        self._trial = trial
        self._built: set[str] = set()

    def build_seconds(self, commit: str) -> float:
        """The flat cost, or 0 once the commit was built."""
        return 0.0 if commit in self._built else self._build

    def trial_seconds(self, commit: str) -> float:  # noqa: ARG002 - the Protocol's
        """The flat cost."""
        return self._trial

    def learn(
        self,
        commit: str,
        *,
        build_seconds: float | None,  # noqa: ARG002 - flat is flat
        trial_seconds: float | None,  # noqa: ARG002
    ) -> None:
        """Remember that it is built."""
        self._built.add(commit)


class NearestBuilt:
    """A build costs more the more has changed since the nearest commit that is built.

    *order* is any order in which neighbours are alike (`History` numbers, a first-parent line).
    *weights* says how much a commit changes of what is built (packages, files; 1 if left out).
    A build between *warm* seconds (linking alone) and *cold* is predicted; recorded builds
    correct both by their common factor.
    """

    def __init__(
        self,
        order: Sequence[str],
        *,
        built: Iterable[str] = (),
        same_build: Mapping[str, str] | None = None,
        weights: Mapping[str, float] | None = None,
        cold: float = 90.0,
        warm: float = 6.0,
        trial: float = 10.0,
    ) -> None:
        self._place: dict[str, float] = {}
        at = 0.0
        for sha in order:
            at += (weights or {}).get(sha, 1.0)
            self._place[sha] = at
        self._key = same_build or {}
        self._built: set[str] = set()
        self._places: list[float] = []  # of built commits, ascending
        self._cold, self._warm, self._trial = cold, warm, trial
        self._factor = 1.0
        for sha in built:
            self._add(sha)

    def build_seconds(self, commit: str) -> float:
        """Expected seconds; 0 where this build, or an equal one, was made."""
        if self._key.get(commit, commit) in self._built:
            return 0.0
        return self._factor * self._predicted(commit)

    def trial_seconds(self, commit: str) -> float:  # noqa: ARG002 - the Protocol's
        """Running mean of what was recorded."""
        return self._trial

    def learn(
        self, commit: str, *, build_seconds: float | None, trial_seconds: float | None
    ) -> None:
        """Correct the predictions by what was measured, and take the commit as built."""
        if build_seconds is not None and self.build_seconds(commit):
            # One build on a busy machine says little of the next one.
            measured = build_seconds / self._predicted(commit)
            measured = min(max(measured, self._factor / _SURPRISE), self._factor * _SURPRISE)
            self._factor += (measured - self._factor) / 4
        if trial_seconds:
            self._trial += (trial_seconds - self._trial) / 4
        self._add(commit)

    def _add(self, commit: str) -> None:
        self._built.add(self._key.get(commit, commit))
        if commit in self._place:
            bisect.insort(self._places, self._place[commit])

    def _predicted(self, commit: str) -> float:
        here = self._place.get(commit)
        if here is None or not self._places:
            return self._cold
        right = bisect.bisect(self._places, here)
        away = min(abs(here - at) for at in self._places[max(0, right - 1) : right + 1])
        return self._warm + (self._cold - self._warm) * (1 - math.exp(-away / _FAR))
