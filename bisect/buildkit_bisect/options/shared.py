"""Options shared by several tasks, each in a class to inherit from.

Their order here is their order in help and in commands. `Request` is the base of all requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from buildkit_bisect.model import DEFAULT_REPO, RuntimeKind, Served
from buildkit_bisect.options import exits, parse
from buildkit_bisect.options.choices import Format, Images, SourceKind
from buildkit_bisect.options.exits import NamedExit
from buildkit_bisect.options.option import Position, option, repeated, switch
from buildkit_bisect.system import checkout

#: Default limit of the cache, in bytes.
DEFAULT_CACHE_SIZE = 20 * 10**9

#: What an option for patches takes.
PATCH_VALUE = "NAME|FILE|URL|pr/N,..."
PATCH_KINDS = (
    "names or folders, .patch or .diff files, URLs of those, pull requests (pr/7107), commits of a"
    " branch (branch:NAME)"
)


@dataclass(frozen=True, kw_only=True)
class Request:
    """The options of one task, parsed."""

    task: ClassVar[str]
    unset: ClassVar[Mapping[str, str]] = {}  # attribute -> what holds without the option
    lacks: ClassVar[frozenset[str]] = frozenset()  # attributes whose options the task has not

    command: str = ""  # makes the same request, environment variables written as options


@dataclass(frozen=True, kw_only=True)
class OfRevision:
    """One revision."""

    rev: str = option(
        parse.text,
        default="",
        required=True,
        value="REV",
        help="tag, branch, commit, date, pr/N, latest, v0.26.x or an address on GitHub; REV+PATCH"
        " applies a patch",
        example="v0.26.0",
        position=Position.OPTIONAL,
    )


@dataclass(frozen=True, kw_only=True)
class OfCampaign:
    """One campaign; required."""

    id: str = option(
        parse.text,
        default="",
        required=True,
        value="ID",
        help="campaign: its ID or the beginning of it, its folder or result.json, or latest",
        example="latest",
        position=Position.REQUIRED,
    )


@dataclass(frozen=True, kw_only=True)
class OfAnyCampaign:
    """One campaign; optional."""

    id: str = option(
        parse.text,
        default="",
        unset="the latest; resume: the latest unfinished; status: all, and the latest in full",
        value="ID",
        help="campaign: its ID or the beginning of it, its folder or result.json, or latest",
        example="latest",
        position=Position.OPTIONAL,
    )


@dataclass(frozen=True, kw_only=True)
class OfHistory:
    """Which commits are searched."""

    range: str = option(
        parse.text,
        default="",
        unset="both ends given one by one",
        value="OLDER..NEWER",
        help="both ends at once",
        example="v0.24.0..v0.26.0",
        position=Position.OPTIONAL,
    )
    releases: bool = switch(help="search release tags only; needs no git source")


@dataclass(frozen=True, kw_only=True)
class WithFormat:
    """What is written: reports, or the matrix of a GitHub Actions job."""

    format: Format = option(
        parse.one_of(Format),
        default=Format.FILES,
        value="files|github-matrix",
        help="github-matrix only prints a GitHub Actions matrix, one job per variant",
        example="github-matrix",
    )


@dataclass(frozen=True, kw_only=True)
class Scripted:
    """A user's test script."""

    script: str = option(
        parse.text,
        default="",
        unset="the scenario's steps",
        value="FILE",
        help="your test script instead of a scenario: exit 0 is good, 1-124 bad, 125-127 skip",
        example="./test.sh",
    )
    script_files: tuple[str, ...] = option(
        parse.names,
        default=(),
        unset="those in its comment `# bkbisect-files: ...`",
        value="FILE,FILE",
        help="files beside your test script that it needs: stored trials count while they and the"
        " script are the same; also folders and patterns",
        example="helper.sh,'data/*.json'",
    )
    script_bad: frozenset[int] = option(
        exits.codes,
        default=frozenset(),
        unset="126 and 127 are skip",
        value="CODE,CODE",
        help="exit codes of your test script that are bad too",
        example="127",
    )
    outcome: tuple[NamedExit, ...] = repeated(
        exits.outcomes,
        exits.write_outcomes,
        default=(),
        unset="script-good, script-bad, script-skip",
        value="CODE=NAME:VERDICT",
        help="exit code or range of your test script that is an outcome of its own, good, bad or"
        " skip; repeatable",
        example="3=slow:bad",
    )
    script_timeout: int = option(
        parse.number(1, 86400),
        default=600,
        value="SECONDS",
        help="timeout of your test script",
        example="120",
    )


