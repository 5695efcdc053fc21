"""Symbols and words for outcomes, changes and states, so that none is shown by colour alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from buildkit_bisect.model import ToolOutcome, Verdict
from buildkit_bisect.result import (
    CellEffect,
    CellInfo,
    CheckEffect,
    CheckInfo,
    FitState,
    Result,
)


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

#: What a box with an outline instead of a fill is.
CONTROL = "control: the failure cannot show there, so it must be good"

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

#: Of a check of upstream's: it is no tick, since something fails, and no cross.
PRE_EXISTING = Symbol(
    emoji="\N{HEAVY MINUS SIGN}", glyph="=", css="weak", says="fails without the patches too"
)

#: Whether patches apply to a branch.
FITS = {
    FitState.APPLIES: "applies",
    FitState.LACKING: "applies, needs more",
    FitState.THERE: "already applied",
    FitState.PARTLY: "partly applied",
    FitState.CONFLICTS: "conflicts",
    FitState.UNKNOWN: "not known",
}


def of(outcome: str, verdict: str) -> Symbol:
    """Return the symbol of an outcome; flaky has its own, whatever the verdict."""
    return MIXED if outcome == ToolOutcome.FLAKY else _BY_VERDICT.get(verdict, WEAK)


def of_check(check: CheckInfo) -> Symbol:
    """Return the symbol of one of upstream's checks: a tick only if nothing in it failed."""
    match CheckEffect(check.change):
        case CheckEffect.WORSE:
            return BAD
        case CheckEffect.UNTESTED:
            return SKIP
        case _ if check.flaky:
            return MIXED
        case CheckEffect.PRE_EXISTING:
            return PRE_EXISTING
        case CheckEffect.BETTER | CheckEffect.SAME:
            return PRE_EXISTING if check.known else GOOD


def of_cell(cell: CellInfo) -> Symbol:
    """Return the symbol of a cell; that of flaky also if only all known trials disagree."""
    return MIXED if flaky(cell) else of(cell.outcome, cell.verdict)


def verdicts(result: Result) -> dict[str, str]:
    """Return the verdict of each outcome; none for a name that scenarios judge differently."""
    found: dict[str, set[str]] = {}
    for scenario in result.scenarios:
        for outcome in scenario.outcomes:
            found.setdefault(outcome["name"], set()).add(outcome["verdict"])
    return {name: some.pop() for name, some in found.items() if len(some) == 1}


def flaky(cell: CellInfo) -> bool:
    """Whether all known trials of a tested cell disagree, although its own may agree."""
    tested = cell.verdict not in {Verdict.SKIP, Verdict.INFRA}
    return tested and len(more(cell)) > 1


def word(outcome: str) -> str:
    """Return ``layers dropped`` for ``layers-dropped``."""
    return outcome.replace("-", " ")


def tally(cell: CellInfo) -> str:
    """Return ``3 of 3 (flaky: 17 of 21 known on this machine)``: `own`, and `known` if more are."""
    beside = more(cell)
    return f"{own(cell)} ({known(cell.outcome, beside)})".lstrip() if beside else own(cell)


def brief(cell: CellInfo) -> str:
    """Return the same as `tally` for pictures: ``3 of 3 (flaky: 17 of 21 known)``.

    Of a flaky cell it has the commonest outcome only: ``cached 2 of 3 (17 of 21 known)``.
    """
    beside = more(cell)
    if not beside:
        return own(cell)
    if len(cell.counts) < 2:  # noqa: PLR2004 - its trials agree
        return f"{own(cell)} ({known(cell.outcome, beside, 'known')})".lstrip()
    name = max(cell.counts, key=lambda outcome: cell.counts[outcome])
    k, n = cell.counts[name], sum(cell.counts.values())
    return f"{word(name)} {k} of {n} ({beside.get(name, 0)} of {sum(beside.values())} known)"


def whole(cell: CellInfo) -> str:
    """Return the same as `tally`, but with each outcome of all known trials."""
    return f"{own(cell)} ({all_known(cell)})".lstrip() if more(cell) else own(cell)


def all_known(cell: CellInfo) -> str:
    """Return each outcome of all known trials if they are more than the campaign's own, or ""."""
    return f"{_each(more(cell))} known on this machine" if more(cell) else ""


def own(cell: CellInfo) -> str:
    """Return ``3 of 3``, each outcome's count for a flaky cell, or "" without trials."""
    if len(cell.counts) > 1:
        return _each(cell.counts)
    k, n = cell.rate
    return f"{k} of {n}" if n else ""


def more(cell: CellInfo) -> Mapping[str, int]:
    """Return all known trials by outcome if they are more than the campaign's own, else {}."""
    return cell.known.counts if cell.known and cell.known.counts != cell.counts else {}


def known(outcome: str, counts: Mapping[str, int], where: str = "known on this machine") -> str:
    """Return ``17 of 24 known on this machine``, the share of *outcome*, or of the commonest.

    If the trials disagree although *outcome* is not flaky, the text says so.
    """
    if outcome not in counts:
        most = max(counts, key=lambda name: counts[name])
        return f"{word(most)} {counts[most]} of {sum(counts.values())} {where}"
    doubt = "flaky: " if len(counts) > 1 else ""
    return f"{doubt}{counts[outcome]} of {sum(counts.values())} {where}"


def _each(counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{word(name)} {n} of {total}" for name, n in ranked)
