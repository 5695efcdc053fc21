"""What the next test will cost, in seconds: how a search weighs a build against a run."""

from __future__ import annotations

import bisect
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from buildkit_bisect.search.compiled import Compiled

#: Changes after which a Go build cache helps little more.
_FAR = 40.0

#: The same in packages that are compiled again, how many these are one commit later (at a distance
#: it grows by the square root), and seconds of a build that only links and of one of all of them.
_MANY, _OF_COMMIT = 160.0, 30.0
_LINKED, _ALL = 8.0, 65.0

#: A build that took longer or shorter than predicted by more than this factor counts as this.
_SURPRISE = 3.0

#: Builds that the first prediction counts as, and the most that recorded ones count as.
_PRIOR, _MEMORY = 2, 12

#: Seconds of a build that only links, of one far from every other, and of the first one of a Go
#: version, on two cores without debug information: docs/search.md says from which builds.
WARM, FAR, COLD = 10.0, 45.0, 165.0

#: Seconds of a build of a commit that is built, with a patch or another one.
PATCHED = 12.0


def cost_phrase(build_seconds: float) -> str:
    """What the build is expected to cost."""
    return f"build predicted {build_seconds:.0f} s" if build_seconds > 0 else "already built"


class CostModel(Protocol):
    """Owned by the caller, who knows which builds are cached and what changed since them."""

    def build_seconds(self, commit: str) -> float:
        """Expected seconds until the commit can be run; 0 where its build is cached."""

    def left_seconds(self, commit: str) -> float:
        """The same as it is now, where the search chooses by what was known earlier."""

    def trial_seconds(self, commit: str) -> float:
        """Expected seconds of one trial; more than 0."""

    def later_builds(self, count: int, among: int) -> tuple[float, ...]:
        """Expected seconds of each of the next *count* builds, which halve *among* commits."""

    def usual_builds(self, count: int, among: int) -> tuple[float, ...]:
        """The same by what was known earlier, where the search chooses by that."""

    def patched_seconds(self) -> float:
        """Expected seconds of a build of a commit that is built, with a patch."""

    @property
    def recorded(self) -> int:
        """Number of builds that the predictions rest on."""

    def learn(
        self, commit: str, *, build_seconds: float | None, trial_seconds: float | None
    ) -> None:
        """A commit was built, or its build was found (None), and run; None: not measured."""


class FlatCost:
    """Every uncached build costs the same, and every trial; a commit is built once."""

    recorded = 0

    def __init__(self, *, build: float = 60.0, trial: float = 10.0) -> None:
        self._build = build
        self._trial = trial
        self._built: set[str] = set()

    def build_seconds(self, commit: str) -> float:
        """The flat cost, or 0 once the commit was built."""
        return 0.0 if commit in self._built else self._build

    def left_seconds(self, commit: str) -> float:
        """The same."""
        return self.build_seconds(commit)

    def trial_seconds(self, commit: str) -> float:  # noqa: ARG002 - the Protocol's
        """The flat cost."""
        return self._trial

    def later_builds(self, count: int, among: int) -> tuple[float, ...]:  # noqa: ARG002
        """The flat cost of each."""
        return (self._build,) * count

    usual_builds = later_builds

    def patched_seconds(self) -> float:
        """The flat cost."""
        return self._build

    def learn(
        self,
        commit: str,
        *,
        build_seconds: float | None,  # noqa: ARG002 - flat is flat
        trial_seconds: float | None,  # noqa: ARG002
    ) -> None:
        """Remember that it is built."""
        self._built.add(commit)


class Pace:
    """How many times longer builds take here than predicted: a mean that starts at 1.

    The mean is of logarithms. The more builds were recorded, the less the next one counts, so one
    build on a busy machine changes little.
    """

    def __init__(self, *, mean: float = 0.0, count: int = 0) -> None:
        self.mean = mean  # of logarithms
        self.count = count

    @property
    def factor(self) -> float:
        """To multiply predictions with."""
        return math.exp(self.mean)

    def add(self, measured: float, predicted: float) -> None:
        """Take in one build, in seconds; both are more than 0."""
        limit = math.log(_SURPRISE)
        surprise = math.log(measured / predicted) - self.mean
        self.count += 1
        weight = _PRIOR + min(self.count, _MEMORY)
        self.mean += min(max(surprise, -limit), limit) / weight


