"""A bisection in one cell: its session, and the builds and trials that it asks for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from buildkit_bisect.campaign import candidates, search_costs
from buildkit_bisect.campaign.candidates import Line
from buildkit_bisect.campaign.driver import Work
from buildkit_bisect.campaign.search_costs import SearchCosts
from buildkit_bisect.campaign.search_steps import (
    Step,
    as_tested,
    cell_done,
    shown,
    verdict_of,
)
from buildkit_bisect.campaign.time_left import TimeLeft, checkout, ran
from buildkit_bisect.lab.ahead import AtOnce, Wanted
from buildkit_bisect.lab.cell import Cell, merge
from buildkit_bisect.lab.lab import Lab
from buildkit_bisect.model import Axes, Build, Outcome, Variant, Verdict
from buildkit_bisect.options.requests import Bisect
from buildkit_bisect.result import BisectStep
from buildkit_bisect.scenario import Scenario
from buildkit_bisect.search import Answer, Ask, SearchOptions, Tested
from buildkit_bisect.search.session import BisectSession

#: Trials of a variant that is no part of the search, unless the request gives a number.
_VISIT = 3


def search_options(request: Bisect) -> SearchOptions:
    """Return the search options of *request*."""
    return SearchOptions(
        trials=request.trials,
        confidence=request.confidence,
        first_parent=not request.no_first_parent,
        find_fix=request.find_fix,
        bad_when=request.bad_when,
        good_when=request.good_when,
    )


def seen_in(cell: Cell) -> Tested:
    """Return what a cell showed. Raises `InfraFailed` like `as_tested`."""
    # As stored, so that the same command learns the same from a build that it finds.
    return as_tested(cell, cell.build.seconds_here if isinstance(cell.build, Build) else 0.0)


def _one_failure(scenario: Scenario, request: Bisect) -> bool:
    """Whether there is one way to be bad, or *request* names those that count."""
    bad = [rule for rule in scenario.outcomes if rule.verdict is Verdict.BAD]
    return bool(request.bad_when) or len(bad) <= 1


class CellSearch:
    """One search in one cell; *late* and *neither*: see `BisectSession`.

    *neither* only counts if it is clear which outcome is bad, whichever commit shows it.

    Nothing is shared with the searches in other cells but the history and the builds: a search in
    a cell that was chosen is the one that ``--axis`` asks for.
    """

    def __init__(
        self,
        scenario: Scenario,
        axes: Axes,
        *,
        request: Bisect,
        line: Line,
        costs: SearchCosts,
        weights: Mapping[str, float],
        late: bool = False,
        neither: bool = False,
        at_once: AtOnce | None = None,
    ) -> None:
        self.scenario, self.axes = scenario, axes
        self.options = search_options(request)
        self._line = line
        self._costs = costs
        self._fresh = request.fresh
        self._at_once = at_once = at_once or AtOnce()
        neither = neither and late and _one_failure(scenario, request)
        several = at_once.cells > 1
        self._name = search_costs.name(
            self.options,
            *(line.good, line.bad, "releases" if request.releases else "commits"),
            scenario.name,
            [f"{axis}={value}" for axis, value in axes],
            [p.digest for p in line.overlay_names],
            [request.prior, *request.suspect],
            *(["neither end" if neither else "late"] if late else []),
            *([f"{at_once.cells} at once, {at_once.compiles} compiles"] if several else []),
        )
        first = None if request.fresh else search_costs.load(self._name)
        cost = candidates.cost(line, costs, first)
        ends = (line.bad, line.good) if request.find_fix else (line.good, line.bad)
        verifies = not request.no_verify and not request.releases
        #: Whether this search has had its answer before, from builds that are there.
        self.stored = (
            first is not None
            and bool(first.asked)
            and not any(cost.left_seconds(c) for c in first.asked)
        )
        self.left = TimeLeft(
            cost,
            newer=ends[1] if verifies else "",
            trials=self.options.trials or _VISIT,
            stored=self.stored,
            compiles=at_once.compiles,
        )
        self.session = BisectSession(
            line.history,
            good=line.good,
            bad=line.bad,
            options=self.options,
            cost=cost,
            same_build=line.same_build,
            labels=line.labels,
            weights=weights,
            back=line.is_back(*ends),
            late=late,
            neither=neither,
        )
        self.cells: dict[str, list[Cell]] = {}  # by commit; of a revert by its label
        self.steps: list[BisectStep] = []
        self._used: Counter[str] = Counter()  # binary -> trials of it used so far

    def next_k(self) -> tuple[Ask, ...] | Answer:
        """Return what is asked for at once, or the answer."""
        return self.session.next_k(self._at_once.cells, builds=self._at_once.compiles)

    def began(self) -> None:
        """Store what the search knows of costs now."""
        if not self._fresh:
            search_costs.keep(self._name, self._costs)

    def ended(self) -> None:
        """Store from which commits the search has its answer."""
        if not self._fresh:
            built = (s.sha for s in self.steps if s.verdict != Verdict.SKIP)
            search_costs.ended(self._name, built)

    def test(
        self, work: Work, ask: Ask, *, before: int = 0, where: str = "", beside: int = 0
    ) -> Tested:
        """Build and run what the session asks for, and return what was seen.

        *before* is the number of steps in other cells. While these are tried, *where* names this
        one, and *beside* is the number of trials that they need. Raises `InfraFailed`.
        """
        number = before + len(self.steps) + 1
        step = self.asked(work, ask, number=number, where=where, beside=beside)
        began, built = time.monotonic(), work.lab.build_seconds
        parts: list[Cell] = []
        for wanted in self.parts(step.variant, ask, parts):
            self.run(work.lab, wanted, parts)
        built = work.lab.build_seconds - built
        self.left.learn(
            ran(parts),
            time.monotonic() - began - built,
            checkout=checkout(parts[-1].build, built),
        )
        return self.seen(work, step, parts)

    def asked(self, work: Work, ask: Ask, *, number: int, where: str = "", beside: int = 0) -> Step:
        """Begin step *number*; see `test`."""
        return Step(
            number=number,
            ask=ask,
            variant=self._line.variant(ask.commit),
            events=work.events,
            left=self.left,
            where=where,
            beside=beside,
        )

    def parts(self, variant: Variant, ask: Ask, seen: Sequence[Cell]) -> Iterator[Wanted]:
        """Yield the trials that *ask* needs; the caller has `run` add each of them to *seen*.

        One at a time if the first bad trial decides.
        """
        sizes = [1] * ask.trials if ask.until_bad else [ask.trials]
        for size in sizes:
            yield Wanted(
                variant=variant,
                scenario=self.scenario,
                axes=self.axes,
                trials=size,
                after=self._after(ask, seen),
            )
            if seen[-1].outcome.verdict is not Verdict.GOOD:
                break

    def _after(self, ask: Ask, seen: Sequence[Cell]) -> int:
        """Trials of the build of *ask* that this search has used; 0 before it is made."""
        known = seen or self.cells.get(ask.commit)
        build = known[-1].build if known else None
        return self._used[build.buildkitd_sha256] if isinstance(build, Build) else 0

    def run(self, lab: Lab, wanted: Wanted, seen: list[Cell]) -> None:
        """Build and run one of `parts`."""
        build = lab.build(wanted.variant)
        trials, after = 1, 0
        if isinstance(build, Build):
            trials, after = wanted.trials, self._used[build.buildkitd_sha256]
        cell = lab.cell(wanted.variant, self.scenario, self.axes, trials, after=after)
        if isinstance(build, Build):
            self._used[build.buildkitd_sha256] += len(cell.trials)
        seen.append(cell)

    def seen(
        self, work: Work, step: Step, parts: Sequence[Cell], *, seconds: float | None = None
    ) -> Tested:
        """End a step with the cell that its *parts* make; *seconds*: see `Step.done`."""
        cell = merge(parts)
        tested = seen_in(cell)
        self.cells.setdefault(step.ask.commit, []).append(cell)
        work.events.emit(cell_done(cell))
        done = step.done(
            verdict_of(cell, tested),
            shown(tested),
            counts=tested.counts,
            reused=bool(cell.trials) and all(t.reused for t in cell.trials),
            position=self._line.position(step.ask.commit),
            own=len(self.steps) + 1,
            seconds=seconds,
        )
        self.steps.append(done)
        return tested

    def visit(self, work: Work, variant: Variant) -> Cell:
        """Run a variant that is no part of the search: the newer end, or with a commit reverted.

        Again, it runs more trials of it. Returns all of them.
        """
        parts = self.cells.setdefault(variant.label, [])
        trials, after = self.options.trials or _VISIT, sum(len(part.trials) for part in parts)
        parts.append(work.lab.cell(variant, self.scenario, self.axes, trials, after=after))
        cell = merge(parts)
        work.events.emit(cell_done(cell))
        return cell

    def is_new(self, outcome: Outcome) -> bool:
        """Whether *outcome* is that of the newer side: bad, or good with ``find_fix``."""
        return self.is_good(outcome) if self.options.find_fix else self.is_bad(outcome)

    def is_old(self, outcome: Outcome) -> bool:
        """Whether *outcome* is that of the older side: good, or bad with ``find_fix``."""
        return self.is_bad(outcome) if self.options.find_fix else self.is_good(outcome)

    def is_bad(self, outcome: Outcome) -> bool:
        """Whether *outcome* is what was looked for: another failure is not."""
        looked_for = self.session.looked_for
        if looked_for is None:
            return outcome.verdict is Verdict.BAD
        return outcome.name in looked_for

    def is_good(self, outcome: Outcome) -> bool:
        """Whether *outcome* is good in this search."""
        named = self.options.good_when
        if self.is_bad(outcome):  # --bad-when may name what the scenario calls good
            return False
        return outcome.name in named if named else outcome.verdict is Verdict.GOOD
