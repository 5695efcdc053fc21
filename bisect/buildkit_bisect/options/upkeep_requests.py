"""What the tasks about this machine and this project can be asked."""

from __future__ import annotations

from dataclasses import dataclass

from buildkit_bisect.options import parse
from buildkit_bisect.options.option import option, switch
from buildkit_bisect.options.shared import (
    Request,
    WithPlan,
)


@dataclass(frozen=True, kw_only=True)
class Doctor(Request):
    """What is here and what is missing."""

    task = "doctor"

    no_install: bool = switch(help="only look")


@dataclass(frozen=True, kw_only=True)
class Clean(WithPlan, Request):
    """What killed runs left, and what was kept for later."""

    task = "clean"

    cache: bool = switch(help="also builds, trials, images, mirrors and toolchains")
    images: bool = switch(help="also every image that was made on the Docker Engine")
    cache_size: int | None = option(
        parse.size,
        default=None,
        unset="not trimmed",
        value="SIZE",
        help="down to this: what was not used for longest goes",
        example="5GB",
    )


@dataclass(frozen=True, kw_only=True)
class Test(WithPlan, Request):
    """This project's tests."""

    task = "test"

    unit: bool = switch(help="unit tests: no processes, no network")
    local: bool = switch(help="local tests: real processes and git, neither root nor Docker")
    system: bool = switch(help="system tests: real BuildKit, as root")
    changed: bool = switch(help="only test files that changes since the main branch can affect")
    matching: str = option(
        parse.text,
        name="k",
        default="",
        unset="all",
        value="NAME",
        help="only tests whose name matches",
        example="cache",
    )


@dataclass(frozen=True, kw_only=True)
class Check(Request):
    """This project's lint, format, types and import contracts."""

    task = "check"


@dataclass(frozen=True, kw_only=True)
class Plan(Request):
    """What the task that follows would do."""

    task = "plan"
