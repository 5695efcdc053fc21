"""Runs every variant in every cell."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import replace

from buildkit_bisect.builds import history
from buildkit_bisect.campaign import compose, estimate
from buildkit_bisect.campaign.compose import Findings
from buildkit_bisect.campaign.driver import Work
from buildkit_bisect.campaign.search_steps import cell_done
from buildkit_bisect.campaign.setup import Setup
from buildkit_bisect.errors import BisectError
from buildkit_bisect.events import Column, Planned
from buildkit_bisect.golang.toolchain import wanted
from buildkit_bisect.lab.cell import Cell
from buildkit_bisect.lab.journal import Journal
from buildkit_bisect.lab.lab import Lab
from buildkit_bisect.model import Axes, Build, NoBuild, Revision, Variant
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
    skipped = {v.label: why for v in variants if (why := _skipped(setup, v))}
    recorded = [
        estimate.Recorded(go=estimate.minor(b.go), seconds=b.seconds)
        for b in history()
        if isinstance(b, Build)
    ]
    pace = estimate.pace(recorded)
    seconds = estimate.build_seconds(
        [_row(setup, v, skipped) for v in variants],
        known_go={b.go for b in recorded},
        factor=pace.factor,
    )
    with closing(Journal()) as journal:
        trial = journal.mean_seconds() or estimate.TRIAL
    return Planned(
        kind=kind,
        rows=rows,
        columns=columns,
        trials=trials,
        build_seconds=seconds,
        trial_seconds=trial,
        basis=estimate.basis(pace.count),
        recorded=pace.count,
        skipped=skipped,
    )


def with_stored(plan: Planned, setup: Setup, variants: Sequence[Variant], lab: Lab) -> Planned:
    """Return *plan* with the trials of each row that are stored and will not run again."""
    cells = [(s, axes) for s in setup.scenarios for axes in setup.cells(s)]
    stored = {v.label: tuple(lab.stored(v, s, axes) for s, axes in cells) for v in variants}
    return replace(plan, stored={row: counts for row, counts in stored.items() if any(counts)})


def _skipped(setup: Setup, variant: Variant) -> str:
    """Return why a row will be skipped; "" if it will run, as far as is known."""
    if variant.patches and setup.source.kind != "git":
        return "patches need a git source"
    known = setup.builder.cached(variant)
    return f"{known.stage}: {known.reason}" if isinstance(known, NoBuild) else ""


def _row(setup: Setup, variant: Variant, skipped: Collection[str]) -> estimate.Row:
    revision = variant.revision
    built = isinstance(setup.builder.cached(variant), Build)
    known = built or variant.label in skipped
    return estimate.Row(
        label=variant.label,
        revision=revision.sha or revision.describe,
        go="" if known else _go(setup.source, revision),
        built=built,
        skipped=variant.label in skipped,
    )


def _go(source: Source, revision: Revision) -> str:
    """Return the minor Go version that a revision is built with; "" if it is not known."""
    if source.kind != "git":  # reading from a module may download it
        return ""
    try:
        found = wanted(source.read(revision, "Dockerfile"), source.read(revision, "go.mod"))
    except BisectError:
        return ""
    return ".".join(map(str, found.minor))


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
        # Only now is it known which trials of what is built are stored.
        plan = with_stored(self.plan(), self._setup, self._variants, work.lab)
        if plan.stored:
            work.events.emit(plan)
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
