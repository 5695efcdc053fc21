"""Requests for the patch tasks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect.model import DEFAULT_REPO
from buildkit_bisect.options import parse
from buildkit_bisect.options.option import Position, option, switch
from buildkit_bisect.options.shared import (
    PATCH_KINDS,
    PATCH_VALUE,
    OfFolder,
    OfSource,
    Request,
    WithJson,
)


@dataclass(frozen=True, kw_only=True)
class PatchNew(OfFolder, WithJson, Request):
    """Create a patch folder from a contributor's work."""

    task = "patch-new"

    name: str = option(
        parse.text,
        default="",
        required=True,
        value="NAME",
        help="name of the new patch",
        example="my-fix",
        position=Position.REQUIRED,
    )
    from_worktree: str = option(
        parse.text,
        default="",
        unset="one --from option is required",
        required=True,
        value="DIR",
        help="work tree with the changes, committed or not",
        example="~/src/buildkit",
    )
    from_branch: str = option(
        parse.text,
        default="",
        unset="one --from option is required",
        required=True,
        value="REF",
        help="branch or commit of --repo with the changes",
        example="my-branch",
    )
    from_pr: int | None = option(
        parse.number(1, 10**9),
        default=None,
        unset="one --from option is required",
        required=True,
        value="N",
        help="pull request of --repo with the changes",
        example="6129",
    )
    repo: str = option(
        parse.text,
        default="",
        unset=f"the work tree, else {DEFAULT_REPO}",
        value="URL_OR_PATH",
        help="BuildKit git repository with the branch or pull request",
        example="~/src/buildkit",
    )
    base: str = option(
        parse.text,
        default="",
        unset="where it forked from the nearest main or release branch",
        value="REV",
        help="revision that the changes are based on",
        example="v0.26.0",
    )
    title: str = option(
        parse.text,
        default="",
        unset="the commit's subject",
        value="TEXT",
        help="title of the patch",
        example="'solver: keep the digest'",
    )


@dataclass(frozen=True, kw_only=True)
class PatchList(OfFolder, WithJson, Request):
    """List all patches and series."""

    task = "patch-list"


@dataclass(frozen=True, kw_only=True)
class PatchCheck(OfSource, OfFolder, WithJson, Request):
    """Check where patches apply, are already applied, or conflict."""

    task = "patch-check"

    patches: tuple[str, ...] = option(
        parse.names,
        default=(),
        unset="all",
        value=PATCH_VALUE,
        help=f"comma-separated patches or series: {PATCH_KINDS}",
        example="record-ctx-opts",
        position=Position.OPTIONAL,
    )
    revs: tuple[str, ...] = option(
        parse.names,
        default=(),
        unset="release branches since v0.20, and the main branch; of modules, newest releases",
        value="REV,REV",
        help="comma-separated revisions, or patterns for tags such as 'v0.2[4-9].x'",
        example="v0.26.0,master",
    )
    verbose: bool = switch(help="print a line for every revision, with its commit and git's reason")


@dataclass(frozen=True, kw_only=True)
class PatchExport(OfSource, OfFolder, WithJson, Request):
    """Write a patch or series as a branch of commits, and as mails for git am."""

    task = "patch-export"

    name: str = option(
        parse.text,
        default="",
        required=True,
        value="NAME",
        help=f"one patch or series, or a comma-separated list: {PATCH_KINDS}",
        example="lazy-export-series",
        position=Position.REQUIRED,
    )
    to: Path | None = option(
        parse.path,
        default=None,
        unset="required",
        required=True,
        variable="export_to",
        value="DIR",
        help="new directory of the repository; the mails are in DIR.mails beside it",
        example="~/src/lazy-export-series",
    )
    onto: str = option(
        parse.text,
        default="",
        unset="the main branch; of modules, the newest release",
        value="REV",
        help="revision that the branch is based on",
        example="v0.34.2",
    )
    branch: str = option(
        parse.text,
        default="",
        unset="NAME",
        value="BRANCH",
        help="name of the branch",
        example="lazy-cache-export",
    )
    signoff: bool = switch(
        help="add Signed-off-by with the name and address of your git configuration to each commit"
    )
