"""A good end for a bisection that has none: walk back over releases by doubling steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from buildkit_bisect.errors import BadInput
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Bisect
from buildkit_bisect.phrases import plural
from buildkit_bisect.search.cost import CostModel, FlatCost
from buildkit_bisect.search.tally import Evidence, Status
from buildkit_bisect.search.vocabulary import (
    Ask,
    Phase,
    RefusalKind,
    Refused,
    SearchOptions,
    Tested,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class EndsFound:
    """A release that is good, and the oldest one after it that was seen bad."""

    good: str
    bad: str
    tested: tuple[str, ...]  # newest first


class GoodEndSearch:
    """Looks for a good release before *bad*; driven like a session.

    *releases* are commits, oldest first, all older than *bad*; those that cannot be tested are
    passed over. Raises `BadInput` where there are none, or with ``find_fix``.
    """

    def __init__(
        self,
        releases: Sequence[str],
        *,
        bad: str,
        options: SearchOptions | None = None,
        cost: CostModel | None = None,
        same_build: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        self._options = options or SearchOptions()
        if self._options.find_fix:
            raise BadInput(
                f"{words(Bisect, find_good=True)} finds the good end of a regression, not of a fix",
                hint=f"leave out {words(Bisect, find_fix=True)}, or {words(Bisect, good='R')}",
            )
        if not releases:
            raise BadInput(
                f"{words(Bisect, find_good=True)}: no release is older than the bad end",
                hint=words(Bisect, good="R"),
            )
        self._back = [bad, *reversed(releases)]  # newest first
        self._evidence = Evidence(options=self._options, bad_end=bad, same_build=same_build)
        self._cost = cost or FlatCost()
        self._labels = labels or {}

    def next(self) -> Ask | EndsFound | Refused:
        """The next release to test, or how it ended."""
        step = self.next_k(1)
        return step[0] if isinstance(step, tuple) else step

    def next_k(self, k: int) -> tuple[Ask, ...] | EndsFound | Refused:
        """At most *k* releases to test at once: the next one, and those after it if it is bad."""
        last = len(self._back) - 1
        at = bad_at = 0
        step = 1
        asked: list[Ask] = []
        while True:
            commit = self._back[at]
            further = 1  # past what cannot be tested, or shows something else
            match self._evidence.status(commit):
                case Status.UNTESTED:
                    asked.append(self._ask(at, bad_at, step, others=len(asked)))
                    if len(asked) == k:
                        return tuple(asked)
                    further, step = step, step * 2
                case Status.OLD if at:
                    found = EndsFound(good=commit, bad=self._back[bad_at], tested=self._tested())
                    return tuple(asked) or found
                case Status.NEW | Status.MIXED:
                    bad_at = at
                    further, step = step, step * 2
                case _ if not at:
                    return self._bad_end_refused()
            if at == last:
                return tuple(asked) or self._none()
            at = min(at + further, last)

    def back(self, commit: str) -> int:
        """How many releases before the bad end a release is; 0 for that end itself."""
        return self._back.index(commit)

    def tell(self, commit: str, tested: Tested) -> None:
        """Take in what was seen at a commit."""
        self._evidence.add(commit, tested)
        if not tested.skip:
            self._cost.learn(
                commit, build_seconds=tested.build_seconds, trial_seconds=tested.trial_seconds
            )

    def needs_build(self, commit: str) -> bool:
        """Whether a release is not built yet, as far as is known."""
        return self._cost.build_seconds(commit) > 0

    def _ask(self, at: int, bad_at: int, step: int, *, others: int) -> Ask:
        """Ask for a release beside *others*, which are newer; *step* leads to the next one."""
        commit = self._back[at]
        trials = self._options.trials or self._options.calibration
        left = len(self._back) - 1 - bad_at
        if at:
            since = f"since {self._name(self._back[bad_at])} is bad"
            why = (
                f"find-good: {plural(at, 'release')} before {self._name(self._back[0])}, "
                f"{'at once with newer ones' if others else since}"
            )
        else:
            why = f"find-good: is {self._name(commit)} bad?"
        to_come = [at]  # if none of them is good
        while to_come[-1] < len(self._back) - 1:
            to_come.append(min(to_come[-1] + step, len(self._back) - 1))
            step *= 2
        steps = len(to_come)
        builds = tuple(self._cost.left_seconds(self._back[i]) for i in to_come)
        return Ask(
            commit=commit,
            trials=trials,
            why=why,
            phase=Phase.GATE,
            candidates_left=left,
            expected_steps=steps,
            expected_seconds=sum(builds) + trials * steps * self._cost.trial_seconds(commit),
            builds_left=builds,
            trials_left=trials * steps,
        )

    def _bad_end_refused(self) -> Refused:
        bad = self._back[0]
        return Refused(
            kind=RefusalKind.NOT_BAD,
            reason=f"{self._name(bad)} is not bad: {self._evidence.tally(bad)}",
            hint=inv("run", rev=self._name(bad)),
        )

    def _none(self) -> Refused:
        seen = "; ".join(f"{self._name(c)} {self._evidence.tally(c)}" for c in self._tested()[1:])
        return Refused(
            kind=RefusalKind.NO_GOOD_END,
            reason=f"no release before {self._name(self._back[0])} is good: {seen}",
            hint=inv("matrix", revs=",".join(self._name(c) for c in self._tested()[:6])),
        )

    def _tested(self) -> tuple[str, ...]:
        return tuple(c for c in self._back if self._evidence.settled(c))

    def _name(self, commit: str) -> str:
        return self._labels.get(commit, commit[:12])
