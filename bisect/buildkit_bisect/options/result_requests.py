"""What the tasks about campaigns that have a folder can be asked."""

from __future__ import annotations

from dataclasses import dataclass

from buildkit_bisect.options import parse
from buildkit_bisect.options.choices import Format
from buildkit_bisect.options.option import Position, option, switch
from buildkit_bisect.options.shared import (
    OfAnyCampaign,
    OfCampaign,
    Request,
    WithOut,
    WithTemplates,
)


@dataclass(frozen=True, kw_only=True)
class Report(OfCampaign, WithTemplates, WithOut, Request):
    """A campaign's reports, rendered again."""

    task = "report"

    publish: str = option(
        parse.text,
        default="",
        unset="the campaign's own",
        value="DIR",
        help="a folder to put it in without host paths and evidence files",
        example="results/issue-6893/bisect",
    )
    format: Format = option(
        parse.one_of(Format),
        default=Format.FILES,
        value="files|github-matrix",
        help="github-matrix prints a workflow's strategy on stdout",
        example="github-matrix",
    )
    png: bool = switch(help="the pictures as PNG too")


@dataclass(frozen=True, kw_only=True)
class Diff(WithOut, Request):
    """What changed between two campaigns."""

    task = "diff"

    before: str = option(
        parse.text,
        default="",
        required=True,
        value="ID",
        help="a campaign, or its folder",
        example="20260821-101500-matrix",
        position=Position.REQUIRED,
    )
    after: str = option(
        parse.text,
        default="",
        required=True,
        value="ID",
        help="a later one",
        example="20260822-090000-matrix",
        position=Position.REQUIRED,
    )


@dataclass(frozen=True, kw_only=True)
class Post(OfCampaign, WithTemplates, WithOut, Request):
    """A comment upstream."""

    task = "post"

    issue: int | None = option(
        parse.number(1, 10**9),
        default=None,
        required=True,
        value="N",
        help="number of the issue",
        example="6893",
    )
    to: str = option(
        parse.text,
        default="moby/buildkit",
        value="OWNER/NAME",
        help="repository of the issue",
        example="me/buildkit",
    )
    yes: bool = switch(help="show it, and do not ask")


@dataclass(frozen=True, kw_only=True)
class Resume(OfAnyCampaign, WithOut, Request):
    """An interrupted campaign, gone on with."""

    task = "resume"


@dataclass(frozen=True, kw_only=True)
class Status(OfAnyCampaign, WithOut, Request):
    """Campaigns, or one of them."""

    task = "status"

    watch: bool = switch(help="follow it until it ends")
