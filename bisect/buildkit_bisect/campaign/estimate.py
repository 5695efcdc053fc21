"""Estimates how long builds and trials will take."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from buildkit_bisect.search.cost import COLD, PATCHED, Pace

#: Seconds of a build of another revision whose Go version something was built with, on two cores.
LATER = 22.0

#: Seconds of a trial if none was recorded.
TRIAL = 3.0

#: Builds that an estimate looks back on.
_RECORDED = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One variant of a matrix."""

    label: str
    revision: str
    go: str  # "1.25"; "" if unknown
    built: bool = False
    pulled: bool = False  # a shared store has it, so nothing is compiled near it either
    skipped: bool = False  # it will not be built


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """One build that this machine has made."""

    go: str  # "1.25"
    seconds: float


def pace(history: Sequence[Recorded]) -> Pace:
    """Return how builds here compare with typical ones. *history* is oldest first."""
    found = Pace()
    met = {build.go for build in history[:-_RECORDED]}
    for build in history[-_RECORDED:]:
        if build.seconds > 0:
            found.add(build.seconds, LATER if build.go in met else COLD)
        met.add(build.go)
    return found


def build_seconds(
    rows: Sequence[Row], *, known_go: Collection[str], factor: float
) -> Mapping[str, float]:
    """Return the expected seconds of each row's build, by label; 0 where nothing is built.

    The first build of a Go version is dear; later ones find most packages compiled.
    """
    # Where the Go version is not known, it is likely one that was used.
    met = {*known_go, ""} if known_go else set()
    built = {row.revision for row in rows if row.built}
    seconds: dict[str, float] = {}
    for row in rows:
        if row.built or row.pulled or row.skipped:
            seconds[row.label] = 0.0
            continue
        first = COLD if row.go not in met else LATER
        seconds[row.label] = factor * (PATCHED if row.revision in built else first)
        met.add(row.go)
        built.add(row.revision)
    return seconds


def minor(go: str) -> str:
    """Return ``1.25`` of ``1.25.5``."""
    return ".".join(go.split(".")[:2])


def basis(recorded: int) -> str:
    """Return what the expected times are based on."""
    if not recorded:
        return "typical times on 2 cores"
    return f"the last {recorded} builds on this machine" if recorded > 1 else "one build"


def minutes(seconds: float) -> str:
    """Return ``40 s`` or ``12 min``."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"  # noqa: PLR2004
