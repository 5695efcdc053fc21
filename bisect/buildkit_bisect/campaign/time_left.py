"""How long a search will still take: what it asks for, at the pace of this campaign."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from buildkit_bisect.forecast import Forecast, forecast
from buildkit_bisect.lab.cell import Cell
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

#: Seconds of a build beside the compile: a work tree, patches, digests.
_CHECKOUT = 3.0


class TimeLeft:
    """Forecasts the rest of a search at each step.

    *cost* predicts builds and trials. At the end come *builds* more and *trials* more, which the
    search does not know of: a revert that confirms the answer. A *stored* search has had its answer
    before: it takes seconds, unless a trial turns out to run again. So many *compiles* run at once.
    """

    def __init__(
        self,
        cost: CostModel,
        *,
        builds: Sequence[float] = (),
        trials: int = 0,
        stored: bool = False,
        compiles: int = 1,
    ) -> None:
        self._stored = stored
        self._compiles = compiles
        self._cost = cost
        self._builds = tuple(builds)
        self._trials = trials
        self._extra: tuple[float, ...] = ()
        self._wall = _BESIDE * _PRIOR
        self._run = _PRIOR

    def at(self, ask: Ask, before: Sequence[float] = (), *, beside: int = 0) -> Forecast:
        """The time from *ask* to the end; *before* it, something else takes these seconds.

        *beside* is the number of trials in other cells, which the search does not know of either.
        """
        if self._stored and not before:
            return _STORED
        each = self._cost.trial_seconds(ask.commit) * self._wall / self._run
        each_build = ((b + _CHECKOUT) / self._compiles for b in self.builds(ask))
        builds = [*before, *each_build, *self._extra]
        return forecast(
            builds,
            (ask.trials_left + self._trials + beside) * each,
            recorded=self._cost.recorded,
            steps=_STEPS,
        )

    def builds(self, ask: Ask) -> tuple[float, ...]:
        """Expected seconds of each build from *ask* to the end."""
        return () if self._stored else tuple(b for b in (*ask.builds_left, *self._builds) if b)

    @property
    def recorded(self) -> int:
        """Number of builds that the forecasts rest on."""
        return self._cost.recorded

    def instrumented(self, seconds: float) -> None:
        """An instrumented build and its run are to come, or, with 0, over."""
        self._extra = (seconds,) if seconds else ()

    def learn(self, trials: float, seconds: float) -> None:
        """A step took *seconds* beside its build, *trials* of them in trials that ran now."""
        if trials:
            self._stored = False
            self._wall += seconds
            self._run += trials


def ran(cells: Iterable[Cell]) -> float:
    """Return the seconds of trials that this campaign ran."""
    return sum(t.observation.seconds for c in cells for t in c.trials if not t.reused)
