"""Inside the merge that turned: whether the ends of its branch are what they are taken for."""

from __future__ import annotations

from buildkit_bisect.phrases import plural
from buildkit_bisect.search.explain import make_ask
from buildkit_bisect.search.left import Left
from buildkit_bisect.search.notes import turned_twice
from buildkit_bisect.search.proof import Claim, shown_again
from buildkit_bisect.search.state import State
from buildkit_bisect.search.tally import Status
from buildkit_bisect.search.vocabulary import Ask, Inconclusive, Phase

#: A branch of at most this many candidates is searched without looking at its ends first:
#: the proof will look at them anyway.
_SHORT_BRANCH = 3


def branch_ends(state: State, left: Left) -> Ask | Inconclusive | None:
    """Before a long branch is searched: its tip has to be new, its base old.

    A branch's base is often older than the merge's first parent, and need not behave like it.
    """
    if left.viable.bit_count() <= _SHORT_BRANCH:
        return None
    if state.line >> state.history.number(left.lowest) & 1:
        return _tip(state, left)
    return _base(state, left)


def _tip(state: State, left: Left) -> Ask | None:
    history = state.history
    merged = history.parents(left.lowest)[1:]
    tips = [p for p in merged if left.reach >> history.number(p) & 1]
    if len(tips) != 1 or state.evidence.settled(tips[0]):
        return None
    return make_ask(
        state,
        tips[0],
        phase=Phase.DESCEND,
        why=f"tip of the branch that {state.name(left.lowest)} merged: is it {state.new_word}?",
        left=left.viable.bit_count(),
    )


def _base(state: State, left: Left) -> Ask | Inconclusive | None:
    bases = state.history.heads(state.history.boundary(left.reach))
    if len(bases) != 1:
        return None
    base = bases[0]
    if state.evidence.status(base) is Status.NEW:
        return twice(state, base)
    if state.evidence.settled(base):
        return None
    count = left.viable.bit_count()
    return make_ask(
        state,
        base,
        phase=Phase.DESCEND,
        why=f"base of the branch, with {plural(count, 'candidate')}: is it {state.old_word}?",
        left=count,
    )


def containing(state: State, commit: str) -> str:
    """The first old commit that contains *commit*, which is why it was excluded."""
    history = state.history
    old = state.shown(Status.OLD) & history.ancestors(state.new)
    return next(c for c in history.shas(old) if history.contains(c, commit))


def twice(state: State, base: str) -> Ask | Inconclusive:
    """A commit is new that an old one contains: run both again, before it is called so."""
    later = containing(state, base)
    claim = Claim(
        new=base,
        old=(later,),
        role_new=f"an ancestor of {state.name(later)}",
        role_old=f"a commit that contains {state.name(base)}",
    )
    return shown_again(state, claim) or turned_twice(state, base, later)
