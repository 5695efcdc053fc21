"""Finds the commit that changed the outcome: a search with real builds and trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from buildkit_bisect.campaign import (
    apart,
    candidates,
    cell_choice,
    compose,
    minimize_revert,
    recall,
    rounds,
    search_plan,
    verify,
)
from buildkit_bisect.campaign.candidates import Line
from buildkit_bisect.campaign.cell_search import CellSearch
from buildkit_bisect.campaign.compose import Findings
from buildkit_bisect.campaign.driver import Work
from buildkit_bisect.campaign.priors import Priors
from buildkit_bisect.campaign.rounds import Asked
from buildkit_bisect.campaign.setup import Setup
from buildkit_bisect.campaign.without_commit import NewerEnd
from buildkit_bisect.events import Events, Planned, Said
from buildkit_bisect.lab.cell import merge
from buildkit_bisect.model import Axes, PatchRef, Variant, Verdict
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Bisect
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.phrases import percent
from buildkit_bisect.result import (
    BisectInfo,
    BisectStep,
    CampaignKind,
    CandidateInfo,
    CellInfo,
    CellTried,
    MinimizeInfo,
    SearchStatus,
)
from buildkit_bisect.search import (
    Answer,
    Ask,
    Candidate,
    Found,
    Inconclusive,
    Phase,
    Range,
    Refused,
    Tested,
)
from buildkit_bisect.search.choice import CellChoice, Chosen, NoneDiffers
from buildkit_bisect.source import GitSource

#: Commits that are tested in every cell: the ends.
_ENDS = 2

#: Builds of the range that git describes before it is known which of them the search asks for.
_FEW = 50


class Bisection:
    """One search in one cell: of those that are not controls, the one where the ends differ."""

    kind = CampaignKind.BISECT

    def __init__(
        self, setup: Setup, request: Bisect, overlay: Sequence[Patch], *, late: bool = True
    ) -> None:
        """*late*: with one cell, an end is run only if no commit between them shows the same."""
        self._setup = setup
        self._request = request
        self._line: Line = candidates.load(
            setup.source,
            request.good,
            request.bad,
            overlay,
            releases=request.releases,
            find_fix=request.find_fix,
        )
        good, bad = (self._line.labels[end] for end in (self._line.good, self._line.bad))
        self._ends = cell_choice.Ends(good=good, bad=bad, find_fix=request.find_fix)
        self._priors = Priors(line=self._line, request=request)
        self._costs = costs = candidates.known_costs(setup.builder, self._line)
        weights = self._priors.weights()
        # In one cell of several, the ends run as they do where it is one to choose from.
        late = late and len(setup.all_tested()) == 1 and not request.releases
        late = late and setup.at_once.compiles == 1  # else the ends are built at once
        self._searches: dict[Axes, CellSearch] = {
            axes: CellSearch(
                scenario,
                axes,
                request=request,
                line=self._line,
                costs=costs,
                weights=weights,
                late=late,
                # Weights by coverage compile the newer end anyway.
                neither=late and not self._priors.pending,
                at_once=setup.at_once,
            )
            for scenario, axes in setup.tested_cells()
        }
        if self._priors.pending:
            newer = self._line.variant(self._priors.newer)
            covering = search_plan.covering_seconds(setup.builder, newer)
            for search in self._searches.values():
                search.left.instrumented(covering)
        self._say_priors(setup.events)
        # Until one is chosen: the one of an earlier search like this, which will be it again.
        searches = self._searches.values()
        self._search = next((s for s in searches if s.stored), next(iter(searches)))
        self._tried: tuple[CellTried, ...] = ()  # if there are several cells, and some was run
        self._choice = ""
        self._revert: Patch | None = None  # of the found commit on the newer end, if git can
        self._newer: NewerEnd | None = None  # once a commit was found

    def settled(self) -> Findings | None:
        """Return the refusal of ends that cannot be searched between; None if they can."""
        step = self._search.session.next()
        return None if isinstance(step, Ask) else self._findings(step)

    def plan(self) -> Planned:
        """Return a plan with the cells in which the ends will run, and the expected cost."""
        search, others = self._search, len(self._searches) - 1
        ends = [
            (self._line.variant(self._line.good), Verdict.GOOD),
            (self._line.variant(self._line.bad), Verdict.BAD),
        ]
        called = cell_choice.names(list(self._searches))
        asks = search.next_k()
        assert isinstance(asks, tuple)
        step = asks[0]
        return search_plan.planned(
            self._setup,
            self._line,
            step,
            search.left,
            commits=step.candidates_left,
            distinct=self._line.distinct_inside,
            at_once=self._setup.at_once,
            spared=tuple(self._line.labels[end] for end in search.session.spares),
            costs=self._costs,
            kind=self.kind,
            cells=[(each.scenario, axes) for axes, each in self._searches.items()],
            trials=search.options.trials or 1,
            also=[
                *([search_plan.COVERING] if self._priors.pending else []),
                *([minimize_revert.PLANNED] if self._request.minimize else []),
            ],
            known=[
                f"{called[axes]}: {line}" if others else line
                for axes, each in self._searches.items()
                for line in recall.lines(self._setup, ends, each.scenario, axes)
            ],
            tried_at=(self._ends.bad, self._ends.good) if others else (),
            beside=_ENDS * others * (search.options.trials or 1),
        )

    def run(self, work: Work) -> Findings:
        """Try the ends, then test the commits that the search in one cell asks for."""
        if len(self._costs.built) <= _FEW:
            self._line.revisions(self._costs.built)  # of all at once: a rerun asks for these
        found = self._choose(work)
        if isinstance(found, NoneDiffers):
            step: Answer = cell_choice.refusal(found.answers, self._tried, self._ends)
        else:
            self._search = self._searches[found.cell]
            step = self._searched(work)
        reverted = self._verify(work, step) if isinstance(step, Found) else ""
        searches = [self._search, *(s for s in self._searches.values() if s is not self._search)]
        cells = [merge(parts) for search in searches for parts in search.cells.values()]
        return self._findings(
            step,
            patches={p.name: p for cell in cells for p in cell.variant.patches},
            cells=[compose.cell_info(cell, work.folder) for cell in cells],
            reverted=reverted,
            minimized=self._minimized(work, step) if self._request.minimize else None,
        )

    def _findings(
        self,
        answer: Answer,
        *,
        patches: Mapping[str, PatchRef] = MappingProxyType({}),
        cells: Sequence[CellInfo] = (),
        reverted: str = "",
        minimized: MinimizeInfo | None = None,
    ) -> Findings:
        info = self._info(answer)
        notes = (*info.notes, *self._apart(info, cells))
        return Findings(
            revisions=tuple(self._line.revisions(self._mentioned(answer))),
            patches=tuple(patches.values()),
            cells=tuple(cells),
            bisect=replace(info, reverted=reverted, notes=notes),
            minimized=minimized,
        )

    def _apart(self, info: BisectInfo, cells: Sequence[CellInfo]) -> list[str]:
        """Return notes on what an answer rests on and no worker has run both sides of."""
        if not info.first_bad:
            return []
        found, tip = info.first_bad, self._tip.revision
        here = [c for c in cells if c.scenario == info.scenario and c.axes == info.axes]
        plain = [c for c in here if c.patches == info.patches]
        itself = [c for c in plain if c.revision == found]
        before = [[c for c in plain if c.revision == parent] for parent in info.parents]
        notes = []
        if any(apart.ran_apart(itself, parent) for parent in before):
            notes.append(apart.note(f"of both {found[:12]} and its parents"))
        newer = [c for c in here if c.revision == tip.sha]
        reverted = [c for c in newer if c not in plain]
        if apart.ran_apart([c for c in newer if c in plain], reverted):
            notes.append(apart.note(f"of {tip.ref} both with and without {found[:12]}"))
        return notes

    def _choose(self, work: Work) -> Chosen[Axes] | NoneDiffers[Axes]:
        """Try the ends in every cell, and report what they showed if there are several."""
        sessions = {axes: search.session for axes, search in self._searches.items()}
        choice = CellChoice(sessions)
        called = cell_choice.names(list(self._searches))
        at_once = self._setup.at_once
        while isinstance(step := choice.next_k(at_once.cells, builds=at_once.compiles), tuple):
            asked = [
                Asked(
                    search=self._searches[one.cell],
                    ask=one.ask,
                    where=called[one.cell],
                    beside=self._untried(one.cell) * one.ask.trials,
                )
                for one in step
            ]
            for one, tested in zip(step, self._tested(work, asked), strict=True):
                choice.tell(one.cell, one.ask.commit, tested)
        if len(sessions) > 1 and any(search.steps for search in self._searches.values()):
            self._tried = cell_choice.tried(
                sessions, step, good=self._line.good, bad=self._line.bad
            )
            for line in cell_choice.lines(self._tried, self._ends):
                work.events.emit(Said(text=line))
        return step

    def _searched(self, work: Work) -> Answer:
        """Test what the search in the chosen cell asks for, and return its answer."""
        search = self._search
        if self._tried:
            self._choice = cell_choice.why(self._tried, self._ends)
            work.events.emit(Said(text=self._choice))
        search.began()
        while isinstance(asks := search.next_k(), tuple):
            if self._priors.pending:
                self._cover(work)
                continue
            asked = [Asked(search=search, ask=ask) for ask in asks]
            for ask, tested in zip(asks, self._tested(work, asked), strict=True):
                search.session.tell(ask.commit, tested)
        search.ended()
        return asks

    def _tested(self, work: Work, asked: Sequence[Asked]) -> list[Tested]:
        before = sum(len(search.steps) for search in self._searches.values())
        return rounds.tested(work, asked, before=before)

    def _untried(self, cell: Axes) -> int:
        """Return how many ends were not run in the cells beside this one."""
        others = (s for axes, s in self._searches.items() if axes != cell)
        return sum(max(0, _ENDS - len(s.steps)) for s in others)

    def _cover(self, work: Work) -> None:
        """Weigh the candidates by what the reproducer runs at the newer end."""
        newer = self._line.variant(self._priors.newer)
        covered = work.lab.covered(newer, self._search.scenario, self._search.axes)
        self._search.left.instrumented(0)
        self._search.session.prefer(self._priors.with_coverage(covered))
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
        tip = self._tip
        revert = verify.revert(source, found.first_bad, tip.revision, work.folder)
        self._revert = None if isinstance(revert, str) else revert
        if isinstance(revert, str):
            return f"not possible on {tip.revision.ref}: {revert}"
        # A revert is compiled, which takes longer than the search where builds are stored.
        work.events.emit(Said(text=self._answer_line(found, tip)))
        newer = self._newer_end(work)
        if not_new := newer.not_new():
            return f"not tried: {not_new}"
        return newer.without(revert, found)

    def _newer_end(self, work: Work) -> NewerEnd:
        if self._newer is None:
            self._newer = NewerEnd(work, self._search, self._tip)
        return self._newer

    @property
    def _tip(self) -> Variant:
        """The newer end."""
        newer = self._line.good if self._request.find_fix else self._line.bad
        return self._line.variant(newer)

    def _minimized(self, work: Work, answer: Answer) -> MinimizeInfo:
        """Return which hunks of the found commit have to be reverted for the older outcome."""
        if not isinstance(answer, Found):
            return minimize_revert.nothing_of_search("no commit was found")
        source, request = self._setup.source, self._request
        if request.releases or not isinstance(source, GitSource):
            return minimize_revert.nothing_of_search("a release is not one commit")
        tip, itself = self._tip, self._line.variant(answer.first_bad)
        not_new = self._newer_end(work).not_new() if tip != itself else ""
        return minimize_revert.of_commit(
            work,
            source,
            answer.first_bad,
            on=(itself,) if not_new else (tip, itself),
            overlay=self._setup.patches,
            revert=None if not_new else self._revert,
            search=self._search,
            notes=(f"not on {tip.label}: {not_new}",) if not_new else (),
        )

    def _answer_line(self, found: Found, tip: Variant) -> str:
        revision = self._line.revision(found.first_bad)
        which = Verdict.GOOD if self._request.find_fix else Verdict.BAD
        sure = f", confidence {percent(found.confidence)}" if found.confidence else ""
        return (
            f"first {which} commit: {revision.sha[:12]} ({revision.subject}){sure};"
            f" now {tip.label} is tried without it"
        )

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

    @property
    def _searchable(self) -> bool:
        """Whether it is known which cell is the one to search in."""
        return len(self._searches) == 1 or bool(self._choice)

    @property
    def _steps(self) -> list[BisectStep]:
        """The steps in the cell that was chosen; in every cell if none was."""
        searches = [self._search] if self._searchable else self._searches.values()
        return [step for search in searches for step in search.steps]

    def _info(self, answer: Answer) -> BisectInfo:
        steps = self._steps if self._searchable else []
        tested = {s.sha for s in self._steps if s.verdict != Verdict.SKIP}
        skipped = {s.sha for s in self._steps} - tested
        info = BisectInfo(
            status="",
            good=self._ends.good,
            bad=self._ends.bad,
            not_run=self._line.labels.get(self._search.session.not_run, ""),
            bad_not_run=""
            if self._newer and self._newer.ran
            else self._line.labels.get(self._search.session.bad_not_run, ""),
            bad_shown=self._newer.not_bad if self._newer else "",
            scenario=self._search.scenario.name,
            axes=dict(self._search.axes) if self._searchable else {},
            tried=self._tried,
            choice=self._choice,
            find_fix=self._request.find_fix,
            patches=tuple(p.name for p in self._line.overlay_names),
            gate=tuple(s for s in steps if s.phase == Phase.GATE),
            steps=tuple(s for s in steps if s.phase != Phase.GATE),
            total=self._line.commits,
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
