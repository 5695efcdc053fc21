"""Requests for the tasks that work on existing campaigns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from buildkit_bisect.options import parse
from buildkit_bisect.options.option import Position, option, repeated, switch
from buildkit_bisect.options.shared import (
    OfAnyCampaign,
    OfCampaign,
    Request,
    WithFormat,
    WithJson,
    WithOut,
    WithPage,
    WithTemplates,
)


@dataclass(frozen=True, kw_only=True)
class Report(OfAnyCampaign, WithFormat, WithTemplates, WithPage, WithOut, Request):
    """Render a campaign's reports again."""

    task = "report"
    unset: ClassVar[Mapping[str, str]] = {"id": "the latest"}

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
        help="earlier campaign: ID or its beginning, folder, result.json, or latest",
        example="20260821-101500-matrix",
        position=Position.REQUIRED,
    )
    after: str = option(
        parse.text,
        default="",
        required=True,
        value="ID",
        help="later campaign: the same",
        example="20260822-090000-matrix",
        position=Position.REQUIRED,
    )


@dataclass(frozen=True, kw_only=True)
class Merge(WithTemplates, WithPage, WithOut, WithJson, Request):
    """Join the results of shards of a matrix, or of several machines, in one report."""

    task = "merge"

    result: tuple[str, ...] = repeated(
        parse.several,
        parse.write_several,
        default=(),
        required=True,
        unset="required",
        value="RESULT",
        help="result to join: a campaign's ID or the beginning of it, its folder or result.json",
        example="shards/1",
        position=Position.OPTIONAL,
    )


@dataclass(frozen=True, kw_only=True)
class Post(OfCampaign, WithTemplates, WithPage, WithOut, Request):
    """Post a report as a comment on an upstream issue; it asks first."""

    task = "post"

    issue: int | None = option(
        parse.number(1, 10**9),
        default=None,
        required=True,
        unset="required, except with --dry-run",
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
    dry_run: bool = switch(help="print the comment, post nothing, and exit", repeats=False)


@dataclass(frozen=True, kw_only=True)
class Resume(OfAnyCampaign, WithOut, Request):
    """Resume an unfinished campaign."""

    task = "resume"
    unset: ClassVar[Mapping[str, str]] = {"id": "the latest unfinished campaign"}


@dataclass(frozen=True, kw_only=True)
class Status(OfAnyCampaign, WithOut, Request):
    """List campaigns and show the latest, or show the one named."""

    task = "status"
    unset: ClassVar[Mapping[str, str]] = {"id": "a list of all, and the latest in full"}

    watch: bool = switch(help="follow the campaign until it ends")
