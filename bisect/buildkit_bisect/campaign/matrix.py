"""Which variants are broken, in which cells."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from buildkit_bisect.builds import history
from buildkit_bisect.campaign import compose
from buildkit_bisect.campaign import estimate as plan
from buildkit_bisect.campaign.compose import Findings
from buildkit_bisect.campaign.driver import Work
from buildkit_bisect.campaign.search_steps import cell_done
from buildkit_bisect.campaign.setup import Setup
from buildkit_bisect.events import Column, Planned
from buildkit_bisect.lab.cell import Cell
from buildkit_bisect.lab.journal import Journal
from buildkit_bisect.model import Axes, Build, Variant
from buildkit_bisect.result import CampaignKind, CellInfo
from buildkit_bisect.scenario import Scenario
from buildkit_bisect.source import Source

#: Trials of a cell, where the request does not say.
TRIALS = 3

#: Releases that the default matrix has besides the newest of the last three minors.
LANDMARKS = ("v0.24.0", "v0.25.0")


def default_revisions(source: Source) -> list[str]:
    """The landmarks, then the newest release of each of the last three minors, oldest first."""
    newest: dict[str, str] = {}
    for release in source.releases():
        newest.setdefault(release.ref.rsplit(".", 1)[0], release.ref)
    last = list(newest.values())[:3]
    return [*(r for r in LANDMARKS if r not in last), *reversed(last)]


def ordered(scenario: Scenario, cells: Sequence[Axes]) -> list[Axes]:
    """Controls first: they decide what the others can prove."""
    return sorted(cells, key=lambda axes: not scenario.is_control(axes))


def planned(setup: Setup, variants: Sequence[Variant], trials: int, kind: CampaignKind) -> Planned:
    """What a matrix over *variants* will do, as far as that is known before it starts."""
    columns = tuple(
        Column(scenario=s.name, axes=axes, control=s.is_control(axes))
        for s in setup.scenarios
        for axes in setup.cells(s)
    )
    rows = tuple(v.label for v in variants)
    with closing(Journal()) as journal:
        mean = journal.mean_seconds()
    estimate = plan.estimate(
        rows,
        {v.label: setup.builder.cached(v) is not None for v in variants},
        len(rows) * len(columns) * trials,
        build_history=[b.seconds for b in history() if isinstance(b, Build)],
        trial_mean=mean,
    )
    return Planned(
        kind=kind,
        rows=rows,
        columns=columns,
        trials=trials,
        build_seconds=estimate.builds,
        trial_seconds=estimate.trial_seconds,
        basis=estimate.basis,
    )


class MatrixCampaign:
    """Every variant in every cell; the document is complete even if builds or cells fail."""

    def __init__(self, setup: Setup, variants: Sequence[Variant], kind: CampaignKind) -> None:
        self.kind = kind
        self._setup = setup
        self._variants = tuple(variants)
        self._trials = setup.request.trials or TRIALS

    def plan(self) -> Planned:
        """Every variant is a row, every cell of every scenario a column."""
        return planned(self._setup, self._variants, self._trials, self.kind)

    def run(self, work: Work) -> Findings:
        """Controls run first in each row: they decide what the other cells can prove."""
        cells: list[CellInfo] = []
        for variant in self._variants:
            for scenario in self._setup.scenarios:
                done: dict[Axes, Cell] = {}
                for axes in ordered(scenario, self._setup.cells(scenario)):
                    done[axes] = work.lab.cell(variant, scenario, axes, self._trials)
                    work.events.emit(cell_done(done[axes]))
                cells += [
                    compose.cell_info(done[a], work.folder) for a in self._setup.cells(scenario)
                ]
        return Findings(
            revisions=tuple({v.revision.ref: v.revision for v in self._variants}.values()),
            patches=tuple({p.name: p for v in self._variants for p in v.patches}.values()),
            cells=tuple(cells),
        )
