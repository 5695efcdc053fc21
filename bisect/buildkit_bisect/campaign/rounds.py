"""A round of a search: commits that are asked for at once, built and run several at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from buildkit_bisect.campaign.cell_search import CellSearch
from buildkit_bisect.campaign.driver import Work
from buildkit_bisect.campaign.search_steps import Step
from buildkit_bisect.campaign.time_left import ran
from buildkit_bisect.lab.ahead import Wanted
from buildkit_bisect.lab.cell import Cell
from buildkit_bisect.search import Ask, Tested


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What one search asks for; *where* and *beside* as in `CellSearch.test`."""

    search: CellSearch
    ask: Ask
    where: str = ""
    beside: int = 0


@dataclass(kw_only=True, slots=True)
class _Running:
    search: CellSearch
    step: Step
    parts: Iterator[Wanted]
    cells: list[Cell]
    wanted: Wanted | None = field(init=False, default=None)

    def turn(self) -> None:
        """Say what is wanted next, if anything is."""
        self.wanted = next(self.parts, None)


def tested(work: Work, asked: Sequence[Asked], *, before: int) -> list[Tested]:
    """Build and run what was *asked*, after *before* steps; return what was seen, in this order.

    Each step gets an equal share of the time, so that all of them sum up to it. Raises
    `InfraFailed`; what was run until then is stored.
    """
    if len(asked) == 1:
        (only,) = asked
        own = before - len(only.search.steps)
        step = only.search.test(work, only.ask, before=own, where=only.where, beside=only.beside)
        return [step]
    started, built = time.monotonic(), work.lab.build_seconds
    running = [_begun(work, one, before + number) for number, one in enumerate(asked, 1)]
    while wanted := [one.wanted for one in running if one.wanted]:
        for _ in work.lab.ahead(wanted):
            pass  # all of them, so that what is seen does not depend on which ends first
        for one in running:
            if one.wanted:
                one.search.run(work.lab, one.wanted, one.cells)
                one.turn()
    spent = time.monotonic() - started
    built = work.lab.build_seconds - built
    share = (spent - built) / len(running)
    for one in running:
        one.search.left.learn(ran(one.cells), share)
    return [
        one.search.seen(work, one.step, one.cells, seconds=spent / len(running)) for one in running
    ]


def _begun(work: Work, asked: Asked, number: int) -> _Running:
    search, ask = asked.search, asked.ask
    step = search.asked(work, ask, number=number, where=asked.where, beside=asked.beside)
    cells: list[Cell] = []
    parts = search.parts(step.variant, ask, cells)
    one = _Running(search=search, step=step, parts=parts, cells=cells)
    one.turn()
    return one
