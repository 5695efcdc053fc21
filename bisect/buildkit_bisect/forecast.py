"""How long builds and trials will take, as a range. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

#: Deviation of one build from its prediction, as a share of it.
_EACH = 0.7

#: Deviation that all builds have in common, as a share, before any was recorded and at least.
_COMMON, _LEAST_COMMON = 0.6, 0.25

#: Deviation that all trials have in common.
_TRIALS = 0.35

#: Seconds that any work may take longer or shorter.
_ALWAYS = 1.0

#: Standard deviations to either side: about nine in ten lie between.
_WIDE = 1.645


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """Expected seconds, and the range that they lie in nine times in ten."""

    seconds: float
    least: float
    most: float

    def after(self, spent: float) -> Self:
        """What is left of it after *spent* seconds."""
        return type(self)(
            seconds=max(0.0, self.seconds - spent),
            least=max(0.0, self.least - spent),
            most=max(0.0, self.most - spent),
        )

    def __str__(self) -> str:
        """Return ``6 to 11 min``."""
        return between(self.least, self.most)


NOTHING = Forecast(seconds=0.0, least=0.0, most=0.0)


def forecast(
    builds: Sequence[float], trials: float = 0.0, *, recorded: int = 0, steps: float = 0.0
) -> Forecast:
    """Return the time for *builds*, seconds of each, and for *trials*, seconds of all.

    The prediction of builds rests on *recorded* ones; the less, the wider the range. *steps* is
    the deviation, as a share of the whole, that comes from not knowing how many there will be.
    """
    mean = sum(builds) + trials
    if mean <= 0:
        return NOTHING
    common = max(_LEAST_COMMON, _COMMON / math.sqrt(1 + recorded / 2))
    variance = (
        (common * sum(builds)) ** 2
        + sum((_EACH * b) ** 2 for b in builds)
        + (_TRIALS * trials) ** 2
        + (steps * mean) ** 2
    )
    # Log-normal: a build may take three times as long, and never less than nothing.
    width = math.log(1 + variance / mean**2)
    middle = mean / math.exp(width / 2)
    factor = math.exp(_WIDE * math.sqrt(width))
    return Forecast(
        seconds=mean, least=max(0.0, middle / factor - _ALWAYS), most=middle * factor + _ALWAYS
    )


def between(least: float, most: float) -> str:
    """Return ``20 to 50 s``, ``1 to 4 min``, ``50 min to 1 h 20 min``; one value if both are equal.

    The lower end is rounded down and the upper one up.
    """
    if most < 100:  # noqa: PLR2004 - two digits of seconds read well
        step = 1 if most < 20 else 5  # noqa: PLR2004
        low, high = math.floor(least / step) * step, math.ceil(most / step) * step
        return f"{low} to {high} s" if low < high else f"{high} s"
    if least < 60:  # noqa: PLR2004
        low_text = f"{math.floor(least / 5) * 5} s"
        return f"{low_text} to {_minutes(math.ceil(most / 60))}"
    low, high = math.floor(least / 60), math.ceil(most / 60)
    if high < 60:  # noqa: PLR2004
        return f"{low} to {high} min" if low < high else f"{high} min"
    return f"{_minutes(low)} to {_minutes(high)}" if low < high else _minutes(high)


def _minutes(count: int) -> str:
    return f"{count} min" if count < 60 else f"{count // 60} h {count % 60:02d} min"  # noqa: PLR2004
