"""What a report rests on: how many trials there were, and whether it is of a bisection. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from buildkit_bisect.options.command import inv
from buildkit_bisect.phrases import plural
from buildkit_bisect.render.hunks import summary
from buildkit_bisect.result import BisectInfo, Result, ValidationInfo


def basis(result: Result) -> tuple[str, ...]:
    """Return clauses that answer "how sure?" and "which commit?" where the headline does not."""
    more = (summary(result.minimized),) if result.minimized else ()
    return (*_clauses(result), *more)


def sentence(clauses: tuple[str, ...]) -> str:
    """Return *clauses* as one sentence; "" if there are none."""
    text = "; ".join(clauses)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _clauses(result: Result) -> Iterator[str]:
    own = [n for cell in result.cells if (n := sum(cell.counts.values()))]
    if result.bisect:
        yield from _search(result.bisect, own)
        return
    if result.validation and result.validation.trials:
        yield from _validation(result.validation)
    elif own:
        yield f"{_range(own)} in each of {len(own)} cells" if len(own) > 1 else _range(own)
    if own:
        bisection = "" if result.validation else f" (see {inv('bisect')})"
        yield f"not bisected{bisection}"
    if result.machines:
        yield f"on {len(result.machines)} machines, each with its own rows"
        if any(a == b for a, b in combinations(result.machines.values(), 2)):
            yield "machines with the same facts may be one"


def _range(numbers: list[int]) -> str:
    """Return ``3 trials``, or ``1 to 6 trials``."""
    few, many = min(numbers), max(numbers)
    return plural(many, "trial") if few == many else f"{few} to {plural(many, 'trial')}"


def _search(info: BisectInfo, own: list[int]) -> Iterator[str]:
    if own and info.tested:
        each = " in each cell" if len(own) > 1 else ""
        yield f"{plural(info.tested, 'commit')} tested, {_range(own)}{each}"


def _validation(info: ValidationInfo) -> Iterator[str]:
    cells = plural(len(info.cells), "cell")
    what = "the patch" if len(info.patches) == 1 else "the patches"
    yield f"{plural(info.trials, 'trial')} of {cells}, alternating without and with {what}"
