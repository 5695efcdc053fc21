"""A table of where patches apply: one row where neighbouring revisions say the same. Pure."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterator, Mapping, Sequence

from buildkit_bisect.patch.backports import Fit
from buildkit_bisect.render.symbols import FITS
from buildkit_bisect.result import FitState

_HEAD = ("patch", "revisions", "result")
_GAP, _NARROWEST = 2, 20

#: How a state is joined with what is short about it.
_JOINED = {
    FitState.CONFLICTS: "conflicts in {}",
    FitState.LACKING: "applies, but lacks {}",
    FitState.PARTLY: "already applied: {}",
    FitState.UNKNOWN: "not known: {}",
}


def table(found: Mapping[str, Sequence[Fit]], width: int) -> Iterator[str]:
    """Yield the lines of a table: a row per patch and run of revisions with the same result.

    *found* has the fits of each patch in the order of history. Lines have at most *width*
    characters if names and revisions leave room; results are wrapped.
    """
    rows = [_HEAD]
    for name, fits in found.items():
        runs = [list(run) for _, run in itertools.groupby(fits, key=_result)]
        rows += [
            (name if not at else "", _span(run), _result(run[0])) for at, run in enumerate(runs)
        ]
    first, second = (max(len(row[at]) for row in rows) + _GAP for at in (0, 1))
    room = max(width - first - second, _NARROWEST)
    for name, span, result in rows:
        lines = textwrap.wrap(result, room, break_long_words=False, break_on_hyphens=False)
        yield f"{name:{first}}{span:{second}}{lines[0]}"
        yield from (f"{'':{first + second}}{line}" for line in lines[1:])


def _result(fit: Fit) -> str:
    joined = _JOINED.get(fit.state) if fit.short else None
    return joined.format(fit.short) if joined else FITS[fit.state]


def _span(run: Sequence[Fit]) -> str:
    return run[0].ref if len(run) == 1 else f"{run[0].ref} - {run[-1].ref}"
