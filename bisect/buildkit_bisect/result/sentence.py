"""A validation's verdict, as a headline; it is part of the document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from buildkit_bisect.headline import Mark, Said, Words, headline
from buildkit_bisect.phrases import are, every, labelled, listed, plural
from buildkit_bisect.result.document import CellChange, CheckInfo, ValidationInfo
from buildkit_bisect.result.words import CellEffect, CheckEffect, CheckKind, ValidationStatus

#: Checks of a kind in a sentence: all of them, and one before its subject.
_ALL = {CheckKind.TEST: "tests", CheckKind.VET: "vet", CheckKind.BUILD: "cross builds"}
_ONE = {
    CheckKind.TEST: "upstream's tests of",
    CheckKind.VET: "vet of",
    CheckKind.BUILD: "the build for",
}


def verdict(info: ValidationInfo, mark: Mark = str) -> str:
    """At most two sentences to quote; names in them passed through *mark*, the rest plain."""
    return headline(lambda words: say_verdict(info, words), mark)


def say_verdict(info: ValidationInfo, words: Words) -> Said:
    """What patches fix and break, in the room that *words* has."""
    who = words.sum(info.patches)
    where = words.name(info.base)
    if info.sha and info.sha[:7] != info.base[:7]:
        where += f" ({words.name(info.sha[:12])})"
    if info.status == ValidationStatus.REFUSED:
        return Said(first=labelled("There is nothing to fix", words.long(info.reason)))
    tested = [c for c in info.cells if not c.control]
    fixed, bad, broke = (
        _having(tested, c) for c in (CellEffect.FIXED, CellEffect.STILL_BAD, CellEffect.REGRESSED)
    )
    broken = len(fixed) + len(bad)
    if not broken and not broke:
        unknown = f"The effect of {who} on {where} is unknown"
        return Said(first=labelled(unknown, words.long(info.reason)))
    if info.status == ValidationStatus.INCONCLUSIVE:
        cells = plural(broken, "broken cell")
        first = (
            f"Inconclusive on {where}: with {who}, {len(fixed)} of {cells} {are(len(fixed))} good"
        )
    else:
        first = f"{who} {_fixes(fixed, bad)} on {where}"
    moved = sum(c.moved for c in bad)
    must = [
        _breaks(broke),
        _worse(info.checks, words),
        _moved(moved, len(bad)),
        _untested(tested),
        _controls(info),
    ]
    return Said(first=first, must=tuple(filter(None, must)), may=tuple(_unharmed(info, broke)))


def _fixes(fixed: Sequence[CellChange], bad: Sequence[CellChange]) -> str:
    broken = len(fixed) + len(bad)
    if not broken:
        return "fixes nothing"
    if not bad:
        return "fixes the one broken cell" if broken == 1 else f"fixes {every(broken)} broken cells"
    if fixed:
        return f"fixes {len(fixed)} of {broken} broken cells"
    return "does not fix the one broken cell" if broken == 1 else (
        f"fixes none of {broken} broken cells")  # fmt: skip


def _moved(moved: int, bad: int) -> str:
    """How many of the cells that are still bad fail in another way."""
    if not moved:
        return ""
    if bad == 1:
        return "it fails in another way"
    fail = "fails" if moved == 1 else "fail"
    some = every(bad) if moved == bad else f"{moved} of the {bad}"
    return f"{some} that are still bad {fail} in another way"


def _having(cells: Iterable[CellChange], effect: CellEffect) -> list[CellChange]:
    return [c for c in cells if c.change == effect]


def _breaks(broke: Sequence[CellChange]) -> str:
    return f"it breaks {plural(len(broke), 'cell')} that {_was(broke)} good" if broke else ""


def _was(cells: Sequence[CellChange]) -> str:
    return "was" if len(cells) == 1 else "were"


def _untested(tested: Sequence[CellChange]) -> str:
    unsure = _having(tested, CellEffect.UNTESTED)
    return f"{plural(len(unsure), 'cell')} could not be tested" if unsure else ""


def _controls(info: ValidationInfo) -> str:
    """What is wrong with the controls; "" if they prove what they should."""
    controls = [c for c in info.cells if c.control]
    if not controls:
        return "no control was selected"
    broke = _having(controls, CellEffect.REGRESSED)
    changed = [c for c in controls if c.moved]
    good = _having(controls, CellEffect.STILL_GOOD)
    said = f"{len(broke)} broken" if broke else f"{len(changed)} changed"
    if not changed and not broke:
        if len(good) == len(controls):
            return ""
        said = f"{len(controls) - len(good)} not good to begin with"
    return f"of {plural(len(controls), 'control')}, {said}"


def _worse(checks: Sequence[CheckInfo], words: Words) -> str:
    worse = [c for c in checks if c.change == CheckEffect.WORSE]
    names = [
        f"{_ONE[CheckKind(c.kind)]} {words.name(c.subject)} ({words.list(c.worse)})" for c in worse
    ]
    return f"it breaks {listed(names, words.few)}" if worse else ""


def _unharmed(info: ValidationInfo, broke: Sequence[CellChange]) -> Iterable[str]:
    """What could have got worse, and did not: one clause, and what could not be run."""
    good = [] if broke else _having([c for c in info.cells if not c.control], CellEffect.STILL_GOOD)
    controls = [c for c in info.cells if c.control]
    ran = [c for c in info.checks if c.change != CheckEffect.UNTESTED]
    worse = any(c.change == CheckEffect.WORSE for c in ran)
    kinds = [] if worse else list(dict.fromkeys(CheckKind(c.kind) for c in ran))
    parts = [
        plural(len(good), "good cell") if good else "",
        plural(len(controls), "control") if controls and not _controls(info) else "",
        f"upstream's {listed(_ALL[kind] for kind in kinds)}" if kinds else "",
    ]
    same = [part for part in parts if part]
    if same:
        one = len(same) == 1 and (len(good) == 1 or (len(controls) == 1 and not good))
        yield f"{listed(same)} {'is' if one else 'are'} no worse"
    if info.checks and not any(c.kind == CheckKind.TEST for c in ran):
        own = "upstream's own tests" if not ran else "upstream's tests"
        yield f"{own} could not be run"
