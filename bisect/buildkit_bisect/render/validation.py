"""The lists in a report on a validation; the sentence above is `result.sentence.verdict`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from buildkit_bisect.phrases import listed, plural, several
from buildkit_bisect.render import symbols
from buildkit_bisect.render.symbols import CELL_EFFECTS, FITS, Symbol, of_check, word
from buildkit_bisect.result import (
    BackportInfo,
    CellChange,
    CellEffect,
    CellInfo,
    CheckEffect,
    CheckInfo,
    FitState,
    Result,
    ScenarioInfo,
    SubsetInfo,
    ValidationInfo,
)
from buildkit_bisect.result.labels import cell_label

#: What follows an outcome: its trials, or a reason.
_AFTER_OUTCOME = re.compile(r"[:,]| \d+ of \d+")

#: More cells than this are folded if there is nothing to say of them but their names.
_FOLD = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class CellGroup:
    """Cells with the same effect on one snapshotter."""

    symbol: Symbol
    title: str  # "still bad on stargz"
    folded: bool  # many of which there is nothing to say
    cells: tuple[tuple[str, str], ...]  # (cell, "layers dropped 3 of 3, then cached 3 of 3")


def groups(
    info: ValidationInfo,
    cells: Sequence[CellInfo] = (),
    scenarios: Sequence[ScenarioInfo] = (),
) -> list[CellGroup]:
    """Return the cells by effect and snapshotter; good ones and controls have only names.

    Where more is known of one of *cells* than this validation saw, it follows.
    """
    sides = {
        (cell.scenario, frozenset(cell.axes.items()), cell.patches): cell
        for cell in cells
        if cell.patches in ((), info.patches)
    }

    def described(change: CellChange) -> str:
        place = (change.scenario, frozenset(change.axes.items()))
        beside = [
            f"{symbols.known(cell.outcome, more, 'known')} {side}"
            for side, patches in (("without", ()), ("with", info.patches))
            if (cell := sides.get((*place, patches))) and (more := symbols.more(cell))
        ]
        known = f"on this machine, {' and '.join(beside)}" if beside else ""
        return "; ".join(filter(None, [_how(change), known]))

    found: dict[tuple[CellEffect, str, bool], list[CellChange]] = {}
    for change in CELL_EFFECTS:
        for cell in info.cells:
            if cell.change == change:
                # In the lazy scenarios, the snapshotter makes a cell a control.
                where = "" if cell.control else cell.snapshotter
                found.setdefault((change, where, cell.control), []).append(cell)
    made = []
    for (change, snapshotter, control), some in found.items():
        symbol, effect = CELL_EFFECTS[change]
        where = f" on {snapshotter}" if snapshotter else ""
        title = f"controls {effect}" if control else f"{effect}{where}"
        named = tuple((name(c, scenarios), described(c)) for c in some)
        dull = len(named) > _FOLD and not any(how for _, how in named)
        made.append(CellGroup(symbol=symbol, title=title, folded=dull, cells=named))
    return made


def effects(
    info: ValidationInfo, scenarios: Sequence[ScenarioInfo] = ()
) -> list[tuple[Symbol, str, str, str]]:
    """Return (symbol, effect, cells, how) of each effect, controls and checks with good cells."""
    rows = []
    worse = [c for c in info.checks if c.change == CheckEffect.WORSE]
    if worse:
        names = listed([f"{c.kind} {c.subject}" for c in worse], 3)
        rows.append((symbols.BAD, "broken by it: upstream's checks", names,
                     listed([n for c in worse for n in c.worse], 3)))  # fmt: skip
    for effect in (e for e in CELL_EFFECTS if e != CellEffect.STILL_GOOD):
        some = [c for c in info.cells if c.change == effect]
        symbol, title = CELL_EFFECTS[effect]
        if some:
            counts = Counter(_way(c) for c in some)
            ways = [f"{way} ({n})" if len(counts) > 1 else way for way, n in counts.items()]
            how = some[0].reason if effect == CellEffect.UNTESTED else several(ways, 3)
            names = several([name(c, scenarios) for c in some], 4)
            rows.append((symbol, f"{title}: {len(some)} of {_those(info, effect)}", names, how))
    good = [c for c in info.cells if c.change == CellEffect.STILL_GOOD]
    ran = [c for c in info.checks if c.change not in (CheckEffect.UNTESTED, CheckEffect.WORSE)]
    cells, controls = (sum(c.control == each for c in good) for each in (False, True))
    parts = [
        plural(cells, "cell") if cells else "",
        plural(controls, "control") if controls else "",
        plural(len(ran), "check") + " of upstream" if ran else "",
    ]
    if good or ran:
        rows.append((symbols.GOOD, "no worse", listed(filter(None, parts)), ""))
    return rows


def _those(info: ValidationInfo, effect: CellEffect) -> str:
    """Return what a number of cells with *effect* is out of: ``8 broken``, ``14 good``."""
    of = {
        CellEffect.FIXED: ("broken", (CellEffect.FIXED, CellEffect.STILL_BAD)),
        CellEffect.STILL_BAD: ("broken", (CellEffect.FIXED, CellEffect.STILL_BAD)),
        CellEffect.REGRESSED: ("good", (CellEffect.REGRESSED, CellEffect.STILL_GOOD)),
    }
    what, among = of.get(effect, ("", tuple(CellEffect)))
    count = sum(c.change in among for c in info.cells)
    return f"{count} {what}" if what else plural(count, "cell")


def _way(cell: CellChange) -> str:
    before, after = word(_bare(cell.before)), word(_bare(cell.after))
    return f"{before} → {after}" if before != after else f"{before}, as before"


def _bare(shown: str) -> str:
    """Return the outcome in ``layers-dropped 3 of 3``."""
    return _AFTER_OUTCOME.split(shown, maxsplit=1)[0]


def name(cell: CellChange, scenarios: Sequence[ScenarioInfo] = ()) -> str:
    """Return ``cross-stage-lazy: lazy snapshotter (stargz), two base images``."""
    scenario = next((s for s in scenarios if s.name == cell.scenario), None)
    plain = " ".join(f"{key} {value}" for key, value in cell.axes.items())
    label = cell_label(scenario, cell.axes) if scenario else plain
    return f"{cell.scenario}: {label}" if label else cell.scenario


def _how(cell: CellChange) -> str:
    if cell.reason:
        return cell.reason
    before, after = word(cell.before), word(cell.after)
    if cell.change == CellEffect.STILL_GOOD and not cell.moved:
        return ""
    return f"{before}, then {after}" if before != after else before


def series(info: ValidationInfo) -> list[tuple[str, str]]:
    """Return (patches, effect) of each subset that was tried, and of the whole series."""
    if not info.subsets:
        return []
    fixed = sum(c.change == CellEffect.FIXED for c in info.cells if not c.control)
    parts = [(" + ".join(s.patches), s.reason or _subset(s)) for s in info.subsets]
    return [*parts, (" + ".join(info.patches), f"fixes {fixed} of {info.subsets[0].of}")]


def _subset(s: SubsetInfo) -> str:
    breaks = f", breaks {s.regressed}" if s.regressed else ""
    return f"fixes {s.fixed} of {s.of}{f', {s.untested} untested' if s.untested else ''}{breaks}"


def checks(info: ValidationInfo) -> list[tuple[Symbol, CheckInfo, str]]:
    """Return (symbol, check, remarks) of each check."""
    return [(of_check(c), c, "; ".join(_remarks(c))) for c in info.checks]


def _remarks(check: CheckInfo) -> Iterable[str]:
    if check.worse:
        yield f"worse: {listed(check.worse)}"
    if check.better:
        yield f"fixed: {listed(check.better)}"
    if check.known:
        yield f"pre-existing: {listed(check.known)}"
    if check.flaky:
        yield f"flaky: {listed(check.flaky)}"
    if check.added:
        yield f"new and passing: {listed(check.added)}"
    if check.note:
        yield check.note


def backports(info: ValidationInfo) -> list[tuple[BackportInfo, str]]:
    """Return (branch, whether the patches apply), newest first, in the order of backporting."""
    return [(b, FITS[FitState(b.state)]) for b in reversed(info.backports)]


def fits(info: ValidationInfo) -> list[tuple[str, str, list[BackportInfo]]]:
    """Return (whether the patches apply, why not, branches); adjacent equal ones are together."""
    return [
        (state, detail, [b for b, _ in run])
        for (state, detail), run in groupby(
            backports(info), key=lambda pair: (pair[1], pair[0].detail)
        )
    ]


def values(result: Result) -> dict[str, object]:
    """Return the template variables for a validation, empty if there is none."""
    info = result.validation
    return {
        "v": info,
        "validation_groups": groups(info, result.cells, result.scenarios) if info else [],
        "validation_series": series(info) if info else [],
        "validation_checks": checks(info) if info else [],
        "validation_backports": backports(info) if info else [],
        "validation_fits": fits(info) if info else [],
    }
