"""A validation's verdict in one sentence; it is part of the document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from buildkit_bisect.phrases import listed, plural
from buildkit_bisect.result.document import CellChange, CheckInfo, ValidationInfo
from buildkit_bisect.result.words import CellEffect, CheckEffect, CheckKind, ValidationStatus

#: Makes a name stand out.
Mark = Callable[[str], str]

#: Checks of a kind in a sentence: all of them, and one before its subject.
_ALL = {CheckKind.TEST: "tests", CheckKind.VET: "vet", CheckKind.BUILD: "cross builds"}
_ONE = {
    CheckKind.TEST: "upstream's tests of",
    CheckKind.VET: "vet of",
    CheckKind.BUILD: "the build for",
}


def verdict(info: ValidationInfo, mark: Mark = str) -> str:
    """One sentence to quote; the names in it passed through *mark*, the rest plain."""
    who = mark(" + ".join(info.patches))
    where = f"{mark(info.base)} ({mark(info.sha[:12])})" if info.sha[:7] != info.base[:7] else (
        mark(info.base))  # fmt: skip
    if info.status == ValidationStatus.REFUSED:
        return f"There is nothing to fix: {mark(info.reason)}."
    tested = [c for c in info.cells if not c.control]
    fixed, bad, broke = (
        _having(tested, c) for c in (CellEffect.FIXED, CellEffect.STILL_BAD, CellEffect.REGRESSED)
    )
    broken = len(fixed) + len(bad)
    if not broken and not broke:
        return f"The effect of {who} on {where} is unknown: {mark(info.reason)}."
    moved = sum(c.moved for c in bad)
    otherwise = f", {_some(moved, len(bad))}in another way" if moved else ""
    cells = plural(broken, "broken cell")
    if not broken:
        said = f"{who} fixes nothing on {where}"
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
    if info.status == ValidationStatus.INCONCLUSIVE:
        said = f"Inconclusive on {where}: with {who} {len(fixed)} of {cells} are good"
    rest = [
        _breaks(broke),
        _untested(tested),
        _others(tested, broke),
        _controls(info),
        _of_checks(info.checks, mark),
    ]
    return "; ".join([said, *filter(None, rest)]) + "."


def _having(cells: Iterable[CellChange], effect: CellEffect) -> list[CellChange]:
    return [c for c in cells if c.change == effect]


def _some(n: int, of: int) -> str:
    return "" if of == 1 else "all of them " if n == of else f"{n} of them "


def _breaks(broke: Sequence[CellChange]) -> str:
    return f"it breaks {plural(len(broke), 'cell')} that {_was(broke)} good" if broke else ""


def _others(tested: Sequence[CellChange], broke: Sequence[CellChange]) -> str:
    """How many cells could have shown a regression beside the controls, and did not."""
    good = _having(tested, CellEffect.STILL_GOOD)
    if broke or not good:
        return ""
    return f"the {'one' if len(good) == 1 else len(good)} that {_was(good)} good still {_is(good)}"


def _is(cells: Sequence[CellChange]) -> str:
    return "is" if len(cells) == 1 else "are"


def _was(cells: Sequence[CellChange]) -> str:
    return "was" if len(cells) == 1 else "were"


def _untested(tested: Sequence[CellChange]) -> str:
    unsure = _having(tested, CellEffect.UNTESTED)
    return f"{plural(len(unsure), 'cell')} could not be tested" if unsure else ""


def _controls(info: ValidationInfo) -> str:
    controls = [c for c in info.cells if c.control]
    changed = [c for c in controls if c.moved]
    if not controls:
        return "no control was selected"
    good = _having(controls, CellEffect.STILL_GOOD)
    if len(good) == len(controls) and not changed:
        every = "the one control is" if len(controls) == 1 else f"all {len(controls)} controls are"
        return f"{every} unchanged"
    broke = _having(controls, CellEffect.REGRESSED)
    said = f"{len(broke)} broken" if broke else f"{len(changed)} changed"
    if not changed:
        said = f"{len(controls) - len(good)} not good to begin with"
    return f"of {plural(len(controls), 'control')}, {said}"


def _of_checks(checks: Sequence[CheckInfo], mark: Mark) -> str:
    if not checks:
        return ""
    worse = [c for c in checks if c.change == CheckEffect.WORSE]
    if worse:
        names = [
            f"{_ONE[CheckKind(c.kind)]} {mark(c.subject)} ({mark(listed(c.worse, 3))})"
            for c in worse
        ]
        return f"it breaks {listed(names)}"
    ran = [c for c in checks if c.change != CheckEffect.UNTESTED]
    if not ran:
        return "upstream's own tests could not be run"
    kinds = list(dict.fromkeys(CheckKind(c.kind) for c in ran))
    said = f"upstream's {listed(_ALL[kind] for kind in kinds)} are no worse than without it"
    return said if CheckKind.TEST in kinds else f"{said}, and its tests could not be run"
