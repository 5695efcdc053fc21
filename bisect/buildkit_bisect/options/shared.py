"""Options that several tasks have, each in a class to inherit from.

Their order here is their order in help and in commands. `Request` is what they are added to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from buildkit_bisect.model import DEFAULT_REPO, RuntimeKind, Served
from buildkit_bisect.options import parse
from buildkit_bisect.options.choices import Images, SourceKind
from buildkit_bisect.options.option import Position, option, repeated, switch
from buildkit_bisect.system import checkout

#: Bytes that the cache may hold.
DEFAULT_CACHE_SIZE = 20 * 10**9


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a task was asked."""

    task: ClassVar[str]

    command: str = ""  # that asks the same again, environment twins written out; no option


@dataclass(frozen=True, kw_only=True)
class OfRevision:
    """One revision."""

    rev: str = option(
        parse.text,
        default="",
        required=True,
        value="REV",
        help="tag, branch, commit or date; REV+PATCH with a patch",
        example="v0.26.0",
    )


@dataclass(frozen=True, kw_only=True)
class OfCampaign:
    """One campaign, which must be named."""

    id: str = option(
        parse.text,
        default="",
        required=True,
        value="ID",
        help="a campaign, or its folder",
        example="20260821-101500-matrix",
        position=Position.REQUIRED,
    )


@dataclass(frozen=True, kw_only=True)
class OfAnyCampaign:
    """One campaign, which need not be named."""

    id: str = option(
        parse.text,
        default="",
        unset="resume: the last unfinished one; status: all",
        value="ID",
        help="a campaign, or its folder",
        example="20260821-101500-matrix",
        position=Position.OPTIONAL,
    )


@dataclass(frozen=True, kw_only=True)
class AmongReleases:
    """What is searched."""

    releases: bool = switch(help="search among release tags only; works without a git source")


@dataclass(frozen=True, kw_only=True)
class Scripted:
    """A user's own test."""

    script: str = option(
        parse.text,
        default="",
        unset="the scenario's steps",
        value="FILE",
        help="your own test instead of a scenario: exit 0 good, 125 skip, 1-127 bad",
        example="./test.sh",
    )
    script_timeout: int = option(
        parse.number(1, 86400),
        default=600,
        value="SECONDS",
        help="how long your own test may take",
        example="120",
    )


@dataclass(frozen=True, kw_only=True)
class OfRepository:
    """A git repository of BuildKit."""

    repo: str = option(
        parse.text,
        default=DEFAULT_REPO,
        value="URL_OR_PATH",
        help="git repository of BuildKit",
        example="~/src/buildkit",
    )


@dataclass(frozen=True, kw_only=True)
class OfFolder:
    """Where patches are."""

    into: Path = option(
        parse.path,
        default=checkout.PATCHES,
        unset="patches/",
        value="DIR",
        help="folder of patches",
        example="my-patches/",
    )


@dataclass(frozen=True, kw_only=True)
class OfSource(OfRepository):
    """A repository, or the Go module."""

    source: SourceKind = option(
        parse.one_of(SourceKind),
        default=SourceKind.AUTO,
        value="auto|git|module",
        help="git, module (the Go module proxy, unpatched only), or git where it can be reached",
        example="module",
    )


@dataclass(frozen=True, kw_only=True)
class WithScenarios:
    """Reproducers, and which of their cells."""

    scenario: tuple[str, ...] = option(
        parse.names,
        default=(),
        unset="cross-stage-lazy; matrix and boundaries also cross-stage-dedup; validate all",
        value="NAME_OR_DIR",
        help="a scenario's name or folder; several by commas",
        example="cross-stage-lazy",
    )
    axis: Mapping[str, tuple[str, ...]] = repeated(
        parse.axes,
        parse.write_axes,
        default={},
        unset="every value",
        value="KEY=VALUE",
        help="narrows an axis; repeatable, values by commas",
        example="snapshotter=stargz",
    )


