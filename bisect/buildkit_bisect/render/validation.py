"""What a validation found, in words: the sentence to quote, and the lists below it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from buildkit_bisect.render.symbols import BAD, GOOD, SKIP, Symbol, word
from buildkit_bisect.render.text import listed, plural
from buildkit_bisect.result import (
    BackportInfo,
    CellChange,
    CheckInfo,
    SubsetInfo,
    ValidationInfo,
)

Mark = Callable[[str], str]

#: How classes of cells are shown, in this order: what a reviewer must see comes first.
CHANGES = {
    "regressed": (BAD, "broken by it"),
    "fixed": (GOOD, "fixed"),
    "still-bad": (BAD, "still bad"),
    "untested": (SKIP, "could not be tested"),
    "still-good": (GOOD, "still good"),
}
_CHECKS = {"worse": BAD, "better": GOOD, "same": GOOD, "pre-existing": GOOD, "untested": SKIP}

#: What becomes of patches on a line: `backports.Fit.state`, in words.
STATES = {
    "applies": "applies",
    "lacking": "applies, needs more",
    "there": "already there",
    "partly": "in part there",
    "conflicts": "conflicts",
}


def verdict(info: ValidationInfo, mark: Mark = str) -> str:
    """One sentence to quote; the names in it passed through *mark*, the rest plain."""
    who = mark(" + ".join(info.patches))
    where = f"{mark(info.base)} ({mark(info.sha[:12])})" if info.sha[:7] != info.base[:7] else (
        mark(info.base))  # fmt: skip
    if info.status == "refused":
        return f"There is nothing to fix: {mark(info.reason)}."
    tested = [c for c in info.cells if not c.control]
    fixed, bad, broke = (_having(tested, c) for c in ("fixed", "still-bad", "regressed"))
    broken = len(fixed) + len(bad)
    if not broken and not broke:
        return f"It cannot be said what {who} does on {where}: {mark(info.reason)}."
    moved = sum(c.moved for c in bad)
    otherwise = f", {_some(moved, len(bad))}in another way" if moved else ""
    cells = plural(broken, "broken cell")
    if not broken:
        said = f"{who} mends nothing on {where}"
    elif not bad:
        every = "the one broken cell" if broken == 1 else f"all {cells}"
        said = f"{who} fixes {every} on {where}"
    elif fixed:
        still = "is" if len(bad) == 1 else "are"
        said = f"{who} fixes {len(fixed)} of {cells} on {where}, and {len(bad)} {still} still bad"
        said += otherwise
    else:
        still = "the one broken cell is" if broken == 1 else f"all {cells} are"
        said = f"{who} does not fix it on {where}: {still} still bad{otherwise}"
    if info.status == "inconclusive":
        said = f"Inconclusive on {where}: with {who} {len(fixed)} of {cells} are good"
    rest = [
        _breaks(broke),
        _untested(tested),
        _others(tested, broke),
        _controls(info),
        _of_checks(info.checks, mark),
    ]
    return "; ".join([said, *filter(None, rest)]) + "."


def _having(cells: Iterable[CellChange], change: str) -> list[CellChange]:
    return [c for c in cells if c.change == change]


def _some(n: int, of: int) -> str:
    return "" if of == 1 else "all of them " if n == of else f"{n} of them "


def _breaks(broke: Sequence[CellChange]) -> str:
    return f"it breaks {plural(len(broke), 'cell')} that {_was(broke)} good" if broke else ""


def _others(tested: Sequence[CellChange], broke: Sequence[CellChange]) -> str:
    """How many cells could have shown a regression beside the controls, and did not."""
    good = _having(tested, "still-good")
    if broke or not good:
        return ""
    return f"the {'one' if len(good) == 1 else len(good)} that {_was(good)} good still {_is(good)}"


def _is(cells: Sequence[CellChange]) -> str:
    return "is" if len(cells) == 1 else "are"


def _was(cells: Sequence[CellChange]) -> str:
    return "was" if len(cells) == 1 else "were"


def _untested(tested: Sequence[CellChange]) -> str:
    unsure = _having(tested, "untested")
    return f"{plural(len(unsure), 'cell')} could not be tested" if unsure else ""


def _controls(info: ValidationInfo) -> str:
    controls = [c for c in info.cells if c.control]
    changed = [c for c in controls if c.moved]
    if not controls:
        return "no control cell was asked for"
    good = _having(controls, "still-good")
    if len(good) == len(controls) and not changed:
        every = "the one control is" if len(controls) == 1 else f"all {len(controls)} controls are"
        return f"{every} unchanged"
    broke = _having(controls, "regressed")
    said = f"{len(broke)} broken" if broke else f"{len(changed)} changed"
    if not changed:
        said = f"{len(controls) - len(good)} not good to begin with"
    return f"of {plural(len(controls), 'control')}, {said}"


def _of_checks(checks: Sequence[CheckInfo], mark: Mark) -> str:
    if not checks:
        return ""
    worse = [c for c in checks if c.change == "worse"]
    if worse:
        names = [f"{_kind(c)} {mark(c.subject)} ({mark(listed(c.worse, 3))})" for c in worse]
        return f"it breaks {listed(names)}"
    ran = [c for c in checks if c.change != "untested"]
    if not ran:
        return "upstream's own tests could not be run"
    kinds = list(dict.fromkeys({"test": "tests", "vet": "vet", "build": "cross builds"}[c.kind]
                               for c in ran))  # fmt: skip
    said = f"upstream's {listed(kinds)} are no worse than without it"
    return said if "tests" in kinds else f"{said}, and its tests could not be run"


def _kind(check: CheckInfo) -> str:
    return {"test": "upstream's tests of", "vet": "vet of", "build": "the build for"}[check.kind]


@dataclass(frozen=True, kw_only=True, slots=True)
class CellGroup:
    """Cells of one class on one snapshotter."""

    symbol: Symbol
    title: str  # "still bad on stargz"
    cells: tuple[tuple[str, str], ...]  # (cell, "layers dropped 3 of 3, then cached 3 of 3")


def groups(info: ValidationInfo) -> list[CellGroup]:
    """Cells by class and snapshotter; of good ones and controls only names."""
    found: dict[tuple[str, str, bool], list[CellChange]] = {}
    for change in CHANGES:
        for cell in info.cells:
            if cell.change == change:
                # The snapshotter is what makes a cell a control of the lazy scenarios.
                where = "" if cell.control else cell.snapshotter
                found.setdefault((change, where, cell.control), []).append(cell)
    made = []
    for (change, snapshotter, control), cells in found.items():
        symbol, said = CHANGES[change]
        where = f" on {snapshotter}" if snapshotter else ""
        title = f"controls {said}" if control else f"{said}{where}"
        made.append(
            CellGroup(symbol=symbol, title=title, cells=tuple((name(c), _how(c)) for c in cells))
        )
    return made


def name(cell: CellChange) -> str:
    """``cross-stage-lazy bases different``, with the snapshotter where it is a control's."""
    axes = [
        f"{key} {value}" for key, value in cell.axes.items() if cell.control or key != "snapshotter"
    ]
    return " ".join([cell.scenario, *axes])


