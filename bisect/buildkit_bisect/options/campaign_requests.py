"""What builds and campaigns can be asked."""

from __future__ import annotations

from dataclasses import dataclass

from buildkit_bisect.options import parse
from buildkit_bisect.options.choices import Checks, Format, ImageBuilder
from buildkit_bisect.options.option import option, switch
from buildkit_bisect.options.shared import (
    AmongReleases,
    OfRevision,
    OfSource,
    Request,
    Scripted,
    WithBaseImage,
    WithCacheSize,
    WithDeadlines,
    WithFresh,
    WithJson,
    WithOut,
    WithPatches,
    WithPlan,
    WithRuntimes,
    WithScenarios,
    WithTemplates,
    WithTrials,
)


@dataclass(frozen=True, kw_only=True)
class Building(
    OfSource, WithPatches, WithBaseImage, WithDeadlines, WithCacheSize, WithJson, Request
):
    """A task that builds variants."""


@dataclass(frozen=True, kw_only=True)
class Campaign(
    Scripted,
    WithScenarios,
    WithRuntimes,
    WithTrials,
    WithFresh,
    WithTemplates,
    WithOut,
    WithPlan,
    Building,
):
    """A task that runs cells, and leaves a document."""


@dataclass(frozen=True, kw_only=True)
class Build(OfRevision, Building):
    """One variant's binaries, and its image."""

    task = "build"

    image: bool = switch(help="also as an image on the Docker Engine")
    builder: ImageBuilder = option(
        parse.one_of(ImageBuilder),
        default=ImageBuilder.BINARIES,
        value="binaries|dockerfile",
        help="of the image: compiled here on a fixed base, or upstream's own Dockerfile",
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
class Run(OfRevision, Campaign):
    """One revision's cells."""

    task = "run"


@dataclass(frozen=True, kw_only=True)
class Matrix(Campaign):
    """Which variants are broken, in which cells."""

    task = "matrix"

    revs: tuple[str, ...] = option(
        parse.names,
        default=(),
        unset="landmarks and the last three minors",
        value="REV,REV",
        help="revisions by commas; REV+PATCH with a patch",
        example="v0.25.0,master",
    )
    format: Format = option(
        parse.one_of(Format),
        default=Format.FILES,
        value="files|github-matrix",
        help="github-matrix prints a workflow's strategy, a job per variant, and does nothing",
        example="github-matrix",
    )


@dataclass(frozen=True, kw_only=True)
class Bisect(AmongReleases, Campaign):
    """Which commit did it."""

    task = "bisect"

    good: str = option(
        parse.text,
        default="",
        unset="required unless --find-good is given",
        required=True,
        value="REV",
        help="a revision without the failure",
        example="v0.24.0",
    )
    bad: str = option(
        parse.text,
        default="",
        required=True,
        value="REV",
        help="a revision with the failure",
        example="v0.26.0",
    )
    find_good: bool = switch(help="look for a good end among the releases before the bad one")
    find_fix: bool = switch(help="search for the commit that fixed it: bad is the older end")
    no_first_parent: bool = switch(help="search the whole history at once, not merges first")
    confidence: float = option(
        parse.decimal,
        default=0.95,
        value="P",
        help="when to stop, between 0.5 and 1",
        example="0.99",
    )
    bad_when: frozenset[str] = option(
        parse.name_set,
        default=frozenset(),
        unset="what the bad end shows",
        value="OUTCOME,OUTCOME",
        help="outcomes that count as bad",
        example="layers-dropped",
    )
    good_when: frozenset[str] = option(
        parse.name_set,
        default=frozenset(),
        unset="those whose verdict is good",
        value="OUTCOME,OUTCOME",
        help="outcomes that count as good",
        example="cached",
    )
    no_verify: bool = switch(help="do not revert the commit found on the bad end to see it fixed")


@dataclass(frozen=True, kw_only=True)
class Boundaries(AmongReleases, Campaign):
    """Every change of outcome along a history."""

    task = "boundaries"

    start: str = option(
        parse.text,
        name="from",
        default="",
        required=True,
        value="REV",
        help="the older end",
        example="v0.24.0",
    )
    end: str = option(
        parse.text,
        name="to",
        default="",
        required=True,
        value="REV",
        help="the newer end",
        example="master",
    )
    resolution: int = option(
        parse.number(1, 100_000),
        default=64,
        value="N",
        help="longest stretch of different builds that is left untested",
        example="16",
    )


@dataclass(frozen=True, kw_only=True)
class Validate(Campaign):
    """Whether patches fix it, and what else they change."""

    task = "validate"

    base: str = option(
        parse.text,
        default="",
        unset="the main line",
        value="REV",
        help="the revision to patch",
        example="v0.26.0",
    )
    culprit: str = option(
        parse.text,
        default="",
        unset="the patch's introduced-by",
        value="COMMIT",
        help="commit to revert instead, for comparison",
        example="3c4eb94",
    )
    checks: Checks = option(
        parse.one_of(Checks),
        default=Checks.ALL,
        value="all|cells|none",
        help="cells: no go test, go vet and cross builds; none: just before and after",
        example="cells",
    )
