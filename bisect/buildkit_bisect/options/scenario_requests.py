"""Requests for the scenario tasks."""

from __future__ import annotations

from dataclasses import dataclass

from buildkit_bisect.options import parse
from buildkit_bisect.options.option import Position, option
from buildkit_bisect.options.shared import Request, WithJson


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
