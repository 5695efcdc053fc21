"""Finds every change of outcome along a history, in all cells at once, with shared builds."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Hashable, Sequence
from dataclasses import replace

from buildkit_bisect.campaign import candidates, compose, search_plan, verify
from buildkit_bisect.campaign.candidates import Line
from buildkit_bisect.campaign.compose import Findings
from buildkit_bisect.campaign.driver import Work
from buildkit_bisect.campaign.matrix import TRIALS
from buildkit_bisect.campaign.search_steps import Step, cell_done, counted, refuse_infra, skip_of
from buildkit_bisect.campaign.setup import Setup
from buildkit_bisect.campaign.time_left import TimeLeft, checkout, ran
from buildkit_bisect.events import Planned
from buildkit_bisect.lab.ahead import Wanted
from buildkit_bisect.lab.cell import Cell, merge
from buildkit_bisect.lab.lab import Lab
from buildkit_bisect.model import Axes, Build, NoBuild, ToolOutcome, Variant, Verdict
from buildkit_bisect.options import requests
from buildkit_bisect.options.command import inv
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.phrases import labelled, plural
from buildkit_bisect.result import (
    BisectInfo,
    BisectStep,
    CampaignKind,
    CandidateInfo,
    ChangeInfo,
    SearchStatus,
)
from buildkit_bisect.scenario import Scenario
from buildkit_bisect.search import Ask
from buildkit_bisect.search.boundary_search import BoundarySearch
from buildkit_bisect.search.changes import Boundaries, Change
from buildkit_bisect.source import GitSource

#: A limit of the search; another note counts the commits that were not built.
_MERGE_NOTE = (
    "merges at which no cell changed are not searched inside: a change that a branch makes and "
    "reverts is not found"
)

#: A cell whose trials disagree gets this many times the usual trials in addition.
_EXTRA = 4


class BoundaryCampaign:
    """One search along one line of commits, with every cell that is not a control."""

    kind = CampaignKind.BOUNDARIES

    def __init__(
        self, setup: Setup, request: requests.Boundaries, overlay: Sequence[Patch]
    ) -> None:
        self._setup = setup
        self._request = request
        self._trials = request.trials or TRIALS
        self._cells: dict[Hashable, tuple[Scenario, Axes]] = {
            (scenario.name, axes): (scenario, axes) for scenario, axes in setup.tested_cells()
        }
        self._line: Line = candidates.load(
            setup.source, request.start, request.end, overlay, releases=request.releases
        )
        self._steps: list[BisectStep] = []
        self._tested: dict[str, list[Cell]] = {}
        self._refusal = _refusal(self._line, request)
        if not self._refusal:
            self._open_search()

    def _open_search(self) -> None:
        setup, request = self._setup, self._request
        commits, self._notes = candidates.whole_line(self._line)
        self._costs = candidates.known_costs(setup.builder, self._line)
        cost = candidates.cost(self._line, self._costs, None)
        self._left = TimeLeft(cost, compiles=setup.at_once.compiles)
        self._must = [] if request.releases else candidates.releases_on(setup.source, commits)
        self._search = BoundarySearch(
            commits,
            history=None if request.releases else self._line.history,
            must_test=self._must,
            resolution=1 if request.releases else request.resolution,
            trials=self._trials * len(self._cells),
            cost=cost,
            same_build=self._line.same_build,
            labels=self._line.labels,
        )

    def settled(self) -> Findings | None:
        """Return the refusal of ends that no history is between; None if there is one."""
        if not self._refusal:
            return None
        reason, hint = self._refusal
        info = replace(self._asked(SearchStatus.REFUSED), reason=reason, hint=hint)
        ends = dict.fromkeys([self._line.good, self._line.bad])
        return Findings(
            revisions=tuple(self._line.revisions(list(ends))), patches=(), cells=(), bisect=info
        )

    def plan(self) -> Planned:
        """Return a plan with one column per tested cell and the minimum cost of the search."""
        asks = self._asks()
        assert isinstance(asks, tuple)
        step = asks[0]
        return search_plan.planned(
            self._setup,
            self._line,
            step,
            self._left,
            commits=len(self._line.candidates),
            distinct=self._line.distinct,
            at_once=self._setup.at_once,
            costs=self._costs,
            kind=self.kind,
            cells=self._cells.values(),
            trials=self._trials,
            also=["narrow each change of outcome to one commit: more steps and builds"],
        )

    def run(self, work: Work) -> Findings:
        """Test the commits that the search asks for until every change is narrowed down."""
        self._line.revisions(self._must)  # of all at once: the search asks for each
        while isinstance(step := self._asks(), tuple):
            share = self._ahead(work, step)
            for ask in step:
                self._test(work, ask, share)
        patches = {p.name: p for cells in self._tested.values() for p in cells[0].variant.patches}
        return Findings(
            revisions=tuple(self._line.revisions(self._mentioned(step))),
            patches=tuple(patches.values()),
            cells=tuple(
                compose.cell_info(cell, work.folder)
                for cells in self._tested.values()
                for cell in cells
            ),
            bisect=self._info(step),
        )

    def _asks(self) -> tuple[Ask, ...] | Boundaries:
        at_once = self._setup.at_once
        return self._search.next_k(at_once.cells, builds=at_once.compiles)

    def _ahead(self, work: Work, asks: Sequence[Ask]) -> float:
        """Make what several *asks* need at once; return each one's share of the seconds."""
        if len(asks) == 1:
            return 0.0
        wanted = [
            Wanted(variant=variant, scenario=scenario, axes=axes, trials=self._trials)
            for variant in (self._line.variant(ask.commit) for ask in asks)
            for scenario, axes in self._cells.values()
        ]
        began, built = time.monotonic(), work.lab.build_seconds
        for _ in work.lab.ahead(wanted):
            pass
        return (time.monotonic() - began - (work.lab.build_seconds - built)) / len(asks)

    def _test(self, work: Work, ask: Ask, spent: float) -> None:
        """Run a commit in every cell; its trials have taken *spent* seconds already."""
        lab = work.lab
        variant = self._line.variant(ask.commit)
        step = Step(
            number=len(self._steps) + 1,
            ask=ask,
            variant=variant,
            events=work.events,
            left=self._left,
        )
        built = lab.build_seconds
        build = lab.build(variant)
        built = lab.build_seconds - built
        began = time.monotonic()
        tested: dict[Hashable, Cell] = {}
        for key, (scenario, axes) in self._cells.items():
            tested[key] = self._cell(lab, variant, scenario, axes)
            work.events.emit(cell_done(tested[key]))
            if isinstance(build, Build):
                refuse_infra(tested[key])
        seconds_run = spent + time.monotonic() - began
        self._left.learn(ran(tested.values()), seconds_run, checkout=checkout(build, built))
        self._tested[ask.commit] = list(tested.values())
        seconds = [t.observation.seconds for c in tested.values() for t in c.trials]
        self._search.tell(
            ask.commit,
            {key: _outcome(cell) for key, cell in tested.items()},
            skip=skip_of(build) if isinstance(build, NoBuild) else None,
            binary=build.buildkitd_sha256 if isinstance(build, Build) else "",
            build_seconds=build.seconds_here or None if isinstance(build, Build) else None,
            trial_seconds=sum(seconds) / len(seconds) if seconds else None,
        )
        verdict, outcomes = shown(build, tested.values())
        self._steps.append(
            step.done(
                verdict,
                outcomes,
                reused=all(t.reused for c in tested.values() for t in c.trials),
                position=self._line.position(ask.commit),
                seconds=spent + time.monotonic() - step.started if spent else None,
            )
        )

    def _cell(self, lab: Lab, variant: Variant, scenario: Scenario, axes: Axes) -> Cell:
        """Run a cell, with extra trials if the first ones disagree."""
        cell = lab.cell(variant, scenario, axes, self._trials)
        if cell.outcome.name != ToolOutcome.FLAKY:
            return cell
        extra = lab.cell(variant, scenario, axes, _EXTRA * self._trials, after=self._trials)
        return merge([cell, extra])

    def _mentioned(self, found: Boundaries) -> list[str]:
        shas = [s.sha for s in self._steps]
        for change in found.changes:
            shas += [change.last_before, *([change.commit] if change.commit else [])]
            shas += [c.commit for c in change.candidates]
            shas += [change.merge] if change.merge else []
        return list(dict.fromkeys(shas))

    def _flaky_notes(self) -> list[str]:
        """Return a note for each flaky cell: at how many commits its trials disagreed."""
        flaky = Counter(
            " ".join([cell.scenario.name, *(value for _, value in cell.axes)])
            for cells in self._tested.values()
            for cell in cells
            if len(cell.counts) > 1
        )
        return [
            f"{where} is flaky at {times} of {plural(len(self._tested), 'commit')};"
            " the outcome of two thirds of the trials counts there"
            for where, times in flaky.items()
        ]

    def _info(self, found: Boundaries) -> BisectInfo:
        open_ends = [c for c in found.changes if c.commit is None]
        return replace(
            self._asked(SearchStatus.RANGE if open_ends else SearchStatus.FOUND),
            steps=tuple(self._steps),
            changes=tuple(self._change_info(c) for c in found.changes),
            reason=f"{len(open_ends)} of {plural(len(found.changes), 'change')} could not be"
            " narrowed to one commit"
            if open_ends
            else "",
            tested=len(found.tested),
            skipped=len(found.skipped),
            notes=(
                *self._notes,
                found.untested_note,
                *(() if self._request.releases else (_MERGE_NOTE,)),
                *self._flaky_notes(),
            ),
        )

    def _asked(self, status: SearchStatus) -> BisectInfo:
        """Return what was asked for: the ends, cells and patches."""
        return BisectInfo(
            status=status.value,
            good=self._line.labels[self._line.good],
            bad=self._line.labels[self._line.bad],
            scenario=",".join(dict.fromkeys(s.name for s, _ in self._cells.values())),
            axes={},
            patches=tuple(p.name for p in self._line.overlay_names),
            total=self._line.commits,
            reproduce=self._setup.request.command,
        )

    def _change_info(self, change: Change) -> ChangeInfo:
        assert isinstance(change.cell, tuple)
        scenario, axes = change.cell
        return ChangeInfo(
            sha=change.commit or "",
            before=change.before,
            after=change.after,
            merge=change.merge or "",
            reason="; ".join(change.notes),
            scenario=scenario,
            axes=dict(axes),
            last_before=change.last_before,
            candidates=tuple(
                CandidateInfo(sha=c.commit, reason=c.reason) for c in change.candidates
            ),
            release=self._first_release(change.commit),
        )

    def _first_release(self, commit: str | None) -> str:
        """Return the first release that contains *commit*; "" if none does."""
        source = self._setup.source
        if not commit or self._request.releases or not isinstance(source, GitSource):
            return ""
        return next(iter(verify.releases_with(source, commit)), "")