def _how(cell: CellChange) -> str:
    if cell.reason:
        return cell.reason
    before, after = word(cell.before), word(cell.after)
    if cell.change == "still-good" and not cell.moved:
        return ""
    return f"{before}, then {after}" if before != after else before


def series(info: ValidationInfo) -> list[tuple[str, str]]:
    """(patches, what they do) of each subset that was tried, and of the whole."""
    if not info.subsets:
        return []
    fixed = sum(c.change == "fixed" for c in info.cells if not c.control)
    said = [(" + ".join(s.patches), s.reason or _subset(s)) for s in info.subsets]
    return [*said, (" + ".join(info.patches), f"fixes {fixed} of {info.subsets[0].of}")]


def _subset(s: SubsetInfo) -> str:
    breaks = f", breaks {s.regressed}" if s.regressed else ""
    return f"fixes {s.fixed} of {s.of}{f', {s.untested} untested' if s.untested else ''}{breaks}"


def checks(info: ValidationInfo) -> list[tuple[Symbol, CheckInfo, str]]:
    """(symbol, check, what a reader should know of it)."""
    return [(_CHECKS[c.change], c, "; ".join(_told(c))) for c in info.checks]


def _told(check: CheckInfo) -> Iterable[str]:
    if check.worse:
        yield f"worse: {listed(check.worse)}"
    if check.better:
        yield f"mended: {listed(check.better)}"
    if check.known:
        yield f"pre-existing: {listed(check.known)}"
    if check.flaky:
        yield f"flaky, whichever way: {listed(check.flaky)}"
    if check.added:
        yield f"new, and passing: {listed(check.added)}"
    if check.note:
        yield check.note


def backports(info: ValidationInfo) -> list[tuple[BackportInfo, str]]:
    """(line, what becomes of the patches there); the newest first, as a backporter goes."""
    return [(b, STATES[b.state]) for b in reversed(info.backports)]


def values(info: ValidationInfo | None) -> dict[str, object]:
    """What templates know of a validation; all of it empty where there is none."""
    return {
        "v": info,
        "validation_groups": groups(info) if info else [],
        "validation_series": series(info) if info else [],
        "validation_checks": checks(info) if info else [],
        "validation_backports": backports(info) if info else [],
    }
