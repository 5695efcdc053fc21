"""The way back from commits that were run in place of the ends to the ends that were named."""

from __future__ import annotations

from buildkit_bisect.search import judge
from buildkit_bisect.search.state import State
from buildkit_bisect.search.tally import Status

#: Probability that the commits in place of the ends differ, below which the ends are run.
_DIFFER = 0.5


def as_named(state: State) -> bool:
    """Go back to the ends that were named; False if nothing was run in their place.

    A refusal is about the ends as they were named, so they have to be run for it.
    """
    if not (state.given or state.shows_new):
        return False
    state.old, state.given, state.shows_new = state.named_old, "", ""
    state.evidence.define_by(state.bad_end)
    state.late = state.ready = False
    state.floor = ()
    return True


def in_vain(state: State) -> bool:
    """Whether what was run in place of the ends cannot bound the search after all."""
    return _floor_fails(state) or _look_alike(state)


def _floor_fails(state: State) -> bool:
    """Whether a merge base behind a nearer end was run after all, and may not bound the search."""
    return bool(state.given) and any(
        judge.of_base(state, base) in {Status.NEW, Status.SKIPPED, Status.WEAK}
        for base in state.floor
    )


def _look_alike(state: State) -> bool:
    """Whether the trials of the commits in place of the ends no longer say that they differ."""
    if not state.shows_new or judge.at_its_word(state):
        return False
    return judge.ends(state).differ < _DIFFER
