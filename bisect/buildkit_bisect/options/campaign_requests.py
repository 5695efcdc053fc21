"""Requests for builds and campaigns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from buildkit_bisect.options import parse, shards
from buildkit_bisect.options.choices import Checks, ImageBuilder, Prior
from buildkit_bisect.options.ends import OfEnds
from buildkit_bisect.options.one_line import OneLine
from buildkit_bisect.options.option import Position, option, switch
from buildkit_bisect.options.shards import Shard
from buildkit_bisect.options.shared import (
    PATCH_KINDS,
    PATCH_VALUE,
    OfHistory,
    OfRevision,
    OfSource,
    Request,
    Scripted,
    WithBaseImage,
    WithCacheSize,
    WithDeadlines,
    WithExecutor,
    WithFormat,
    WithFresh,
    WithJson,
    WithOut,
    WithPage,
    WithPatches,
    WithPlan,
    WithRuntimes,
    WithScenarios,
    WithStore,
    WithTemplates,
    WithTrials,
)


@dataclass(frozen=True, kw_only=True)
class Building(
    OfSource,
    WithPatches,
    WithBaseImage,
    WithStore,
    WithDeadlines,
    WithCacheSize,
    WithJson,
    Request,
):
    """A task that builds variants."""

    debug_info: bool = switch(
        help="link the binaries with debug information, for dlv and gdb; links take longer"
    )


@dataclass(frozen=True, kw_only=True)
class Campaign(
    Scripted,
    OneLine,
    WithScenarios,
    WithRuntimes,
    WithTrials,
    WithExecutor,
    WithFresh,
    WithTemplates,
    WithPage,
    WithOut,
    WithPlan,
    Building,
):
    """A task that runs cells and writes a result document."""


@dataclass(frozen=True, kw_only=True)
class Build(OfRevision, WithPlan, Building):
    """Build one variant's binaries, and optionally an image of them."""

    task = "build"
    unset: ClassVar[Mapping[str, str]] = {"patches": "none"}

    image: bool = switch(help="also create an image on the Docker Engine")
    builder: ImageBuilder = option(
        parse.one_of(ImageBuilder),
        default=ImageBuilder.BINARIES,
        value="binaries|dockerfile",
        help="how to build the image: from compiled binaries or with upstream's Dockerfile",
        example="dockerfile",
    )
    push: str = option(
        parse.image,
        default="",
        unset="not pushed",
        value="REGISTRY",
        help="registry to push the image to",
        example="ghcr.io/me",
    )
    save: str = option(
        parse.text,
        default="",
        unset="not saved",
        value="FILE",
        help="file to save the image to, for `docker load`",
        example="./image.tar",
    )


@dataclass(frozen=True, kw_only=True)
class Warm(WithExecutor, WithPlan, Building):
    """Make every different build of a range, so that campaigns find them."""

    task = "warm"
    lacks = frozenset({"base_image"})  # it makes no images
    unset: ClassVar[Mapping[str, str]] = {"patches": "none"}

    start: str = option(
        parse.text,
        name="from",
        variable="warm_from",
        default="",
        required=True,
        value="REV",
        help="older end",
        example="v0.26.0",
    )
    end: str = option(
        parse.text,
        name="to",
        variable="warm_to",
        default="",
        required=True,
        value="REV",
        help="newer end",
        example="master",
    )
    releases: bool = switch(help="only release tags; needs no git source")
    first_parent: bool = switch(help="only the first-parent line, not what it merged")


@dataclass(frozen=True, kw_only=True)
class Run(OfRevision, Campaign):
    """Run the cells of one revision."""

    task = "run"
    unset: ClassVar[Mapping[str, str]] = {
        "scenario": "cross-stage-lazy",
        "patches": "none",
        "trials": "3",
    }


@dataclass(frozen=True, kw_only=True)
class Matrix(WithFormat, Campaign):
    """Find which variants are broken, and in which cells."""

    task = "matrix"
    unset: ClassVar[Mapping[str, str]] = {
        "scenario": "cross-stage-lazy and cross-stage-dedup",
        "patches": "none; without revisions all in patches/, one by one, on the newest release",
        "trials": "3",
    }

    revs: tuple[str, ...] = option(
        parse.names,
        default=(),
        unset="landmark releases and the last three minor releases",
        value="REV,REV",
        help="comma-separated revisions, or patterns for tags: 'v0.2[4-9].*' takes all that match,"
        " 'v0.2[4-9].x' the newest patch release of each; REV+PATCH applies a patch",
        example="v0.25.0,master",
        position=Position.OPTIONAL,
    )
    shard: Shard | None = option(
        shards.shard,
        default=None,
        unset="all of it",
        value="I/N",
        help="run only the I-th of N parts of the matrix, which take about the same time; merge"
        " joins their results",
        example="2/5",
    )


