"""One bisection, driven by its caller: ask with `next` or `next_k`, answer with `tell`.

All that a session knows is its arguments, its asks and its tells, in order. So a caller that keeps
a journal of tells, and asks for as many commits at once as before, gets the same asks again after a
crash. The answers of commits that were asked for at once are taken in in the order of the asks, in
whatever order they come: the session waits for the last of them, or for the next question.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Verdict
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Bisect
from buildkit_bisect.search.answer import stalled
from buildkit_bisect.search.as_named import as_named
from buildkit_bisect.search.cost import CostModel, FlatCost
from buildkit_bisect.search.exact import exact
from buildkit_bisect.search.first_asks import worthwhile
from buildkit_bisect.search.gate import gate
from buildkit_bisect.search.history import History
from buildkit_bisect.search.judge import at_its_word, ends
from buildkit_bisect.search.noisy import noisy
from buildkit_bisect.search.prior import Weights
from buildkit_bisect.search.several import several
from buildkit_bisect.search.state import State
from buildkit_bisect.search.tally import Evidence, Status, Tally
from buildkit_bisect.search.vocabulary import (
    Answer,
    Ask,
    Refused,
    SearchOptions,
    Skip,
    SkipKind,
    Step,
    Tested,
)


class BisectSession:
    """The search for the commit that turned good into bad (or, ``find_fix``, bad into good).

    *good* and *bad* are full commit ids in *history*. *same_build* maps commits to the key of
    what they are built from: equal keys are one build, one candidate and one verdict.
    *labels* are names for commits in messages. *weights*: see `prefer`. *back*: the end that should
    be the newer one is an older release, on another branch. *late*: the good end is run only if no
    nearer commit shows the same (not with ``find_fix``, whose older end says what is looked for).
    *neither*: nor is the bad end, if a commit between them is bad; then the first bad outcome that
    is seen says what is looked for. Only with *late*.
    Raises `BadInput` for an unknown commit or an option that makes no sense.
    """

    def __init__(
        self,
        history: History,
        *,
        good: str,
        bad: str,
        options: SearchOptions | None = None,
        cost: CostModel | None = None,
        same_build: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        weights: Mapping[str, float] | None = None,
        back: bool = False,
        late: bool = False,
        neither: bool = False,
    ) -> None:
        options = options or SearchOptions()
        _check(options)
        for end in (good, bad):
            history.number(end)
        old, new = (bad, good) if options.find_fix else (good, bad)
        self._state = State(
            history=history,
            evidence=Evidence(options=options, bad_end=bad, same_build=same_build),
            options=options,
            cost=cost or FlatCost(),
            old=old,
            new=new,
            labels=labels or {},
            back=back,
            late=late and not options.find_fix,
            neither=neither and late and not options.find_fix,
        )
        for sha in history.first_parent_line(new):
            self._state.line |= 1 << history.number(sha)
        self._next: Step | None = None
        self._several: tuple[tuple[int, int | None], tuple[Ask, ...]] | None = None
        self._open: dict[str, Ask] = {}  # asked for at once, and not taken in yet
        self._held: dict[str, Tested] = {}  # what was told of these
        if weights:
            self.prefer(weights)
        self._steps: list[tuple[Ask | None, str, Tested]] = []

    def next(self) -> Step:
        """What to test now, or how the search ends; the same until something is told."""
        step = self._plain()
        self._open = {}
        return step

    def _plain(self) -> Step:
        self._take_in()
        if self._next is None:
            self._next = self._step()
            if isinstance(self._next, Refused) and as_named(self._state):
                self._next = self._step()
        return self._next

    def next_k(self, k: int, *, builds: int | None = None) -> tuple[Ask, ...] | Answer:
        """Up to *k* commits to test at once, or how the search ends; with 1, what `next` says.

        Together they tell most for what they cost. At most *builds* of them have to be built; of
        commits that are built, there may be more. The same until something is told.
        """
        step = self.next()
        if not isinstance(step, Ask):
            return step
        if k == 1:
            return (step,)
        if self._several is None or self._several[0] != (k, builds):
            self._several = ((k, builds), several(self._state, step, k, builds))
        asks = self._several[1]
        self._open = {ask.commit: ask for ask in asks}
        return asks

    def _step(self) -> Step:
        search = exact if at_its_word(self._state) else noisy
        return stalled(self._state) or gate(self._state) or search(self._state)

    def tell(self, commit: str, tested: Tested) -> None:
        """Take in the results of a commit: the one asked for, or any other.

        A result of another campaign may be passed in before the first ask. Raises `BadInput`
        for a commit that is not in the history.
        """
        self._state.history.number(commit)
        if commit in self._open and commit not in self._held:
            self._held[commit] = tested
            self._steps.append((self._open[commit], commit, tested))
            if len(self._held) == len(self._open):
                self._take_in()
            return
        pending = self._plain()
        ask = pending if isinstance(pending, Ask) and pending.commit == commit else None
        self._steps.append((ask, commit, tested))
        self._add(ask, commit, tested)

    def _take_in(self) -> None:
        """Take in what was told of commits asked for at once, in the order of the asks."""
        held, self._held = self._held, {}
        for commit in [c for c in self._open if c in held]:
            self._add(self._open.pop(commit), commit, held[commit])

    def _add(self, ask: Ask | None, commit: str, tested: Tested) -> None:
        evidence = self._state.evidence
        evidence.add(commit, tested, ask.phase if ask else None)
        if ask and not sum(tested.counts.values()) and not evidence.settled(commit):
            nothing = Skip(kind=SkipKind.OTHER, reason="nothing was observed")
            evidence.add(commit, Tested(skip=nothing))
        if not tested.skip:
            self._state.learn(commit, tested)
        self._changed()

    def _changed(self) -> None:
        self._next = self._several = None

    def demand(self, confidence: float) -> None:
        """Continue to another confidence with the results so far."""
        options = replace(self._state.options, confidence=confidence)
        _check(options)
        self._state.options = options
        self._changed()

    def prefer(self, weights: Mapping[str, float]) -> None:
        """Choose commits as if the candidates were as likely as *weights*; 0 where left out.

        That changes what the search costs, and neither its answer nor its confidence. Raises
        `BadInput` for a commit that is not in the history.
        """
        self._state.weights = Weights.among(self._state.candidates(), self._state.history, weights)
        self._changed()

    @property
    def begun(self) -> bool:
        """Whether the search has begun: the ends, or a nearer one, show what they should."""
        self._plain()
        return self._state.ready

    @property
    def not_run(self) -> str:
        """The good end, if a nearer commit was run in its place; else ""."""
        self._plain()
        return self._state.not_run

    @property
    def bad_not_run(self) -> str:
        """The bad end, if another commit was run in its place; else ""."""
        self._plain()
        return self._state.new_not_run

    @property
    def looked_for(self) -> frozenset[str] | None:
        """The outcomes that are bad in this search; None, for every failure, until one is seen."""
        self._take_in()
        return self._state.evidence.bad

    @property
    def spares(self) -> tuple[str, ...]:
        """The ends that may not be run at all, if commits between them are run in their place.

        Which commits pay is known only once something is built.
        """
        state = self._state
        good = state.late and state.cost.build_seconds(state.old) > 0
        bad = state.neither and worthwhile(state)
        return (*([state.old] if good else []), *([state.new] if bad else []))

    @property
    def certainty(self) -> float:
        """How likely the ends differ as they should, by the trials of those that are run."""
        self._take_in()
        return ends(self._state).differ

    def shown(self, commit: str) -> tuple[Verdict, str]:
        """Return what a commit shows in this search, and its trials: ``cached (1 of 1)``.

        The verdict is weak where trials disagree, and skip where there are none.
        """
        self._take_in()
        tally = self._state.evidence.tally(commit)
        good = tally.new if self._state.options.find_fix else tally.old
        match tally.status:
            case Status.OLD | Status.NEW:
                return (Verdict.GOOD if good else Verdict.BAD), str(tally)
            case Status.WEAK if commit == self._state.good_end and self._is_bad(tally):
                return Verdict.BAD, str(tally)
            case Status.MIXED | Status.WEAK:
                return Verdict.WEAK, str(tally)
            case Status.SKIPPED | Status.UNTESTED:
                return Verdict.SKIP, str(tally)

    def _is_bad(self, tally: Tally) -> bool:
        rule = self._state.evidence.rule
        return {rule(outcome) for outcome, _ in tally.outcomes} == {Verdict.BAD}

    @property
    def steps(self) -> tuple[tuple[Ask | None, str, Tested], ...]:
        """Every tell in order, with the ask it answered (None: told unasked)."""
        return tuple(self._steps)


def _check(options: SearchOptions) -> None:
    if options.trials is not None and options.trials < 1:
        raise BadInput(
            f"{words(Bisect, trials=options.trials)}: below 1", hint="leave it out for automatic"
        )
    if not 0.5 < options.confidence < 1:  # noqa: PLR2004 - a coin decides at 0.5
        raise BadInput(
            f"{words(Bisect, confidence=options.confidence)}: must be between 0.5 and 1",
            hint=words(Bisect, confidence=0.95),
        )
    if options.bad_when & options.good_when:
        both = ", ".join(sorted(options.bad_when & options.good_when))
        raise BadInput(
            f"{both}: named by both {words(Bisect, bad_when=True)} and"
            f" {words(Bisect, good_when=True)}",
            hint="leave it out of one",
        )