@dataclass(frozen=True, kw_only=True)
class OfRepository:
    """A BuildKit git repository."""

    repo: str = option(
        parse.text,
        default=DEFAULT_REPO,
        value="URL_OR_PATH",
        help="BuildKit git repository; OWNER/NAME is one on GitHub",
        example="~/src/buildkit",
    )


@dataclass(frozen=True, kw_only=True)
class OfFolder:
    """The folder of the patches."""

    into: Path = option(
        parse.path,
        default=checkout.PATCHES,
        unset="patches/",
        value="DIR",
        help="folder of the patches",
        example="my-patches/",
    )


@dataclass(frozen=True, kw_only=True)
class OfSource(OfRepository):
    """A git repository, or the Go module."""

    source: SourceKind = option(
        parse.one_of(SourceKind),
        default=SourceKind.AUTO,
        value="auto|git|module",
        help="git, module (Go module proxy, no history), or auto: git if reachable, else module"
        " unless --repo is a fork",
        example="module",
    )


@dataclass(frozen=True, kw_only=True)
class WithScenarios:
    """Reproducers, and a selection of their cells."""

    scenario: tuple[str, ...] = option(
        parse.names,
        default=(),
        unset="cross-stage-lazy; matrix and boundaries: also cross-stage-dedup; validate: all",
        value="NAME_OR_DIR",
        help="comma-separated names or folders of scenarios; library: all reports of the library",
        example="cross-stage-lazy",
    )
    trust_scenario: bool = switch(
        help="also run your own scenarios that are root on this machine, or use its network"
    )
    axis: Mapping[str, tuple[str, ...]] = repeated(
        parse.axes,
        parse.write_axes,
        default={},
        unset="every value",
        value="KEY=VALUE",
        help="run only these comma-separated values of an axis; repeatable",
        example="snapshotter=stargz",
    )


@dataclass(frozen=True, kw_only=True)
class WithPatches:
    """Patches to build variants with."""

    patches: str = option(
        parse.text,
        default="",
        unset="none; validate: required",
        value=PATCH_VALUE,
        help=f"comma-separated patches to apply, in order: {PATCH_KINDS}",
        example="record-ctx-opts",
    )


@dataclass(frozen=True, kw_only=True)
class WithRuntimes:
    """Where daemons run."""

    runtime: tuple[RuntimeKind, ...] = option(
        parse.runtimes,
        default=(RuntimeKind.HOST,),
        unset="auto, which is host",
        value="auto|host|docker|buildx",
        help="where to run the daemons; comma-separated runtimes are compared",
        example="docker",
    )


@dataclass(frozen=True, kw_only=True)
class WithBaseImage:
    """The base of images of variants."""

    base_image: str = option(
        parse.image,
        default="",
        unset="a published BuildKit image, else one assembled from local packages",
        value="IMAGE",
        help="base image for the compiled binaries",
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
        help="socket of your own snapshotter, for --axis snapshotter=NAME",
        example="mine=/run/mine.sock",
    )
    images: Images = option(
        parse.one_of(Images),
        default=Images.LOCAL,
        value="local|public",
        help="base images of scenarios: made on this machine, or the public ones that they name",
        example="public",
    )
    registry: str = option(
        parse.loopback,
        default="",
        unset="a new one is started",
        value="HOST:PORT",
        help="running registry to use, on a loopback address",
        example="127.0.0.1:5000",
    )
    jobs: int = option(
        parse.number(1, 64),
        default=1,
        value="N",
        help="number of trials to run at once; searches then test several commits at once",
        example="2",
    )
    trials: int | None = option(
        parse.number(1, 1000),
        default=None,
        unset="3; bisect: as many as it needs",
        value="N",
        help="trials per cell",
        example="20",
    )