def _refusal(line: Line, request: requests.Boundaries) -> tuple[str, str] | None:
    """Return the reason and hint if the second end is the first one, or comes before it."""
    start, end = request.start, request.end
    if line.good == line.bad:
        reason = (
            f"both endpoints are {start}" if start == end else f"{start} and {end} are one commit"
        )
        return reason, inv("boundaries", from_="v0.24.0", to="master")
    if line.is_back(line.good, line.bad):
        reason = f"{start} is newer than {end}: the endpoints are swapped"
        return reason, inv("boundaries", from_=end, to=start)
    return None


def _outcome(cell: Cell) -> str | None:
    """Return the outcome of at least two thirds of a cell's trials, else flaky.

    None if the cell could not be tested. A flaky cell's few trials differ from commit to commit
    although nothing changed, so only a change of its usual outcome counts.
    """
    if cell.outcome.verdict in (Verdict.SKIP, Verdict.INFRA):
        return None
    if cell.outcome.name != ToolOutcome.FLAKY:
        return cell.outcome.name
    name, times = max(cell.counts.items(), key=lambda item: item[1])
    return name if times * 3 >= sum(cell.counts.values()) * 2 else ToolOutcome.FLAKY


def shown(build: Build | NoBuild, cells: Collection[Cell]) -> tuple[Verdict, str]:
    """Return the worst verdict of a commit's cells, and the outcome of each."""
    if isinstance(build, NoBuild):
        return Verdict.SKIP, f"{build.stage}: {build.reason}"
    verdicts = {c.outcome.verdict for c in cells}
    each = "; ".join(
        labelled(" ".join(v for _, v in c.axes), counted(c.counts) or c.outcome.name) for c in cells
    )
    worst = (Verdict.BAD, Verdict.WEAK, Verdict.INFRA, Verdict.SKIP, Verdict.GOOD)
    return next(v for v in worst if v in verdicts), each
