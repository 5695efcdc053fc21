"""The search where trials can err: a posterior over the candidates, until it is sure."""

from __future__ import annotations

from dataclasses import replace

from buildkit_bisect.phrases import percent, plural
from buildkit_bisect.search import judge
from buildkit_bisect.search.answer import found, gave_up, too_many_skips
from buildkit_bisect.search.cost import cost_phrase
from buildkit_bisect.search.explain import make_ask, see, undecided, untried_ask
from buildkit_bisect.search.gate import refuse_alike
from buildkit_bisect.search.notes import notes, turned_twice
from buildkit_bisect.search.posterior import Belief, belief
from buildkit_bisect.search.proof import proof, rerun
from buildkit_bisect.search.state import State
from buildkit_bisect.search.tally import Status
from buildkit_bisect.search.to_come import with_rest
from buildkit_bisect.search.vocabulary import Ask, Inconclusive, Phase, Range, Refused, Step
from buildkit_bisect.search.weigh import WORTHWHILE, Weighed, weigh, worth

_PLACE = {
    Phase.FIRST_PARENT: "first-parent",
    Phase.DESCEND: "inside the merge",
    Phase.SEARCH: "whole history",
}

#: Above this probability of a candidate, weights no longer choose: its trials are what is left.
_STANDS_OUT = 0.5

#: A candidate this likely is put to the proof, whose trials then decide.
_WORTH_A_PROOF = 0.7

#: Probability that nothing changed at which that is the answer, and at which it is the answer
#: once no trial is left.
_NOTHING_CHANGED = 0.97
_LIKELY_NOTHING = 0.5

#: Share of the doubt allowed that may be about whether anything changed at all, and the most that
#: this may be: where nothing changes, the first lucky trials would else look like a change without
#: noise in more than one search of a hundred (docs/search.md).
_ABOUT_NOTHING = 0.5
_ABOUT_NOTHING_MOST = 0.005

#: Rates nearer than this may be chance that made one of many commits look different, mostly where
#: one side seems to err hardly ever. So that side is run this often for the proof alone: what was
#: seen before chose the commit. Such trials cost a side that does not err nothing but themselves.
_NEAR, _HARDLY = 0.7, 0.06
_ALONE = 5


def noisy(state: State) -> Step:
    """The next ask, or the answer."""
    step = _step(state)
    return with_rest(state, belief(state), step) if isinstance(step, Ask) else step


def _step(state: State) -> Step:
    if not state.space():
        return Inconclusive(
            reason="no build input changed between the endpoints", notes=notes(state)
        )
    doubt = _contradicted(state)
    if doubt:
        return doubt
    now = belief(state)
    if now.no_change >= _NOTHING_CHANGED:
        return refuse_alike(state, now.no_change)
    best = best_of(state, now)
    step = _prove(state, now, best)
    if _out_of_trials(state):
        return _out(state, now) if step is None or isinstance(step, Ask) else step
    return step or (as_ask(state, now, best) if best else _no_more(state, now))


def best_of(state: State, now: Belief) -> Weighed | None:
    """The best ask; with weights, until one candidate stands out."""
    if not state.weights.even and now.best <= _STANDS_OUT:
        best = weigh(state, belief(state, state.weights))
        if best and best.worthwhile:
            return replace(best, by_prior=True)
    return weigh(state, now)


def _out(state: State, now: Belief) -> Refused | Inconclusive:
    """No trial is left."""
    if now.no_change >= _LIKELY_NOTHING:
        return refuse_alike(state, now.no_change)
    return _undecided(state, now, f"undecided after {plural(state.evidence.trials, 'trial')}")


def _out_of_trials(state: State) -> bool:
    return state.evidence.trials >= state.options.max_trials


def _contradicted(state: State) -> Ask | Inconclusive | None:
    clash = judge.Clash(state, state.cells())
    twice = judge.contradiction(state, clash)
    if twice:
        return turned_twice(state, *twice)
    return None if _out_of_trials(state) else judge.in_doubt(state, clash)


