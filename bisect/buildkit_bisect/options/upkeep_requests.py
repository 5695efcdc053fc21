"""Requests for the tasks that maintain this machine and this project."""

from __future__ import annotations

from dataclasses import dataclass

from buildkit_bisect.options import parse
from buildkit_bisect.options.option import Position, option, switch
from buildkit_bisect.options.shared import (
    Request,
    WithCacheSize,
    WithPlan,
    WithStore,
)


@dataclass(frozen=True, kw_only=True)
class Doctor(Request):
    """Check what the machine has, and install what is missing."""

    task = "doctor"

    no_install: bool = switch(help="only check, install nothing")


@dataclass(frozen=True, kw_only=True)
class Clean(WithPlan, Request):
    """Remove what killed runs left behind, and on request cached data."""

    task = "clean"

    cache: bool = switch(help="also remove builds, trials, images, mirrors and toolchains")
    images: bool = switch(
        help="also remove all images that this tool made on the Docker Engine",
        variable="clean_images",
    )
    cache_size: int | None = option(
        parse.size,
        default=None,
        unset="not trimmed",
        value="SIZE",
        help="trim the cache to this size, least recently used entries first",
        example="5GB",
    )


@dataclass(frozen=True, kw_only=True)
class Worker(WithStore, WithCacheSize, Request):
    """Build and run trials for campaigns with --executor, until it is ended."""

    task = "worker"

    scheduler: str = option(
        parse.scheduler,
        default="",
        required=True,
        value="dask://HOST:PORT",
        help="Dask scheduler to get work from; what it sends runs as root here",
        example="dask://127.0.0.1:8786",
        position=Position.REQUIRED,
    )
    worker_name: str = option(
        parse.short_text,
        default="",
        unset="this machine's name",
        value="NAME",
        help="what results call this machine",
        example="node-7",
    )


@dataclass(frozen=True, kw_only=True)
class Test(WithPlan, Request):
    """Run this project's tests."""

    task = "test"

    unit: bool = switch(help="unit tests: no processes, no network")
    local: bool = switch(help="local tests: processes and git, no root, no Docker")
    system: bool = switch(help="system tests: real BuildKit, as root")
    changed: bool = switch(help="only test files affected by changes since the main branch")
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
    """Check this project's lint, format, types and import contracts."""

    task = "check"


@dataclass(frozen=True, kw_only=True)
class Plan(Request):
    """Print what the next task would do."""

    task = "plan"


@dataclass(frozen=True, kw_only=True)
class Completion(Request):
    """Print a shell's completion script."""

    task = "completion"

    shell: str = option(
        parse.text,
        default="",
        required=True,
        value="bash|zsh|fish",
        help="your shell",
        example="bash",
        position=Position.REQUIRED,
    )
