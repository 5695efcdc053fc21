"""What verdicts that are taken at their word leave of the candidates."""

from __future__ import annotations

from dataclasses import dataclass

from buildkit_bisect.search.history import Mask
from buildkit_bisect.search.state import State
from buildkit_bisect.search.tally import Status


@dataclass(frozen=True, kw_only=True, slots=True)
class Left:
    """Where the one change has to be, between the last old commits and the lowest new one."""

    reach: Mask  # every commit between
    viable: Mask  # those of them that are another build than their parents
    lowest: str  # the commit known to be new that contains all of them


def left_by(state: State) -> Left:
    """Exclude what old commits contain, then keep what the new ones contain, newest first.

    In a history that turned more than once this looks for the last turn.
    """
    history, status = state.history, state.evidence.status
    reach = history.ancestors(state.new) & ~history.union(state.floor)
    known = [
        (history.number(c), status(c))
        for c in state.evidence.known()
        if c in history and history.contains(state.new, c)
    ]
    for number, shown in known:
        if shown is Status.OLD:
            reach &= ~history.ancestors_at(number)
    lowest = history.number(state.new)
    for number in sorted((n for n, shown in known if shown is Status.NEW), reverse=True):
        if reach >> number & 1:
            reach &= history.ancestors_at(number)
            lowest = number
    return Left(reach=reach, viable=reach & state.space(), lowest=history.sha(lowest))
