"""Found means: the commit and its parents were run again, alternating, and still differ.

So are the commits that bound a range, and those that show that the outcome changed twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from buildkit_bisect.phrases import listed
from buildkit_bisect.search.explain import make_ask, see
from buildkit_bisect.search.notes import notes
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
    claim = Claim(
        new=commit,
        old=state.history.parents(commit),
        role_new="the candidate",
        role_old=f"parent of {state.name(commit)}",
    )
    hidden = _hidden(state, commit)
    if state.evidence.status(commit) is Status.UNTESTED:
        return _first_run(state, claim, whole=not hidden)
    return hidden or shown_again(state, claim)


def _first_run(state: State, claim: Claim, *, whole: bool) -> Ask:
    """Ask for a candidate that was never run; at once with the rest of its proof, if *whole*."""
    steps = 2 * state.options.proof_runs
    first = _of_claim(state, claim, claim.new, steps)
    if not whole:
        return replace(first, together=(first,))
    missing = _missing(state, claim)
    runs = {claim.new: missing.pop(claim.new), **missing}  # the candidate, if not all fit in
    at_once = (_of_claim(state, claim, c, steps, trials=n) for c, n in runs.items())
    return replace(first, together=tuple(at_once))


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """Commits that an answer rests on, and what they are to it."""

    new: str
    old: tuple[str, ...]
    role_new: str
    role_old: str


def shown_again(state: State, claim: Claim) -> Ask | Inconclusive | None:
    """The next run of the commits of *claim*, in turns; None once all were shown again."""
    evidence, missing = state.evidence, _missing(state, claim)
    if not missing:
        return None
    if state.options.trials is None:
        one = min(missing, key=lambda c: evidence.tally(c).decided)
    else:
        one = min((*claim.old, claim.new), key=evidence.attempts)
    rounds = evidence.attempts(one)
    if rounds >= state.options.proof_runs + _PATIENCE:
        return Inconclusive(
            reason=(
                f"{state.name(claim.new)} could not be proven by {rounds} re-runs: it shows "
                f"{evidence.tally(claim.new)}, and "
                + ", ".join(f"{state.name(c)} {evidence.tally(c)}" for c in claim.old)
            ),
            hint=state.more_trials_command,
            candidates=(state.candidate(claim.new),),
            notes=notes(state),
        )
    steps = sum(missing.values())
    at_once = (_of_claim(state, claim, c, steps, trials=n) for c, n in missing.items())
    return replace(_of_claim(state, claim, one, steps), together=tuple(at_once))


def _missing(state: State, claim: Claim) -> dict[str, int]:
    """Return the runs that are still to show what each commit of *claim* should show; above 0."""
    seen = state.evidence.tally if state.options.trials is None else state.evidence.reruns
    missing = {c: state.options.proof_runs - seen(c).old for c in claim.old}
    missing[claim.new] = state.options.proof_runs - seen(claim.new).new
    return {commit: runs for commit, runs in missing.items() if runs > 0}


def _of_claim(state: State, claim: Claim, one: str, steps: int, *, trials: int = 1) -> Ask:
    role = claim.role_new if one == claim.new else claim.role_old
    word = state.new_word if one == claim.new else state.old_word
    return _ask(state, one, role, word, steps, trials=trials)


def run_again(state: State, commit: str) -> Ask:
    """One more re-run of a commit that is proven, or of a parent: the probability is too low."""
    family = (*state.history.parents(commit), commit)
    one = min(family, key=state.evidence.attempts)
    at_once = tuple(rerun(state, commit, each, 1) for each in family)
    return replace(rerun(state, commit, one, 1), together=at_once)


def rerun(state: State, commit: str, one: str, steps: int) -> Ask:
    """Ask for one of *commit* and its parents once more; *steps* are still to come."""
    role = "the candidate" if one == commit else f"parent of {state.name(commit)}"
    word = state.new_word if one == commit else state.old_word
    at_once = _ask(state, one, role, word, steps, trials=steps)
    return replace(_ask(state, one, role, word, steps), together=(at_once,))


def _ask(state: State, one: str, role: str, word: str, steps: int, *, trials: int = 1) -> Ask:
    rounds = state.evidence.attempts(one)
    ran = state.evidence.tally(one).runs > 0
    if trials > 1:
        times = f"{trials} {'more ' if ran else ''}times, each from a clean state,"
    else:
        times = "again from a clean state" if ran else "from a clean state"
    return make_ask(
        state,
        one,
        phase=Phase.PROOF,
        why=f"proof, round {rounds + 1}: {role} runs {times} and should be {word}",
        left=1,
        trials=trials,
        steps=steps,
    )


def parents_tested(state: State, commit: str) -> tuple[ParentTested, ...]:
    """What the parents showed, over all their trials."""
    tallies = {p: state.evidence.tally(p) for p in state.history.parents(commit)}
    return tuple(
        ParentTested(commit=p, old=t.old, trials=t.old + t.new + t.other)
        for p, t in tallies.items()
    )


def bad_trials(state: State, commit: str, *, inside: bool) -> tuple[int, int]:
    """(k, n): k of n trials are bad, of the commits that contain *commit*, or that do not.

    The trials of a build count once, on the side of the first of its commits that was run.
    """
    tallies = [
        state.evidence.tally(c)
        for c, first in state.ran().items()
        if c == first and state.history.contains(c, commit) is inside
    ]
    bad = sum(t.old if state.options.find_fix else t.new for t in tallies)
    return bad, sum(t.decided for t in tallies)


def _hidden(state: State, commit: str) -> Range | None:
    """A range where the commit or a parent cannot be tested: the change may be in either."""
    family = (commit, *state.history.parents(commit))
    untestable = {Status.SKIPPED, Status.WEAK}
    hidden = [c for c in family if state.evidence.status(c) in untestable]
    if not hidden:
        return None
    if commit in hidden:
        reason = f"the trials of other commits point to {state.name(commit)}, "
    else:
        shown = state.evidence.tally(commit)
        reason = f"{state.name(commit)} is {state.new_word}: {shown}, "
    return Range(
        candidates=tuple(state.candidate(c) for c in dict.fromkeys((commit, *hidden))),
        reason=reason + _not_shown(state, commit, hidden),
        hint=see(state, hidden[0]),
        notes=notes(state),
    )


def _not_shown(state: State, commit: str, hidden: Sequence[str]) -> str:
    """``and its parent m3 could not be tested``."""
    above = [state.name(c) for c in hidden if c != commit]
    parents = f"its parent{'s' if len(above) > 1 else ''} {listed(above)}"
    weak = [c for c in hidden if state.evidence.status(c) is Status.WEAK]
    lacking = "could not be tested"
    if weak:
        one = len(hidden) == 1
        neither = f"{'shows' if one else 'show'} the outcome of neither endpoint"
        lacking = neither if len(weak) == len(hidden) else f"{lacking}, or {neither}"
    if commit not in hidden:
        return f"and {parents} {lacking}"
    return f"but it {'and ' + parents + ' ' if above else ''}{lacking}"
