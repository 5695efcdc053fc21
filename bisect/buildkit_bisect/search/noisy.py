"""The search where trials can lie: a posterior over the candidates, until it is sure.

Each ask is the commit and number of trials with most information for its cost. A commit that
is built already costs only its runs, so flakiness costs trials and not builds.
"""

from __future__ import annotations

import math
from dataclasses import replace

from buildkit_bisect.search import judge
from buildkit_bisect.search.answer import found
from buildkit_bisect.search.evidence import Status
from buildkit_bisect.search.explain import cost_phrase, make_ask, plural
from buildkit_bisect.search.history import Mask, bits
from buildkit_bisect.search.information import expected_trials, information
from buildkit_bisect.search.midpoint import testable
from buildkit_bisect.search.notes import notes, turned_twice
from buildkit_bisect.search.posterior import Belief, belief
from buildkit_bisect.search.proof import proof
from buildkit_bisect.search.state import State
from buildkit_bisect.search.steps import Ask, Inconclusive, Phase, Range, Step

#: Trials that one ask may be worth, in automatic mode.
_BATCHES = (1, 2, 3, 4, 6, 8, 12)

#: A candidate this likely is put to the proof, whose trials then decide.
_WORTH_A_PROOF = 0.7

#: A merge this likely to have brought the culprit is looked into.
_WORTH_A_DESCENT = 0.8

#: Bits below which no further trial is worth asking for.
_NOTHING = 1e-4

#: Probability of a cell below which it does not steer the search.
_NEGLIGIBLE = 1e-6


def noisy(state: State) -> Step:
    """The next ask, or the answer."""
    twice = judge.contradiction(state)
    if twice:
        return turned_twice(state, *twice)
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
    if step:
        return step
    return found(state, commit, now) if mass >= state.options.confidence else None


def _ask(state: State, now: Belief) -> Ask | None:
    rates = now.rates
    pool, phase = _pool(state, now)
    live = [
        (cell.members, mass / cell.members.bit_count())
        for cell, mass in now.cells
        if mass > _NEGLIGIBLE
    ]
    best: tuple[float, float, str, int, float] | None = None
    for sha, likely in _askable(state, pool, phase):
        inside = state.history.ancestors(sha)
        p = min(1.0, sum((members & inside).bit_count() * each for members, each in live))
        build, trial = state.cost.build_seconds(sha), state.cost.trial_seconds(sha)
        for n in _batches(state):
            gain = information(rates, n, p) * likely
            cost = build + trial * expected_trials(rates, n, p)
            if gain > _NOTHING and (best is None or gain / cost > best[0]):
                best = gain / cost, gain, sha, n, p
    if not best:
        return None
    _, gain, sha, n, p = best
    return _explained(state, now, sha, n, p=p, gain=gain, phase=phase)


def _batches(state: State) -> tuple[int, ...]:
    return (state.options.trials,) if state.options.trials else _BATCHES


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


def _askable(state: State, pool: Mask, phase: Phase) -> list[tuple[str, float]]:
    """Commits of the pool that were not found untestable, and how likely they can be tested.

    A build that was run already stands for all that are the same.
    """
    history, evidence = state.history, state.evidence
    members = list(bits(pool))
    hidden = {Status.SKIPPED, Status.WEAK}
    skipped = [at for at, i in enumerate(members) if evidence.status(history.sha(i)) in hidden]
    gave_up = evidence.skips[phase] >= state.options.max_skips
    told = set(evidence.told())
    found: list[tuple[str, float]] = []
    for at, i in enumerate(members):
        sha = history.sha(i)
        shown = evidence.status(sha)
        if shown is Status.UNTESTED and not gave_up:
            found.append((sha, testable(at, skipped, len(members)) if skipped else 1.0))
        elif shown not in {Status.UNTESTED, *hidden} and sha in told:
            found.append((sha, 1.0))
    return found


def _explained(
    state: State, now: Belief, sha: str, n: int, *, p: float, gain: float, phase: Phase
) -> Ask:
    rates = now.rates
    place = {Phase.DESCEND: "inside the merge", Phase.SEARCH: "whole history"}.get(
        phase, "first-parent"
    )
    seen = state.evidence.tally(sha)
    again = f"again ({seen}), " if seen.decided else ""
    why = (
        f"{place}: {again}{p:.0%} likely to have it; {plural(n, 'trial')} for {gain:.2f} bits, "
        f"at rates {rates.with_it:.2f} and {rates.without:.2f}; "
        f"{cost_phrase(state.cost.build_seconds(sha))}"
    )
    candidates = now.credible(state, state.options.confidence)
    steps = math.ceil(now.entropy / max(gain, _NOTHING)) + 2 * state.options.proof_runs
    ask = make_ask(state, sha, phase=phase, why=why, left=len(candidates), trials=n, steps=steps)
    return replace(ask, until_bad=rates.one_sided and n > 1)


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
        hint="./inv resume --trials 20",
        candidates=now.credible(state, state.options.confidence),
        notes=notes(state),
    )
