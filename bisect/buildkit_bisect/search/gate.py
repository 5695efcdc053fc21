"""Whether the ends bear a search at all: shape first, then what they show when run.

Most release tags of BuildKit are not ancestors of master. Then the merge base has to show
the old behaviour, or the search would be about a change that the other branch made.
"""

from __future__ import annotations

from buildkit_bisect.search import judge
from buildkit_bisect.search.explain import plural
from buildkit_bisect.search.history import History
from buildkit_bisect.search.state import State
from buildkit_bisect.search.tally import Status
from buildkit_bisect.search.vocabulary import Ask, RefusalKind, Refused, SkipKind

#: Commits tried, ever further back, where a merge base cannot be tested.
_FALLBACKS = 5


def gate(state: State) -> Ask | Refused | None:
    """The next ask or a refusal; None once both ends and the merge bases are proven.

    On success ``state.floor`` is set: the ancestors of the newer end that show the old
    behaviour, which bound the search.
    """
    step = check_shape(state) or _ends(state)
    if step:
        return step
    if state.history.contains(state.new, state.old):
        state.floor = (state.old,)
        return None
    floor: list[str] = []
    for base in state.history.merge_bases(state.old, state.new):
        shown = _merge_base(state, base)
        if not isinstance(shown, str):
            return shown
        floor.append(shown)
    state.floor = tuple(floor)
    return None


def check_shape(state: State) -> Refused | None:
    """What is wrong with the ends before anything is run. Raises `BadInput` if one is unknown."""
    history, old, new = state.history, state.old, state.new
    if old == new:
        return Refused(
            kind=RefusalKind.SAME_COMMIT,
            reason=f"both ends are {state.name(old)}",
            hint="./inv bisect --help",
        )
    if history.contains(old, new):
        turned = not state.options.find_fix
        return Refused(
            kind=RefusalKind.ORDER,
            reason=(
                f"{state.name(old)} ({state.old_word}) contains {state.name(new)} "
                f"({state.new_word}): the ends are the other way round"
            ),
            hint=state.command(old=new, new=old, find_fix=turned),
        )
    if not history.merge_bases(old, new):
        return Refused(
            kind=RefusalKind.UNRELATED,
            reason=f"{state.name(old)} and {state.name(new)} have no common ancestor",
            hint=f"git merge-base {state.name(old)} {state.name(new)}",
        )
    if state.evidence.same(old, new):
        return Refused(
            kind=RefusalKind.SAME_BUILD,
            reason=(
                f"{state.name(old)} and {state.name(new)} are the same build: "
                "nothing that it is made from changed between them"
            ),
            hint=f"./inv run --rev {state.name(new)}",
        )
    return None


def _ends(state: State) -> Ask | Refused | None:
    bad, good = state.bad_end, state.good_end
    for commit, word in ((bad, "bad"), (good, "good")):
        ask = judge.enough(state, commit, why=f"gate: is {state.name(commit)} {word}?")
        if ask:
            return ask
        wanted = Status.NEW if commit == state.new else Status.OLD
        shown = judge.status(state, commit)
        if shown is not wanted:
            return _refuse_end(state, commit, word, shown)
    ask = judge.calibrate(state)
    if ask or not judge.is_noisy(state) or judge.ends_differ(state):
        return ask
    return _refuse_end(state, good, "good", Status.MIXED)


