"""What a commit shows, and whether it was run often enough to tell.

With a fixed number of trials a commit is taken at its word, until one build answers both ways.
Otherwise what the ends show gives two rates, roughly, and a commit is judged by which of them
its trials resemble.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from buildkit_bisect.search.cells import Cells
from buildkit_bisect.search.explain import make_ask
from buildkit_bisect.search.posterior import prior_of
from buildkit_bisect.search.rates import Floats, as_floats, bits_of
from buildkit_bisect.search.state import State
from buildkit_bisect.search.tally import Status, Tally
from buildkit_bisect.search.vocabulary import Ask, Found, Phase, SearchOptions

#: Odds at which a commit is said to resemble one end and not the other.
_SURE = math.log(20)

#: Odds at which a merge base is taken for old: the proof runs it again where it matters.
_LIKELY = math.log(3)

#: Odds at which a commit that looks new, inside one that looks old, is run again, and at
#: which the two are said to contradict each other.
_DOUBT = 200.0
_BEYOND_DOUBT = 1000.0

#: Trials of one commit, outside the search itself.
_MOST = 30

#: Probability, before any trial, that the ends are alike, and that they are swapped.
_ALIKE, _SWAPPED = 0.3, 0.05

_TINY = 1e-300


def at_its_word(state: State) -> bool:
    """Whether one verdict settles a commit: a fixed number of trials, and all builds agree."""
    evidence = state.evidence
    return state.options.trials is not None and not any(
        evidence.status(c) is Status.MIXED for c in evidence.told()
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Ends:
    """How likely the ends differ as they should, not at all, or the other way round."""

    differ: float
    alike: float
    swapped: float
    next: str  # the end whose next trial tells more about this


def ends(state: State) -> Ends:
    """What the trials of both ends say of their rates, by the prior of the search."""
    prior = prior_of(state.options)
    new, old = (state.evidence.tally(c) for c in (state.ran_new, state.old))
    at_new, at_old = (
        prior.scaled(as_floats([t.new]), as_floats([t.old]))[0][0] for t in (new, old)
    )
    differ = at_new[:, None] * at_old[None, :] * prior.pairs * (1 - _ALIKE - _SWAPPED)
    swapped = at_old[:, None] * at_new[None, :] * prior.pairs * _SWAPPED
    alike = at_new * at_old * prior.alike * _ALIKE
    each = np.array([differ.sum(), alike.sum(), swapped.sum()])
    each = np.maximum(each, _TINY)
    # The rate at each end, by hypothesis.
    rates_new = np.array([differ.sum(1), alike, swapped.sum(0)]) @ prior.rates / each
    rates_old = np.array([differ.sum(0), alike, swapped.sum(1)]) @ prior.rates / each
    shares = each / each.sum()
    worth = {
        commit: _bits(shares, rates)
        for commit, rates in ((state.ran_new, rates_new), (state.old, rates_old))
    }
    return Ends(
        differ=float(shares[0]),
        alike=float(shares[1]),
        swapped=float(shares[2]),
        next=max((state.bad_end, state.good_end), key=lambda c: worth[c]),
    )


def _bits(shares: Floats, rates: Floats) -> float:
    mixed = np.array([shares @ rates])
    return float(bits_of(mixed)[0] - shares @ bits_of(rates))


def of_base(state: State, commit: str) -> Status:
    """What a merge base shows; MIXED while it is not clear."""
    shown, tally = state.evidence.status(commit), state.evidence.tally(commit)
    if shown in {Status.SKIPPED, Status.WEAK, Status.UNTESTED} or at_its_word(state):
        return shown
    odds = log_odds(state, [tally])[0]
    if odds <= -_LIKELY:
        return Status.OLD
    return Status.NEW if odds >= _SURE else Status.MIXED


def may_ask_again(state: State, commit: str) -> bool:
    """Whether a commit outside the search was not yet run as often as it makes sense."""
    return not at_its_word(state) and state.evidence.tally(commit).runs < _MOST


def log_odds(state: State, tallies: list[Tally]) -> Floats:
    """Log odds of each tally: from the new side against from the old one."""
    prior = prior_of(state.options)
    each, _ = prior.scaled(as_floats([t.new for t in tallies]), as_floats([t.old for t in tallies]))
    new, old = (state.evidence.tally(c) for c in (state.ran_new, state.old))
    at_new, at_old = (
        prior.scaled(as_floats([t.new]), as_floats([t.old]))[0][0] for t in (new, old)
    )
    both = at_new[:, None] * at_old[None, :] * prior.pairs
    both = both / max(float(both.sum()), _TINY)
    found: Floats = np.log(np.maximum(each @ both.sum(axis=1), _TINY)) - np.log(
        np.maximum(each @ both.sum(axis=0), _TINY)
    )
    return found


def like_before(options: SearchOptions, found: Found, bad: int, good: int) -> float:
    """How likely trials of another build are those of a commit before the one *found*.

    The other possibility, as likely without these trials, is that it is like the commits with it.
    """
    prior = prior_of(options)
    without, with_it = found.bad_without, found.bad_with
    tallies = [with_it, without, (bad, bad + good)]
    bad_, good_ = as_floats([k for k, _ in tallies]), as_floats([n - k for k, n in tallies])
    new, old = (good_, bad_) if options.find_fix else (bad_, good_)
    at_new, at_old, each = prior.scaled(new, old)[0]
    both = at_new[:, None] * at_old[None, :] * prior.pairs
    like_new, like_old = float(both.sum(axis=1) @ each), float(both.sum(axis=0) @ each)
    return like_old / max(like_new + like_old, _TINY)


def odds_to_differ(state: State, new: Floats, old: Floats) -> Floats:
    """How much likelier the first of two is new and the other old than both alike, [new, old]."""
    prior = prior_of(state.options)
    each, _ = prior.scaled(new, old)
    alike = (each * prior.alike) @ each.T
    odds: Floats = each @ prior.pairs @ each.T / np.maximum(alike, _TINY)
    return odds


class Clash:
    """Commits that look new, inside others that look old: how likely their rates differ."""

    def __init__(self, state: State, cells: Cells) -> None:
        self._commits = list(cells.tests)
        self._odds = np.where(cells.contains.T, odds_to_differ(state, *state.counts()), 0.0)

    def beyond(self, odds: float) -> tuple[str, str] | None:
        """The pair that clashes most, the inner one first; None if none does at these odds."""
        if not len(self._odds) or self._odds.max() < odds:
            return None
        inner, outer = np.unravel_index(int(self._odds.argmax()), self._odds.shape)
        return self._commits[inner], self._commits[outer]


def contradiction(state: State, clash: Clash) -> tuple[str, str] | None:
    """A commit that is surely new inside one that is surely old, if both were tested.

    Out of many pairs some clash by chance, and a rate that drifts makes early commits clash
    with late ones. So only trials count that were made for this question, in turns.
    """
    pair = clash.beyond(_DOUBT)
    if not pair:
        return None
    tallies = [state.evidence.reruns(c, Phase.DOUBT) for c in pair]
    new, old = as_floats([t.new for t in tallies]), as_floats([t.old for t in tallies])
    return pair if odds_to_differ(state, new, old)[0, 1] >= _BEYOND_DOUBT else None


def in_doubt(state: State, clash: Clash) -> Ask | None:
    """One trial more where two commits seem to contradict each other; None where none do.

    Without it the search goes on as if the rate of false alarms were high, and tries to prove
    a commit whose parent is always new (a bisection of moby/buildkit up to v0.26.0 spent 80
    asks so).
    """
    pair = clash.beyond(_DOUBT)
    if not pair:
        return None
    first, later = pair
    commit = min(pair, key=lambda c: state.evidence.attempts(c, Phase.DOUBT))
    if state.evidence.attempts(commit, Phase.DOUBT) >= _MOST:
        return None
    why = (
        f"{state.name(first)} shows {state.evidence.tally(first)}, and "
        f"{state.name(later)}, which contains it, {state.evidence.tally(later)}: "
        "noise, or two changes?"
    )
    trials = state.options.trials or 1
    both = {
        c: make_ask(state, c, phase=Phase.DOUBT, why=why, left=state.reach, trials=trials)
        for c in pair
    }
    return replace(both[commit], together=tuple(both.values()))
