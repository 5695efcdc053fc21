"""How many builds and trials are still to come where trials can err.

`benchmarks/asks_left.py` measures both by whole searches: docs/search.md has the table.
"""

from __future__ import annotations

import math
from dataclasses import replace

from buildkit_bisect.search.information import Rates
from buildkit_bisect.search.posterior import Belief
from buildkit_bisect.search.state import State
from buildkit_bisect.search.vocabulary import Ask

#: Trials by the bits that are missing, and those that the proof needs, and by what a trial of a
#: commit in the middle tells: its bits to this power, as at worse rates more trials are in vain.
_TRIALS, _PROOF_BITS, _POWER = 0.75, 1.0, 1.2

#: Builds by the bits that are missing. The last of these come from commits that are built.
_BUILDS, _BUILT_BITS = 1.2, 1.6

#: Trials of a usual ask.
_EACH = 1.2

#: Least bits of a trial, where the rates are hardly apart.
_LEAST = 0.05


def with_rest(state: State, now: Belief, ask: Ask) -> Ask:
    """Return *ask* with the builds, trials and steps that are likely to come, this one included."""
    bits = now.entropy
    trials = _TRIALS * (bits + _PROOF_BITS) / max(_LEAST, _of_trial(now.rates)) ** _POWER
    own = state.cost.left_seconds(ask.commit)
    splits = max(0.0, min(now.bits_of_change, _BUILDS * now.bits_of_change - _BUILT_BITS))
    later = state.cost.later_builds(max(0, round(splits) - (own > 0)), ask.candidates_left)
    builds = (own, *max(later, _of_proof(state, now, ask), key=len))
    trials = max(trials, ask.trials + len(builds) - 1.0)  # each build is run
    steps = max(len(builds), 1 + math.ceil((trials - ask.trials) / _EACH))
    return replace(
        ask,
        expected_steps=steps,
        expected_seconds=sum(builds) + trials * state.cost.trial_seconds(ask.commit),
        builds_left=builds,
        trials_left=trials,
    )


def _of_proof(state: State, now: Belief, ask: Ask) -> tuple[float, ...]:
    """Seconds of the builds that the likeliest commit needs to be proven, but for that of *ask*.

    Inside a merge its parent is often none of the commits that were built to find it.
    """
    first = state.history.shas(now.cells.members[now.top])[0]
    family = {first, *state.history.parents(first)} - {ask.commit}
    return tuple(s for c in sorted(family) if (s := state.cost.left_seconds(c)) > 0)


def _of_trial(rates: Rates) -> float:
    """Bits that a trial tells if it is as likely of either side."""
    sides = (rates.bad_side, rates.good_side)
    return _bits(sum(sides) / 2) - sum(map(_bits, sides)) / 2


def _bits(p: float) -> float:
    return -sum(x * math.log2(x) for x in (p, 1 - p) if x > 0)
