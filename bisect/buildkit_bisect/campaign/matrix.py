"""Runs every variant in every cell."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial

from buildkit_bisect.builds import history
from buildkit_bisect.campaign import compose, estimate, groundwork, recall, shards
from buildkit_bisect.campaign.compose import Findings
from buildkit_bisect.campaign.driver import Work
from buildkit_bisect.campaign.search_steps import cell_done
from buildkit_bisect.campaign.setup import Setup, Workshop
from buildkit_bisect.errors import BisectError
from buildkit_bisect.events import Column, Planned
from buildkit_bisect.golang.toolchain import wanted
from buildkit_bisect.lab import base_images
from buildkit_bisect.lab.ahead import Wanted
from buildkit_bisect.lab.journal import Journal
from buildkit_bisect.lab.lab import Lab
from buildkit_bisect.model import Axes, Build, NoBuild, Revision, Stage, Variant
from buildkit_bisect.options.shards import Shard
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
    with closing(Journal()) as journal:
        trial = journal.mean_seconds() or estimate.TRIAL
    return replace(
        built(setup, variants, kind, before=partial(groundwork.expected, setup, variants)),
        columns=columns,
        trials=trials,
        trial_seconds=trial,
        stored=recall.stored(setup, variants),
    )


def built(
    workshop: Workshop,
    variants: Sequence[Variant],
    kind: str,
    *,
    before: Callable[[Collection[str], float], Mapping[str, float]] = lambda _go, _pace: {},
) -> Planned:
    """Return the plan of building *variants*, after what *before* expects.

    That gets the Go versions that something was built with, and the pace of builds. A build that a
    shared store has takes no time.
    """
    skipped = {v.label: why for v in variants if (why := _skipped(workshop, v))}
    recorded = [
        estimate.Recorded(go=estimate.minor(b.go), seconds=b.seconds)
        for b in history()
        if isinstance(b, Build)
    ]
    pace = estimate.pace(recorded)
    known_go = {b.go for b in recorded}
    first = before(known_go, pace.factor)
    if base_images.COMPILING in first:
        known_go.add(base_images.REFERENCE_GO)
    there = workshop.builder.in_store([v.revision.sha for v in variants if not v.patches])
    seconds = estimate.build_seconds(
        [_row(workshop, v, skipped, there) for v in variants],
        known_go=known_go,
        factor=pace.factor,
    )
    return Planned(
        kind=kind,
        rows=tuple(v.label for v in variants),
        columns=(),
        trials=0,
        build_seconds=seconds,
        basis=estimate.basis(pace.count),
        recorded=pace.count,
        skipped=skipped,
        before=first,
    )


def with_stored(plan: Planned, setup: Setup, variants: Sequence[Variant], lab: Lab) -> Planned:
    """Return *plan* with the trials of each row that are stored and will not run again."""
    return replace(plan, before={}, stored=recall.counted(setup, variants, lab))


def _skipped(workshop: Workshop, variant: Variant) -> str:
    """Return why a row will be skipped; "" if it will run, as far as is known."""
    if variant.patches and (why := workshop.builder.refused(variant)):
        return f"{Stage.PATCH}: {why}"
    known = workshop.builder.cached(variant)
    return f"{known.stage}: {known.reason}" if isinstance(known, NoBuild) else ""


def _row(
    workshop: Workshop, variant: Variant, skipped: Collection[str], there: Collection[str]
) -> estimate.Row:
    revision = variant.revision
    built = isinstance(workshop.builder.cached(variant), Build)
    known = built or variant.label in skipped
    return estimate.Row(
        label=variant.label,
        revision=revision.sha or revision.describe,
        go="" if known else _go(workshop.source, revision),
        built=built,
        pulled=not variant.patches and revision.sha in there,
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

    def __init__(
        self,
        setup: Setup,
        variants: Sequence[Variant],
        kind: CampaignKind,
        shard: Shard | None = None,
    ) -> None:
        self.kind = kind
        self._setup = setup
        self._trials = setup.request.trials or TRIALS
        self._part = shards.part(setup, variants, self._trials, shard) if shard else None
        self._variants = self._part.variants if self._part else tuple(variants)
        self._first: Planned | None = None

    def settled(self) -> Findings | None:
        """Return the findings of a shard without rows; None for others, which are run."""
        return self._findings(()) if not self._variants else None

    def plan(self) -> Planned:
        """Return a plan with a row for each variant and a column for each cell."""
        plan = planned(self._setup, self._variants, self._trials, self.kind)
        self._first = replace(plan, shard=str(self._part or ""))
        return self._first

    def run(self, work: Work) -> Findings:
        """Run every cell of every variant, controls first."""
        first = self._first or self.plan()  # as it was shown
        # Only now is it known which trials in containers are stored.
        plan = with_stored(first, self._setup, self._variants, work.lab)
        if plan.stored != first.stored:
            work.events.emit(plan)
        wanted = [
            Wanted(variant=variant, scenario=scenario, axes=axes, trials=self._trials)
            for variant in self._variants
            for scenario in self._setup.scenarios
            for axes in ordered(scenario, self._setup.cells(scenario))
        ]
        done: dict[tuple[str, str, Axes], CellInfo] = {}
        for one in work.lab.ahead(wanted):
            cell = work.lab.cell(one.variant, one.scenario, one.axes, one.trials)
            work.events.emit(cell_done(cell))
            info = compose.cell_info(cell, work.folder)
            done[one.variant.label, one.scenario.name, one.axes] = info
        cells = [
            done[variant.label, scenario.name, axes]
            for variant in self._variants
            for scenario in self._setup.scenarios
            for axes in self._setup.cells(scenario)
        ]
        return self._findings(cells)

    def _findings(self, cells: Sequence[CellInfo]) -> Findings:
        return Findings(
            revisions=tuple({v.revision.ref: v.revision for v in self._variants}.values()),
            patches=tuple({p.name: p for v in self._variants for p in v.patches}.values()),
            cells=tuple(cells),
            shard=self._part.info if self._part else None,
        )