@dataclass(frozen=True, kw_only=True)
class Bisect(OfEnds, OfHistory, Campaign):
    """Find the commit that introduced or fixed a failure."""

    task = "bisect"
    unset: ClassVar[Mapping[str, str]] = {
        "scenario": "cross-stage-lazy; only one can be given",
        "axis": "the cell in which the ends differ",
        "good": "required, unless a range or --find-good is given",
        "bad": "required, unless a range is given",
        "patches": "none",
        "trials": "as many as it needs",
    }

    find_good: bool = switch(help="find the good endpoint among the releases before --bad")
    find_fix: bool = switch(help="find the commit that fixed it; --bad is the older endpoint")
    no_first_parent: bool = switch(help="search all commits at once, not first parents first")
    confidence: float = option(
        parse.decimal,
        default=0.95,
        value="P",
        help="stop at this confidence, between 0.5 and 1",
        example="0.99",
    )
    bad_when: frozenset[str] = option(
        parse.name_set,
        default=frozenset(),
        unset="the outcome of the bad endpoint",
        value="OUTCOME,OUTCOME",
        help="outcomes that count as bad",
        example="layers-dropped",
    )
    good_when: frozenset[str] = option(
        parse.name_set,
        default=frozenset(),
        unset="all with the verdict good",
        value="OUTCOME,OUTCOME",
        help="outcomes that count as good",
        example="cached",
    )
    suspect: tuple[str, ...] = option(
        parse.names,
        default=(),
        unset="none",
        value="PATH,PATH",
        help="test sooner around commits that touch these paths or globs; no part in the answer",
        example="solver,cache/remotecache/*.go",
    )
    prior: Prior = option(
        parse.one_of(Prior),
        default=Prior.UNIFORM,
        value="uniform|packages|coverage",
        help="test sooner around commits that change packages that the daemon imports, or more"
        " of the functions that the reproducer runs (one instrumented build)",
        example="coverage",
    )
    no_verify: bool = switch(help="do not verify the commit by reverting it on the newer endpoint")
    minimize: bool = switch(
        help="find which hunks of the commit have to be reverted: more builds, 100 at most"
    )


@dataclass(frozen=True, kw_only=True)
class Boundaries(OfHistory, Campaign):
    """Find every change of outcome in a history."""

    task = "boundaries"
    unset: ClassVar[Mapping[str, str]] = {
        "scenario": "cross-stage-lazy and cross-stage-dedup",
        "patches": "none",
        "trials": "3",
        "start": "required, unless a range is given",
        "end": "required, unless a range is given",
    }

    start: str = option(
        parse.text,
        name="from",
        variable="boundaries_from",
        default="",
        required=True,
        value="REV",
        help="older endpoint",
        example="v0.24.0",
    )
    end: str = option(
        parse.text,
        name="to",
        variable="boundaries_to",
        default="",
        required=True,
        value="REV",
        help="newer endpoint",
        example="master",
    )
    resolution: int = option(
        parse.number(1, 100_000),
        default=64,
        value="N",
        help="longest run of distinct builds that may stay untested",
        example="16",
    )


@dataclass(frozen=True, kw_only=True)
class Validate(Campaign):
    """Check whether patches fix the failure, and what else they change."""

    task = "validate"
    unset: ClassVar[Mapping[str, str]] = {
        "scenario": "all outside of the library",
        "patches": "required, unless --from-branch is given",
        "trials": "3",
    }

    patches: str = option(
        parse.text,
        default="",
        required=True,
        value=PATCH_VALUE,
        help=f"comma-separated patches to validate together: {PATCH_KINDS}",
        example="record-ctx-opts",
        position=Position.OPTIONAL,
    )
    from_branch: str = option(
        parse.text,
        default="",
        unset="--patches",
        variable="series_branch",
        value="DIR:BRANCH",
        help="instead of patches: a branch, of which each commit is a part of a series; DIR is the"
        " branch that is checked out there, BRANCH one of --repo",
        example="my-fix",
    )
    base: str = option(
        parse.text,
        default="",
        unset="the main branch; of modules, the newest release",
        value="REV",
        help="revision to patch",
        example="v0.26.0",
    )
    culprit: str = option(
        parse.text,
        default="",
        unset="the patch's introduced-by",
        value="COMMIT",
        help="commit to revert, for comparison with the patches",
        example="3c4eb94",
    )
    checks: Checks = option(
        parse.one_of(Checks),
        default=Checks.ALL,
        value="all|cells|none",
        help="cells: no go test, go vet or cross builds; none: only the cells before and after",
        example="cells",
    )
    minimize: bool = switch(
        help="find which hunks of the patches are needed for what they fix: more builds, 100 at"
        " most"
    )
    keep: tuple[str, ...] = option(
        parse.names,
        default=(),
        unset="none",
        value="NAME,NAME",
        help="patches that stay whole with --minimize, which looks at the hunks of the others",
        example="lazy-variants",
    )