def _prove(state: State, now: Belief, best: Weighed | None) -> Step | None:
    members = now.cells.members[now.top]
    if members.bit_count() > 1 or now.best < _WORTH_A_PROOF:
        return None
    commit = state.history.shas(members)[0]
    step = proof(state, commit)
    if not isinstance(step, Ask):
        doubt = now.doubt_allowed
        about_nothing = min(_ABOUT_NOTHING * doubt, _ABOUT_NOTHING_MOST)
        if 1 - now.best > doubt or now.no_change > about_nothing:
            return None
        step = step or _alone(state, now, commit)
    if isinstance(step, Ask):
        idle = worth(now, step.commit, step.trials) < WORTHWHILE * step.trials
        return None if best and best.worthwhile and idle else step
    return step or found(state, commit, now)


def _alone(state: State, now: Belief, commit: str) -> Ask | None:
    """One trial more of the side that hardly errs, where the rates are near each other."""
    rates = now.rates
    apart, least = rates.bad_side - rates.good_side, min(1 - rates.bad_side, rates.good_side)
    if state.options.trials or apart > _NEAR or least > _HARDLY:
        return None
    bad_side_errs_less = least < rates.good_side
    sides = ((commit,), state.history.parents(commit))
    side = sides[0] if bad_side_errs_less is not state.options.find_fix else sides[1]
    one = min(side, key=state.evidence.attempts)
    lacking = _ALONE - state.evidence.attempts(one)
    return rerun(state, commit, one, lacking) if lacking > 0 else None


def as_ask(state: State, now: Belief, best: Weighed) -> Ask:
    """Ask for what was weighed, and say why."""
    tally = state.evidence.tally(best.commit)
    if best.phase is Phase.CALIBRATE:
        end = best.commit in {state.named_old, state.new}
        side = "the newer side" if best.commit == state.shows_new else "the older side"
        what = f"{'an endpoint' if end else side}, to estimate its failure rate"
    else:
        by = " by the prior" if best.by_prior else ""
        what = f"{_PLACE[best.phase]}: {best.p:.0%} likely to have the change{by}"
    again = f"again ({tally}), " if best.again else ""
    rates = now.rates
    ask = make_ask(
        state,
        best.commit,
        phase=best.phase,
        why=(
            f"{again}{what}; {plural(best.trials, 'trial')} for {best.gain:.2f} bits; "
            f"{rates}; {cost_phrase(state.cost.left_seconds(best.commit))}"
        ),
        left=now.credible_size(state.options.confidence),
        trials=best.trials,
    )
    return replace(ask, until_bad=rates.one_sided and best.trials > 1)


def _no_more(state: State, now: Belief) -> Ask | Range | Inconclusive:
    """No trial says more: what is left are commits that cannot be told apart."""
    members = now.cells.members[now.top]
    mass = float(now.mass[now.top])
    if 1 - mass > now.doubt_allowed or members.bit_count() == 1:
        return _undecided(state, now, "no further trial would decide it")
    untried = [
        c for c in state.history.shas(members) if state.evidence.status(c) is Status.UNTESTED
    ]
    if untried and gave_up(state):
        return too_many_skips(state, now.credible(state.options.confidence))
    if untried:
        return untried_ask(state, untried, members.bit_count())
    hidden = state.history.shas(members & state.shown(Status.SKIPPED, Status.WEAK))
    return Range(
        candidates=now.credible(state.options.confidence),
        reason=(
            f"with confidence {percent(now.stated(mass))} it is one of these, and "
            f"{undecided(state, hidden)}"
        ),
        hint=see(state, hidden[0]) if hidden else "",
        notes=notes(state),
    )


def _undecided(state: State, now: Belief, why: str) -> Inconclusive:
    return Inconclusive(
        reason=f"{why}: the likeliest commit has {percent(now.best)}",
        hint=state.more_trials_command,
        candidates=now.credible(state.options.confidence),
        notes=notes(state),
    )
