"""Which commit to run next, and how often, where trials can err: most bits for its cost.

A commit that is built already costs only its runs, so flakiness costs trials and not builds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from buildkit_bisect.search.cells import Cells
from buildkit_bisect.search.history import Mask
from buildkit_bisect.search.posterior import Belief
from buildkit_bisect.search.rates import Floats
from buildkit_bisect.search.skips import testable
from buildkit_bisect.search.state import KNOWN, State
from buildkit_bisect.search.tally import Status
from buildkit_bisect.search.vocabulary import Phase

#: Trials that one ask of a commit that is not built may be worth, in automatic mode.
_BATCHES = (1, 2, 3, 4, 6, 8, 12)

#: Commits that are weighed with every number of trials.
_SHORTLIST = 8

#: How much cheaper a trial of one commit may be than that of another.
_TRIALS_ALIKE = 0.9

#: Bits a trial below which an ask is not made while another one is worth more.
WORTHWHILE = 0.02

#: Bits below which no trial is worth asking for.
NOTHING = 1e-4

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

    @property
    def worthwhile(self) -> bool:
        """Whether each trial tells enough."""
        return self.gain >= WORTHWHILE * self.trials


def weigh(state: State, now: Belief) -> Weighed | None:
    """The best ask; None where no trial tells anything."""
    asks = [*_again(state, now), *_fresh(state, now)]
    asks = [a for a in asks if a.gain > NOTHING]
    if any(a.worthwhile for a in asks):
        asks = [a for a in asks if a.worthwhile]
    best = max(asks, key=lambda a: a.rate, default=None)
    if best and best.phase is Phase.DESCEND:
        line = max((a for a in asks if _fresh_on_line(a)), key=lambda a: a.rate, default=None)
        if line and line.rate >= _LINE_FIRST * best.rate:
            return line
    return best


def _fresh_on_line(ask: Weighed) -> bool:
    return ask.phase is Phase.FIRST_PARENT and not ask.again


def worth(now: Belief, commit: str, trials: int) -> float:
    """Bits of *trials* of a commit that was run before."""
    column = now.cells.tests.get(commit)
    if column is None:
        return 0.0
    return float(now.bits(trials, (now.cells.inside[:, column] * now.mass)[None, :])[0])


def _again(state: State, now: Belief) -> list[Weighed]:
    """Those of the builds that were run whose next trials tell most."""
    commits = list(now.cells.tests)
    firsts = set(state.ran().values())
    trials = state.options.trials or 1
    inside = now.cells.inside.T * now.mass
    bits = now.bits(trials, inside)
    return [
        Weighed(
            commit=commits[i],
            trials=trials,
            gain=float(bits[i]),
            rate=float(bits[i]) / state.cost_of(commits[i], trials),
            p=float(inside[i].sum()),
            phase=_phase(state, commits[i]),
            again=True,
        )
        for i in _largest(bits)
        if commits[i] in firsts
    ]


def _largest(worth: Floats) -> NDArray[np.int64]:
    """The places of the few largest, above what is worth nothing, best first."""
    return np.argsort(-worth, kind="stable")[:_SHORTLIST][: int((worth > NOTHING).sum())]


def _phase(state: State, commit: str) -> Phase:
    if commit in {state.old, state.new, *state.floor}:
        return Phase.CALIBRATE
    if not state.options.first_parent:
        return Phase.SEARCH
    on_line = state.line >> state.history.number(commit) & 1
    return Phase.FIRST_PARENT if on_line else Phase.DESCEND


def _fresh(state: State, now: Belief) -> list[Weighed]:
    """The commits not run yet that tell most for their cost, with the best number of trials."""
    found: list[Weighed] = []
    known = state.shown(*KNOWN)
    reach = state.reach_mask()
    for phase, pool in _pools(state):
        fresh = pool & reach & ~known
        if fresh and state.evidence.skips[phase] < state.options.max_skips:
            found += _of_pool(state, now, phase, pool & reach, fresh)
    return found


def _pools(state: State) -> tuple[tuple[Phase, Mask], ...]:
    if not state.options.first_parent:
        return ((Phase.SEARCH, -1),)
    return ((Phase.FIRST_PARENT, state.line), (Phase.DESCEND, ~state.line))


def _of_pool(state: State, now: Belief, phase: Phase, pool: Mask, fresh: Mask) -> list[Weighed]:
    cells = now.cells
    rows = np.flatnonzero(cells.where(fresh))
    one = state.options.trials or 1
    inside = cells.within[rows] * now.each
    likely = _testable(state, cells, pool, rows)
    bits = likely * now.bits(one, inside)
    telling = bits > max(NOTHING, _cheapest(state, cells, rows, bits))
    rows, inside, likely, bits = rows[telling], inside[telling], likely[telling], bits[telling]
    if not len(rows):
        return []
    commits = [state.history.sha(int(n)) for n in cells.rows[rows]]
    seconds = [state.seconds(c) for c in commits]
    build = np.array([s[0] for s in seconds])
    trial = np.array([s[1] for s in seconds])
    short = _largest(bits / (build + one * trial))
    inside, likely, build, trial = inside[short], likely[short], build[short], trial[short]
    batches = (one,) if state.options.trials or not build.any() else _BATCHES
    gains = np.stack([likely * now.bits(n, inside) for n in batches], axis=1)
    runs = np.stack([now.runs(n, inside) for n in batches], axis=1)
    rate = gains / (build[:, None] + runs * trial[:, None])
    best = rate.argmax(axis=1)
    return [
        Weighed(
            commit=commits[place],
            trials=batches[best[i]],
            gain=float(gains[i, best[i]]),
            rate=float(rate[i, best[i]]),
            p=float(inside[i].sum()),
            phase=phase,
            again=False,
        )
        for i, place in enumerate(short)
    ]


def _cheapest(state: State, cells: Cells, rows: NDArray[np.int64], bits: Floats) -> float:
    """Bits that even a commit that is built already has to tell, to be worth more than the best.

    So the costs of few commits are asked for where builds cost little.
    """
    best = int(bits.argmax()) if len(bits) else -1
    if best < 0:
        return 0.0
    build, trial = state.seconds(state.history.sha(int(cells.rows[rows[best]])))
    return _TRIALS_ALIKE * float(bits[best]) * trial / (build + trial)


def _testable(state: State, cells: Cells, pool: Mask, rows: NDArray[np.int64]) -> Floats:
    """How likely each commit can be tested, from the ones around it that could not."""
    hidden = state.shown(Status.SKIPPED, Status.WEAK) & pool
    if not hidden:
        return np.ones(len(rows))
    place = np.cumsum(cells.where(pool)) - 1
    stretch = [int(n) for n in place[cells.where(hidden)]]
    size = int(place[-1]) + 1
    return np.array([testable(int(at), stretch, size) for at in place[rows]])
