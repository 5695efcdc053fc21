"""A cell's result: its trials, the origin of each, and the outcome of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from buildkit_bisect.model import (
    Axes,
    Build,
    NoBuild,
    Observation,
    Outcome,
    ToolOutcome,
    Variant,
    Verdict,
)
from buildkit_bisect.scenario import Scenario, metrics, outcome

#: Outcomes of a cell that do not come from its trials.
_OVERRULES = (ToolOutcome.CONTROL_FAILED, ToolOutcome.NO_BUILD)


class Origin(StrEnum):
    """Which campaign ran a trial."""

    NOW = "now"  # this one
    RESUMED = "resumed"  # an interrupted campaign that this one resumes
    STORED = "stored"  # any other campaign


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One observation and its origin."""

    observation: Observation
    origin: Origin

    @property
    def reused(self) -> bool:
        """Whether it was stored before this lab was opened."""
        return self.origin is not Origin.NOW

    @property
    def resumed(self) -> bool:
        """Whether it was run by the interrupted campaign that this one resumes."""
        return self.origin is Origin.RESUMED


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A cell's result. `outcome` covers all trials, unless the control overruled it."""

    variant: Variant
    scenario: Scenario
    axes: Axes
    build: Build | NoBuild
    outcome: Outcome
    counts: Mapping[str, int] = field(default_factory=dict)
    trials: tuple[Trial, ...] = ()
    judged: tuple[Outcome, ...] = ()  # one per trial
    controls: tuple[Observation, ...] | None = None  # what conditions compare with; None: nothing

    @property
    def control(self) -> Observation | None:
        """The first of `controls`."""
        return self.controls[0] if self.controls else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Recalled:
    """What stored trials of a cell show."""

    verdict: Verdict
    counts: Mapping[str, int]  # outcome -> trials
    campaign: str  # the last one that ran some

    def __str__(self) -> str:
        """Return ``good (cached 3 of 3, known from 20260821-101500-matrix)``."""
        total = sum(self.counts.values())
        each = ", ".join(f"{name} {n} of {total}" for name, n in self.counts.items())
        return f"{self.verdict} ({each}, known from {self.campaign})"


def merge(parts: Sequence[Cell]) -> Cell:
    """Merge several visits to one cell; every trial counts once."""
    if len(parts) == 1:
        return parts[0]
    trials = tuple(t for part in parts for t in part.trials)
    judged = tuple(o for part in parts for o in part.judged)
    controls = max((part.controls or () for part in parts), key=len) or parts[0].controls
    if metrics.comparisons(parts[0].scenario):  # all trials together may show what few did not
        judged = outcome.judge_all(parts[0].scenario, [t.observation for t in trials], controls)
    combined, counts = outcome.combine(judged) if judged else (parts[-1].outcome, Counter())
    overruled = [p.outcome for p in parts if p.outcome.name in _OVERRULES]
    return replace(
        parts[0],
        outcome=overruled[-1] if overruled else combined,
        counts=counts,
        trials=trials,
        judged=judged,
        controls=controls,
    )
