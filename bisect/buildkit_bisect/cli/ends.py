"""Both ends of a history given as one range, ``v0.24.0..v0.26.0``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from buildkit_bisect.errors import BadInput
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Bisect, Boundaries
from buildkit_bisect.source import forms


def of_bisection(request: Bisect) -> Bisect:
    """Return *request* with the ends of its range as the good and the bad one.

    Raises `BadInput` for a range beside another end, and for a value that is not a range.
    """
    found = _ends(request.range, {"good": request.good, "bad": request.bad}, _bisect)
    if not found:
        return request
    if request.find_good:
        raise BadInput(
            f"{words(Bisect, find_good=True)} finds the good end, and a range has one",
            hint=f"{words(Bisect, find_good=True, bad=found[1])}, or leave out"
            f" {words(Bisect, find_good=True)}",
        )
    older, newer = found
    good, bad = (newer, older) if request.find_fix else (older, newer)
    return replace(request, range="", good=good, bad=bad)


def of_boundaries(request: Boundaries) -> Boundaries:
    """Return *request* with the ends of its range. Raises `BadInput` as `of_bisection`."""
    found = _ends(request.range, {"from": request.start, "to": request.end}, _boundaries)
    return replace(request, range="", start=found[0], end=found[1]) if found else request


def _bisect(range_: str) -> str:
    return inv("bisect", range_)


def _boundaries(range_: str) -> str:
    return inv("boundaries", range_)


def _ends(
    given: str, single: Mapping[str, str], command: Callable[[str], str]
) -> tuple[str, str] | None:
    """Return the ends of the range *given*, or of the only one of the *single* ends that is one."""
    ranges = [text for text in (given, *single.values()) if text and forms.ends(text)]
    if given and not ranges:
        raise BadInput(
            f"{given[:60]!r} is not a range OLDER..NEWER",
            hint=command(_joined(given)),
        )
    if not ranges:
        return None
    if sum(map(bool, (given, *single.values()))) > 1:
        raise BadInput(
            f"{ranges[0]} gives both ends, and another end is given as well",
            hint=command(ranges[0]),
        )
    return forms.ends(ranges[0])


def _joined(given: str) -> str:
    """Return the range that was meant by one revision, or by two joined in another way."""
    older, _, newer = given.partition(":")
    return f"{older}..{newer or 'master'}"
