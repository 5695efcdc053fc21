"""Symbols and words for outcomes, changes and states, so that none is shown by colour alone."""

from __future__ import annotations

from dataclasses import dataclass

from buildkit_bisect.model import ToolOutcome, Verdict
from buildkit_bisect.result import CellEffect, CellInfo, CheckEffect, FitState


@dataclass(frozen=True, kw_only=True, slots=True)
class Symbol:
    """One kind of cell."""

    emoji: str
    glyph: str  # one column wide in a terminal
    css: str
    says: str


GOOD = Symbol(emoji="✅", glyph="✓", css="good", says="good")
BAD = Symbol(emoji="❌", glyph="✗", css="bad", says="bad")
MIXED = Symbol(
    emoji="⚠️", glyph="≈", css="flaky", says=f"{ToolOutcome.FLAKY}: {ToolOutcome.FLAKY.means}"
)
WEAK = Symbol(emoji="❔", glyph="?", css="weak", says="inconclusive: neither good nor bad")
SKIP = Symbol(emoji="⏭️", glyph="»", css="skip", says="could not be tested")
INFRA = Symbol(emoji="🔌", glyph="!", css="infra", says="infrastructure failure: no verdict")
NONE = Symbol(emoji="▫️", glyph="·", css="none", says="not run")

ALL = (BAD, MIXED, GOOD, WEAK, SKIP, INFRA, NONE)
_BY_VERDICT: dict[str, Symbol] = {
    Verdict.GOOD: GOOD,
    Verdict.BAD: BAD,
    Verdict.WEAK: WEAK,
    Verdict.SKIP: SKIP,
    Verdict.INFRA: INFRA,
}

#: Effects of patches on cells, most important first.
CELL_EFFECTS = {
    CellEffect.REGRESSED: (BAD, "broken by it"),
    CellEffect.FIXED: (GOOD, "fixed"),
    CellEffect.STILL_BAD: (BAD, "still bad"),
    CellEffect.UNTESTED: (SKIP, "could not be tested"),
    CellEffect.STILL_GOOD: (GOOD, "still good"),
}

CHECK_EFFECTS = {
    CheckEffect.WORSE: BAD,
    CheckEffect.BETTER: GOOD,
    CheckEffect.SAME: GOOD,
    CheckEffect.PRE_EXISTING: GOOD,
    CheckEffect.UNTESTED: SKIP,
}

#: Whether patches apply to a branch.
FITS = {
    FitState.APPLIES: "applies",
    FitState.LACKING: "applies, needs more",
    FitState.THERE: "already applied",
    FitState.PARTLY: "partly applied",
    FitState.CONFLICTS: "conflicts",
}


def of(outcome: str, verdict: str) -> Symbol:
    """Return the symbol of an outcome; flaky has its own, whatever the verdict."""
    return MIXED if outcome == ToolOutcome.FLAKY else _BY_VERDICT.get(verdict, WEAK)


def word(outcome: str) -> str:
    """Return ``layers dropped`` for ``layers-dropped``."""
    return outcome.replace("-", " ")


def tally(cell: CellInfo) -> str:
    """Return ``3 of 3``, each outcome's count for a flaky cell, or "" without trials."""
    if len(cell.counts) > 1:
        total = sum(cell.counts.values())
        each = sorted(cell.counts.items(), key=lambda item: (-item[1], item[0]))
        return ", ".join(f"{word(name)} {n} of {total}" for name, n in each)
    k, n = cell.rate
    return f"{k} of {n}" if n else ""
