"""Found means: the parents and the commit were run again, alternating, and still differ."""

from __future__ import annotations

from buildkit_bisect.search.explain import make_ask
from buildkit_bisect.search.state import State
from buildkit_bisect.search.tally import Status
from buildkit_bisect.search.vocabulary import Ask, Inconclusive, ParentTested, Phase, Range

#: Rounds beyond the least number, for infrastructure that fails and bugs that rarely show.
_PATIENCE = 20


def proof(state: State, commit: str) -> Ask | Range | Inconclusive | None:
    """The next re-run, or why there can be no proof; None once it is complete.

    Every parent has to be old in ``proof_runs`` re-runs, the commit new in as many; they take
    turns until then. A merge is only to blame where all that it merges is fine.
    """
    hidden = _hidden_parent(state, commit)
    if hidden:
        return hidden
    evidence = state.evidence
    parents = state.history.parents(commit)
    missing = [state.options.proof_runs - evidence.reruns(p).old for p in parents]
    missing.append(state.options.proof_runs - evidence.reruns(commit).new)
    if max(missing) <= 0:
        return None
    one = min((*parents, commit), key=evidence.attempts)
    rounds = evidence.attempts(one)
    if rounds >= state.options.proof_runs + _PATIENCE:
        return Inconclusive(
            reason=(
                f"{state.name(commit)} could not be proven by {rounds} re-runs: it shows "
                f"{evidence.tally(commit)}, and "
                + ", ".join(f"{state.name(p)} {evidence.tally(p)}" for p in parents)
            ),
            hint=state.more_trials_command,
            candidates=(state.candidate(commit),),
        )
    role = "the candidate" if one == commit else f"parent of {state.name(commit)}"
    word = state.new_word if one == commit else state.old_word
    return make_ask(
        state,
        one,
        phase=Phase.PROOF,
        why=f"proof, round {rounds + 1}: {role} has to be {word} again from a clean state",
        left=1,
        trials=1,
        steps=sum(max(0, n) for n in missing),
    )


def parents_tested(state: State, commit: str) -> tuple[ParentTested, ...]:
    """What the parents showed, over all their trials."""
    tallies = {p: state.evidence.tally(p) for p in state.history.parents(commit)}
    return tuple(
        ParentTested(commit=p, old=t.old, trials=t.old + t.new + t.other)
        for p, t in tallies.items()
    )


def _hidden_parent(state: State, commit: str) -> Range | None:
    """A range where a parent cannot be tested, so the change may be there already."""
    hidden = [
        p
        for p in state.history.parents(commit)
        if state.evidence.status(p) in {Status.SKIPPED, Status.WEAK}
    ]
    if not hidden:
        return None
    return Range(
        candidates=tuple(state.candidate(c) for c in (commit, *hidden)),
        reason=(
            f"{state.name(commit)} is {state.new_word}, and its parent "
            f"{', '.join(state.name(p) for p in hidden)} could not be tested"
        ),
        hint=f"./inv build --rev {state.name(hidden[0])}",
    )
