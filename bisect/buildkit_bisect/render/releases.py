"""Where releases are along a history, from what ``git describe`` said of the tested commits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from buildkit_bisect.render import table
from buildkit_bisect.result import Result

_AFTER = re.compile(r"(?P<tag>.+)-\d+-g[0-9a-f]{7,40}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """A tag, or another name that was asked for, and its place in the history.

    If no tested commit has it, the place is in the middle of the two that it is between.
    """

    name: str
    place: float
    exact: bool = True


def releases(result: Result, places: Mapping[str, float]) -> tuple[Release, ...]:
    """Return the names of the commits in *places* (by ID), and the tags between them, in order."""
    known = sorted((place, *tag(result, sha), sha) for sha, place in places.items())
    names = table.names(result)
    made: dict[str, Release] = {}
    seen = {known[0][1]} if known else set()
    before = known[0][0] if known else 0.0
    for place, name, exact, sha in known:
        if exact:
            made[name] = Release(name=name, place=place)
        elif name and name not in seen and name not in made:
            made[name] = Release(name=name, place=(before + place) / 2, exact=False)
        asked = names.get(sha, "")
        if asked and asked not in made:
            made[asked] = Release(name=asked, place=place)
        seen.add(name)
        before = place
    return tuple(sorted(made.values(), key=lambda release: release.place))


def tag(result: Result, sha: str) -> tuple[str, bool]:
    """Return the newest tag of a commit's ancestors, and whether the commit itself has it.

    ("", False) if the document does not say.
    """
    for revision in result.revisions:
        if revision.sha == sha and revision.describe:
            after = _AFTER.fullmatch(revision.describe)
            return (after["tag"], False) if after else (revision.describe, True)
    return "", False


def labels(
    wanted: Iterable[tuple[float, str]], letter: float, left: float, right: float
) -> list[tuple[float, str, int]]:
    """Return (x of the middle, text, line): each on the first line with room, in left..right."""
    ends: list[float] = []
    placed = []
    for x, label in sorted(dict.fromkeys(wanted), key=lambda item: item[0]):
        half = len(label) * letter / 2
        middle = round(min(max(x, left + half), max(left + half, right - half)), 1)
        line = next((n for n, end in enumerate(ends) if end <= middle - half - 8), len(ends))
        ends[line : line + 1] = [middle + half]
        placed.append((middle, label, line))
    return placed
