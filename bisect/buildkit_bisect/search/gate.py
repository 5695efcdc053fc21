"""Whether a search between the ends is possible: their place in history, then their results.

Most release tags of BuildKit are not ancestors of master. Then the merge base has to show
the old behaviour, or the search would be about a change that the other branch made.
"""

from __future__ import annotations

from dataclasses import replace

from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Bisect
from buildkit_bisect.phrases import listed, plural
from buildkit_bisect.search import judge
from buildkit_bisect.search.as_named import as_named, in_vain
from buildkit_bisect.search.explain import another_way, make_ask, see
from buildkit_bisect.search.first_asks import first_ask
from buildkit_bisect.search.history import History
from buildkit_bisect.search.nearer import nearer_ends
from buildkit_bisect.search.state import State
from buildkit_bisect.search.tally import Status
from buildkit_bisect.search.vocabulary import Ask, Phase, RefusalKind, Refused, SkipKind

#: Commits tried, ever further back, where a merge base cannot be tested.
_FALLBACKS = 5

#: Probability that the ends differ at which the search begins; its own trials go on asking.
_LIKELY = 0.75

#: Probability at which the ends are called alike, and at which they are called swapped.
_ALIKE = 0.98
_SWAPPED = 0.998

#: Trials of both ends after which they are called alike.
_MOST = 120


def gate(state: State) -> Ask | Refused | None:
    """The next ask or a refusal; None once both ends and the merge bases are proven.

    On success ``state.floor`` is set: the ancestors of the newer end that bound the search. They
    show the old behaviour; behind a nearer end they are the merge bases, which may not have run.
    """
    if state.ready and not in_vain(state):
        return None
    if state.ready:
        as_named(state)
    step: Ask | Refused | None = check_shape(state)
    if step:
        return step
    bases = state.history.merge_bases(state.old, state.new)
    for other in (first_ask, _nearer):  # they may do without the ends
        step = other(state, bases)
        if step or state.ready:
            return step
    return _named(state, bases)


def _named(state: State, bases: tuple[str, ...]) -> Ask | Refused | None:
    """Ask for the older end and the merge bases, and the newer one unless another is in its place.

    Sets ``state.floor`` and ``state.ready`` if they show what they should.
    """
    if state.shows_new and state.evidence.status(state.old) not in {Status.UNTESTED, Status.OLD}:
        as_named(state)
    step = _ends(state, bases)
    if step:
        return step
    floor: list[str] = []
    for base in bases if bases != (state.old,) else ():
        shown = _merge_base(state, base)
        if not isinstance(shown, str):
            return shown
        floor.append(shown)
    state.floor = tuple(floor) or (state.old,)
    state.ready = True
    return None


def _nearer(state: State, bases: tuple[str, ...]) -> Ask | None:
    """Ask for the newer end, then for nearer ends; ``state.ready`` if one will do.

    The search then begins with the merge bases as its floor, though they were not run: the nearer
    end contains them, and what is between stays in question like any other candidate.
    """
    newer = state.evidence.status(state.ran_new)
    if not state.late or newer not in {Status.UNTESTED, Status.NEW, Status.MIXED}:
        return None
    if newer is Status.UNTESTED:
        ask = _ask(state, state.new, f"gate: is {state.name(state.new)} {state.new_word}?")
        if state.cost.build_seconds(state.old):
            return ask
        return replace(ask, together=tuple(_ends_and_bases(state, bases).values()))
    if state.nearer is None:
        state.nearer = nearer_ends(state)
    named = state.old
    for commit in state.nearer:
        state.old, state.given = commit, named  # its trials are those of the older end
        step = _shows_old(state, commit, bases)
        if step is True:
            state.floor, state.ready = bases, True
            return None
        state.old, state.given = named, ""
        if isinstance(step, Ask):
            return step
    return None


def _shows_old(state: State, commit: str, bases: tuple[str, ...]) -> Ask | bool:
    """Whether a nearer end shows the old behaviour, or the trial that may tell."""
    where = "the merge base" if commit in bases else "between the endpoints"
    why = (
        f"gate: is {state.name(commit)} ({where}) {state.old_word}? "
        f"Then {state.name(state.given)} need not be built"
    )
    shown = judge.of_base(state, commit)
    if shown is Status.UNTESTED:
        return _ask(state, commit, why)
    tally = state.evidence.tally(commit)
    # What looks new is not asked again: it may be, and then the trials were for nothing.
    if shown is Status.MIXED and tally.old > tally.new and judge.may_ask_again(state, commit):
        return _ask(state, commit, f"{why}. {tally}: not sure yet")
    if shown is not Status.OLD:
        return False
    step = None if judge.at_its_word(state) else _by_their_rates(state)
    return step if isinstance(step, Ask) else step is None


