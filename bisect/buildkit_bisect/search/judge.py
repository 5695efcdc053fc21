"""What a commit shows, and whether it was run often enough to say so.

Without noise a commit is taken at its word. Where an end was seen to answer both ways, or in
automatic mode, the ends are run until their rates are known to differ, and another commit
until it resembles one of them much more than the other.
"""

from __future__ import annotations

import math

from buildkit_bisect.search.explain import make_ask
from buildkit_bisect.search.posterior import log_beta, priors
from buildkit_bisect.search.state import State
from buildkit_bisect.search.tally import Status, Tally
from buildkit_bisect.search.vocabulary import Ask, Phase

#: Probability at which the rates of the ends are called different.
_DIFFERENT = 0.97

#: Odds at which a commit is said to resemble one end and not the other.
_SURE = math.log(20)

#: Odds at which a commit is said to contradict the rest.
_BEYOND_DOUBT = math.log(1000)

#: An end is run at most this many times the calibration, and a silent one this many.
_MOST = 10
_SILENT = 4


def is_noisy(state: State) -> bool:
    """Whether verdicts are probabilities here: by option, or because a build answered both ways."""
    evidence = state.evidence
    return state.options.trials is None or any(
        evidence.status(c) is Status.MIXED for c in evidence.told()
    )


def enough(state: State, commit: str, *, why: str) -> Ask | None:
    """An ask where the gate has not seen enough of a commit to go on."""
    shown, tally = state.evidence.status(commit), state.evidence.tally(commit)
    if shown is Status.UNTESTED:
        return _more(state, commit, why, Phase.GATE)
    if shown in {Status.SKIPPED, Status.WEAK} or not is_noisy(state):
        return None
    if commit in {state.old, state.new}:
        unlike = Status.OLD if commit == state.new else Status.NEW
        silent = shown is unlike and commit == state.bad_end
        if silent and tally.decided < _SILENT * state.options.calibration:
            return _more(state, commit, f"{why} {tally}: once more", Phase.CALIBRATE)
        return None
    if side(state, tally) is Status.MIXED and tally.decided < _MOST * state.options.calibration:
        return _more(state, commit, f"{why} {tally}: not sure yet", Phase.GATE)
    return None


def status(state: State, commit: str) -> Status:
    """What a commit shows; an end that answers both ways is taken for what it should be."""
    shown = state.evidence.status(commit)
    if shown in {Status.SKIPPED, Status.WEAK, Status.UNTESTED} or not is_noisy(state):
        return shown
    if commit in {state.old, state.new}:
        expected = Status.NEW if commit == state.new else Status.OLD
        return expected if shown is Status.MIXED else shown
    return side(state, state.evidence.tally(commit))


def calibrate(state: State) -> Ask | None:
    """More trials of the ends, until their rates are known to differ or to be alike."""
    if not is_noisy(state) or ends_differ(state):
        return None
    tallies = {c: state.evidence.tally(c) for c in (state.old, state.new)}
    commit = min(tallies, key=lambda c: tallies[c].decided)
    if tallies[commit].decided >= _MOST * state.options.calibration:
        return None
    why = (
        f"calibrate: {state.name(state.old)} shows {tallies[state.old]}, "
        f"{state.name(state.new)} shows {tallies[state.new]}; are these different rates?"
    )
    return _more(state, commit, why, Phase.CALIBRATE)


def ends_differ(state: State) -> bool:
    """Whether the new behaviour is almost certainly more frequent at the newer end."""
    old, new = state.evidence.tally(state.old), state.evidence.tally(state.new)
    if not old.decided or not new.decided:
        return False
    if not old.new and not new.old:
        return True
    return chance_of_more(new, old) >= _DIFFERENT


def side(state: State, tally: Tally, odds: float = _SURE) -> Status:
    """Which end a commit resembles, given the rates of both; MIXED where it is not sure."""
    likelier = _log_odds(state, tally)
    if likelier >= odds:
        return Status.NEW
    return Status.OLD if likelier <= -odds else Status.MIXED


def contradiction(state: State, odds: float = _BEYOND_DOUBT) -> tuple[str, str] | None:
    """A commit that is surely new inside one that is surely old, if both were tested."""
    history, evidence = state.history, state.evidence
    sides = {
        c: side(state, evidence.tally(c), odds)
        for c in evidence.told()
        if c in history and history.contains(state.new, c) and evidence.tally(c).decided
    }
    for first, shown in sides.items():
        for later, then in sides.items():
            if shown is Status.NEW and then is Status.OLD and history.contains(later, first):
                return first, later
    return None


def in_doubt(state: State) -> Ask | None:
    """One trial more where two commits seem to contradict each other; None where none do.

    Without it the search goes on as if the rate of false alarms were high, and tries to prove
    a commit whose parent is always new (a bisection of moby/buildkit up to v0.26.0 spent 80
    asks so).
    """
    pair = contradiction(state, _SURE)
    if not pair:
        return None
    first, later = pair
    commit = min(pair, key=lambda c: state.evidence.tally(c).decided)
    if state.evidence.tally(commit).decided >= _MOST * state.options.calibration:
        return None
    why = (
        f"{state.name(first)} shows {state.evidence.tally(first)}, and "
        f"{state.name(later)}, which contains it, {state.evidence.tally(later)}: "
        "noise, or two changes?"
    )
    return make_ask(
        state,
        commit,
        phase=Phase.CALIBRATE,
        why=why,
        left=state.reach,
        trials=state.options.trials or 1,
    )


def _log_odds(state: State, tally: Tally) -> float:
    old, new = state.evidence.tally(state.old), state.evidence.tally(state.new)
    prior = priors(state)
    with_it = (prior.with_it[0] + new.new, prior.with_it[1] + new.old)
    without = (prior.without[0] + old.new, prior.without[1] + old.old)
    return log_beta(with_it, tally.new, tally.old) - log_beta(without, tally.new, tally.old)


def chance_of_more(a: Tally, b: Tally) -> float:
    """Probability that the rate of *new* is higher in *a* than in *b*, from flat priors.

    The sum for integer Beta parameters; each term is one more failure in *a* before one in *b*.
    """
    a1, b1 = 1 + a.new, 1 + a.old
    a0, b0 = 1 + b.new, 1 + b.old
    return sum(
        math.exp(_log_b(a0 + i, b0 + b1) - math.log(b1 + i) - _log_b(1 + i, b1) - _log_b(a0, b0))
        for i in range(a1)
    )


def _log_b(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _more(state: State, commit: str, why: str, phase: Phase) -> Ask:
    trials = state.options.trials or state.options.calibration
    return make_ask(state, commit, phase=phase, why=why, left=state.reach, trials=trials)
