"""Notes beside the answer: outcomes that neither end shows, and changes that were undone."""

from __future__ import annotations

from buildkit_bisect.phrases import listed
from buildkit_bisect.search.state import State
from buildkit_bisect.search.tally import Status
from buildkit_bisect.search.vocabulary import MORE_THAN_ONCE, Inconclusive


def notes(state: State, *, found: str = "") -> tuple[str, ...]:
    """What makes the history less simple than one change between two ends; *found*: the answer."""
    return (
        *_not_run(state, found),
        *_new_not_run(state, found),
        *_other_outcomes(state),
        *_turns_back(state),
    )


def turned_twice(state: State, base: str, later: str) -> Inconclusive:
    """Return the answer if *base* is new, and *later*, which contains it, is old."""
    seen = state.evidence.tally
    return Inconclusive(
        reason=(
            f"{state.name(base)} is {state.new_word}: {seen(base)}, and {state.name(later)}, "
            f"which contains it, is {state.old_word}: {seen(later)}; {MORE_THAN_ONCE}"
        ),
        hint=state.boundaries_command,
        candidates=(state.candidate(base), state.candidate(later)),
        notes=notes(state),
    )


def _not_run(state: State, found: str) -> list[str]:
    """What was run in place of the end that the user named, unless that was run after all.

    Those are the parents of the commit that was found, if the nearer commit only looked good once.
    """
    given, ran = state.not_run, state.old
    if not given:
        return []
    if found and state.history.contains(ran, found):
        parents = state.history.parents(found)
        shown = [_shown(state, p, f"parent of {state.name(found)}") for p in parents]
    else:
        shown = [_shown(state, ran, _place(state, given, ran))]
    return [f"{state.name(given)} was not run in this search, but {listed(shown)}"]


def _new_not_run(state: State, found: str) -> list[str]:
    """What was run in place of the bad end, unless that was run after all.

    That is the commit that was found, if the other one only looked bad once.
    """
    given, ran = state.new_not_run, state.shows_new
    if not given:
        return []
    if found and not state.history.contains(ran, found):
        ran = found
    shown = _shown(state, ran, f"which {state.name(given)} contains")
    return [f"{state.name(given)} was not run in this search, but {shown}"]


def _shown(state: State, commit: str, what: str) -> str:
    """``m20 (its merge base with v2): good, cached (1 of 1)``; no word where trials disagree."""
    words = {Status.OLD: f"{state.old_word}, ", Status.NEW: f"{state.new_word}, "}
    word = words.get(state.evidence.status(commit), "")
    return f"{state.name(commit)} ({what}): {word}{state.evidence.tally(commit)}"


def _place(state: State, given: str, ran: str) -> str:
    """What the commit that was run is to the end in whose place it was."""
    if state.evidence.same(given, ran):
        return "which is the same build"
    if ran in state.history.merge_bases(given, state.new):
        return f"its merge base with {state.name(state.new)}"
    return f"which {state.name(state.new)} contains and {state.name(given)} does not"


def _other_outcomes(state: State) -> list[str]:
    shown: dict[str, str] = {}
    for commit in state.evidence.told():
        tally = state.evidence.tally(commit)
        if tally.other:
            shown.setdefault(commit, f"{state.name(commit)} {tally}")
    if not shown:
        return []
    seen = "; ".join(shown.values())
    return [f"outcomes of neither endpoint do not count: {seen}; " + _every_change(state)]


def _turns_back(state: State) -> list[str]:
    history, evidence = state.history, state.evidence
    told = [c for c in evidence.told() if c in history and history.contains(state.new, c)]
    new = [c for c in told if evidence.status(c) is Status.NEW]
    old = [c for c in told if evidence.status(c) is Status.OLD]
    for first in new:
        for later in old:
            if history.contains(later, first):
                return [
                    f"{MORE_THAN_ONCE}: {state.name(first)} is "
                    f"{state.new_word}, and {state.name(later)}, which contains it, is "
                    f"{state.old_word}; " + _every_change(state)
                ]
    return []


def _every_change(state: State) -> str:
    return f"to list every change of outcome: {state.boundaries_command}"
