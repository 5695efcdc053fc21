"""The known trials of a campaign's cells."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import results
from buildkit_bisect.campaign import known
from buildkit_bisect.campaign.compose import Findings
from buildkit_bisect.events import CellDone, Event
from buildkit_bisect.lab.lab import Lab
from buildkit_bisect.live.lines import cell as line
from buildkit_bisect.model import Axes, Outcome, Verdict
from buildkit_bisect.result import CellInfo, KnownInfo

GOOD = Outcome(name="cached", verdict=Verdict.GOOD, reason="")
BAD = Outcome(name="layers-dropped", verdict=Verdict.BAD, reason="")


class FakeLab:
    """Knows the trials of one cell."""

    def __init__(self, at: tuple[str, tuple[str, ...], str, Axes], found: list[Outcome]) -> None:
        self._at, self._found = at, found

    def known(
        self, revision: str, patches: tuple[str, ...], scenario: str, axes: Axes
    ) -> list[Outcome] | None:
        return self._found if (revision, patches, scenario, axes) == self._at else None


class Shown(list[Event]):
    def emit(self, event: Event, /) -> None:
        self.append(event)


def add(*cells: CellInfo, found: list[Outcome]) -> tuple[tuple[CellInfo, ...], Shown]:
    axes = (("bases", "same"), ("snapshotter", "stargz"))
    lab = FakeLab((results.sha(1), ("p",), "cross-stage-lazy", axes), found)
    shown = Shown()
    made = known.add(Findings(revisions=(), patches=(), cells=cells), cast(Lab, lab), shown)
    return made.cells, shown


# Axes in another order than the lab's.
CELL = results.cell("master", 1, "cached", patches=("p",), snapshotter="stargz", bases="same")


def test_a_cell_gets_all_known_trials_and_is_shown_again() -> None:
    (cell,), shown = add(CELL, found=[GOOD, GOOD, BAD, GOOD, GOOD])
    assert cell == replace(
        CELL,
        known=KnownInfo(counts={"cached": 4, "layers-dropped": 1}, verdicts={"good": 4, "bad": 1}),
    )
    (event,) = shown
    assert isinstance(event, CellDone)
    assert event.row == "master + p"
    assert event.column.axes == (("bases", "same"), ("snapshotter", "stargz"))
    assert line(event) == "good, cached 3 of 3 (flaky: 4 of 5 known on this machine)"


def test_nothing_is_shown_if_nothing_else_is_known() -> None:
    (cell,), shown = add(CELL, found=[GOOD] * 3)
    assert cell.known == KnownInfo(counts={"cached": 3}, verdicts={"good": 3})
    assert not shown


def test_a_cell_that_was_not_run_has_none() -> None:
    skipped = results.cell("master", 1, "skip (build)", bases="same", snapshotter="stargz")
    (cell,), shown = add(skipped, found=[GOOD])
    assert cell.known is None
    assert not shown


def test_a_cell_of_which_every_trial_failed_for_the_machine_has_none() -> None:
    infra = results.cell("master", 1, "infra", patches=("p",), bases="same", snapshotter="stargz")
    (cell,), shown = add(infra, found=[])
    assert cell == infra
    assert not shown
