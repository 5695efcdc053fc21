"""How an outcome is shown: a symbol, a word, a class; never colour alone."""

from __future__ import annotations

from dataclasses import dataclass

from buildkit_bisect.model import FLAKY
from buildkit_bisect.result import CellInfo


@dataclass(frozen=True, kw_only=True, slots=True)
class Symbol:
    """One kind of cell."""

    emoji: str
    glyph: str  # one column wide in a terminal
    css: str
    says: str


GOOD = Symbol(emoji="✅", glyph="✓", css="good", says="good")
BAD = Symbol(emoji="❌", glyph="✗", css="bad", says="bad")
MIXED = Symbol(emoji="⚠️", glyph="≈", css="flaky", says="flaky: trials disagree")
WEAK = Symbol(emoji="❔", glyph="?", css="weak", says="tested, and no rule names what was seen")
SKIP = Symbol(emoji="⏭️", glyph="»", css="skip", says="could not be tested")
INFRA = Symbol(
    emoji="🔌", glyph="!", css="infra", says="something around the experiment failed; no verdict"
)
NONE = Symbol(emoji="▫️", glyph="·", css="none", says="not run")

ALL = (BAD, MIXED, GOOD, WEAK, SKIP, INFRA, NONE)
_BY_VERDICT = {"good": GOOD, "bad": BAD, "weak": WEAK, "skip": SKIP, "infra": INFRA}


def of(outcome: str, verdict: str) -> Symbol:
    """The symbol of an outcome; flaky has its own whatever its verdict."""
    return MIXED if outcome == FLAKY else _BY_VERDICT.get(verdict, WEAK)


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
