"""Runs the cells of a scenario and keeps what was observed, to learn and check its rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from buildkit_bisect.campaign import compose
from buildkit_bisect.campaign.compose import Findings
from buildkit_bisect.campaign.driver import Work
from buildkit_bisect.campaign.matrix import ordered, planned
from buildkit_bisect.campaign.search_steps import cell_done
from buildkit_bisect.campaign.setup import Setup
from buildkit_bisect.errors import InfraFailed, NoAnswer
from buildkit_bisect.events import Planned
from buildkit_bisect.lab.cell import Cell
from buildkit_bisect.model import Axes, Build, NoBuild, Variant
from buildkit_bisect.options.command import inv
from buildkit_bisect.result import CampaignKind
from buildkit_bisect.scenario import NOT_JUDGED, Scenario
from buildkit_bisect.scenario.learned import Both, End


def _without_controls(scenario: Scenario) -> Scenario | None:
    """Return a *scenario* that has no rules yet without controls, which could not be good.

    None if it has rules. Its trials are the same ones.
    """
    if [rule.name for rule in scenario.outcomes] != [NOT_JUDGED]:
        return None
    axes = {name: replace(axis, controls=()) for name, axis in scenario.axes.items()}
    return replace(scenario, axes=axes)


class Watch:
    """A matrix that keeps its cells, with all that was observed in them."""

    kind = CampaignKind.MATRIX

    def __init__(self, setup: Setup, variants: Sequence[Variant], trials: int) -> None:
        self._setup = setup
        self._scenario = setup.scenarios[0]
        self._unjudged = _without_controls(self._scenario)
        self._variants = tuple(variants)
        self._trials = trials
        self.cells: dict[tuple[str, Axes], Cell] = {}
        self.folder: Path | None = None  # of the results, once it has run

    def settled(self) -> None:
        """Return None: trials are always needed."""

    def plan(self) -> Planned:
        """Return a plan with a row for each variant and a column for each cell."""
        return planned(self._setup, self._variants, self._trials, self.kind)

    def run(self, work: Work) -> Findings:
        """Run every cell of every variant, controls first."""
        run, self.folder = self._unjudged or self._scenario, work.folder
        for variant in self._variants:
            for axes in ordered(self._scenario, self._setup.cells(self._scenario)):
                trials = max(self._trials, work.lab.stored(variant, run, axes))
                cell = work.lab.cell(variant, run, axes, trials)
                control = self._scenario.control_of(axes) if self._unjudged else None
                if control is not None and isinstance(cell.build, Build):
                    beside = work.lab.cell(variant, run, control, 1).trials[0].observation
                    cell = replace(cell, controls=None if beside.infra else (beside,))
                self.cells[variant.label, axes] = cell
                work.events.emit(cell_done(cell))
        return Findings(
            revisions=tuple({v.revision.ref: v.revision for v in self._variants}.values()),
            patches=tuple({p.name: p for v in self._variants for p in v.patches}.values()),
            cells=tuple(compose.cell_info(cell, work.folder) for cell in self.cells.values()),
        )

    def both(self, good: Variant, bad: Variant) -> list[Both]:
        """Return what was observed at both ends in every cell that is not a control.

        Raises `NoAnswer` or `InfraFailed` if an end was not built.
        """
        ends: Mapping[str, Variant] = {"good": good, "bad": bad}
        for name, variant in ends.items():
            for cell in self._of(variant):
                if isinstance(cell.build, NoBuild):
                    kind = InfraFailed if cell.build.infra else NoAnswer
                    raise kind(
                        f"the {name} end {variant.label} was not built: {cell.build.reason}",
                        hint=f"another revision, or {inv('doctor')}",
                    )
        tested = [c.axes for c in self._of(good) if not self._scenario.is_control(c.axes)]
        return [
            Both(axes=axes, good=self._end(good, axes), bad=self._end(bad, axes)) for axes in tested
        ]

    def _of(self, variant: Variant) -> Iterator[Cell]:
        return (cell for (label, _), cell in self.cells.items() if label == variant.label)

    def _end(self, variant: Variant, axes: Axes) -> End:
        cell = self.cells[variant.label, axes]
        trials = tuple(trial.observation for trial in cell.trials)
        return End(trials=trials, control=cell.control)
