"""Which commits to test at once where tests do not lie: most information together, for their cost.

Together, k tests cut the candidates into parts: those that the same tests contain. What their
answers tell is the entropy of these parts, so k commits of a line tell most where they cut it into
k + 1 equal parts. Such a cut is where the choice starts; on a line whose builds cost the same it
is the best one there is, since the entropy of k + 1 parts is largest where they are equal. In other
histories, and where costs differ, the choice starts from whatever is better: that cut, or a greedy
choice, which tells at least 1 - 1/e of what the best one tells, as entropy is submodular. Then
each commit is replaced by a better one as long as there is one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from buildkit_bisect.search.history import Mask
from buildkit_bisect.search.state import State

#: Bits below which a test is not made beside others.
_LEAST = 0.02

#: Tests that are compared with each other. Of more, the best of each of so many stretches.
_MOST = 400

#: How often every commit is replaced by a better one, at most.
_PASSES = 3


@dataclass(frozen=True, slots=True)
class Test:
    """A commit that splits the candidates."""

    __test__ = False  # the name makes pytest take it for a test class

    commit: str
    inside: Mask  # the candidates that it contains
    likely: float  # that it can be tested
    seconds: float
    builds: bool  # it has to be built


def spread(
    state: State,
    pool: Mask,
    viable: Mask,
    most: int,
    *,
    cuts: Sequence[Mask] = (),
    builds: int | None = None,
) -> list[Test]:
    """Choose at most *most* untested commits of *pool*, in the order of what they contain.

    They split the candidates *viable*, which *cuts* split already. At most *builds* of them have to
    be built.
    """
    tests = _tests(state, pool, viable)
    if not tests or most < 1:
        return []
    weigh = state.weights.of
    choice = _Choice(weigh, parts([viable], cuts), most, builds)
    tests = _thinned(tests, weigh)
    found = choice.even(tests, weigh(viable))
    if not choice.best_possible(found, tests):
        found = max((found, choice.greedy([], tests)), key=choice.worth)
        found = choice.improved(found, tests)
    return sorted(found, key=lambda t: weigh(t.inside))


def _tests(state: State, pool: Mask, viable: Mask) -> list[Test]:
    """The untested commits that split *viable*; of those that split it alike, the best one."""
    history = state.history
    found: dict[Mask, Test] = {}
    for sha, likely in state.untested(pool):
        inside = history.ancestors(sha) & viable
        if inside in {0, viable}:
            continue
        seconds = state.cost_of(sha, state.runs)
        test = Test(sha, inside, likely, seconds, state.cost.build_seconds(sha) > 0)
        if inside not in found or _pays(test) > _pays(found[inside]):
            found[inside] = test
    return list(found.values())


def _apart(share: float, of: tuple[Test, float]) -> float:
    return abs(of[1] - share)


def _pays(test: Test) -> float:
    return test.likely / test.seconds


def _thinned(tests: list[Test], weigh: Callable[[Mask], float]) -> list[Test]:
    if len(tests) <= _MOST:
        return tests
    ordered = sorted(tests, key=lambda t: weigh(t.inside))
    size = len(ordered) / _MOST
    stretches = (ordered[round(n * size) : round((n + 1) * size)] for n in range(_MOST))
    return [max(stretch, key=_pays) for stretch in stretches]


def parts(of: Sequence[Mask], cuts: Iterable[Mask]) -> list[Mask]:
    """Cut sets of candidates into those that the same *cuts* contain."""
    found = list(of)
    for cut in cuts:
        found = [part for each in found for part in (each & cut, each & ~cut) if part]
    return found


class _Choice:
    """The choice of *most* tests that cut the *given* parts."""

    def __init__(
        self,
        weigh: Callable[[Mask], float],
        given: Sequence[Mask],
        most: int,
        builds: int | None,
    ) -> None:
        self._weigh = weigh
        self._given = given
        self._total = sum(weigh(part) for part in given)
        self._most = most
        self._builds = most if builds is None else builds

    def even(self, tests: Sequence[Test], total: float) -> list[Test]:
        """The tests that contain nearest to 1, 2, ... shares of the candidates."""
        if self._builds < self._most:
            return []
        shares = (total * n / (self._most + 1) for n in range(1, self._most + 1))
        contained = [(test, self._weigh(test.inside)) for test in tests]
        nearest = (min(contained, key=partial(_apart, share))[0] for share in shares)
        return list(dict.fromkeys(nearest))

    def best_possible(self, chosen: Sequence[Test], tests: Sequence[Test]) -> bool:
        """Whether they cut the candidates into as many parts as can be, all equal, at one cost."""
        alike = len({_pays(test) for test in tests}) == 1
        cut = [self._weigh(part) for part in parts(self._given, (t.inside for t in chosen))]
        many = len(cut) > min(self._most, len(tests))
        return alike and many and max(cut) - min(cut) <= 1

    def greedy(self, chosen: Sequence[Test], tests: Sequence[Test]) -> list[Test]:
        """Add one test after the other, each the one that pays most beside the others."""
        found = list(chosen)
        while len(found) < self._most and (best := self._best(found, tests)):
            found.append(best)
        return found

    def improved(self, chosen: Sequence[Test], tests: Sequence[Test]) -> list[Test]:
        """Replace each test by the one that pays most beside the others; then add what lacks."""
        found = self.greedy(chosen, tests)
        for _ in range(_PASSES):
            before = list(found)
            for at in range(len(found)):
                others = [*found[:at], *found[at + 1 :]]
                better = self._best(others, tests, than=found[at])
                if better:
                    found[at] = better
            if found == before:
                break
        return found

    def worth(self, chosen: Sequence[Test]) -> float:
        """Bits a second of all of them."""
        seconds = sum(test.seconds for test in chosen)
        return self._bits(parts(self._given, (t.inside for t in chosen))) / seconds if chosen else 0

    def _best(
        self, beside: Sequence[Test], tests: Sequence[Test], *, than: Test | None = None
    ) -> Test | None:
        """The test that pays most *beside* others, and more *than* that one; None without one."""
        cut = parts(self._given, (t.inside for t in beside))
        known, seconds = self._bits(cut), sum(t.seconds for t in beside)
        may_build = sum(t.builds for t in beside) < self._builds
        each = [(part, self._share_bits(part)) for part in cut]

        def pays(test: Test) -> tuple[float, float]:
            gain = 0.0
            for part, bits in each:
                within = part & test.inside
                if within and within != part:
                    without = part & ~test.inside
                    gain += self._share_bits(within) + self._share_bits(without) - bits
            if beside and gain < _LEAST:
                return 0.0, 0.0
            inside = self._weigh(test.inside)
            even = min(inside, self._total - inside)
            return (known + gain * test.likely) / (seconds + test.seconds), even

        best, best_pays = than, pays(than) if than else (0.0, 0.0)
        for test in tests:
            if test not in beside and (may_build or not test.builds):
                now = pays(test)
                if now > best_pays:
                    best, best_pays = test, now
        return best if best != than else None

    def _bits(self, cut: Sequence[Mask]) -> float:
        return sum(map(self._share_bits, cut))

    def _share_bits(self, part: Mask) -> float:
        share = self._weigh(part) / self._total
        return -share * math.log2(share)
