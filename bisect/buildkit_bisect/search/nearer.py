"""Ends nearer than the good one that was named: one of them may make its build needless.

The good end is often in another minor version of Go than the bad one, and then its build compiles
everything once more; and if it is a release, it is on a branch of its own, so that its merge
base with the bad end has to be run beside it. A commit between the ends that shows the old
behaviour bounds the search as well as the good end does.
"""

from __future__ import annotations

import math

from buildkit_bisect.search.history import bits
from buildkit_bisect.search.midpoint import entropy
from buildkit_bisect.search.state import State


def nearer_ends(state: State) -> tuple[str, ...]:
    """Commits to run before the good end, each if the one before does not show the old behaviour.

    The first one is on the line between the ends, where it is likely to save more than it costs;
    the second one is the merge base of the ends, if the good end is on another branch. There
    are none if the good end is built already.
    """
    if not state.cost.build_seconds(state.old):
        return ()
    bases = state.history.merge_bases(state.old, state.new)
    base = bases if len(bases) == 1 and bases[0] != state.old else ()
    nearer = _on_the_line(state, state.cost_of((*base, state.old)[0], state.runs))
    return (*([nearer] if nearer else []), *base)


def usual_build(state: State, among: int) -> float:
    """Seconds of a build, on average, in a search among so many candidates."""
    each = state.cost.usual_builds(max(1, math.ceil(math.log2(max(1, among)))), among)
    return sum(each) / len(each)


def _on_the_line(state: State, beyond: float) -> str | None:
    """The commit to run first, if what would be run without it costs *beyond*; None: none pays.

    It has the least expected seconds: its own, and those of what is beyond it if it already shows
    the new behaviour, less what it tells the search, in usual builds. It has to save a usual build.
    """
    history = state.history
    candidates = state.candidates()
    bases = history.merge_bases(state.old, state.new)
    total = candidates.bit_count()
    if not total:
        return None
    usual = usual_build(state, total) + state.runs * state.cost.trial_seconds(state.new)
    best, least = None, beyond - usual
    for number in bits(state.line & candidates):
        commit = history.sha(number)
        if commit == state.new or state.evidence.settled(commit):
            continue
        if not all(history.contains(commit, base) for base in bases):
            continue  # what the named end shows may have come by a branch that is merged later
        newer = 1 - (history.ancestors_at(number) & candidates).bit_count() / total
        seconds = state.cost_of(commit, state.runs)
        seconds += (1 - newer) * beyond - entropy(newer) * usual
        if seconds < least:
            best, least = commit, seconds
    return best
