"""The first commits of a search that has run neither of its ends.

Both ends cost a build, and tell nothing of the commits between them. So commits between them run
first, each the one that tells most for its cost. One that is bad takes the place of the bad end,
one that is good that of the good end. If all that are run show the same, the end that should show
the other is run: else a range in which nothing changed would be searched to its end.
"""

from __future__ import annotations

from dataclasses import replace

from buildkit_bisect.search import judge
from buildkit_bisect.search.cost import cost_phrase
from buildkit_bisect.search.explain import make_ask
from buildkit_bisect.search.history import Mask, bits
from buildkit_bisect.search.left import left_by
from buildkit_bisect.search.midpoint import choose
from buildkit_bisect.search.nearer import usual_build
from buildkit_bisect.search.state import State
from buildkit_bisect.search.tally import Status
from buildkit_bisect.search.vocabulary import Ask, Phase

#: Commits that show the same, after which the end that should show the other is run.
ALIKE = 3

#: Commits that show neither behaviour, after which both ends are run.
_NOTHING = 2

#: Probability that the commits in place of the ends differ at which the search begins.
_LIKELY = 0.75


def worthwhile(state: State) -> bool:
    """Whether the build of the bad end is missing, and takes no less than a usual one."""
    seconds = state.cost.build_seconds(state.new)
    return seconds > 0 and seconds >= usual_build(state, state.candidates().bit_count())


def first_ask(state: State, bases: tuple[str, ...]) -> Ask | None:
    """The next ask; None once ``state.ready``, or if the gate goes on with the ends as usual.

    Then ``state.shows_new`` may be a commit that is run in place of the newer end. *bases* are the
    merge bases of the ends. Only commits of the line that contain all of them are asked for: what
    the older end shows may have come by a branch that is merged later.
    """
    if not state.neither:
        return None
    state.floor = bases
    step = _step(state, bases)
    if step is None:
        state.neither = False
        if not state.ready:
            state.floor = ()
    return step


def _step(state: State, bases: tuple[str, ...]) -> Ask | None:
    evidence, at_new = state.evidence, state.evidence.status(state.new)
    pool = _pool(state, bases)
    new, old, other = _shown(state, pool)
    if evidence.settled(state.old) or other or at_new not in {Status.UNTESTED, Status.NEW}:
        return None
    if at_new is Status.UNTESTED and not (new or old or worthwhile(state)):
        return None
    if at_new is Status.NEW or (new and old):
        if old:
            _begin(state, old[0], "" if at_new is Status.NEW else new[-1])
        return None
    ask = _between(state, pool) if max(len(new), len(old)) < ALIKE else None
    if old and not ask:
        ask = _newer(state, old[0])
    elif new and not ask:
        # The gate goes on with the older end, as if the newer one had been run.
        _run_in_place(state, new[-1])
        state.nearer = bases if len(bases) == 1 and bases[0] != state.old else ()
    return ask


def _shown(state: State, pool: Mask) -> tuple[list[str], list[str], bool]:
    """The commits of *pool* that are new and old, in the order of history.

    The first one that is old bounds the candidates, and so does the last one that is new; and
    these are likeliest to be what they look like. True if the others are too many.
    """
    history, evidence = state.history, state.evidence
    numbers = (history.number(c) for c in evidence.told() if c in history)
    told = [history.sha(n) for n in sorted(numbers) if pool >> n & 1]
    shown = {commit: evidence.status(commit) for commit in told}
    new = [c for c, status in shown.items() if status is Status.NEW]
    old = [c for c, status in shown.items() if status is Status.OLD]
    other = len(told) - len(new) - len(old)
    return new, old, Status.MIXED in shown.values() or other >= _NOTHING


def _pool(state: State, bases: tuple[str, ...]) -> Mask:
    """Commits of the line between the ends that contain all of *bases*."""
    history = state.history
    pool = state.line & state.reach_mask() & ~(1 << history.number(state.new))
    for number in bits(pool):
        if not all(history.ancestors_at(number) >> history.number(base) & 1 for base in bases):
            pool &= ~(1 << number)
    return pool


def _between(state: State, pool: Mask) -> Ask | None:
    """Ask for the commit of *pool* that tells most for its cost."""
    left = left_by(state)
    choice = choose(state, pool & left.reach, left.viable)
    if not choice:
        return None
    total = left.viable.bit_count()
    kind = "midpoint" if choice.midpoint else "commit with most information for its cost"
    if choice.share is not None:
        kind += " by the prior"
    return make_ask(
        state,
        choice.commit,
        phase=Phase.FIRST_PARENT if state.options.first_parent else Phase.SEARCH,
        why=(
            f"first-parent {kind}, before an endpoint is run: at most {choice.worst} of {total}"
            f" candidates would remain; {cost_phrase(choice.build_seconds)}"
        ),
        left=total,
    )


def _newer(state: State, old: str) -> Ask:
    """Ask for the newer end, as all commits before it show the old behaviour."""
    named = state.old
    state.old, state.given = old, named  # *old* has been run in its place
    ask = make_ask(
        state,
        state.new,
        phase=Phase.GATE,
        why=f"gate: is {state.name(state.new)} {state.new_word}? No commit before it was",
        left=state.reach,
        trials=state.runs,
    )
    state.old, state.given = named, ""
    return replace(ask, together=())


def _begin(state: State, old: str, new: str) -> None:
    """Let the search begin between *old* and *new* ("": the end itself), if they differ."""
    named = state.old
    state.old, state.given = old, named
    _run_in_place(state, new)
    if judge.at_its_word(state) or judge.ends(state).differ >= _LIKELY:
        state.ready = True
        return
    state.old, state.given = named, ""
    _run_in_place(state, "")


def _run_in_place(state: State, new: str) -> None:
    """Let *new* be in the place of the newer end; "": that end itself."""
    state.shows_new = new
    state.evidence.define_by(state.bad_end)
