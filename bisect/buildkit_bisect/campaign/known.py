"""Adds to each cell of a finished campaign every trial that this machine knows of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from buildkit_bisect.campaign.compose import Findings
from buildkit_bisect.events import CellDone, Column, Events
from buildkit_bisect.lab.lab import Lab
from buildkit_bisect.model import Verdict
from buildkit_bisect.result import CellInfo, KnownInfo


def add(findings: Findings, lab: Lab, events: Events) -> Findings:
    """Return *findings* with the known trials of each cell; shows the cells with more again.

    Raises `InfraFailed` if the journal cannot be read.
    """
    cells = tuple(_with_known(cell, lab) for cell in findings.cells)
    for cell in cells:
        if cell.known and cell.known.counts != cell.counts:
            events.emit(_event(cell, cell.known))
    return replace(findings, cells=cells)


def _with_known(cell: CellInfo, lab: Lab) -> CellInfo:
    axes = tuple(sorted(cell.axes.items()))
    found = lab.known(cell.revision, cell.patches, cell.scenario, axes)
    if not found:
        return cell
    known = KnownInfo(
        counts=dict(Counter(outcome.name for outcome in found)),
        verdicts=dict(Counter(str(outcome.verdict) for outcome in found)),
    )
    return replace(cell, known=known)


def _event(cell: CellInfo, known: KnownInfo) -> CellDone:
    axes = tuple(sorted(cell.axes.items()))
    return CellDone(
        row=" + ".join([cell.ref, *cell.patches]),
        column=Column(scenario=cell.scenario, axes=axes, control=cell.control),
        outcome=cell.outcome,
        verdict=Verdict(cell.verdict),
        counts=cell.counts,
        known=known.counts,
        reason=cell.reason,
    )
