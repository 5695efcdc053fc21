"""The search where no build has shown both behaviours: every verdict is taken at its word.

First the first-parent line, then inside the merge that turned, which is the same search over
all the commits that are left. So a merge that cannot be built does not end it: what it
merged is still there to be tested.
"""

from __future__ import annotations

from buildkit_bisect.options.command import inv
from buildkit_bisect.phrases import listed
from buildkit_bisect.search.answer import found, gave_up, too_many_skips
from buildkit_bisect.search.descend import branch_ends, containing, twice
from buildkit_bisect.search.explain import make_ask, see, split_ask, undecided, untried_ask
from buildkit_bisect.search.history import Mask
from buildkit_bisect.search.left import Left, left_by
from buildkit_bisect.search.midpoint import choose
from buildkit_bisect.search.notes import notes
from buildkit_bisect.search.posterior import belief
from buildkit_bisect.search.proof import Claim, proof, run_again, shown_again
from buildkit_bisect.search.state import State
from buildkit_bisect.search.tally import Status
from buildkit_bisect.search.vocabulary import Ask, Inconclusive, Phase, Range, Step

_HIDDEN = {Status.SKIPPED, Status.WEAK}


def exact(state: State) -> Step:
    """The next ask, or the answer."""
    left = left_by(state)
    count = left.viable.bit_count()
    if not count:
        return Inconclusive(
            reason=(
                f"{state.name(left.lowest)} is {state.new_word}, but nothing that it is built "
                f"from changed since a commit that is {state.old_word}"
            ),
            hint=inv("run", rev=state.name(left.lowest), trials=10),
            candidates=(state.candidate(left.lowest),),
            notes=notes(state),
        )
    if count == 1:
        return _conclude(state, state.history.shas(left.viable)[0])
    return _split(state, left) or _range(state, left)


def _split(state: State, left: Left) -> Step | None:
    """A test that splits what is left; None where all that could are untestable."""
    if not state.options.first_parent:
        return _pick(state, left, left.reach, Phase.SEARCH)
    return (
        _pick(state, left, left.reach & state.line, Phase.FIRST_PARENT)
        or branch_ends(state, left)
        or _pick(state, left, left.reach & ~state.line, Phase.DESCEND)
    )


def _pick(state: State, left: Left, pool: Mask, phase: Phase) -> Ask | None:
    if state.evidence.skips[phase] >= state.options.max_skips:
        return None
    choice = choose(state, pool, left.viable)
    if not choice:
        return None
    return split_ask(state, choice, phase=phase, total=left.viable.bit_count())


def _conclude(state: State, commit: str) -> Step:
    """One candidate is left: prove it."""
    if state.evidence.status(commit) is Status.UNTESTED:
        why = f"the only candidate left: is it {state.new_word}?"
        return make_ask(state, commit, phase=Phase.DESCEND, why=why, left=1)
    for parent in state.history.parents(commit):
        if state.evidence.status(parent) is Status.NEW:
            return twice(state, parent)
    step = proof(state, commit)
    if step:
        return step
    now = belief(state)
    if 1 - now.of(commit) > now.doubt_allowed:
        return run_again(state, commit)
    return found(state, commit, now)


def _range(state: State, left: Left) -> Ask | Range | Inconclusive:
    candidates = state.history.shas(left.viable)
    untried = [c for c in candidates if state.evidence.status(c) is Status.UNTESTED]
    if untried and not gave_up(state):
        return untried_ask(state, untried, len(candidates))
    bounds = _bounds(state, left)
    turned = next((c for c in bounds if state.evidence.status(c) is Status.NEW), None)
    step = twice(state, turned) if turned else shown_again(state, _bounded(left, bounds))
    if step:
        return step
    told = tuple(state.candidate(c) for c in candidates)
    if untried:
        return too_many_skips(state, told)
    hidden = [c for c in candidates if state.evidence.status(c) in _HIDDEN]
    old = listed([state.name(c) for c in bounds])
    return Range(
        candidates=told,
        reason=(
            f"between {old} ({state.old_word}) and {state.name(left.lowest)} "
            f"({state.new_word}), {undecided(state, hidden)}"
        ),
        hint=see(state, hidden[0]) if hidden else "",
        notes=notes(state),
    )


def _bounded(left: Left, bounds: tuple[str, ...]) -> Claim:
    """A range rests on its bounds as a commit rests on its parents."""
    return Claim(
        new=left.lowest,
        old=bounds,
        role_new="the newest commit of the range",
        role_old="a commit just before the range",
    )


def _bounds(state: State, left: Left) -> tuple[str, ...]:
    """The commits that what is left starts after: each is old, or an old commit contains it."""
    history, bounds = state.history, dict[str, None]()
    for commit in history.heads(history.boundary(left.reach)):
        testable = state.evidence.status(commit) not in _HIDDEN
        bounds.setdefault(commit if testable else containing(state, commit))
    return tuple(bounds)
