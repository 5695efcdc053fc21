"""How a search ends: what was found, with how sure it is, or why there is no range."""

from __future__ import annotations

from buildkit_bisect.options.command import inv
from buildkit_bisect.phrases import plural
from buildkit_bisect.search.explain import see
from buildkit_bisect.search.notes import notes
from buildkit_bisect.search.posterior import Belief, belief
from buildkit_bisect.search.proof import bad_trials, parents_tested
from buildkit_bisect.search.state import State
from buildkit_bisect.search.tally import Status
from buildkit_bisect.search.vocabulary import Candidate, Found, Inconclusive


def found(state: State, commit: str, now: Belief) -> Found:
    """The answer, once *commit* has passed its proof."""
    return Found(
        first_bad=commit,
        merge=state.merge_of(commit),
        parents_tested=parents_tested(state, commit),
        confidence=now.stated(now.of(commit)),
        credible_set=now.credible(state.options.confidence),
        bad_without=bad_trials(state, commit, inside=False),
        bad_with=bad_trials(state, commit, inside=True),
        notes=notes(state, found=commit),
    )


def gave_up(state: State) -> bool:
    """Whether so many commits in a row could not be tested that no further one was tried."""
    return any(n >= state.options.max_skips for n in state.evidence.skips.values())


def too_many_skips(state: State, candidates: tuple[Candidate, ...]) -> Inconclusive:
    """A range lists only commits that were tried, so this is none."""
    status = {c.commit: state.evidence.status(c.commit) for c in candidates}
    hidden = [c for c, shown in status.items() if shown is Status.SKIPPED]
    untried = sum(shown is Status.UNTESTED for shown in status.values())
    return Inconclusive(
        reason=(
            f"{plural(state.evidence.skips.total(), 'commit')} in a row could not be tested, so "
            f"{untried} of the {plural(len(candidates), 'candidate')} "
            f"{'was' if untried == 1 else 'were'} not tried"
        ),
        hint=see(state, hidden[0]) if hidden else "",
        candidates=candidates,
        notes=notes(state),
    )


def stalled(state: State) -> Inconclusive | None:
    """The end of a search whose asks bring no trials any more, as where the registry is down."""
    evidence = state.evidence
    if evidence.idle < state.options.max_skips:
        return None
    skip = evidence.last_skip
    return Inconclusive(
        reason=f"{evidence.idle} asks in a row brought no trial"
        + (f": {skip.kind}: {skip.reason}" if skip else ""),
        hint=inv("doctor"),
        candidates=belief(state).credible(state.options.confidence) if state.ready else (),
        notes=notes(state),
    )
