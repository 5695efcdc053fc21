"""Found means: the commit and its parents were run again, alternating, and still differ."""

from __future__ import annotations

from buildkit_bisect.options.command import inv
from buildkit_bisect.search.explain import make_ask
from buildkit_bisect.search.state import State
from buildkit_bisect.search.tally import Status
from buildkit_bisect.search.vocabulary import Ask, Inconclusive, ParentTested, Phase, Range

#: Rounds beyond the least number, for infrastructure that fails and bugs that rarely show.
_PATIENCE = 20


def proof(state: State, commit: str) -> Ask | Range | Inconclusive | None:
    """The next run, or why there can be no proof; None once it is complete.

    Every parent has to be old ``proof_runs`` times, the commit new as often; they take turns
    until then. A merge is only to blame where all that it merges is fine. With a fixed number
    of trials only re-runs count; otherwise every trial does, since the posterior counts them too.
    """
    if state.evidence.status(commit) is Status.UNTESTED:
        return rerun(state, commit, commit, 2 * state.options.proof_runs)
    hidden = _hidden(state, commit)
    if hidden:
        return hidden
    evidence = state.evidence
    parents = state.history.parents(commit)
    seen = evidence.tally if state.options.trials is None else evidence.reruns
    missing = {p: state.options.proof_runs - seen(p).old for p in parents}
    missing[commit] = state.options.proof_runs - seen(commit).new
    if max(missing.values()) <= 0:
        return None
    if state.options.trials is None:
        lacking = [c for c in missing if missing[c] > 0]
        one = min(lacking, key=lambda c: evidence.tally(c).decided)
    else:
        one = min(missing, key=evidence.attempts)
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
    return rerun(state, commit, one, sum(max(0, n) for n in missing.values()))


def run_again(state: State, commit: str) -> Ask:
    """One more re-run of a commit that is proven, or of a parent: the probability is too low."""
    parents = state.history.parents(commit)
    return rerun(state, commit, min((*parents, commit), key=state.evidence.attempts), 1)


def rerun(state: State, commit: str, one: str, steps: int) -> Ask:
    """Ask for one of *commit* and its parents once more; *steps* are still to come."""
    role = "the candidate" if one == commit else f"parent of {state.name(commit)}"
    word = state.new_word if one == commit else state.old_word
    rounds = state.evidence.attempts(one)
    return make_ask(
        state,
        one,
        phase=Phase.PROOF,
        why=f"proof, round {rounds + 1}: {role} runs again from a clean state and should be {word}",
        left=1,
        trials=1,
        steps=steps,
    )


def parents_tested(state: State, commit: str) -> tuple[ParentTested, ...]:
    """What the parents showed, over all their trials."""
    tallies = {p: state.evidence.tally(p) for p in state.history.parents(commit)}
    return tuple(
        ParentTested(commit=p, old=t.old, trials=t.old + t.new + t.other)
        for p, t in tallies.items()
    )


def _hidden(state: State, commit: str) -> Range | None:
    """A range where the commit or a parent cannot be tested: the change may be in either."""
    family = (commit, *state.history.parents(commit))
    untestable = {Status.SKIPPED, Status.WEAK}
    hidden = [c for c in family if state.evidence.status(c) in untestable]
    if not hidden:
        return None
    names = ", ".join(state.name(c) for c in hidden)
    if commit in hidden:
        reason = f"{state.name(commit)} is most likely, but {names} could not be tested"
    else:
        reason = (
            f"{state.name(commit)} is {state.new_word}, and its parent {names} could not be tested"
        )
    return Range(
        candidates=tuple(state.candidate(c) for c in dict.fromkeys((commit, *hidden))),
        reason=reason,
        hint=inv("build", rev=state.name(hidden[0])),
    )
