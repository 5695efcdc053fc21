"""How outcomes, changes and states are shown: a symbol, a word, a class; never colour alone."""

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
WEAK = Symbol(emoji="❔", glyph="?", css="weak", says="tested, and no rule names what was seen")
SKIP = Symbol(emoji="⏭️", glyph="»", css="skip", says="could not be tested")
INFRA = Symbol(
    emoji="🔌", glyph="!", css="infra", says="something around the experiment failed; no verdict"
)
NONE = Symbol(emoji="▫️", glyph="·", css="none", says="not run")

ALL = (BAD, MIXED, GOOD, WEAK, SKIP, INFRA, NONE)
_BY_VERDICT: dict[str, Symbol] = {
    Verdict.GOOD: GOOD,
    Verdict.BAD: BAD,
    Verdict.WEAK: WEAK,
    Verdict.SKIP: SKIP,
    Verdict.INFRA: INFRA,
}

#: What patches did to cells, in this order: what a reviewer must see comes first.
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

#: What becomes of patches on a line.
FITS = {
    FitState.APPLIES: "applies",
    FitState.LACKING: "applies, needs more",
    FitState.THERE: "already there",
    FitState.PARTLY: "in part there",
    FitState.CONFLICTS: "conflicts",
}


def of(outcome: str, verdict: str) -> Symbol:
    """The symbol of an outcome; flaky has its own whatever its verdict."""
    return MIXED if outcome == ToolOutcome.FLAKY else _BY_VERDICT.get(verdict, WEAK)


def word(outcome: str) -> str:
    """``layers dropped`` for ``layers-dropped``."""
    return outcome.replace("-", " ")


def tally(cell: CellInfo) -> str:
    """``3 of 3``; for a flaky cell each outcome's count; "" where nothing was counted."""
    if len(cell.counts) > 1:
        total = sum(cell.counts.values())
        each = sorted(cell.counts.items(), key=lambda item: (-item[1], item[0]))
        return ", ".join(f"{word(name)} {n} of {total}" for name, n in each)
    k, n = cell.rate
    return f"{k} of {n}" if n else ""
