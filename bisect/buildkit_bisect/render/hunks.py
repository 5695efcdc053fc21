"""Which hunks of a patch or a revert are needed, for reports. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from buildkit_bisect.model import Stage
from buildkit_bisect.phrases import are, every, listed, plural
from buildkit_bisect.render.symbols import word
from buildkit_bisect.result import HunkInfo, HunkRole, MinimizeInfo, MinimizeStatus, Result
from buildkit_bisect.result.labels import words_of

#: Hunks that were built and run.
_CHOSEN = (
    HunkRole.OUTCOME,
    HunkRole.BUILD,
    HunkRole.OTHER,
    HunkRole.KEPT,
    HunkRole.NOT_NEEDED,
)

#: How a line begins that only says why the needed hunks are not known.
_UNKNOWN = "hunks that are needed: "

_NEEDED = (HunkRole.OUTCOME, HunkRole.BUILD, HunkRole.OTHER, HunkRole.KEPT)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One hunk, or those of one file that were not run."""

    number: str  # "" if it was not run
    file: str
    where: str  # "12-14 (3 removed, 1 added)"
    heading: str
    why: str  # "needed: without it, layers dropped 3 of 3"


def summary(info: MinimizeInfo) -> str:
    """Return one line: ``2 of 7 hunks of my-fix are needed on v0.32.2``."""
    line = _summary(info)
    refused = _refused(info)
    if not refused or info.status not in (MinimizeStatus.MINIMAL, MinimizeStatus.STOPPED):
        return line
    return f"{line}; {refused} more {'does' if refused == 1 else 'do'} not apply there"


def _refused(info: MinimizeInfo) -> int:
    return sum(hunk.role == HunkRole.REFUSED for hunk in info.hunks)


def _summary(info: MinimizeInfo) -> str:
    chosen = [hunk for hunk in info.hunks if hunk.role in _CHOSEN]
    needed = [hunk for hunk in chosen if hunk.role in _NEEDED]
    match info.status:
        case MinimizeStatus.MINIMAL:
            if len(chosen) == 1 and _refused(info):
                return f"1 hunk of {info.of} is needed on {info.on}"
            if len(chosen) == 1:
                return f"{info.of} is one hunk, which is needed on {info.on}"
            return f"{_count(needed, chosen)} of {info.of} {are(len(needed))} needed on {info.on}"
        case MinimizeStatus.STOPPED:
            count = _count(needed, chosen)
            return f"{count} of {info.of} {are(len(needed))} enough on {info.on}, or fewer"
        case _:
            return f"{_UNKNOWN}{info.reason}"


def _count(needed: Sequence[HunkInfo], chosen: Sequence[HunkInfo]) -> str:
    """Return ``2 of 7 hunks``, or ``all 7 hunks``."""
    if len(needed) == len(chosen) > 1:
        return f"{every(len(chosen))} hunks"
    return f"{len(needed)} of {plural(len(chosen), 'hunk')}"


def rows(info: MinimizeInfo) -> list[Row]:
    """Return the hunks that were run, in order, and then the others, a row for each file."""
    chosen = [hunk for hunk in info.hunks if hunk.role in _CHOSEN]
    needed = sum(hunk.role in _NEEDED for hunk in chosen)
    # What is shown without a hunk is shown with the other needed ones, and no more.
    others = "with the other needed hunks alone" if needed > 1 else "with no hunk"
    without = "without it" if needed == len(chosen) else others
    found = [
        Row(
            number=str(number),
            file=hunk.file,
            where=hunk.lines,
            heading=hunk.heading,
            why=_why(hunk, without),
        )
        for number, hunk in enumerate(chosen, 1)
    ]
    rest: dict[tuple[str, str], list[HunkInfo]] = {}
    for hunk in info.hunks:
        if hunk.role not in _CHOSEN:
            rest.setdefault((hunk.file, hunk.role), []).append(hunk)
    return [*found, *(_unrun(*key, hunks) for key, hunks in rest.items())]


def _unrun(file: str, role: str, hunks: Sequence[HunkInfo]) -> Row:
    in_program = role == HunkRole.REFUSED
    return Row(
        number="",
        file=file,
        where=listed([h.lines for h in hunks]) if in_program else plural(len(hunks), "hunk"),
        heading=listed(dict.fromkeys(h.heading for h in hunks if h.heading), 3)
        if in_program
        else "",
        why="does not apply there" if in_program else "left out: in no program",
    )


def _why(hunk: HunkInfo, without: str) -> str:
    shown = _worded(hunk.without)
    match hunk.role:
        case HunkRole.OUTCOME:
            return f"needed: {without}, {shown}"
        case HunkRole.BUILD:
            return f"needed to build: {without}, {hunk.without.removeprefix('build: ')}"
        case HunkRole.OTHER:
            return f"needed: {without} neither outcome, but {shown}"
        case HunkRole.KEPT:
            return "whether it is needed is not known"
        case _:
            return "not needed"


def _worded(shown: str) -> str:
    """Return what was shown, with outcomes as words; why there is no build stays as it is."""
    return shown if shown.startswith(tuple(f"{stage}: " for stage in Stage)) else word(shown)


def tried(info: MinimizeInfo) -> list[tuple[str, str, str]]:
    """Return (hunks, changed or not, what they showed) of each set that was built, in order."""
    says = {"changed": "as with all", "unchanged": "as without", "untestable": "neither"}
    return [
        (listed([str(n) for n in one.hunks], 20), says[one.seen], _worded(one.shown))
        for one in info.tried
    ]


def _texts(info: MinimizeInfo) -> list[tuple[str, str]]:
    """Return (with which hunks, what that showed)."""
    if not info.before:
        return []
    shown = [("without", info.before), ("with all", info.after)]
    if info.needed and info.status == MinimizeStatus.MINIMAL:
        shown.append(("with the needed ones alone", info.needed))
    elif info.needed and info.status == MinimizeStatus.STOPPED:
        shown.append(("with those alone that are enough", info.needed))
    return [(what, word(seen)) for what, seen in shown]


def _named(result: Result, place: str) -> str:
    """Return *place*, a cell's scenario and axis values, with the labels of its scenario."""
    for cell in result.cells:
        axes = [word for axis in sorted(cell.axes.items()) for word in axis]
        if place.split() == [cell.scenario, *axes]:
            return words_of(result, cell.scenario, cell.axes)
    return place


def values(result: Result) -> dict[str, object]:
    """Return the template variables for the hunks, empty if they were not asked for."""
    info = result.minimized
    return {
        "m": info,
        "hunk_summary": summary(info).removeprefix(_UNKNOWN) if info else "",
        "hunk_texts": _texts(info) if info else [],
        "hunk_rows": rows(info) if info else [],
        "hunks_tried": tried(info) if info else [],
        "hunk_cells": [_named(result, cell) for cell in info.cells] if info else [],
    }
