"""Words for the cells that a bisection may be in: names, what each showed, the choice. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from buildkit_bisect.model import Axes, Verdict
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Bisect
from buildkit_bisect.phrases import listed, percent, plural
from buildkit_bisect.result import CellTried
from buildkit_bisect.search import Answer, Inconclusive, RefusalKind, Refused
from buildkit_bisect.search.choice import Chosen, NoneDiffers
from buildkit_bisect.search.session import BisectSession

#: What a good end shows that is bad, fails in another way, or fails sometimes.
_BROKEN = (Verdict.BAD, Verdict.WEAK)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ends:
    """The names of the ends, of what was found: not ``latest``, but its tag."""

    good: str
    bad: str
    find_fix: bool = False

    @property
    def older(self) -> str:
        """The end that comes first in history."""
        return self.bad if self.find_fix else self.good

    @property
    def newer(self) -> str:
        """The other end."""
        return self.good if self.find_fix else self.bad

    @property
    def hold(self) -> str:
        """What a cell must show."""
        return f"good at {self.good} and bad at {self.bad}"


def names(cells: Sequence[Axes]) -> dict[Axes, str]:
    """Return ``bases=same`` for each cell: the axes in which the cells are not all alike."""
    alike = set.intersection(*map(set, cells))
    return {axes: " ".join(f"{k}={v}" for k, v in axes if (k, v) not in alike) for axes in cells}


def tried(
    sessions: Mapping[Axes, BisectSession],
    found: Chosen[Axes] | NoneDiffers[Axes],
    *,
    good: str,
    bad: str,
) -> tuple[CellTried, ...]:
    """Return what each cell showed at the commits *good* and *bad*."""
    certainty = found.certainty if isinstance(found, Chosen) else {}
    rows = []
    for axes, session in sessions.items():
        (good_verdict, at_good), (bad_verdict, at_bad) = session.shown(good), session.shown(bad)
        rows.append(
            CellTried(
                axes=dict(axes),
                good=at_good,
                bad=at_bad,
                good_verdict=str(good_verdict),
                bad_verdict=str(bad_verdict),
                differ=certainty.get(axes),
                searched=isinstance(found, Chosen) and axes == found.cell,
                reason="" if axes in certainty else why_not(session),
            )
        )
    return tuple(rows)


def why_not(session: BisectSession) -> str:
    """Return why a cell was not chosen although its ends were tried."""
    match session.next():
        case Refused() | Inconclusive() as ended:
            return ended.reason
        case _:
            return "its ends do not differ in the trials that it had"


def lines(rows: Sequence[CellTried], ends: Ends) -> list[str]:
    """Return ``bases=same: v0.24.0 is good, cached (1 of 1); v0.26.0 is bad, ...`` for each row."""
    called = names([_axes(row) for row in rows])
    return [
        f"{called[_axes(row)]}: {_is(ends.good, row.good_verdict, row.good)};"
        f" {_is(ends.bad, row.bad_verdict, row.bad)}"
        for row in rows
    ]


def _axes(row: CellTried) -> Axes:
    return tuple(row.axes.items())


def _is(end: str, verdict: str, seen: str) -> str:
    match Verdict(verdict):
        case Verdict.GOOD | Verdict.BAD:
            return f"{end} is {verdict}, {seen}"
        case Verdict.SKIP | Verdict.INFRA:
            return f"{end} could not be tested, {seen}"
        case Verdict.WEAK:  # both, or another failure than the bad end's
            return f"{end} shows {seen}"


def why(rows: Sequence[CellTried], ends: Ends) -> str:
    """Return why the search is in the row that is marked, by the rule of `CellChoice`."""
    called = names([_axes(row) for row in rows])
    chosen = next(row for row in rows if row.searched)
    able = [row for row in rows if row.differ is not None]
    name = called[_axes(chosen)]
    if len(able) == 1:
        alone = "can be searched" if _based(rows) else f"is {ends.hold}"
        return f"searching with {name}, the only one of {len(rows)} cells that {alone}"
    count = f"{len(able)} of {len(rows)}" if len(able) < len(rows) else f"all {len(rows)}"
    hold = f"{count} cells are {ends.hold}"
    others = [row for row in able if row is not chosen]
    if chosen.differ in [row.differ for row in others]:
        return f"searching with {name}: {hold}, none more certainly; this is the first"
    beside = listed(f"{called[_axes(row)]} {percent(row.differ or 0)}" for row in others)
    own = percent(chosen.differ or 0)
    return f"searching with {name}: {hold}, this one most certainly ({own}; {beside})"


def _based(rows: Sequence[CellTried]) -> bool:
    """Whether the ends of some cell hold, and it is refused for another reason: a merge base."""
    return any(
        row.reason and (row.good_verdict, row.bad_verdict) == (Verdict.GOOD, Verdict.BAD)
        for row in rows
    )


def refusal(answers: Mapping[Axes, Answer], rows: Sequence[CellTried], ends: Ends) -> Answer:
    """Return the answer where no cell can be searched, with the commands that may be meant.

    Where no cell was run, for one reason (equal ends, a source that does not build), it is that.
    """
    refused = [answer for answer in answers.values() if isinstance(answer, Refused)]
    first = next(iter(answers.values()))
    ran = any({row.good_verdict, row.bad_verdict} != {Verdict.SKIP} for row in rows)
    alike = len({(r.kind, r.reason) for r in refused}) == 1
    if len(refused) < len(answers) or (alike and not ran):
        return first
    called = names(list(answers))
    hints = [
        " ".join([answer.hint, *(words(Bisect, axis=each) for each in called[axes].split())])
        for axes, answer in answers.items()
        if isinstance(answer, Refused)
        and answer.kind in (RefusalKind.ORDER, RefusalKind.MERGE_BASE)
    ]
    if not ends.find_fix and any(row.good_verdict in _BROKEN for row in rows):
        hints.append(inv("bisect", bad=ends.good, find_good=True))
    hints.append(inv("boundaries", from_=ends.older, to=ends.newer))
    none = "can be searched" if _based(rows) else f"is {ends.hold}"
    return Refused(
        kind=RefusalKind.NO_CELL,
        reason=f"none of the {plural(len(rows), 'cell')} {none}",
        hint=", or ".join(dict.fromkeys(hints)),
    )
