"""Which commit to run next, and how often, where trials can err: most bits for its cost.

A commit that is built already costs only its runs, so flakiness costs trials and not builds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from buildkit_bisect.search.after import After
from buildkit_bisect.search.cells import Cells
from buildkit_bisect.search.history import Mask
from buildkit_bisect.search.posterior import Belief
from buildkit_bisect.search.rates import Floats
from buildkit_bisect.search.skips import testable
from buildkit_bisect.search.state import KNOWN, State
from buildkit_bisect.search.tally import Status
from buildkit_bisect.search.vocabulary import Phase

#: What is believed now, or after what is asked for.
Believed = Belief | After

#: Trials that one ask of a commit that is not built may be worth, in automatic mode.
_BATCHES = (1, 2, 3, 4, 6, 8, 12)

#: Commits that are weighed with every number of trials.
_SHORTLIST = 8

#: Bits below which an ask is made of several trials, and how many at most.
_LITTLE = 0.08
_MOST_AT_ONCE = 4

#: Probability of a candidate above which the end is near, and every trial counts.
_NEARLY = 0.5

#: How much cheaper a trial of one commit may be than that of another.
_TRIALS_ALIKE = 0.9

#: Bits a trial below which an ask is not made while another one is worth more.
WORTHWHILE = 0.02

#: Bits below which no trial is worth asking for.
NOTHING = 1e-4

#: Trials after which only the ends are run while it is open whether anything changed at all, and
#: the probability of no change above which it is open. Trials that follow the likeliest commit
#: tell candidates apart, and chance makes one of many look different for long.
_ENDS_AFTER = 120
_OPEN = 0.05

#: A commit inside a merge is run first only if none on the line is worth this share of it.
_LINE_FIRST = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Weighed:
    """A commit, a number of trials, and what they are expected to tell."""

    commit: str
    trials: int
    gain: float  # bits
    rate: float  # bits a second
    p: float  # probability that the commit contains the culprit
    phase: Phase
    again: bool  # it was run before
    by_prior: bool = False  # p and gain are those of candidates that are weighted

    @property
    def seconds(self) -> float:
        """What it costs."""
        return self.gain / self.rate

    @property
    def worthwhile(self) -> bool:
        """Whether each trial tells enough."""
        return self.gain >= WORTHWHILE * self.trials


def weigh(state: State, now: Believed) -> Weighed | None:
    """The best ask; None where no trial tells anything."""
    asks = _telling(state, now)
    # In turns, since the machine may change meanwhile.
    ends = ends_in_turn(state, now, asks)
    turn = min(ends, key=lambda a: state.evidence.tally(a.commit).decided, default=None)
    best = turn or _most(asks)
    return _several(now, best) if best and not state.options.trials else best


def _telling(state: State, now: Believed) -> list[Weighed]:
    """Asks that tell enough; if none does, those that tell anything."""
    asks = [*_again(state, now), *_fresh(state, now)]
    asks = [a for a in asks if a.gain > NOTHING]
    return [a for a in asks if a.worthwhile] or asks


def ends_in_turn(
    state: State, now: Believed, asks: Sequence[Weighed] | None = None
) -> list[Weighed]:
    """The ends, where it is open whether anything changed; else none."""
    if state.evidence.trials < _ENDS_AFTER or now.no_change < _OPEN:
        return []
    asks = _telling(state, now) if asks is None else asks
    return [a for a in asks if a.phase is Phase.CALIBRATE]


def weigh_beside(
    state: State,
    after: After,
    asked: Mapping[str, int],
    *,
    least: float,
    longest: float,
    may_build: bool,
) -> Weighed | None:
    """The best ask beside the trials of *asked* commits; None if none tells *least* bits a trial.

    They take *longest* seconds anyway, so an ask that takes less costs as much. Without *may_build*
    it is of a commit that is built, or is built for them.
    """

    def may(ask: Weighed) -> bool:
        few = ask.trials + asked.get(ask.commit, 0) <= _MOST_AT_ONCE
        ready = may_build or ask.commit in asked or not state.cost.build_seconds(ask.commit)
        return ask.gain > least * ask.trials and ready and (few or ask.commit not in asked)

    asks = [a for a in (*_again(state, after), *_fresh(state, after)) if may(a)]
    best = _most([replace(a, rate=a.gain / max(a.seconds, longest)) for a in asks])
    return _several(after, best) if best and not state.options.trials else best


def _most(asks: list[Weighed]) -> Weighed | None:
    best = max(asks, key=lambda a: a.rate, default=None)
    if best and best.phase is Phase.DESCEND:
        line = max((a for a in asks if _fresh_on_line(a)), key=lambda a: a.rate, default=None)
        if line and line.rate >= _LINE_FIRST * best.rate:
            return line
    return best


def _several(now: Believed, ask: Weighed) -> Weighed:
    """More trials at once where one tells little: what is believed hardly changes between them."""
    trials = min(_MOST_AT_ONCE, int(_LITTLE / ask.gain))
    if trials <= ask.trials or now.best > _NEARLY:
        return ask
    more = replace(ask, trials=trials, gain=worth(now, ask.commit, trials))
    return more if more.worthwhile or not ask.worthwhile else ask


def _fresh_on_line(ask: Weighed) -> bool:
    return ask.phase is Phase.FIRST_PARENT and not ask.again


def worth(now: Believed, commit: str, trials: int) -> float:
    """Bits of *trials* of a commit."""
    cells = now.cells
    column = cells.tests.get(commit)
    if column is not None:
        contained, each = cells.inside[:, column].astype(np.float64), now.mass
    else:
        here = cells.rows == now.state.history.number(commit)
        contained, each = cells.within[here].sum(axis=0), now.each  # nothing, outside of the ends
    return float(now.bits((trials,), contained[None, :], each)[0, 0])


def _again(state: State, now: Believed) -> list[Weighed]:
    """The ends, and those of the other builds that were run whose next trials tell most."""
    commits = list(now.cells.tests)
    firsts = set(state.ran().values())
    trials = state.options.trials or 1
    contained = now.cells.inside.T.astype(np.float64)
    bits = now.bits((trials,), contained, now.mass)[:, 0]
    most = dict.fromkeys(int(i) for i in _largest(bits))
    at_ends = (i for i, c in enumerate(commits) if _phase(state, c) is Phase.CALIBRATE)
    return [
        Weighed(
            commit=commits[i],
            trials=trials,
            gain=float(bits[i]),
            rate=float(bits[i]) / state.cost_of(commits[i], trials),
            p=float(contained[i] @ now.mass),
            phase=_phase(state, commits[i]),
            again=True,
        )
        for i in (most | dict.fromkeys(at_ends))
        if commits[i] in firsts and bits[i] > NOTHING
    ]


def _largest(worth: Floats) -> NDArray[np.intp]:
    """The places of the few largest, best first."""
    return np.argsort(-worth, kind="stable")[:_SHORTLIST]


def _phase(state: State, commit: str) -> Phase:
    if commit in {state.old, state.new, state.ran_new, *state.floor}:
        return Phase.CALIBRATE
    if not state.options.first_parent:
        return Phase.SEARCH
    on_line = state.line >> state.history.number(commit) & 1
    return Phase.FIRST_PARENT if on_line else Phase.DESCEND


def _fresh(state: State, now: Believed) -> list[Weighed]:
    """The commits not run yet that tell most for their cost, with the best number of trials."""
    found: list[Weighed] = []
    known = state.shown(*KNOWN)
    reach = state.reach_mask()
    one = state.options.trials or 1
    bits = now.bits((one,), now.cells.within, now.each)[:, 0]
    for phase, pool in _pools(state):
        fresh = pool & reach & ~known
        if fresh and state.evidence.skips[phase] < state.options.max_skips:
            rows = np.flatnonzero(now.cells.where(fresh))
            likely = _testable(state, now.cells, pool & reach, rows)
            rows, likely = _promising(state, now.cells, rows, likely, bits)
            found += _of_pool(state, now, phase, rows, likely)
    return found


def _promising(
    state: State, cells: Cells, rows: NDArray[np.intp], likely: Floats, bits: Floats
) -> tuple[NDArray[np.intp], Floats]:
    """The rows that may be worth more for their cost than the one that tells most.

    So the costs of few commits are asked for where builds cost little.
    """
    bits = likely * bits[rows]
    best = int(bits.argmax())
    build, trial = (float(s[0]) for s in state.seconds(cells, rows[best : best + 1]))
    # Even a build that is there already has to tell as much as this.
    least = _TRIALS_ALIKE * float(bits[best]) * trial / (build + trial)
    telling = bits > max(NOTHING, least)
    return rows[telling], likely[telling]


def _pools(state: State) -> tuple[tuple[Phase, Mask], ...]:
    if not state.options.first_parent:
        return ((Phase.SEARCH, -1),)
    return ((Phase.FIRST_PARENT, state.line), (Phase.DESCEND, ~state.line))


def _of_pool(
    state: State, now: Believed, phase: Phase, rows: NDArray[np.intp], likely: Floats
) -> list[Weighed]:
    build, trial = (s[:, None] for s in state.seconds(now.cells, rows))
    batches: tuple[int, ...] = (state.options.trials or 1,)
    if len(rows) > _SHORTLIST:
        bits = now.bits(batches, now.cells.within[rows], now.each)[:, 0]
        short = _largest(likely * bits / (build + batches[0] * trial)[:, 0])
        rows, likely, build, trial = rows[short], likely[short], build[short], trial[short]
    commits = [state.history.sha(int(n)) for n in now.cells.rows[rows]]
    if not state.options.trials and build.any():
        batches = _BATCHES
    contained = now.cells.within[rows]
    gains = likely[:, None] * now.bits(batches, contained, now.each)
    rate = gains / (build + now.runs(batches, contained) * trial)
    best = rate.argmax(axis=1)
    return [
        Weighed(
            commit=commit,
            trials=batches[best[i]],
            gain=float(gains[i, best[i]]),
            rate=float(rate[i, best[i]]),
            p=float(contained[i] @ now.each),
            phase=phase,
            again=False,
        )
        for i, commit in enumerate(commits)
    ]


def _testable(state: State, cells: Cells, pool: Mask, rows: NDArray[np.intp]) -> Floats:
    """How likely each commit can be tested, from the ones around it that could not."""
    hidden = state.shown(Status.SKIPPED, Status.WEAK) & pool
    if not hidden:
        return np.ones(len(rows))
    place = np.cumsum(cells.where(pool)) - 1
    stretch = [int(n) for n in place[cells.where(hidden)]]
    size = int(place[-1]) + 1
    return np.array([testable(int(at), stretch, size) for at in place[rows]])
