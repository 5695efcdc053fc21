"""The search where trials can lie: a posterior over the candidates, until it is sure."""

from __future__ import annotations

import math
from dataclasses import replace

from buildkit_bisect.search import judge
from buildkit_bisect.search.answer import found
from buildkit_bisect.search.explain import cost_phrase, make_ask, plural
from buildkit_bisect.search.history import Mask
from buildkit_bisect.search.notes import notes, turned_twice
from buildkit_bisect.search.posterior import Belief, belief
from buildkit_bisect.search.proof import proof
from buildkit_bisect.search.state import State
from buildkit_bisect.search.vocabulary import Ask, Inconclusive, Phase, Range, Step
from buildkit_bisect.search.weigh import weigh

_PLACE = {
    Phase.FIRST_PARENT: "first-parent",
    Phase.DESCEND: "inside the merge",
    Phase.SEARCH: "whole history",
}

#: Bits of a usual ask, to tell how many are still to come after an unusual one.
_USUAL_GAIN = 0.7

#: A candidate this likely is put to the proof, whose trials then decide.
_WORTH_A_PROOF = 0.7

#: A merge this likely to have brought the culprit is looked into.
_WORTH_A_DESCENT = 0.8


def noisy(state: State) -> Step:
    """The next ask, or the answer."""
    twice = judge.contradiction(state)
    if twice:
        return turned_twice(state, *twice)
    doubt = judge.in_doubt(state)
    if doubt and state.evidence.trials < state.options.max_trials:
        return doubt
    now = belief(state)
    if not now.cells:
        return Inconclusive(
            reason="nothing that is built from changed between the ends", notes=notes(state)
        )
    if state.evidence.trials >= state.options.max_trials:
        return _undecided(state, now, f"{state.evidence.trials} trials did not decide it")
    step = _prove(state, now)
    if step:
        return step
    return _ask(state, now) or _no_more(state, now)


def _prove(state: State, now: Belief) -> Step | None:
    cell, mass = now.cells[0]
    if cell.members.bit_count() > 1 or mass < _WORTH_A_PROOF:
        return None
    commit = state.history.shas(cell.members)[0]
    step = proof(state, commit)
    if isinstance(step, Ask):
        return step
    if mass < state.options.confidence:
        return None
    return step or found(state, commit, now)


def _pool(state: State, now: Belief) -> tuple[Mask, Phase]:
    """The first-parent line, and what a merge brought that is very likely to be the one."""
    history = state.history
    space = history.ancestors(state.new) & ~history.union(state.floor)
    if not state.options.first_parent:
        return space, Phase.SEARCH
    top = history.shas(now.cells[0][0].members)[-1]
    merge = state.merge_of(top) or top
    first = history.parents(merge)[:1]
    brought = history.ancestors(merge) & space & ~history.union(first)
    if brought.bit_count() > 1 and now.mass(brought) >= _WORTH_A_DESCENT:
        return brought | (space & state.line), Phase.DESCEND
    return space & state.line, Phase.FIRST_PARENT


def _ask(state: State, now: Belief) -> Ask | None:
    pool, phase = _pool(state, now)
    best = weigh(state, now, pool, phase)
    if not best:
        return None
    tally = state.evidence.tally(best.commit)
    end = best.commit in {state.old, state.new, *state.floor}
    what = f"{_PLACE[phase]}: {best.p:.0%} likely to have it"
    if end:
        phase, what = Phase.CALIBRATE, "an end, for its rate"
    again = f"again ({tally}), " if tally.decided else ""
    rates = now.rates
    ask = make_ask(
        state,
        best.commit,
        phase=phase,
        why=(
            f"{again}{what}; {plural(best.trials, 'trial')} for {best.gain:.2f} bits; "
            f"{rates}; {cost_phrase(state.cost.build_seconds(best.commit))}"
        ),
        left=now.credible_size(state.options.confidence),
        trials=best.trials,
        steps=math.ceil(now.entropy / max(best.gain, _USUAL_GAIN)) + 2 * state.options.proof_runs,
    )
    return replace(ask, until_bad=rates.one_sided and best.trials > 1)


def _no_more(state: State, now: Belief) -> Range | Inconclusive:
    """No trial says more: what is left are commits that cannot be told apart."""
    cell, mass = now.cells[0]
    if mass < state.options.confidence:
        return _undecided(state, now, "no commit that can be tested would decide it")
    return Range(
        candidates=now.credible(state, state.options.confidence),
        reason=(
            f"the first {state.new_word} commit is one of "
            f"{plural(cell.members.bit_count(), 'candidate')} ({mass:.1%}), "
            "and no commit that tells them apart could be tested"
        ),
        hint="",
        notes=notes(state),
    )


def _undecided(state: State, now: Belief, why: str) -> Inconclusive:
    return Inconclusive(
        reason=f"{why}: the likeliest commit has {now.best:.1%}",
        hint=state.more_trials_command,
        candidates=now.credible(state, state.options.confidence),
        notes=notes(state),
    )
