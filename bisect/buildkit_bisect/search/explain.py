"""The sentences of a search."""

from __future__ import annotations

import math
from collections.abc import Collection

from buildkit_bisect.options.command import inv
from buildkit_bisect.phrases import plural
from buildkit_bisect.search.midpoint import Choice
from buildkit_bisect.search.state import State
from buildkit_bisect.search.tally import Status
from buildkit_bisect.search.vocabulary import Ask, Phase, SkipKind

_PLACE = {
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


def undecided(state: State, commits: Collection[str]) -> str:
    """``3 commits could not be tested``, and how many show neither behaviour."""
    weak = sum(state.evidence.status(c) is Status.WEAK for c in commits)
    skipped = len(commits) - weak
    neither = f"{'shows' if weak == 1 else 'show'} neither {state.old_word} nor {state.new_word}"
    return " and ".join([
        *([f"{plural(skipped, 'commit')} could not be tested"] if skipped or not weak else []),
        *([f"{plural(weak, 'commit')} {neither}"] if weak else []),
    ])  # fmt: skip


def percent(share: float) -> str:
    """``99.7 %``; never rounded up to 100 %."""
    return f"{min(share * 100, 99.99):.4g} %"


def cost_phrase(build_seconds: float) -> str:
    """What the build is expected to cost."""
    return f"build predicted {build_seconds:.0f} s" if build_seconds > 0 else "already built"


def split_ask(state: State, choice: Choice, *, phase: Phase, total: int) -> Ask:
    """Ask for a commit that splits *total* candidates."""
    if choice.midpoint:
        kind = "midpoint"
    elif state.evidence.skips[phase]:
        kind = "commit away from what could not be tested"
    else:
        kind = "commit with most information for its cost"
    why = (
        f"{_PLACE[phase]} {kind}: at most {choice.worst} of {plural(total, 'candidate')} "
        f"would remain; {cost_phrase(choice.build_seconds)}"
    )
    return make_ask(state, choice.commit, phase=phase, why=why, left=total)


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
    """An ask with what is still to come: *steps*, or halving and then the proof."""
    runs = trials or state.runs
    proof = 2 * state.options.proof_runs
    if steps is None:
        steps = max(1, math.ceil(math.log2(max(1, left)))) + proof
    this = state.cost_of(commit, runs)
    trial = state.cost.trial_seconds(commit)
    build = state.cost.build_seconds(commit)
    later = max(0, steps - 1 - proof) * (build + runs * trial)
    return Ask(
        commit=commit,
        trials=runs,
        why=why,
        phase=phase,
        candidates_left=left,
        expected_steps=steps,
        expected_seconds=this + later + min(proof, steps - 1) * trial,
    )
