"""Finds the commit that changed the outcome: a search with real builds and trials."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from buildkit_bisect.campaign import (
    candidates,
    compose,
    estimate,
    recall,
    search_costs,
    search_plan,
    verify,
)
from buildkit_bisect.campaign.candidates import Line
from buildkit_bisect.campaign.compose import Findings
from buildkit_bisect.campaign.driver import Work
from buildkit_bisect.campaign.priors import Priors
from buildkit_bisect.campaign.search_steps import (
    Step,
    as_tested,
    cell_done,
    counted,
    shown,
    verdict_of,
)
from buildkit_bisect.campaign.setup import Setup
from buildkit_bisect.campaign.time_left import TimeLeft, ran
from buildkit_bisect.events import Events, Planned
from buildkit_bisect.lab.cell import Cell, merge
from buildkit_bisect.lab.lab import Lab
from buildkit_bisect.model import NoBuild, Outcome, Variant, Verdict
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Bisect
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.result import (
    BisectInfo,
    BisectStep,
    CampaignKind,
    CandidateInfo,
    CellInfo,
    SearchStatus,
)
from buildkit_bisect.search import (
    Answer,
    Ask,
    BisectSession,
    Candidate,
    Found,
    Inconclusive,
    Phase,
    Range,
    Refused,
    SearchOptions,
    Tested,
)
from buildkit_bisect.source import GitSource


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


class Bisection:
    """One search with one cell: the first that is not a control."""

    kind = CampaignKind.BISECT

    def __init__(self, setup: Setup, request: Bisect, overlay: Sequence[Patch]) -> None:
        self._setup = setup
        self._request = request
        self._options = search_options(request)
        self._scenario, self._axes = setup.tested_cells()[0]
        self._line: Line = candidates.load(
            setup.source, request.good, request.bad, overlay, releases=request.releases
        )
        self._search = search_costs.name(
            self._options,
            *(self._line.good, self._line.bad, "releases" if request.releases else "commits"),
            self._scenario.name,
            [f"{axis}={value}" for axis, value in self._axes],
            [p.digest for p in self._line.overlay_names],
            [request.prior, *request.suspect],
        )
        self._costs = candidates.known_costs(setup.builder, self._line)
        first = None if request.fresh else search_costs.load(self._search)
        cost = candidates.cost(self._line, self._costs, first)
        verifies = not request.no_verify and not request.releases
        self._left = TimeLeft(
            cost,
            builds=(estimate.PATCHED,) if verifies else (),
            trials=(self._options.trials or 3) if verifies else 0,
            stored=first is not None
            and bool(first.asked)
            and not any(cost.left_seconds(c) for c in first.asked),
        )
        self._priors = Priors(line=self._line, request=request)
        if self._priors.pending:
            newer = self._line.variant(self._priors.newer)
            self._left.instrumented(search_plan.covering_seconds(setup.builder, newer))
        self.session = BisectSession(
            self._line.history,
            good=self._line.good,
            bad=self._line.bad,
            options=self._options,
            cost=cost,
            same_build=self._line.same_build,
            labels=self._line.labels,
            weights=self._priors.weights(),
        )
        self._say_priors(setup.events)
        self._cells: dict[str, list[Cell]] = {}
        self._steps: list[BisectStep] = []
        self._used: Counter[str] = Counter()  # binary -> trials of it used so far

    def settled(self) -> Findings | None:
        """Return the refusal of ends that cannot be searched between; None if they can."""
        turned = search_plan.turned(self._line, find_fix=self._options.find_fix)
        step = turned or self.session.next()
        return None if isinstance(step, Ask) else self._findings(step)

    def plan(self) -> Planned:
        """Return a plan with one column and the expected cost of the search."""
        ends = [
            (self._line.variant(self._line.good), Verdict.GOOD),
            (self._line.variant(self._line.bad), Verdict.BAD),
        ]
        step = self.session.next()
        assert isinstance(step, Ask)
        return search_plan.planned(
            self._setup,
            self._line,
            step,
            self._left,
            commits=step.candidates_left,
            distinct=self._line.distinct_inside,
            costs=self._costs,
            kind=self.kind,
            cells=[(self._scenario, self._axes)],
            trials=self._options.trials or 1,
            also=[search_plan.COVERING] if self._priors.pending else [],
            known=recall.lines(self._setup, ends, self._scenario, self._axes),
        )

    def run(self, work: Work) -> Findings:
        """Test the commits that the search asks for until it ends."""
        if not self._request.fresh:
            search_costs.keep(self._search, self._costs)
        while isinstance(step := self.session.next(), Ask):
            if self._priors.pending and step.phase is not Phase.GATE:
                self._cover(work)
                continue
            self.session.tell(step.commit, self._test(work, step))
        if not self._request.fresh:
            built = (s.sha for s in self._steps if s.verdict != Verdict.SKIP)
            search_costs.ended(self._search, built)
        reverted = self._verify(work, step) if isinstance(step, Found) else ""
        cells = [compose.cell_info(merge(parts), work.folder) for parts in self._cells.values()]
        return self._findings(step, cells, reverted)

    def _findings(
        self, answer: Answer, cells: Sequence[CellInfo] = (), reverted: str = ""
    ) -> Findings:
        patches = {p.name: p for parts in self._cells.values() for p in parts[0].variant.patches}
        return Findings(
            revisions=tuple(self._line.revisions(self._mentioned(answer))),
            patches=tuple(patches.values()),
            cells=tuple(cells),
            bisect=replace(self._info(answer), reverted=reverted),
        )

    def _cover(self, work: Work) -> None:
        """Weigh the candidates by what the reproducer runs at the newer end."""
        newer = self._line.variant(self._priors.newer)
        covered = work.lab.covered(newer, self._scenario, self._axes)
        self._left.instrumented(0)
        self.session.prefer(self._priors.with_coverage(covered))
        self._say_priors(work.events)

    def _say_priors(self, events: Events) -> None:
        for note in self._priors.take_notes():
            events.emit(note)

    def _verify(self, work: Work, found: Found) -> str:
        """Return what the newer end shows with the found commit reverted, as a sentence."""
        source = self._setup.source
        if self._request.no_verify:
            return f"not tried ({words(Bisect, no_verify=True)})"
        if self._request.releases or not isinstance(source, GitSource):
            return "not tried: a release is not one commit"
        newer = self._line.good if self._options.find_fix else self._line.bad
        tip = self._line.variant(newer)
        revert = verify.revert(source, found.first_bad, tip.revision, work.folder)
        if isinstance(revert, str):
            return f"not possible on {tip.revision.ref}: {revert}"
        work.lab.add_patch(revert)
        variant = replace(tip, patches=(*tip.patches, revert.ref))
        cell = work.lab.cell(variant, self._scenario, self._axes, self._options.trials or 3)
        self._cells[variant.label] = [cell]
        work.events.emit(cell_done(cell))
        if cell.outcome.verdict is Verdict.INFRA:
            return f"not tried: {cell.outcome.reason}"
        answer = "confirmed" if self._is_old(cell.outcome) else "NOT confirmed"
        observed = counted(cell.counts) or f"{cell.outcome.name}: {cell.outcome.reason}"
        return f"{answer}: {tip.revision.ref} without this commit is {observed}"

    def _is_old(self, outcome: Outcome) -> bool:
        """Whether *outcome* is that of the older end: good, or bad with ``find_fix``."""
        options = self._options
        named = options.bad_when if options.find_fix else options.good_when
        wanted = Verdict.BAD if options.find_fix else Verdict.GOOD
        return outcome.name in named if named else outcome.verdict is wanted

    def _test(self, work: Work, ask: Ask) -> Tested:
        step = Step(
            number=len(self._steps) + 1,
            ask=ask,
            variant=self._line.variant(ask.commit),
            events=work.events,
            left=self._left,
        )
        began, built = time.monotonic(), work.lab.build_seconds
        cell, tested = self._observe(work.lab, step.variant, ask)
        built = work.lab.build_seconds - built
        self._left.learn(ran([cell]), time.monotonic() - began - built)
        self._cells.setdefault(ask.commit, []).append(cell)
        work.events.emit(cell_done(cell))
        self._steps.append(
            step.done(
                verdict_of(cell, tested),
                shown(tested),
                counts=tested.counts,
                reused=bool(cell.trials) and all(t.reused for t in cell.trials),
                position=self._line.position(ask.commit),
            )
        )
        return tested

    def _observe(self, lab: Lab, variant: Variant, ask: Ask) -> tuple[Cell, Tested]:
        build = lab.build(variant)
        if isinstance(build, NoBuild):
            cell = lab.cell(variant, self._scenario, self._axes, 1)
            return cell, as_tested(cell)
        parts: list[Cell] = []
        # One at a time if the first bad trial decides.
        sizes = [1] * ask.trials if ask.until_bad else [ask.trials]
        for size in sizes:
            after = self._used[build.buildkitd_sha256]
            cell = lab.cell(variant, self._scenario, self._axes, size, after=after)
            self._used[build.buildkitd_sha256] += len(cell.trials)
            parts.append(cell)
            if cell.outcome.verdict is not Verdict.GOOD:
                break
        cell = merge(parts)
        # As stored, so that the same command learns the same from a build that it finds.
        return cell, as_tested(cell, build.seconds)

    def _mentioned(self, answer: Answer) -> list[str]:
        shas = [self._line.good, self._line.bad, *(s.sha for s in self._steps)]
        match answer:
            case Found():
                shas += [answer.first_bad, *([answer.merge] if answer.merge else [])]
                shas += [p.commit for p in answer.parents_tested]
            case Range() | Inconclusive():
                shas += [c.commit for c in answer.candidates]
            case Refused():
                pass
        return list(dict.fromkeys(shas))

    def _elsewhere(self, commit: str) -> dict[str, Any]:
        source = self._setup.source
        if self._request.releases or not isinstance(source, GitSource):
            return {}
        picks, contained = verify.elsewhere(source, commit)
        return {"picks": picks, "contained": contained}

    def _info(self, answer: Answer) -> BisectInfo:
        tested = {s.sha for s in self._steps if s.verdict != Verdict.SKIP}
        skipped = {s.sha for s in self._steps} - tested
        info = BisectInfo(
            status="",
            good=self._request.good,
            bad=self._request.bad,
            scenario=self._scenario.name,
            axes=dict(self._axes),
            find_fix=self._options.find_fix,
            patches=tuple(p.name for p in self._line.overlay_names),
            gate=tuple(s for s in self._steps if s.phase == Phase.GATE),
            steps=tuple(s for s in self._steps if s.phase != Phase.GATE),
            total=len(self._line.candidates),
            tested=len(tested),
            skipped=len(skipped),
            reproduce=self._setup.request.command,
            notes=answer.notes,
        )
        match answer:
            case Found():
                return replace(
                    info,
                    status=SearchStatus.FOUND.value,
                    first_bad=answer.first_bad,
                    merge=answer.merge or "",
                    parents=tuple(p.commit for p in answer.parents_tested),
                    candidates=_candidates(answer.credible_set),
                    confidence=answer.confidence,
                    **self._elsewhere(answer.first_bad),
                )
            case Range():
                return replace(
                    info,
                    status=SearchStatus.RANGE.value,
                    candidates=_candidates(answer.candidates),
                    reason=answer.reason,
                    hint=answer.hint,
                )
            case Refused():
                return replace(
                    info,
                    status=SearchStatus.REFUSED.value,
                    reason=answer.reason,
                    hint=answer.hint,
                )
            case Inconclusive():
                return replace(
                    info,
                    status=SearchStatus.INCONCLUSIVE.value,
                    candidates=_candidates(answer.candidates),
                    reason=answer.reason,
                    hint=answer.hint,
                )


def _candidates(found: Sequence[Candidate]) -> tuple[CandidateInfo, ...]:
    return tuple(
        CandidateInfo(sha=c.commit, reason=c.reason, probability=c.probability) for c in found
    )
