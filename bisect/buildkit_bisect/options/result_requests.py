"""Requests for the tasks that work on existing campaigns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from buildkit_bisect.options import parse
from buildkit_bisect.options.option import Position, option, switch
from buildkit_bisect.options.shared import (
    OfAnyCampaign,
    OfCampaign,
    Request,
    WithFormat,
    WithOut,
    WithPage,
    WithTemplates,
)


@dataclass(frozen=True, kw_only=True)
class Report(OfCampaign, WithFormat, WithTemplates, WithPage, WithOut, Request):
    """Render a campaign's reports again."""

    task = "report"

    copy: str = option(
        parse.text,
        default="",
        unset="no copy; reports go to the campaign's folder",
        value="DIR",
        help="write a copy without host paths and evidence files to this folder",
        example="results/issue-6893/bisect",
    )
    png: bool = switch(help="also write the pictures as PNG")


@dataclass(frozen=True, kw_only=True)
class Diff(WithOut, Request):
    """Compare two campaigns."""

    task = "diff"

    before: str = option(
        parse.text,
        default="",
        required=True,
        value="ID",
        help="ID or folder of the earlier campaign",
        example="20260821-101500-matrix",
        position=Position.REQUIRED,
    )
    after: str = option(
        parse.text,
        default="",
        required=True,
        value="ID",
        help="ID or folder of the later campaign",
        example="20260822-090000-matrix",
        position=Position.REQUIRED,
    )


@dataclass(frozen=True, kw_only=True)
class Post(OfCampaign, WithTemplates, WithPage, WithOut, Request):
    """Post a report as a comment on an upstream issue."""

    task = "post"

    issue: int | None = option(
        parse.number(1, 10**9),
        default=None,
        required=True,
        value="N",
        help="issue number",
        example="6893",
    )
    to: str = option(
        parse.text,
        default="moby/buildkit",
        value="OWNER/NAME",
        help="GitHub repository of the issue",
        example="me/buildkit",
    )
    yes: bool = switch(help="post without asking")


@dataclass(frozen=True, kw_only=True)
class Resume(OfAnyCampaign, WithOut, Request):
    """Resume an unfinished campaign."""

    task = "resume"
    unset: ClassVar[Mapping[str, str]] = {"id": "the last unfinished campaign"}


@dataclass(frozen=True, kw_only=True)
class Status(OfAnyCampaign, WithOut, Request):
    """List campaigns, or show one."""

    task = "status"
    unset: ClassVar[Mapping[str, str]] = {"id": "all campaigns"}

    watch: bool = switch(help="follow the campaign until it ends")
