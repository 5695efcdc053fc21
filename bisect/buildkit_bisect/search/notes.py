"""Notes beside the answer: outcomes that neither end shows, and changes that were undone."""

from __future__ import annotations

from buildkit_bisect.search.state import State
from buildkit_bisect.search.tally import Status
from buildkit_bisect.search.vocabulary import Inconclusive

#: In the reason of an answer and in a note, if there is no single change between the ends.
MORE_THAN_ONCE = "the outcome changed more than once"

#: In a note, after the name of an end in whose place a nearer commit was run.
NOT_RUN = "was not run"


def notes(state: State) -> tuple[str, ...]:
    """What makes the history less simple than one change between two ends."""
    return (*_not_run(state), *_other_outcomes(state), *_turns_back(state))


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


def _not_run(state: State) -> list[str]:
    """What was run in place of the end that the user named, unless that was run after all."""
    given, ran = state.given, state.old
    if not given or given in state.evidence.told():
        return []
    if state.evidence.same(given, ran):
        what = "which is the same build"
    elif ran in state.history.merge_bases(given, state.new):
        what = f"its merge base with {state.name(state.new)}"
    else:
        what = f"which {state.name(state.new)} contains and {state.name(given)} does not"
    shown = f"{state.old_word}, {state.evidence.tally(ran)}"
    return [f"{state.name(given)} {NOT_RUN}, but {state.name(ran)} ({what}): {shown}"]


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
