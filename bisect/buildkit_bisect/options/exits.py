"""Exit codes of a user's own program: which are bad too, and which are outcomes with a name. Pure.

0 is good and 125 is skip, as for ``git bisect run``. Above 127 a shell reports a signal, so such a
code is no verdict: a program that was killed for lack of memory says nothing about BuildKit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import ToolOutcome, Verdict
from buildkit_bisect.nearest import first
from buildkit_bisect.options.option import Option

#: The largest exit code with a verdict, and the one of a program that cannot tell.
LAST = 127
SKIP = 125

VERDICTS = (Verdict.GOOD, Verdict.BAD, Verdict.SKIP)

#: Outcomes that a program has without an option.
GOOD_EXIT, SKIP_EXIT, BAD_EXIT = "script-good", "script-skip", "script-bad"
NOT_EXECUTABLE, NOT_FOUND = "program-not-executable", "program-not-found"
_TAKEN = (GOOD_EXIT, SKIP_EXIT, BAD_EXIT, NOT_EXECUTABLE, NOT_FOUND, *ToolOutcome)

_CODES = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedExit:
    """An exit code, or a range of them, that is an outcome of its own."""

    low: int
    high: int
    name: str
    verdict: Verdict

    @property
    def codes(self) -> frozenset[int]:
        """The codes."""
        return frozenset(range(self.low, self.high + 1))

    @property
    def text(self) -> str:
        """As it is written: ``3=slow:bad``, ``3-5=slow:bad``."""
        codes = str(self.low) if self.low == self.high else f"{self.low}-{self.high}"
        return f"{codes}={self.name}:{self.verdict}"


def codes(option: Option, given: str) -> frozenset[int]:
    """Return the exit codes in ``127`` or ``2-9,127``. Raises `BadInput`, also for a repeated one.

    A range may contain 125, which stays skip.
    """
    found: set[int] = set()
    for part in given.split(","):
        low, high = _range(option, part, part)
        span = set(range(low, high + 1)) - {SKIP}
        if both := found & span:
            raise BadInput(
                f"{option.flag} {given!r} has exit code {min(both)} twice",
                hint=f"{option.flag} {option.example}",
            )
        found |= span
    return frozenset(found)


def _range(option: Option, part: str, given: str) -> tuple[int, int]:
    """Return the ends of a range of exit codes that may be given a meaning."""
    match = _CODES.fullmatch(part)
    if not match:
        raise BadInput(
            f"{option.flag} {given!r}: {part!r} is neither an exit code nor a range of them",
            hint=f"{option.flag} {option.example}",
        )
    low = int(match[1])
    high = int(match[2] or low)
    why = ""
    if max(low, high) > LAST:
        why = f"{max(low, high)} is above {LAST}, where shells report signals: it is no verdict"
    elif low > high:
        why = f"{low} is greater than {high}"
    elif low == 0:
        why = "0 is always good"
    elif low == high == SKIP:
        why = f"{SKIP} is always skip"
    if why:
        raise BadInput(f"{option.flag} {given!r}: {why}", hint=f"{option.flag} {option.example}")
    return low, high


def outcomes(option: Option, given: Sequence[str]) -> tuple[NamedExit, ...]:
    """Return the outcomes in ``3=slow:bad``. Raises `BadInput`, also for a code or name twice."""
    found: list[NamedExit] = []
    for text in given:
        part, equals, rest = text.partition("=")
        name, colon, verdict = rest.partition(":")
        if not (equals and colon and _NAME.fullmatch(name)):
            raise BadInput(
                f"{option.flag} {text!r} is not CODE=NAME:VERDICT with a plain name (a-z, 0-9, -)",
                hint=f"{option.flag} {option.example}",
            )
        low, high = _range(option, part, text)
        if low <= SKIP <= high:
            raise BadInput(
                f"{option.flag} {text!r}: {SKIP} is always skip",
                hint=f"{option.flag} {option.example}",
            )
        if verdict not in VERDICTS:
            raise BadInput(
                f"{option.flag} {text!r}: {verdict!r} is not one of {', '.join(VERDICTS)}",
                hint=f"{option.flag} {part}={name}:{first(verdict, VERDICTS)}",
            )
        if name in _TAKEN:
            raise BadInput(
                f"{option.flag} {text!r}: {name} is an outcome that exists without it",
                hint=f"{option.flag} {part}=my-{name}:{verdict}",
            )
        one = NamedExit(low=low, high=high, name=name, verdict=Verdict(verdict))
        for other in found:
            if both := one.codes & other.codes:
                raise BadInput(
                    f"{option.flag} {text!r} and {other.text!r} both have exit code {min(both)}",
                    hint=f"{option.flag} {option.example}",
                )
            if one.name == other.name:
                raise BadInput(
                    f"{option.flag} {text!r} and {other.text!r} have the same name",
                    hint=f"{option.flag} 3-5={name}:{verdict} for a range, or another name",
                )
        found.append(one)
    return tuple(found)


def write_outcomes(option: Option, value: Sequence[NamedExit]) -> list[str]:
    """Return one option for each outcome."""
    return [f"{option.flag}={one.text}" for one in value]
