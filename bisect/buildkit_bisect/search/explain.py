"""The sentences of a search."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

from buildkit_bisect.model import Verdict
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Bisect
from buildkit_bisect.phrases import plural
from buildkit_bisect.search.cost import cost_phrase
from buildkit_bisect.search.midpoint import Choice
from buildkit_bisect.search.nearer import nearer_ends
from buildkit_bisect.search.state import State
from buildkit_bisect.search.tally import Status
from buildkit_bisect.search.vocabulary import Ask, Phase, SkipKind

#: Trials of a usual ask in automatic mode.
_USUAL_TRIALS = 1.5

#: Where a commit is that splits the candidates.
PLACE = {
    Phase.FIRST_PARENT: "first-parent",
    Phase.DESCEND: "the merge's inner",
    Phase.SEARCH: "whole-history",
}


def see(state: State, commit: str) -> str:
    """The command that shows why a commit could not be tested, or what it shows."""
    tally, name = state.evidence.tally(commit), state.name(commit)
    match tally.skip.kind if tally.skip and tally.status is Status.SKIPPED else None:
        case SkipKind.BUILD | SkipKind.PATCH:
            return inv("build", rev=name)
        case SkipKind.INFRA:
            return inv("doctor")
        case _:
            return inv("run", rev=name)


def another_way(state: State, commit: str) -> str:
    """``is bad, but not as v0.26.0 is``: what a commit shows that is no evidence here.

    It agrees with the verdict of the scenario's rule, which reports show beside it.
    """
    match {state.evidence.rule(outcome) for outcome, _ in state.evidence.tally(commit).outcomes}:
        case verdicts if verdicts == {Verdict.BAD}:
            if commit == state.bad_end:
                return f"is bad, but not with an outcome of {words(Bisect, bad_when=True)}"
            return f"is bad, but not as {state.name(state.bad_end)} is"
        case verdicts if verdicts == {Verdict.GOOD}:
            return f"is good, but not with an outcome of {words(Bisect, good_when=True)}"
        case _:
            return "is neither good nor bad"


def undecided(state: State, commits: Collection[str]) -> str:
    """``3 commits could not be tested``, and how many show neither outcome."""
    weak = sum(state.evidence.status(c) is Status.WEAK for c in commits)
    skipped = len(commits) - weak
    neither = f"{'shows' if weak == 1 else 'show'} the outcome of neither endpoint"
    return " and ".join([
        *([f"{plural(skipped, 'commit')} could not be tested"] if skipped or not weak else []),
        *([f"{plural(weak, 'commit')} {neither}"] if weak else []),
    ])  # fmt: skip


def split_ask(state: State, choice: Choice, *, phase: Phase, total: int) -> Ask:
    """Ask for a commit that splits *total* candidates."""
    if choice.midpoint:
        kind = "midpoint"
    elif state.evidence.skips[phase]:
        kind = "commit away from what could not be tested"
    else:
        kind = "commit with most information for its cost"
    if choice.share is not None:
        kind += f" by the prior, with {choice.share:.0%} of the weight in what it contains"
    why = (
        f"{PLACE[phase]} {kind}: at most {choice.worst} of {plural(total, 'candidate')} "
        f"would remain; {cost_phrase(choice.build_seconds)}"
    )
    return make_ask(state, choice.commit, phase=phase, why=why, left=total)


def untried_ask(state: State, untried: Sequence[str], left: int) -> Ask:
    """Ask for a candidate that no test tells from others."""
    why = f"{plural(left, 'candidate')} left; this one is untested"
    asks = [make_ask(state, c, phase=Phase.DESCEND, why=why, left=left) for c in untried]
    return replace(asks[0], together=tuple(asks))


def make_ask(
    state: State,
    commit: str,
    *,
    phase: Phase,
    why: str,
    left: int,
    trials: int | None = None,
    steps: int | None = None,
) -> Ask:
    """An ask with what is still to come: *steps*, or halving and then the proof.

    Before the search has begun, the ends come before that.
    """
    runs = trials or state.runs
    proof = 2 * state.options.proof_runs
    ends = _ends_left(state, commit) if phase is Phase.GATE else []
    if phase in {Phase.GATE, Phase.CALIBRATE} and steps is None:
        splits = _halvings(state.candidates().bit_count())
        steps = 1 + len(ends) + splits + proof
    elif steps is None:
        splits, steps = _halvings(left) - 1, _halvings(left) + proof
    else:
        splits = max(0, steps - 1 - proof)
    builds = (
        *(state.cost.left_seconds(c) for c in (commit, *ends)),
        *state.cost.later_builds(splits, left),
    )
    usual = state.options.trials or _USUAL_TRIALS
    to_come = runs * (1 + len(ends)) + usual * splits + min(proof, steps - 1)
    return Ask(
        commit=commit,
        trials=runs,
        why=why,
        phase=phase,
        candidates_left=left,
        expected_steps=steps,
        expected_seconds=sum(builds) + to_come * state.cost.trial_seconds(commit),
        builds_left=builds,
        trials_left=to_come,
        spares_newer=state.new not in {commit, *ends}
        and state.evidence.status(state.new) is Status.UNTESTED,
    )


def _halvings(candidates: int) -> int:
    """Tests that halve *candidates* down to one; at least the one that is asked for."""
    return max(1, math.ceil(math.log2(max(1, candidates))))


def _ends_left(state: State, commit: str) -> list[str]:
    """The ends, and the merge bases between them, that were not tested yet, without *commit*."""
    if state.given:  # this ask is for a nearer end
        return []
    ends = [state.old, state.ran_new, *state.history.merge_bases(state.old, state.new)]
    if state.late and state.nearer is None:
        ends = [state.ran_new, *(nearer_ends(state)[:1] or ends)]
    made = {state.evidence.identity(commit)}  # commits that are the same build need one
    left: list[str] = []
    for end in ends:
        identity = state.evidence.identity(end)
        if identity not in made and state.evidence.status(end) is Status.UNTESTED:
            left.append(end)
        made.add(identity)
    return left
