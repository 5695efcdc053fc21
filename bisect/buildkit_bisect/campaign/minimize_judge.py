"""Judges what some hunks of a change show, and names them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from buildkit_bisect.model import Verdict
from buildkit_bisect.phrases import listed
from buildkit_bisect.result.chance import may_be_chance
from buildkit_bisect.search.minimize import Seen, Subset


def side(verdicts: Sequence[Verdict]) -> Verdict | None:
    """Return BAD if any trial was bad, GOOD if all were good, else None."""
    if Verdict.BAD in verdicts:
        return Verdict.BAD
    return Verdict.GOOD if verdicts and set(verdicts) == {Verdict.GOOD} else None


def judged(before: Sequence[Verdict], after: Sequence[Verdict], to: Verdict) -> Seen | None:
    """Return what trials with some hunks show; None if there are too few to exclude chance.

    *before* are the trials without any of the hunks; all hunks change their side to *to*.
    """
    old, new = side(before), side(after)
    if old is None or new is None or old is to:
        return Seen.UNTESTABLE
    if new is not to:
        return Seen.UNCHANGED
    return None if may_be_chance(before, after) else Seen.CHANGED


def sides(*, old: bool, new: bool, to: Verdict) -> Verdict:
    """Return how an outcome counts in a search, where reverting a commit turns new *to* old.

    What is neither is evidence for neither side.
    """
    if old:
        return to
    if new:
        return Verdict.BAD if to is Verdict.GOOD else Verdict.GOOD
    return Verdict.WEAK


def numbered(some: Subset) -> str:
    """Return ``hunk 3`` or ``hunks 1 and 3``, counted from 1."""
    numbers = [str(n + 1) for n in some]
    return f"hunk {numbers[0]}" if len(some) == 1 else f"hunks {listed(numbers)}"
