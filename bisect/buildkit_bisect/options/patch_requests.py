"""What the tasks about patches can be asked."""

from __future__ import annotations

from dataclasses import dataclass

from buildkit_bisect.model import DEFAULT_REPO
from buildkit_bisect.options import parse
from buildkit_bisect.options.option import Position, option
from buildkit_bisect.options.shared import (
    OfFolder,
    OfRepository,
    Request,
    WithJson,
)


@dataclass(frozen=True, kw_only=True)
class PatchNew(OfFolder, WithJson, Request):
    """A patch folder, made of a contributor's work."""

    task = "patch-new"

    name: str = option(
        parse.text,
        default="",
        required=True,
        value="NAME",
        help="name of the new folder",
        example="my-fix",
        position=Position.REQUIRED,
    )
    from_worktree: str = option(
        parse.text,
        default="",
        unset="one of the three is required",
        required=True,
        value="DIR",
        help="a work tree, committed or not",
        example="~/src/buildkit",
    )
    from_branch: str = option(
        parse.text,
        default="",
        unset="one of the three is required",
        required=True,
        value="REF",
        help="a branch or commit of the repository",
        example="my-branch",
    )
    from_pr: int | None = option(
        parse.number(1, 10**9),
        default=None,
        unset="one of the three is required",
        required=True,
        value="N",
        help="a pull request of the repository",
        example="6893",
    )
    repo: str = option(
        parse.text,
        default="",
        unset=f"the work tree, else {DEFAULT_REPO}",
        value="URL_OR_PATH",
        help="git repository of BuildKit that has the branch or pull request",
        example="~/src/buildkit",
    )
    base: str = option(
        parse.text,
        default="",
        unset="where it left the nearest line of a remote",
        value="REV",
        help="what it was made on",
        example="v0.26.0",
    )
    title: str = option(
        parse.text,
        default="",
        unset="the commit's subject",
        value="TEXT",
        help="what the patch is called",
        example="'solver: keep the digest'",
    )


@dataclass(frozen=True, kw_only=True)
class PatchList(OfFolder, WithJson, Request):
    """Every patch and series."""

    task = "patch-list"


@dataclass(frozen=True, kw_only=True)
class PatchCheck(OfRepository, OfFolder, WithJson, Request):
    """Where patches apply, are there already, or conflict."""

    task = "patch-check"

    patches: tuple[str, ...] = option(
        parse.names,
        default=(),
        unset="all",
        value="NAME,NAME",
        help="patches or series, by commas",
        example="record-ctx-opts",
    )
    revs: tuple[str, ...] = option(
        parse.names,
        default=(),
        unset="release branches since v0.20, and the main line",
        value="REV,REV",
        help="revisions, by commas",
        example="v0.26.0,master",
    )
