"""The search where no build has shown both behaviours: every verdict is taken at its word.

First the first-parent line, then inside the merge that turned, which is the same search over
all the commits that are left. So a merge that cannot be built does not end it: what it
merged is still there to be tested.
"""

from __future__ import annotations

from buildkit_bisect.options.command import inv
from buildkit_bisect.search.answer import found, gave_up, too_many_skips
from buildkit_bisect.search.descend import branch_ends
from buildkit_bisect.search.explain import make_ask, plural, split_ask
from buildkit_bisect.search.history import Mask
from buildkit_bisect.search.left import Left, left_by
from buildkit_bisect.search.midpoint import choose
from buildkit_bisect.search.notes import notes, turned_twice
from buildkit_bisect.search.posterior import belief, doubt_allowed
from buildkit_bisect.search.proof import proof, run_again
from buildkit_bisect.search.state import State
from buildkit_bisect.search.tally import Status
from buildkit_bisect.search.vocabulary import Ask, Inconclusive, Phase, Range, Step


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
            return turned_twice(state, parent, commit)
    step = proof(state, commit)
    if step:
        return step
    now = belief(state)
    if 1 - now.of(commit) > doubt_allowed(state):
        return run_again(state, commit)
    return found(state, commit, now)


def _range(state: State, left: Left) -> Ask | Range | Inconclusive:
    reach = state.history.shas(left.reach)
    candidates = state.history.shas(left.viable)
    untried = [c for c in candidates if state.evidence.status(c) is Status.UNTESTED]
    listed = tuple(state.candidate(c) for c in candidates)
    if untried and gave_up(state):
        return too_many_skips(state, listed, len(untried))
    if untried:
        why = f"{plural(len(candidates), 'candidate')} left; this one is untested"
        return make_ask(state, untried[0], phase=Phase.DESCEND, why=why, left=len(candidates))
    hidden = [c for c in reach if state.evidence.status(c) in {Status.SKIPPED, Status.WEAK}]
    return Range(
        candidates=listed,
        reason=(
            f"the first {state.new_word} commit is one of "
            f"{plural(len(candidates), 'candidate')}; "
            f"{plural(len(hidden), 'commit')} between them could not be tested"
        ),
        hint=inv("build", rev=state.name(hidden[0])) if hidden else "",
        notes=notes(state),
    )
