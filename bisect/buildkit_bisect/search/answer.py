"""How a search ends: what was found, with how sure it is, or why there is no range."""

from __future__ import annotations

from buildkit_bisect.options.command import inv
from buildkit_bisect.search.explain import plural
from buildkit_bisect.search.notes import notes
from buildkit_bisect.search.posterior import Belief, stated
from buildkit_bisect.search.proof import parents_tested
from buildkit_bisect.search.state import State
from buildkit_bisect.search.tally import Status
from buildkit_bisect.search.vocabulary import Candidate, Found, Inconclusive


def found(state: State, commit: str, now: Belief) -> Found:
    """The answer, once *commit* has passed its proof."""
    return Found(
        first_bad=commit,
        merge=state.merge_of(commit),
        parents_tested=parents_tested(state, commit),
        confidence=stated(now.of(commit)),
        credible_set=now.credible(state.options.confidence),
        notes=notes(state),
    )


def gave_up(state: State) -> bool:
    """Whether so many commits in a row could not be tested that no further one was tried."""
    return any(n >= state.options.max_skips for n in state.evidence.skips.values())


def too_many_skips(state: State, candidates: tuple[Candidate, ...], untried: int) -> Inconclusive:
    """A range lists only commits that were tried, so this is none."""
    hidden = [c.commit for c in candidates if state.evidence.status(c.commit) is Status.SKIPPED]
    return Inconclusive(
        reason=(
            f"{state.options.max_skips} commits in a row could not be tested, and "
            f"{plural(untried, 'candidate')} among them "
            f"{'was' if untried == 1 else 'were'} not tried"
        ),
        hint=inv("build", rev=state.name(hidden[0])) if hidden else "",
        candidates=candidates,
        notes=notes(state),
    )