@dataclass(frozen=True, kw_only=True)
class WithPatches:
    """Patches that variants are built with."""

    patches: str = option(
        parse.text,
        default="",
        unset="none; validate needs some",
        value="NAME,NAME",
        help="patches to apply, in order",
        example="record-ctx-opts",
    )


@dataclass(frozen=True, kw_only=True)
class WithRuntimes:
    """Where daemons run."""

    runtime: tuple[RuntimeKind, ...] = option(
        parse.runtimes,
        default=(RuntimeKind.HOST,),
        unset="auto, the host",
        value="auto|host|docker|buildx",
        help="what runs the daemons; several by commas are put side by side",
        example="docker",
    )


@dataclass(frozen=True, kw_only=True)
class WithBaseImage:
    """What images are made on."""

    base_image: str = option(
        parse.image,
        default="",
        unset="a published one, or one made here",
        value="IMAGE",
        help="image that binaries are layered on",
        example="moby/buildkit:v0.26.0",
    )


@dataclass(frozen=True, kw_only=True)
class WithTrials:
    """How trials are run."""

    snapshotter_socket: Mapping[str, Served] = option(
        parse.sockets,
        default={},
        unset="none",
        value="NAME=SOCKET[:ROOT]",
        help="your own snapshotter, for --axis snapshotter=NAME",
        example="mine=/run/mine.sock",
    )
    images: Images = option(
        parse.one_of(Images),
        default=Images.LOCAL,
        value="local|public",
        help="base images of scenarios: built here, or the issue's own",
        example="public",
    )
    registry: str = option(
        parse.loopback,
        default="",
        unset="one is started",
        value="HOST:PORT",
        help="a registry on loopback to use",
        example="127.0.0.1:5000",
    )
    jobs: int = option(
        parse.number(1, 64),
        default=1,
        value="N",
        help="trials at once; with 1, a trial runs alone",
        example="2",
    )
    trials: int | None = option(
        parse.number(1, 1000),
        default=None,
        unset="3; a bisection measures how many it needs",
        value="N",
        help="trials of each cell",
        example="20",
    )


@dataclass(frozen=True, kw_only=True)
class WithDeadlines:
    """How long things may take."""

    deadline: Mapping[str, float] = repeated(
        parse.deadlines,
        parse.write_deadlines,
        default={},
        unset="those of docs/deadlines.md",
        value="NAME=SECONDS",
        help="how long something may take; repeatable",
        example="compile=3600",
    )


@dataclass(frozen=True, kw_only=True)
class WithCacheSize:
    """What is left behind in the cache."""

    cache_size: int = option(
        parse.size,
        default=DEFAULT_CACHE_SIZE,
        unset="20GB",
        value="SIZE",
        help="what the cache may hold after this",
        example="5GB",
        repeats=False,
    )


@dataclass(frozen=True, kw_only=True)
class WithFresh:
    """Whether stored trials count."""

    fresh: bool = switch(help="do not use trials that earlier campaigns ran")


@dataclass(frozen=True, kw_only=True)
class WithTemplates:
    """What reports look like."""

    templates: Path | None = option(
        parse.folder,
        default=None,
        unset="templates/",
        value="DIR",
        help="a folder whose files replace those of templates/",
        example="my-templates/",
    )


@dataclass(frozen=True, kw_only=True)
class WithOut:
    """Where campaigns are."""

    out: Path = option(
        parse.path,
        default=checkout.PROJECT / "results",
        unset="results/",
        value="DIR",
        help="where results go, and are looked for",
        example="/srv/results",
        repeats=False,
    )


@dataclass(frozen=True, kw_only=True)
class WithPlan:
    """Whether anything is done at all."""

    dry_run: bool = switch(help="print the plan, do nothing", repeats=False)


@dataclass(frozen=True, kw_only=True)
class WithJson:
    """What stdout is for."""

    json: bool = switch(help="print the result as JSON, and nothing else, on stdout", repeats=False)