def _refuse_end(state: State, commit: str, word: str, shown: Status) -> Refused:
    name, tally = state.name(commit), state.evidence.tally(commit)
    if shown is Status.SKIPPED and tally.skip:
        return _refuse_skip(state, commit)
    if shown is Status.WEAK:
        flag = "--bad-when" if word == "bad" else "--good-when"
        outcome = tally.outcomes[0][0]
        return Refused(
            kind=RefusalKind.OTHER_OUTCOME,
            reason=f"{name} is neither good nor bad: {tally}",
            hint=(
                f"{state.command(old=state.old, new=state.new, find_fix=state.options.find_fix)} "
                f"{flag} {outcome}"
            ),
        )
    if shown is Status.MIXED:
        return Refused(
            kind=RefusalKind.ALIKE,
            reason=(
                f"the ends do not differ: {state.name(state.old)} shows "
                f"{state.evidence.tally(state.old)}, {state.name(state.new)} shows "
                f"{state.evidence.tally(state.new)}"
            ),
            hint=f"./inv run --rev {name} --trials 20",
        )
    if word == "bad":
        return Refused(
            kind=RefusalKind.NOT_BAD,
            reason=f"{name} is not bad: {tally}",
            hint=f"./inv matrix --revs {state.name(state.good_end)},{name}",
        )
    if state.options.find_fix:
        return Refused(
            kind=RefusalKind.ALREADY_BAD,
            reason=f"{name} is still bad: {tally}",
            hint=f"./inv matrix --revs {state.name(state.bad_end)},{name}",
        )
    return Refused(
        kind=RefusalKind.ALREADY_BAD,
        reason=f"{name} is already bad: {tally}",
        hint=f"./inv bisect --bad {name} --find-good",
    )


def _refuse_skip(state: State, commit: str) -> Refused:
    name, tally = state.name(commit), state.evidence.tally(commit)
    assert tally.skip is not None
    run = f"./inv run --rev {name}"
    match tally.skip.kind:
        case SkipKind.CONTROL:
            return Refused(
                kind=RefusalKind.CONTROL,
                reason=(
                    f"control failed at {name}: the reproducer proves nothing there "
                    f"({tally.skip.reason})"
                ),
                hint=run,
            )
        case SkipKind.INFRA:
            return Refused(
                kind=RefusalKind.INFRA,
                reason=f"{name} could not be tested: {tally.skip.reason}",
                hint="./inv doctor",
            )
        case SkipKind.BUILD | SkipKind.PATCH | SkipKind.OTHER:
            return Refused(
                kind=RefusalKind.UNTESTABLE,
                reason=f"{name} could not be tested: {tally.skip.kind}: {tally.skip.reason}",
                hint=run if tally.skip.kind is SkipKind.OTHER else f"./inv build --rev {name}",
            )


def _merge_base(state: State, base: str) -> str | Ask | Refused:
    """The commit at or before a merge base that shows the old behaviour, or what to do."""
    where = f"the merge base {state.name(base)}"
    for back, commit in _ever_further(state.history, base):
        what = where if not back else f"{plural(back, 'commit')} before {where}"
        ask = judge.enough(
            state,
            commit,
            why=(
                f"gate: {state.name(state.old)} is not an ancestor of {state.name(state.new)}; "
                f"is {what} {state.old_word}?"
            ),
        )
        if ask:
            return ask
        match judge.status(state, commit):
            case Status.OLD:
                return commit
            case Status.NEW | Status.MIXED:
                return _refuse_base(state, commit, what)
            case _:
                continue
    return Refused(
        kind=RefusalKind.UNTESTABLE,
        reason=f"{where} could not be tested, nor its ancestors: {state.evidence.tally(base)}",
        hint=f"./inv build --rev {state.name(base)}",
    )


def _refuse_base(state: State, commit: str, what: str) -> Refused:
    tally = state.evidence.tally(commit)
    side = state.name(state.old)
    turned = not state.options.find_fix
    change = "fixed" if turned else "broken"
    return Refused(
        kind=RefusalKind.MERGE_BASE,
        reason=f"{what} is {state.new_word}: {tally}; {change} on the release branch of {side}",
        hint=state.command(old=commit, new=state.old, find_fix=turned),
    )


def _ever_further(history: History, base: str) -> list[tuple[int, str]]:
    """The commit itself, then 1, 3, 7, ... commits before it on its first-parent line."""
    line = history.first_parent_line(base)
    steps = [(1 << k) - 1 for k in range(_FALLBACKS + 1)]
    return [(back, line[-1 - back]) for back in steps if back < len(line)]