@dataclass(frozen=True, kw_only=True)
class WithDeadlines:
    """Time limits."""

    deadline: Mapping[str, float] = repeated(
        parse.deadlines,
        parse.write_deadlines,
        default={},
        unset="see docs/deadlines.md",
        value="NAME=SECONDS",
        help="time limit for an operation; repeatable",
        example="compile=3600",
    )


@dataclass(frozen=True, kw_only=True)
class WithStore:
    """Where builds are shared. Commands to reproduce have none of it: pulled builds run as root."""

    store: str = option(
        parse.store,
        default="",
        unset="none",
        value="oci://REGISTRY/REPOSITORY",
        help="pull builds, which run as root here, from this registry instead of compiling them",
        example="oci://ghcr.io/me/builds",
        repeats=False,
    )
    store_key: Path | None = option(
        parse.path,
        default=None,
        unset="signatures are not required",
        value="FILE",
        help="use only builds that are signed for this public key of minisign",
        example="minisign.pub",
        repeats=False,
    )
    store_push: bool = switch(help="push what is compiled here to the store", repeats=False)
    store_sign: Path | None = option(
        parse.path,
        default=None,
        unset="not signed",
        value="FILE",
        help="secret key of minisign, without a password, to sign what is pushed",
        example="minisign.key",
        repeats=False,
    )
    store_by: str = option(
        parse.short_text,
        default="",
        unset="no name",
        value="TEXT",
        help="who built what is pushed; others see it",
        example="nightly",
        repeats=False,
    )


@dataclass(frozen=True, kw_only=True)
class WithExecutor:
    """Where builds and trials run. Commands to reproduce have none of it."""

    executor: str = option(
        parse.executor,
        default="",
        unset="local",
        value="local|dask://HOST:PORT",
        help="build and run trials on this machine, or on the workers of a Dask scheduler",
        example="dask://127.0.0.1:8786",
        repeats=False,
    )


@dataclass(frozen=True, kw_only=True)
class WithCacheSize:
    """The limit of the cache."""

    cache_size: int = option(
        parse.size,
        default=DEFAULT_CACHE_SIZE,
        unset="20GB",
        value="SIZE",
        help="trim the cache to this size afterwards",
        example="5GB",
        repeats=False,
    )


@dataclass(frozen=True, kw_only=True)
class WithFresh:
    """Whether stored trials are reused."""

    fresh: bool = switch(help="do not reuse trials of earlier campaigns")


@dataclass(frozen=True, kw_only=True)
class WithTemplates:
    """Templates of the reports."""

    templates: Path | None = option(
        parse.folder,
        default=None,
        unset="templates/",
        value="DIR",
        help="folder of templates that override those in templates/",
        example="my-templates/",
    )


@dataclass(frozen=True, kw_only=True)
class WithPage:
    """Where the page of a report is published."""

    publish: str = option(
        parse.page,
        default="",
        unset="the comment has no link to the page",
        value="URL",
        help="address of the published report.html, or of its folder with a slash at the end;"
        " {id} is the campaign's ID",
        example="https://me.github.io/results/{id}/",
        repeats=False,
    )


@dataclass(frozen=True, kw_only=True)
class WithOut:
    """The folder of campaigns."""

    out: Path = option(
        parse.path,
        default=checkout.RESULTS,
        unset="results/",
        value="DIR",
        help="folder to write results to and read them from",
        example="/srv/results",
        repeats=False,
    )


@dataclass(frozen=True, kw_only=True)
class WithPlan:
    """Whether to print the plan only."""

    dry_run: bool = switch(help="print what would be done, and exit", repeats=False)


@dataclass(frozen=True, kw_only=True)
class WithJson:
    """The output on stdout."""

    json: bool = switch(help="print only the result on stdout, as JSON", repeats=False)
