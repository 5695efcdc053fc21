"""Which variants are broken, in which cells."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from buildkit_bisect.builds import history
from buildkit_bisect.campaign import compose
from buildkit_bisect.campaign import estimate as plan
from buildkit_bisect.campaign.search_steps import cell_done
from buildkit_bisect.campaign.setup import Setup, open_lab
from buildkit_bisect.events import Column, Planned
from buildkit_bisect.lab.cell import Cell
from buildkit_bisect.lab.journal import Journal
from buildkit_bisect.model import Axes, Build, Revision, Variant
from buildkit_bisect.result import CampaignKind, CellInfo, Result
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


def planned(setup: Setup, variants: Sequence[Variant], trials: int, kind: str) -> Planned:
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


def run(
    setup: Setup,
    variants: Sequence[Variant],
    *,
    campaign: str,
    folder: Path,
    kind: str = CampaignKind.MATRIX,
) -> Result:
    """Build every variant and run every cell; the document, complete even where cells are not."""
    trials = setup.request.trials or TRIALS
    started, created = time.monotonic(), _now()
    setup.events.emit(planned(setup, variants, trials, kind))
    cells: list[CellInfo] = []
    with open_lab(setup, campaign) as (lab, refs):
        for variant in variants:
            for scenario in setup.scenarios:
                done: dict[Axes, Cell] = {}
                for axes in ordered(scenario, setup.cells(scenario)):
                    done[axes] = lab.cell(variant, scenario, axes, trials)
                    setup.events.emit(cell_done(done[axes]))
                cells += [compose.cell_info(done[a], folder) for a in setup.cells(scenario)]
        seconds = lab.seconds(started)
    return compose.result(
        setup,
        kind=kind,
        campaign=campaign,
        created=created,
        refs=refs,
        revisions=_distinct_revisions(variants),
        patches={p.name: p for v in variants for p in v.patches}.values(),
        cells=cells,
        seconds=seconds,
        engine=lab.engine_facts(),
    )


def _distinct_revisions(variants: Sequence[Variant]) -> list[Revision]:
    return list({v.revision.ref: v.revision for v in variants}.values())


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
