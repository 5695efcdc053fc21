"""Runs every variant in every cell."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from buildkit_bisect.builds import history
from buildkit_bisect.campaign import compose
from buildkit_bisect.campaign.compose import Findings
from buildkit_bisect.campaign.driver import Work
from buildkit_bisect.campaign.estimate import estimate
from buildkit_bisect.campaign.search_steps import cell_done
from buildkit_bisect.campaign.setup import Setup
from buildkit_bisect.events import Column, Planned
from buildkit_bisect.lab.cell import Cell
from buildkit_bisect.lab.journal import Journal
from buildkit_bisect.model import Axes, Build, Variant
from buildkit_bisect.result import CampaignKind, CellInfo
from buildkit_bisect.scenario import Scenario
from buildkit_bisect.source import Source

#: Trials of a cell unless the request gives a number.
TRIALS = 3

#: Releases in the default matrix, in addition to the newest of the last three minors.
LANDMARKS = ("v0.24.0", "v0.25.0")


def default_revisions(source: Source) -> list[str]:
    """Return the landmarks, then the newest release of each of the last three minors."""
    newest: dict[str, str] = {}
    for release in source.releases():
        newest.setdefault(release.ref.rsplit(".", 1)[0], release.ref)
    last = list(newest.values())[:3]
    return [*(r for r in LANDMARKS if r not in last), *reversed(last)]


def ordered(scenario: Scenario, cells: Sequence[Axes]) -> list[Axes]:
    """Return *cells* with controls first: if a control fails, its cells prove nothing."""
    return sorted(cells, key=lambda axes: not scenario.is_control(axes))


def planned(setup: Setup, variants: Sequence[Variant], trials: int, kind: CampaignKind) -> Planned:
    """Return the plan of a matrix over *variants*, with the expected times."""
    columns = tuple(
        Column(scenario=s.name, axes=axes, control=s.is_control(axes))
        for s in setup.scenarios
        for axes in setup.cells(s)
    )
    rows = tuple(v.label for v in variants)
    with closing(Journal()) as journal:
        mean = journal.mean_seconds()
    expected = estimate(
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
        build_seconds=expected.builds,
        trial_seconds=expected.trial_seconds,
        basis=expected.basis,
    )


class MatrixCampaign:
    """Every variant in every cell; the document is complete even if builds or cells fail."""

    def __init__(self, setup: Setup, variants: Sequence[Variant], kind: CampaignKind) -> None:
        self.kind = kind
        self._setup = setup
        self._variants = tuple(variants)
        self._trials = setup.request.trials or TRIALS

    def plan(self) -> Planned:
        """Return a plan with a row for each variant and a column for each cell."""
        return planned(self._setup, self._variants, self._trials, self.kind)

    def run(self, work: Work) -> Findings:
        """Run every cell of every variant, controls first."""
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
