"""Which commits to run at once where trials can err: most bits together, for their cost.

The first is what the plain search asks for. Each other one tells most beside those before it, by
what is believed after these (`After`). Then each of them is replaced by what tells more beside the
others. A commit that is chosen twice gets the trials of both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from buildkit_bisect.search.after import After, Run
from buildkit_bisect.search.noisy import as_ask, best_of
from buildkit_bisect.search.posterior import Belief, belief
from buildkit_bisect.search.state import State
from buildkit_bisect.search.vocabulary import Ask, Phase
from buildkit_bisect.search.weigh import Weighed, ends_in_turn, weigh_beside

#: How many times as often as there are commits to choose one is chosen, some of them again.
_PICKS = 3


def among_noise(state: State, plain: Ask, most: int, builds: int | None) -> list[Ask]:
    """Return what to ask for at once in the place of *plain*."""
    now = belief(state)
    best = best_of(state, now)
    first = [*plain.together]
    if (first and plain.phase is not Phase.PROOF) or best is None:
        return first or [plain]
    if not first and (ends := ends_in_turn(state, now)):
        times = max(1, most // len(ends))
        return [as_ask(state, now, replace(end, trials=end.trials * times)) for end in ends]
    base = belief(state, state.weights) if best.by_prior else now
    choice = _Choice(state, base, [Run(ask.commit, ask.trials) for ask in first], builds)
    chosen = [] if first else [best]
    commits = {ask.commit for ask in first} | {one.commit for one in chosen}
    for _ in range(_PICKS * most):
        more = choice.beside(chosen)
        if more is None or len(commits | {more.commit}) > most:
            break
        commits.add(more.commit)
        chosen.append(more)
    for at in range(len(chosen)):
        chosen[at] = choice.beside([*chosen[:at], *chosen[at + 1 :]]) or chosen[at]
    return _merged_asks(first, [as_ask(state, now, one) for one in _merged(chosen)])


def _merged_asks(first: Sequence[Ask], others: Sequence[Ask]) -> list[Ask]:
    """Give the trials of another ask for the same commit to the first one."""
    more = {ask.commit: ask.trials for ask in others}
    known = {ask.commit for ask in first}
    return [
        *(replace(ask, trials=ask.trials + more.get(ask.commit, 0)) for ask in first),
        *(ask for ask in others if ask.commit not in known),
    ]


def _merged(chosen: Sequence[Weighed]) -> list[Weighed]:
    trials = Counter[str]()
    for one in chosen:
        trials[one.commit] += one.trials
    firsts = {one.commit: one for one in reversed(chosen)}
    return [replace(firsts[commit], trials=count) for commit, count in trials.items()]


class _Choice:
    """Chooses what tells most beside *fixed* runs and others."""

    def __init__(
        self, state: State, base: Belief, fixed: Sequence[Run], builds: int | None
    ) -> None:
        self._state = state
        self._base = base
        self._fixed = fixed
        self._builds = builds

    def beside(self, others: Sequence[Weighed]) -> Weighed | None:
        """The best ask beside *others*; None if none is worth its trials."""
        runs = [*self._fixed, *(Run(one.commit, one.trials) for one in _merged(others))]
        asked = {run.commit: run.trials for run in runs}
        to_build = sum(self._state.cost.build_seconds(commit) > 0 for commit in asked)
        return weigh_beside(
            self._state,
            After(self._base, runs),
            asked,
            longest=max((self._state.cost_of(c, n) for c, n in asked.items()), default=0.0),
            may_build=self._builds is None or to_build < self._builds,
        )