def check_shape(state: State) -> Refused | None:
    """What is wrong with the ends before anything is run. Raises `BadInput` if one is unknown."""
    history, old, new = state.history, state.old, state.new
    if old == new:
        return Refused(
            kind=RefusalKind.SAME_COMMIT,
            reason=f"both endpoints are {state.name(old)}",
            hint=inv("bisect", bad=state.name(new), find_good=True),
        )
    if history.contains(old, new):
        return _refuse_back(state, "contains {}")
    if state.back:
        return _refuse_back(state, "is a later release than {}")
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
                f"{state.name(old)} and {state.name(new)} have the same build inputs:"
                " there is nothing to bisect"
            ),
            hint=inv("run", rev=state.name(new)),
        )
    return None


def _refuse_back(state: State, how: str) -> Refused:
    """The end that should be the older one is the newer one; its result or its place is wrong."""
    old, new, find_fix = state.old, state.new, state.options.find_fix
    swapped = (state.command(old=new, new=old, find_fix=fix) for fix in (not find_fix, find_fix))
    newer = how.format(f"{state.name(new)} ({state.new_word})")
    return Refused(
        kind=RefusalKind.ORDER,
        reason=f"{state.name(old)} ({state.old_word}) {newer}: the endpoints are swapped",
        hint=", or ".join(swapped),
    )


def _ends(state: State, bases: tuple[str, ...]) -> Ask | Refused | None:
    for commit, word in ((state.bad_end, "bad"), (state.good_end, "good")):
        match state.evidence.status(commit):
            case Status.UNTESTED:
                together = _ends_and_bases(state, bases)
                return replace(together[commit], together=tuple(together.values()))
            case Status.SKIPPED | Status.WEAK as shown:
                return _refuse_end(state, commit, word, shown)
            case _:
                pass
    return _taken_at_their_word(state) if judge.at_its_word(state) else _by_their_rates(state)


def _ends_and_bases(state: State, bases: tuple[str, ...]) -> dict[str, Ask]:
    """Every ask that the gate needs if the ends show what they should."""
    ends = ((state.bad_end, "bad"), (state.good_end, "good"))
    words = {end: f"gate: is {state.name(end)} {word}?" for end, word in ends}
    words |= {base: _of_base(state, base) for base in bases if base not in words}
    untested = (c for c in words if state.evidence.status(c) is Status.UNTESTED)
    return {commit: _ask(state, commit, words[commit]) for commit in untested}


def _taken_at_their_word(state: State) -> Refused | None:
    newer = state.ran_new
    shown = {c: state.evidence.status(c) for c in (newer, state.old)}
    if shown[newer] is Status.OLD and shown[state.old] is Status.NEW:
        return _refuse_swapped(state)
    for commit, word in ((state.bad_end, "bad"), (state.good_end, "good")):
        wanted = Status.NEW if commit == newer else Status.OLD
        if shown[commit] is not wanted:
            return _refuse_end(state, commit, word, shown[commit])
    return None


def _by_their_rates(state: State) -> Ask | Refused | None:
    seen = judge.ends(state)
    if seen.differ >= _LIKELY:
        return None
    if seen.swapped >= _SWAPPED:
        return _refuse_swapped(state)
    tallies = {c: state.evidence.tally(c) for c in (state.old, state.ran_new)}
    if seen.alike >= _ALIKE or sum(t.runs for t in tallies.values()) >= _MOST:
        return refuse_alike(state, seen.alike)
    why = (
        f"gate: {state.name(state.old)} shows {tallies[state.old]}, "
        f"{state.name(state.ran_new)} shows {tallies[state.ran_new]}; "
        "do their failure rates differ?"
    )
    both = {c: _ask(state, c, why, Phase.CALIBRATE) for c in (state.bad_end, state.good_end)}
    return replace(both[seen.next], together=tuple(both.values()))


def _ask(state: State, commit: str, why: str, phase: Phase = Phase.GATE) -> Ask:
    trials = state.options.trials or 1
    return make_ask(state, commit, phase=phase, why=why, left=state.reach, trials=trials)


def refuse_alike(state: State, probability: float) -> Refused:
    """Nothing changed between the ends, as far as the trials say."""
    bad, good = (state.evidence.tally(c) for c in (state.bad_end, state.good_end))
    never_bad = not (bad.old if state.options.find_fix else bad.new)
    never_good = not (good.new if state.options.find_fix else good.old)
    kind = RefusalKind.ALIKE
    if never_bad:
        kind = RefusalKind.NOT_BAD
    elif never_good:
        kind = RefusalKind.ALREADY_BAD
    hint = inv("run", rev=state.name(state.bad_end), trials=20)
    if never_good and not state.options.find_fix:
        hint = inv("bisect", bad=state.name(state.good_end), find_good=True)
    sure = "" if probability >= _ALIKE else f" ({probability:.0%} likely)"
    return Refused(
        kind=kind,
        reason=(
            f"the outcome does not change between the endpoints{sure}: "
            f"{state.name(state.old)} shows {state.evidence.tally(state.old)}, "
            f"{state.name(state.ran_new)} shows {state.evidence.tally(state.ran_new)}"
        ),
        hint=hint,
    )


