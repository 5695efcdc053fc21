"""What the next test will cost, in seconds: how a search weighs a build against a run."""

from __future__ import annotations

from typing import Protocol


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