class NearestBuilt:
    """A build costs more the more packages no earlier one with the same Go version has compiled.

    *packages* are the codes of each commit's, two bytes each. Where they are not known, the
    distance to the nearest build says how many they are likely to be.

    *order* is any order in which neighbours are alike (`History` numbers, a first-parent line).
    *weights* says how much a commit changes of what is built (packages, files; 1 if left out).
    *go* is the Go version of each commit, *known_go* the ones that something was built with that
    is not in *order*. *warm* are seconds of linking alone, *far* those of a build far away from
    all others, *cold* those of the first build of a Go version. Recorded builds correct all of
    them by one factor.
    """

    def __init__(
        self,
        order: Sequence[str],
        *,
        built: Iterable[str] = (),
        same_build: Mapping[str, str] | None = None,
        weights: Mapping[str, float] | None = None,
        go: Mapping[str, str] | None = None,
        packages: Mapping[str, bytes] | None = None,
        known_go: Collection[str] = (),
        warm: float = WARM,
        far: float = FAR,
        cold: float = COLD,
        trial: float = 10.0,
        pace: Pace | None = None,
    ) -> None:
        self._place: dict[str, float] = {}
        at = 0.0
        for sha in order:
            at += (weights or {}).get(sha, 1.0)
            self._place[sha] = at
        self._key = same_build or {}
        self._go = go or {}
        self._known_go = set(known_go)
        self._compiled: Compiled | None = None
        if packages:
            # Imported late: it loads numpy, and most commands know of no packages.
            from buildkit_bisect.search.compiled import Compiled  # noqa: PLC0415

            self._compiled = Compiled(packages)
            warm, far = _LINKED, _ALL
        self._built: set[str] = set()
        self._places: dict[str, list[float]] = {}  # of built commits by Go version, ascending
        self._warm, self._far, self._cold, self._trial = warm, far, cold, trial
        self._pace = pace or Pace()
        self._trials = 0
        for sha in built:
            self._add(sha)

    @property
    def recorded(self) -> int:
        """Number of builds that the predictions rest on."""
        return self._pace.count

    def build_seconds(self, commit: str) -> float:
        """Expected seconds; 0 where this build, or an equal one, was made."""
        if self._key.get(commit, commit) in self._built:
            return 0.0
        return self._pace.factor * self._predicted(commit)

    def left_seconds(self, commit: str) -> float:
        """The same."""
        return self.build_seconds(commit)

    def trial_seconds(self, commit: str) -> float:  # noqa: ARG002 - the Protocol's
        """Running mean of what was recorded."""
        return self._trial

    def later_builds(self, count: int, among: int) -> tuple[float, ...]:
        """Each is half as far from what is built as the one before."""
        return tuple(self._pace.factor * self.at(among / 2 ** (n + 2)) for n in range(count))

    usual_builds = later_builds

    def patched_seconds(self) -> float:
        """As usual, at the pace of what was recorded."""
        return self._pace.factor * PATCHED

    def learn(
        self, commit: str, *, build_seconds: float | None, trial_seconds: float | None
    ) -> None:
        """Correct the predictions by what was measured, and take the commit as built."""
        if build_seconds and self.build_seconds(commit):
            self._pace.add(build_seconds, self._predicted(commit))
        if trial_seconds:
            # What was expected at first may be of another scenario.
            self._trials = min(self._trials + 1, _MEMORY)
            self._trial += (trial_seconds - self._trial) / (1 + self._trials)
        self._add(commit)

    def away(self, commit: str) -> float | None:
        """How much changed since the nearest build with the same Go version; None: no such one."""
        here, places = self._place.get(commit), self._places.get(self._go.get(commit, ""))
        if here is None or not places:
            return None
        right = bisect.bisect(places, here)
        return min(abs(here - at) for at in places[max(0, right - 1) : right + 1])

    def _add(self, commit: str) -> None:
        self._built.add(self._key.get(commit, commit))
        if commit in self._place:
            places = self._places.setdefault(self._go.get(commit, ""), [])
            bisect.insort(places, self._place[commit])
        if self._compiled and commit in self._compiled:
            self._compiled.add(commit)

    def _predicted(self, commit: str) -> float:
        here, go = self._place.get(commit), self._go.get(commit, "")
        if here is None:  # a merge base, or a parent before the candidates
            return self._far if self._places or self._known_go else self._cold
        away = self.away(commit)
        if away is None:
            return self._far if go in self._known_go else self._cold
        if self._compiled and commit in self._compiled:
            return _compiling(self._compiled.missing(commit))
        return self.at(away)

    def at(self, away: float) -> float:
        """Seconds of a build *away* from the nearest one, before recorded ones correct it."""
        if self._compiled:
            return _compiling(_OF_COMMIT * math.sqrt(away))
        return self._warm + (self._far - self._warm) * (1 - math.exp(-away / _FAR))


def _compiling(packages: float) -> float:
    """Seconds of a build that compiles so many packages, before recorded ones correct it."""
    return _LINKED + (_ALL - _LINKED) * (1 - math.exp(-packages / _MANY))


class AsBefore:
    """Costs as an earlier search knew them, so that a repeated one asks for the same commits.

    What is still to be spent is known from *now*.
    """

    def __init__(self, *, first: NearestBuilt, now: NearestBuilt) -> None:
        self._first = first
        self._now = now

    @property
    def recorded(self) -> int:
        """Number of builds that the predictions rest on."""
        return self._now.recorded

    def build_seconds(self, commit: str) -> float:
        """As the earlier search knew it."""
        return self._first.build_seconds(commit)

    def left_seconds(self, commit: str) -> float:
        """As it is now."""
        return self._now.build_seconds(commit)

    def trial_seconds(self, commit: str) -> float:
        """As the earlier search knew it."""
        return self._first.trial_seconds(commit)

    def later_builds(self, count: int, among: int) -> tuple[float, ...]:
        """As it is now."""
        return self._now.later_builds(count, among)

    def usual_builds(self, count: int, among: int) -> tuple[float, ...]:
        """As the earlier search knew it."""
        return self._first.later_builds(count, among)

    def patched_seconds(self) -> float:
        """As it is now."""
        return self._now.patched_seconds()

    def learn(
        self, commit: str, *, build_seconds: float | None, trial_seconds: float | None
    ) -> None:
        """Let both learn; each ignores the seconds of a build that it knew."""
        self._first.learn(commit, build_seconds=build_seconds, trial_seconds=trial_seconds)
        self._now.learn(commit, build_seconds=build_seconds, trial_seconds=trial_seconds)
