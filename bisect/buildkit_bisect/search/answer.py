"""What was found, with how sure it is."""

from __future__ import annotations

from buildkit_bisect.search.notes import notes
from buildkit_bisect.search.posterior import Belief, stated
from buildkit_bisect.search.proof import parents_tested
from buildkit_bisect.search.state import State
from buildkit_bisect.search.vocabulary import Found


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
