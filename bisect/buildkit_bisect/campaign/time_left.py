"""How long a search will still take: what it asks for, at the pace of this campaign."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from buildkit_bisect.forecast import Forecast, forecast
from buildkit_bisect.lab.cell import Cell
from buildkit_bisect.model import Build, NoBuild
from buildkit_bisect.search import Ask, CostModel

#: Deviation of the number of steps from the expected one, as a share.
_STEPS = 0.3

#: Seconds beside the trials of a step by seconds in them, until some were measured: each new
#: commit runs a control, and daemons start.
_BESIDE = 1.5

#: Seconds of measured trials that this guess counts as.
_PRIOR = 20.0

#: A search whose builds and trials are all stored.
_STORED = Forecast(seconds=1.0, least=0.0, most=5.0)

#: Seconds of a build beside the compile, until some were measured: a work tree, patches, digests.
_CHECKOUT = 3.0


class TimeLeft:
    """Forecasts the rest of a search at each step.

    *cost* predicts builds and trials. At the end come builds that the search does not know of,
    each with *trials*: the commit *newer* without the one that was found, and *newer* itself, if
    the search does not run it; none if it is "", as the answer is not verified then. A *stored*
    search has had its answer before: it takes seconds, unless a trial turns out to run again. So
    many *compiles* run at once.
    """

    def __init__(
        self,
        cost: CostModel,
        *,
        newer: str = "",
        trials: int = 0,
        stored: bool = False,
        compiles: int = 1,
    ) -> None:
        self._stored = stored
        self._compiles = compiles
        self._cost = cost
        self._newer = newer
        self._trials = trials
        self._extra: tuple[float, ...] = ()
        self._wall = _BESIDE * _PRIOR
        self._run = _PRIOR
        self._checkouts = [_CHECKOUT]

    def at(self, ask: Ask, before: Sequence[float] = (), *, beside: int = 0) -> Forecast:
        """The time from *ask* to the end; *before* it, something else takes these seconds.

        *beside* is the number of trials in other cells, which the search does not know of either.
        """
        if self._stored and not before:
            return _STORED
        each = self._cost.trial_seconds(ask.commit) * self._wall / self._run
        checkout = median(self._checkouts)  # one may have waited for another campaign
        each_build = ((b + checkout) / self._compiles for b in self.builds(ask))
        builds = [*before, *each_build, *self._extra]
        return forecast(
            builds,
            (ask.trials_left + self._visits(ask) * self._trials + beside) * each,
            recorded=self._cost.recorded,
            steps=_STEPS,
        )

    def builds(self, ask: Ask) -> tuple[float, ...]:
        """Expected seconds of each build from *ask* to the end."""
        if self._stored:
            return ()
        after: list[float] = []
        if self._newer:
            after.append(self._cost.patched_seconds())
        if self._visits(ask) > 1:
            after.append(self._cost.left_seconds(self._newer))
        return tuple(b for b in (*ask.builds_left, *after) if b)

    def _visits(self, ask: Ask) -> int:
        """Number of builds that are run beside the search, at its end."""
        return 1 + ask.spares_newer if self._newer else 0

    @property
    def recorded(self) -> int:
        """Number of builds that the forecasts rest on."""
        return self._cost.recorded

    def instrumented(self, seconds: float) -> None:
        """An instrumented build and its run are to come, or, with 0, over."""
        self._extra = (seconds,) if seconds else ()

    def learn(self, trials: float, seconds: float, *, checkout: float | None = None) -> None:
        """A step took *seconds* beside its build, *trials* of them in trials that ran now.

        *checkout*: what its build took beside the compile, if it was compiled now.
        """
        if checkout is not None:
            self._checkouts.append(checkout)
        if trials:
            self._stored = False
            self._wall += seconds
            self._run += trials


def checkout(build: Build | NoBuild, seconds: float) -> float | None:
    """Return what a build took beside the compile, of *seconds*; None if nothing was compiled."""
    compiled = build.seconds_here if isinstance(build, Build) else 0.0
    return seconds - compiled if 0 < compiled <= seconds else None


def ran(cells: Iterable[Cell]) -> float:
    """Return the seconds of trials that this campaign ran."""
    return sum(t.observation.seconds for c in cells for t in c.trials if not t.reused)
