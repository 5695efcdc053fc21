"""What a search asks for at once: up to k commits whose answers do not wait for each other.

- The ends, and the merge bases where they are needed; what shows that two commits contradict each
  other; and the runs that a proof needs: all of them, as the plain search would ask for each.
- Where verdicts are taken at their word: the commits that together tell most (`spread`), of the
  first-parent line before those inside merges.
- Where trials can err: `beside`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from buildkit_bisect.search.beside import among_noise
from buildkit_bisect.search.cost import cost_phrase
from buildkit_bisect.search.descend import branch_ends
from buildkit_bisect.search.explain import PLACE, make_ask
from buildkit_bisect.search.history import Mask
from buildkit_bisect.search.judge import at_its_word
from buildkit_bisect.search.left import left_by
from buildkit_bisect.search.spread import parts, spread
from buildkit_bisect.search.state import State
from buildkit_bisect.search.vocabulary import Ask, Phase

#: Phases whose asks split the candidates.
_SPLITTING = {Phase.FIRST_PARENT, Phase.DESCEND, Phase.SEARCH}

#: Phases whose asks get more trials where there are fewer commits than may be asked at once.
_TRIALS_TELL = {Phase.CALIBRATE, Phase.DOUBT}

#: Commits of a usual proof: the candidate and its parent.
_FAMILY = 2


def several(state: State, plain: Ask, most: int, builds: int | None) -> tuple[Ask, ...]:
    """Return at most *most* asks, of which at most *builds* need a build; at least one.

    *plain* is what is asked for one at a time.
    """
    if not state.ready or plain.phase is Phase.DOUBT:
        asks = _together(plain, most)
    elif not at_its_word(state):
        asks = among_noise(state, plain, most, builds)
    elif plain.phase in _SPLITTING and not plain.together:
        asks = _splits(state, plain, most, builds)
    else:
        asks = _together(plain, most)
    return _with_steps(state, _within(state, asks, builds)[:most], plain, most, builds)


def _together(plain: Ask, most: int) -> list[Ask]:
    asks = [*plain.together] or [plain]
    if plain.phase in _TRIALS_TELL:
        times = max(1, most // len(asks))
        asks = [replace(ask, trials=ask.trials * times) for ask in asks]
    return asks


def _splits(state: State, plain: Ask, most: int, builds: int | None) -> list[Ask]:
    """Asks that split the candidates; *plain* among them if it is about the ends of a branch."""
    left = left_by(state)
    if left.viable.bit_count() == 1:
        return [plain]
    pools: Sequence[tuple[Phase, Mask]] = ((Phase.SEARCH, left.reach),)
    if state.options.first_parent:
        line, inside = left.reach & state.line, left.reach & ~state.line
        pools = ((Phase.FIRST_PARENT, line), (Phase.DESCEND, inside))
    asks: dict[str, Phase] = {}
    cuts: list[Mask] = []
    if plain.phase is Phase.DESCEND and plain == branch_ends(state, left):
        asks[plain.commit] = plain.phase
        cuts.append(state.history.ancestors(plain.commit) & left.viable)
    for phase, pool in pools:
        if state.evidence.skips[phase] >= state.options.max_skips:
            continue
        building = None if builds is None else builds - _builds(state, asks)
        found = spread(state, pool, left.viable, most - len(asks), cuts=cuts, builds=building)
        asks |= {test.commit: phase for test in found if test.commit not in asks}
        cuts += [test.inside for test in found]
    count = len(asks)
    if count <= 1:
        return [plain]
    total = left.viable.bit_count()
    worst = max(part.bit_count() for part in parts([left.viable], cuts))
    return [
        plain
        if commit == plain.commit and phase is Phase.DESCEND
        else make_ask(
            state,
            commit,
            phase=phase,
            why=(
                f"{PLACE[phase]} commit, one of {count} at once: at most {worst} of {total}"
                f" candidates would remain; {cost_phrase(state.cost.left_seconds(commit))}"
            ),
            left=total,
        )
        for commit, phase in asks.items()
    ]


def _builds(state: State, commits: Iterable[str]) -> int:
    return sum(state.cost.build_seconds(commit) > 0 for commit in commits)


def _within(state: State, asks: Sequence[Ask], builds: int | None) -> list[Ask]:
    """Leave out asks that would be one build too many; the first one stays in any case."""
    if builds is None:
        return list(asks)
    kept: list[Ask] = []
    for ask in asks:
        needs = state.cost.build_seconds(ask.commit) > 0
        if not kept or not needs or _builds(state, (a.commit for a in kept)) < builds:
            kept.append(ask)
    return kept


def _with_steps(
    state: State, asks: Sequence[Ask], plain: Ask, most: int, builds: int | None
) -> tuple[Ask, ...]:
    """Say of each ask what is still to come: all of this round, and the rounds after it.

    A round of k commits tells as much as log2(k + 1) commits one at a time.
    """
    width = most if builds is None else max(len(asks), builds)
    if width == 1:
        return (plain,)
    proof = 0 if plain.phase is Phase.PROOF else _FAMILY
    now = len(asks) if plain.phase is Phase.GATE else plain.phase in _SPLITTING
    alone = plain.expected_steps - 2 * state.options.proof_runs - now
    later = math.ceil(max(0, alone) / math.log2(width + 1)) * width if proof else 0
    needed = later if builds is None else min(later, later // width * builds)
    to_build = state.cost.later_builds(needed, plain.candidates_left)
    usual = 1 if state.options.trials is None else state.options.trials
    left = (*(state.cost.left_seconds(ask.commit) for ask in asks), *to_build)
    trials = sum(ask.trials for ask in asks) + usual * later + proof * state.options.proof_runs
    return tuple(
        replace(
            ask,
            expected_steps=len(asks) + later + proof,
            expected_seconds=sum(left) + trials * state.cost.trial_seconds(ask.commit),
            builds_left=left,
            trials_left=trials,
            together=(),
        )
        for ask in asks
    )
