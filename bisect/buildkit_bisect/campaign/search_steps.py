"""Converts between a search and a lab: asks and cells to events, `Tested` and result steps."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from buildkit_bisect.campaign.time_left import TimeLeft
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.events import CellDone, Column, Events, StepAsked, StepDone
from buildkit_bisect.lab.cell import Cell
from buildkit_bisect.model import NoBuild, Stage, ToolOutcome, Variant, Verdict
from buildkit_bisect.options.command import inv
from buildkit_bisect.result import BisectStep
from buildkit_bisect.search import Ask, Skip, SkipKind, Tested


@dataclass(kw_only=True)
class Step:
    """One commit that a search asks for; emits `StepAsked` when created.

    *number* counts the steps of the campaign. While several cells are tried, *where* names the cell
    and *beside* is the number of trials that the other ones still need.
    """

    number: int
    ask: Ask
    variant: Variant
    events: Events
    left: TimeLeft
    where: str = ""
    beside: int = 0
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        left = self.left.at(self.ask, beside=self.beside)
        self.events.emit(
            StepAsked(
                number=self.number,
                row=self.variant.label,
                why=f"{self.where}: {self.ask.why}" if self.where else self.ask.why,
                left=self.ask.candidates_left,
                expected_steps=self.ask.expected_steps,
                expected_seconds=left.seconds,
                least=left.least,
                most=left.most,
            )
        )

    def done(
        self,
        verdict: Verdict,
        shown: str,
        *,
        counts: Mapping[str, int] | None = None,
        reused: bool = False,
        position: int | None = None,
        own: int | None = None,
        seconds: float | None = None,
    ) -> BisectStep:
        """Emit `StepDone` and return the step as results describe it.

        *own* is its number among the steps of its cell, if that is another one; *seconds* what it
        took, if not all the time since it was asked for.
        """
        row = self.variant.label
        seen = f"{shown} with {self.where}" if self.where else shown
        self.events.emit(StepDone(number=self.number, row=row, verdict=verdict, shown=seen))
        return BisectStep(
            number=own or self.number,
            phase=str(self.ask.phase),
            sha=self.ask.commit,
            verdict=str(verdict),
            shown=shown,
            why=self.ask.why,
            counts=dict(counts or {}),
            left=self.ask.candidates_left,
            seconds=round(time.monotonic() - self.started if seconds is None else seconds, 1),
            reused=reused,
            patches=tuple(p.name for p in self.variant.patches),
            position=position,
        )


def cell_done(cell: Cell) -> CellDone:
    """Return the event for a cell with all its trials."""
    return CellDone(
        row=cell.variant.label,
        column=Column(
            scenario=cell.scenario.name,
            axes=cell.axes,
            control=cell.scenario.is_control(cell.axes),
        ),
        outcome=cell.outcome.name,
        verdict=cell.outcome.verdict,
        counts=dict(cell.counts),
        reason=cell.outcome.reason,
    )


def refuse_machine(build: NoBuild) -> None:
    """Raise `InfraFailed` if this machine, and not the source, is why there are no binaries."""
    if build.infra:
        raise InfraFailed(f"{build.stage}: {build.reason}", hint=build.hint)


def skip_of(build: NoBuild) -> Skip:
    """Return the reason for a missing build as a search expects it.

    Raises `InfraFailed` if this machine is at fault: the commit may be testable.
    """
    refuse_machine(build)
    kind = SkipKind.PATCH if build.stage is Stage.PATCH else SkipKind.BUILD
    return Skip(kind=kind, reason=build.reason)


def as_tested(cell: Cell, build_seconds: float = 0.0) -> Tested:
    """Return a cell's outcomes as a search expects them, or why it could not be tested.

    Raises `InfraFailed` if this machine is why it was not built or tested.
    """
    if isinstance(cell.build, NoBuild):
        return Tested(skip=skip_of(cell.build))
    if cell.outcome.name == ToolOutcome.CONTROL_FAILED:
        return Tested(skip=Skip(kind=SkipKind.CONTROL, reason=cell.outcome.reason))
    refuse_infra(cell)
    judged = [o for o in cell.judged if o.verdict is not Verdict.INFRA]
    seconds = [t.observation.seconds for t in cell.trials]
    return Tested(
        counts=Counter(o.name for o in judged),
        verdicts={o.name: o.verdict for o in judged},
        binary=cell.build.buildkitd_sha256,
        build_seconds=build_seconds or None,
        trial_seconds=sum(seconds) / len(seconds),
    )


def refuse_infra(cell: Cell) -> None:
    """Raise `InfraFailed` for a cell that the infrastructure spoiled, after its retries.

    To a search it would be a commit that cannot be tested, and it may be testable tomorrow.
    """
    if cell.outcome.verdict is Verdict.INFRA:
        raise InfraFailed(
            f"{cell.variant.label} could not be tested: {cell.outcome.reason}",
            hint=f"{inv('doctor')}, then {inv('resume')}",
        )


def verdict_of(cell: Cell, tested: Tested) -> Verdict:
    """Return a step's verdict: skip if the search cannot use the cell."""
    return Verdict.SKIP if tested.skip else cell.outcome.verdict


def shown(tested: Tested) -> str:
    """Return the test as text: ``layers-dropped 3 of 3``, ``build: undefined: foo``."""
    return f"{tested.skip.kind}: {tested.skip.reason}" if tested.skip else counted(tested.counts)


def counted(counts: Mapping[str, int]) -> str:
    """Return ``cached 2 of 3, layers-dropped 1 of 3``."""
    total = sum(counts.values())
    return ", ".join(f"{name} {n} of {total}" for name, n in counts.items())
