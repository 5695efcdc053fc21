"""Requests for the scenario tasks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

from buildkit_bisect.errors import BadInput
from buildkit_bisect.options import parse
from buildkit_bisect.options.campaign_requests import Campaign
from buildkit_bisect.options.ends import OfEnds
from buildkit_bisect.options.one_line import OneLine
from buildkit_bisect.options.option import Option, Position, option, repeated
from buildkit_bisect.options.shared import Request, Scripted, WithJson

#: Options that name a reproducer, which is DIR here.
_REPRODUCER = frozenset(
    {"scenario", *(f.name for kind in (Scripted, OneLine) for f in fields(kind))}
)

_NUMBER = re.compile(r"[1-9][0-9]{0,5}")


def picks(option: Option, given: Sequence[str]) -> tuple[int, ...]:
    """Return the numbers in *given*, each once; several may be in one text, with commas."""
    found: dict[int, None] = {}
    for text in ",".join(given).split(","):
        if not _NUMBER.fullmatch(text.strip()):
            raise BadInput(
                f"--{option.name} {text[:60]!r} is not the number of a fact",
                hint=f"--{option.name} {option.example}",
            )
        found[int(text)] = None
    return tuple(found)


def write_picks(option: Option, value: Sequence[int]) -> list[str]:
    """Return one option for all numbers."""
    return [option.flag, ",".join(map(str, value))] if value else []


@dataclass(frozen=True, kw_only=True)
class OfScenario:
    """A scenario's folder; required."""

    folder: str = option(
        parse.text,
        default="",
        required=True,
        value="DIR",
        help="folder of the scenario, or the name of a shipped one",
        example="bisect/scenarios/single-chain",
        position=Position.REQUIRED,
    )


@dataclass(frozen=True, kw_only=True)
class ScenarioLearn(OfScenario, OfEnds, Campaign):
    """Find the facts that tell two revisions apart, and make rules of them."""

    task = "scenario-learn"
    lacks = _REPRODUCER
    unset: ClassVar[Mapping[str, str]] = {
        "axis": "every cell that is not a control",
        "patches": "none",
        "trials": "3, at least 2",
    }

    pick: tuple[int, ...] = repeated(
        picks,
        write_picks,
        default=(),
        unset="asked on a terminal, else none",
        value="N",
        help="number of a fact to make rules of; repeatable",
        example="1",
    )


@dataclass(frozen=True, kw_only=True)
class ScenarioCheck(OfScenario, Campaign):
    """Check that a scenario's rules exclude each other, and what may make it flaky."""

    task = "scenario-check"
    lacks = _REPRODUCER
    unset: ClassVar[Mapping[str, str]] = {
        "patches": "none",
        "trials": "5",
    }

    rev: str = option(
        parse.text,
        default="",
        unset="nothing is run",
        value="REV",
        help="also run the trials of this revision: do they agree, and which rules match",
        example="v0.26.0",
    )


@dataclass(frozen=True, kw_only=True)
class ScenarioNew(WithJson, Request):
    """Create a scenario from an issue's text."""

    task = "scenario-new"

    name: str = option(
        parse.text,
        default="",
        required=True,
        value="NAME",
        help="name of the new scenario, a folder in ./scenarios/; or the path of the new folder",
        example="my-issue",
        position=Position.REQUIRED,
    )
    from_: str = option(
        parse.text,
        name="from",
        variable="from_text",
        default="",
        required=True,
        value="FILE|URL|-",
        help="issue's text: a file with Markdown, a script or a Dockerfile; the address of an"
        " issue on GitHub or of a file; or - for standard input",
        example="issue.md",
    )