def _refuse_swapped(state: State) -> Refused:
    """The older end shows what the newer one should, and the other way round."""
    bad, good = state.bad_end, state.good_end
    return Refused(
        kind=RefusalKind.ORDER,
        reason=(
            f"the endpoints are swapped: {state.name(bad)}, given as bad, is good "
            f"({state.evidence.tally(bad)}), and {state.name(good)}, named as good, is bad "
            f"({state.evidence.tally(good)})"
        ),
        hint=state.command(old=state.old, new=state.new, find_fix=not state.options.find_fix),
    )


def _refuse_end(state: State, commit: str, word: str, shown: Status) -> Refused:
    name, tally = state.name(commit), state.evidence.tally(commit)
    if shown is Status.SKIPPED and tally.skip:
        return _refuse_skip(state, commit)
    if shown is Status.WEAK:
        flag = words(Bisect, bad_when=True) if word == "bad" else words(Bisect, good_when=True)
        outcome = tally.outcomes[0][0]
        return Refused(
            kind=RefusalKind.OTHER_OUTCOME,
            reason=f"{name} {another_way(state, commit)}: {tally}",
            hint=(
                f"{state.command(old=state.old, new=state.new, find_fix=state.options.find_fix)} "
                f"{flag} {outcome}"
            ),
        )
    if word == "bad":
        return Refused(
            kind=RefusalKind.NOT_BAD,
            reason=f"{name} is not bad: {tally}",
            hint=inv("matrix", revs=f"{state.name(state.good_end)},{name}"),
        )
    if state.options.find_fix:
        return Refused(
            kind=RefusalKind.ALREADY_BAD,
            reason=f"{name} is still bad: {tally}",
            hint=inv("matrix", revs=f"{state.name(state.bad_end)},{name}"),
        )
    return Refused(
        kind=RefusalKind.ALREADY_BAD,
        reason=f"{name} is already bad: {tally}",
        hint=inv("bisect", bad=name, find_good=True),
    )


def _refuse_skip(state: State, commit: str) -> Refused:
    name, tally = state.name(commit), state.evidence.tally(commit)
    assert tally.skip is not None
    match tally.skip.kind:
        case SkipKind.CONTROL:
            return Refused(
                kind=RefusalKind.CONTROL,
                reason=f"control failed at {name}: {tally.skip.reason}",
                hint=see(state, commit),
            )
        case SkipKind.INFRA:
            return Refused(
                kind=RefusalKind.INFRA,
                reason=f"{name} could not be tested: {tally.skip.reason}",
                hint=see(state, commit),
            )
        case SkipKind.BUILD | SkipKind.PATCH | SkipKind.OTHER:
            return Refused(
                kind=RefusalKind.UNTESTABLE,
                reason=f"{name} could not be tested: {tally.skip.kind}: {tally.skip.reason}",
                hint=see(state, commit),
            )


def _of_base(state: State, base: str, back: int = 0) -> str:
    """Why a merge base, or a commit before it, is run."""
    where = f"the merge base {state.name(base)}"
    what = where if not back else f"{plural(back, 'commit')} before {where}"
    return (
        f"gate: {state.name(state.old)} is not an ancestor of {state.name(state.new)}; "
        f"is {what} {state.old_word}?"
    )


def _merge_base(state: State, base: str) -> str | Ask | Refused:
    """The commit at or before a merge base that shows the old behaviour, or what to do."""
    where = f"the merge base {state.name(base)}"
    older: list[str] = []
    for back, commit in _ever_further(state.history, base):
        what = where if not back else f"{plural(back, 'commit')} before {where}"
        why = _of_base(state, base, back)
        shown = judge.of_base(state, commit)
        if shown is Status.UNTESTED:
            return _ask(state, commit, why)
        if shown is Status.MIXED and judge.may_ask_again(state, commit):
            return _ask(state, commit, f"{why} {state.evidence.tally(commit)}: not sure yet")
        match shown:
            case Status.OLD:
                return commit
            case Status.NEW | Status.MIXED:
                return _refuse_base(state, commit, what, back)
            case _:
                older += [commit] if back else []
    tried = f", nor the older {listed(map(state.name, older))}" if older else ""
    return Refused(
        kind=RefusalKind.UNTESTABLE,
        reason=(
            f"{where} does not show whether it is {state.old_word}{tried}: "
            f"{state.evidence.tally(base)}"
        ),
        hint=see(state, base),
    )


def _refuse_base(state: State, commit: str, what: str, back: int) -> Refused:
    tally = state.evidence.tally(commit)
    side = state.name(state.old)
    turned = not state.options.find_fix
    change = "fixed" if turned else "broken"
    where = f"between it and {side}" if back else f"on the release branch of {side}"
    return Refused(
        kind=RefusalKind.MERGE_BASE,
        reason=f"{what} is {state.new_word}: {tally}; {change} {where}",
        hint=state.command(old=commit, new=state.old, find_fix=turned),
    )


def _ever_further(history: History, base: str) -> list[tuple[int, str]]:
    """The commit itself, then 1, 3, 7, ... commits before it on its first-parent line."""
    line = history.first_parent_line(base)
    steps = dict.fromkeys(min((1 << k) - 1, len(line) - 1) for k in range(_FALLBACKS + 1))
    return [(back, line[-1 - back]) for back in steps]
