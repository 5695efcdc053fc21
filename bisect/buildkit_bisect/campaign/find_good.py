"""Finds a good end among the releases before the bad end, then bisects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from packaging.version import Version

from buildkit_bisect.campaign import estimate, groundwork
from buildkit_bisect.campaign.bisect import Bisection
from buildkit_bisect.campaign.candidates import identity, overlay_of
from buildkit_bisect.campaign.cell_choice import names
from buildkit_bisect.campaign.cell_search import search_options
from buildkit_bisect.campaign.compose import Findings
from buildkit_bisect.campaign.driver import Work
from buildkit_bisect.campaign.search_steps import Step, as_tested, shown, verdict_of
from buildkit_bisect.campaign.setup import Setup
from buildkit_bisect.campaign.time_left import TimeLeft
from buildkit_bisect.errors import NoAnswer
from buildkit_bisect.events import Column, Planned, Said, Search
from buildkit_bisect.lab.ahead import Wanted
from buildkit_bisect.model import Axes, Build, Revision, Variant
from buildkit_bisect.options.requests import Bisect
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.phrases import plural
from buildkit_bisect.result import CampaignKind
from buildkit_bisect.search import FlatCost
from buildkit_bisect.search.choice import GoodEndOfCell, GoodEndOfCells, Try
from buildkit_bisect.search.ends import GoodEndSearch
from buildkit_bisect.source import GitSource, Source
from buildkit_bisect.system.announce import announce


@announce("listing the releases before the bad end")
def releases_before(source: Source, bad: Revision) -> list[Revision]:
    """Return the final releases older than *bad*, oldest first."""
    finals = sorted(source.releases(), key=lambda r: Version(r.ref))
    if isinstance(source, GitSource):
        day = bad.date
        return [r for r in finals if r.date < day and r.sha != bad.sha]
    return [r for r in finals if Version(r.ref) < Version(bad.describe or bad.ref)]


class GoodEndBisection:
    """A bisection whose good end is the newest good release before the bad end, in any cell."""

    kind = CampaignKind.BISECT

    def __init__(self, setup: Setup, request: Bisect, overlay: Sequence[Patch]) -> None:
        self._setup = setup
        self._request = request
        self._overlay = overlay
        self._cells = {axes: scenario for scenario, axes in setup.tested_cells()}
        self._bad = setup.source.resolve(request.bad)
        self._releases = releases_before(setup.source, self._bad)

    def settled(self) -> None:
        """Return None: the good end has to be found."""

    def plan(self) -> Planned:
        """Return the plan for finding the good end; the search after it has a plan of its own."""
        search, cost, _ = self._search()
        step = search.next()
        assert isinstance(step, Try)
        ask = step.ask
        before = groundwork.expected(self._setup, (), (), 1.0)
        left = TimeLeft(cost)
        expected = left.at(ask, tuple(before.values()))
        releases = plural(len(self._releases), "release")
        return Planned(
            kind=self.kind,
            rows=(),
            columns=tuple(Column(scenario=s.name, axes=axes) for axes, s in self._cells.items()),
            trials=ask.trials,
            build_seconds={"search": expected.seconds},
            least=expected.least,
            most=expected.most,
            basis=estimate.basis(left.recorded),
            also=("bisect from the release that is good: more steps and builds",),
            before=before,
            search=Search(
                what=f"the newest good one of {releases} before {self._bad.ref}",
                steps=ask.expected_steps,
                builds=len(left.builds(ask)),
            ),
        )

    def _search(self) -> tuple[GoodEndOfCells[Axes], FlatCost, dict[str, Revision]]:
        """Return the search for a good end, what it costs, and the revisions by name."""
        known = {identity(r): r for r in [*self._releases, self._bad]}
        cost = FlatCost(build=estimate.LATER, trial=estimate.TRIAL)
        for name, revision in known.items():
            if isinstance(self._setup.builder.cached(Variant(revision=revision)), Build):
                cost.learn(name, build_seconds=None, trial_seconds=None)
        searches = {
            axes: GoodEndSearch(
                [identity(r) for r in self._releases],
                bad=identity(self._bad),
                options=search_options(self._request),
                cost=cost,
                labels={name: r.ref for name, r in known.items()},
            )
            for axes in self._cells
        }
        return GoodEndOfCells(searches), cost, known

    def run(self, work: Work) -> Findings:
        """Find the good end, then bisect; the bisection reuses the trials at the ends.

        Raises `NoAnswer` with the outcome of each release if none is good in any cell.
        """
        request = replace(self._request, good=self._good_end(work))
        # That end has just been run, so no nearer commit need take its place.
        bisection = Bisection(self._setup, request, self._overlay, late=False)
        if not bisection.settled():
            work.events.emit(bisection.plan())
        return bisection.run(work)

    def _good_end(self, work: Work) -> str:
        search, cost, known = self._search()
        patches_at = overlay_of(self._setup.source, self._overlay)
        called = names(list(self._cells))
        left = TimeLeft(cost)
        number = 0
        at_once = self._setup.at_once
        while isinstance(found := search.next_k(at_once.cells, builds=at_once.compiles), tuple):
            begun: list[tuple[Axes, Step]] = []
            for axes, ask in ((one.cell, one.ask) for one in found):
                number += 1
                step = Step(
                    number=number,
                    ask=ask,
                    variant=Variant(
                        revision=known[ask.commit],
                        patches=patches_at.at(ask.commit) if patches_at else (),
                    ),
                    events=work.events,
                    left=left,
                    where=called[axes],
                )
                begun.append((axes, step))
            wanted = [
                Wanted(
                    variant=step.variant, scenario=self._cells[axes], axes=axes,
                    trials=step.ask.trials,
                )
                for axes, step in begun
            ]  # fmt: skip
            for _ in work.lab.ahead(wanted):
                pass  # all of them: which ends first has no part in the answer
            for axes, step in begun:
                cell = work.lab.cell(step.variant, self._cells[axes], axes, step.ask.trials)
                tested = as_tested(cell)
                search.tell(axes, step.ask.commit, tested)
                step.done(verdict_of(cell, tested), shown(tested))
        if isinstance(found, GoodEndOfCell):
            good = known[found.ends.good].ref
            where = f" with {called[found.cell]}" if called[found.cell] else ""
            said = f"find-good: {good} is good{where}; searching from there"
            work.events.emit(Said(text=said))
            return good
        refused = next(iter(found.values()))
        reasons = [
            f"{called[axes]}: {each.reason}" if called[axes] else each.reason
            for axes, each in found.items()
        ]
        raise NoAnswer("; ".join(reasons), hint=refused.hint)
