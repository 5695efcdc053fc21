"""Estimates how long builds and trials will take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

#: Seconds of a first compile and of one with a warm GOCACHE, if no build was recorded:
#: measured on two cores.
COLD, WARM = 110.0, 40.0

#: Seconds of a trial if none was recorded.
TRIAL = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """Expected seconds, and where the numbers come from."""

    builds: Mapping[str, float]  # row -> seconds; 0 if already built
    trials: int  # still to run
    trial_seconds: float
    basis: str

    @property
    def seconds(self) -> float:
        """Expected seconds of all builds and trials."""
        return sum(self.builds.values()) + self.trials * self.trial_seconds


def estimate(
    rows: Sequence[str],
    built: Mapping[str, bool],
    trials: int,
    *,
    build_history: Sequence[float],
    trial_mean: float | None,
) -> Estimate:
    """Return an estimate. *build_history* are seconds of recorded compiles, oldest first."""
    recent = [s for s in build_history[-10:] if s > 0]
    missing = [row for row in rows if not built[row]]
    if recent:
        each = dict.fromkeys(missing, mean(recent))
        basis = f"the last {len(recent)} builds on this machine"
    else:
        each = {row: COLD if n == 0 else WARM for n, row in enumerate(missing)}
        basis = "typical times on 2 cores"
    return Estimate(
        builds={row: each.get(row, 0.0) for row in rows},
        trials=trials,
        trial_seconds=trial_mean or TRIAL,
        basis=basis,
    )


def minutes(seconds: float) -> str:
    """Return ``40 s`` or ``12 min``."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"  # noqa: PLR2004
