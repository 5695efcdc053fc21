"""The project's vocabulary as frozen values: revisions, builds, observations and outcomes."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self


class Verdict(StrEnum):
    """How a search counts an outcome. Only a matching rule gives BAD."""

    GOOD = "good"
    BAD = "bad"
    SKIP = "skip"  # untestable: build failed, patch does not apply, control failed
    WEAK = "weak"  # tested, but no rule matched or trials disagree: evidence for neither side
    INFRA = "infra"  # registry, disk or engine failed: says nothing about BuildKit


class RuntimeKind(StrEnum):
    """What runs a variant's daemon."""

    HOST = "host"
    DOCKER = "docker"
    BUILDX = "buildx"


#: The default repository, which is upstream's.
DEFAULT_REPO = "https://github.com/moby/buildkit.git"


class ToolOutcome(StrEnum):
    """Outcomes that the tool itself gives; a scenario's rules name all others."""

    verdict: Verdict
    means: str

    def __new__(cls, name: str, verdict: Verdict, means: str) -> Self:
        """A member with its verdict and its meaning."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.verdict = verdict
        member.means = means
        return member

    INFRA = "infra", Verdict.INFRA, "a registry, disk, engine or toolchain failed, not BuildKit"
    NO_BUILD = "no-build", Verdict.SKIP, "a patch does not apply, or the source does not compile"
    NO_DAEMON = "no-daemon", Verdict.SKIP, "the daemon exited instead of serving"
    UNSUPPORTED = "unsupported", Verdict.SKIP, "this tool does not work with this buildctl"
    CONTROL_FAILED = "control-failed", Verdict.SKIP, "the control is not good"
    FLAKY = "flaky", Verdict.WEAK, "trials disagree"
    UNCLASSIFIED = "unclassified", Verdict.WEAK, "no rule matched"

    def because(self, reason: str, verdict: Verdict | None = None) -> Outcome:
        """The outcome of that name, with its usual verdict unless another is given."""
        return Outcome(name=str(self), verdict=verdict or self.verdict, reason=reason)


#: Axis values of a cell, sorted by axis name; hashable and comparable.
Axes = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """A user's snapshotter that is already running."""

    socket: str
    root: str = ""  # where it keeps and mounts snapshots; a container needs to be given it


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """One commit of moby/buildkit, with the ref that was asked for."""

    ref: str
    sha: str  # full commit id; "" for a module whose proxy reports no commit
    describe: str = ""  # nearest tag as `git describe` prints it, or the module version
    date: str = ""  # committer date, ISO 8601
    subject: str = ""
    author: str = ""  # name, without the address

    @property
    def short(self) -> str:
        """Twelve hex digits, or the version if the commit is unknown."""
        return self.sha[:12] or self.ref


@dataclass(frozen=True, kw_only=True, slots=True)
class PatchRef:
    """A patch as results name it; `patches` holds the diffs."""

    name: str
    digest: str
    title: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """A revision with an ordered list of patches applied."""

    revision: Revision
    patches: tuple[PatchRef, ...] = ()

    @property
    def label(self) -> str:
        """Name of the variant's row in a matrix: ``v0.26.0 + record-ctx-opts``."""
        return " + ".join([self.revision.ref, *(p.name for p in self.patches)])


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """The binaries of a variant built by one toolchain, complete in the build cache."""

    key: str
    go: str  # "1.25.5"
    source: str  # "git" or "module"
    directory: str  # holds buildkitd, buildctl, build.log
    buildkitd_sha256: str
    buildctl_sha256: str
    seconds: float  # how long the compile took, also if it is reused
    packages: int = 0  # Go packages that compile built
    reused: bool = False
    pulled_from: str = ""  # the shared store that it was pulled from

    @property
    def seconds_here(self) -> float:
        """Seconds of its compile if that ran on this machine, else 0."""
        return 0.0 if self.pulled_from else self.seconds

    @property
    def binary_sha256(self) -> str:
        """Digest of the daemon: equal for two builds with the same bytes."""
        return self.buildkitd_sha256


class Stage(StrEnum):
    """The stage at which a build failed."""

    PATCH = "patch"
    TOOLCHAIN = "toolchain"
    BUILD = "build"


@dataclass(frozen=True, kw_only=True, slots=True)
class NoBuild:
    """The reason that a variant has no binaries, with the evidence.

    The verdict is skip if the source or a patch is at fault, else infra.
    """

    stage: Stage
    reason: str  # one line: git's reason, the compiler's first error
    log: str = ""  # path of the kept output, if any
    infra: bool = False  # this machine is at fault: never stored, tried again by the next campaign
    hint: str = ""  # what to do then


class VertexState(StrEnum):
    """The state of a vertex."""

    CACHED = "cached"
    FAILED = "failed"
    RAN = "ran"
    PENDING = "pending"  # it never started


@dataclass(frozen=True, kw_only=True, slots=True)
class Vertex:
    """One vertex of a build, all progress updates merged."""

    name: str
    digest: str
    cached: bool = False
    started: bool = False
    completed: bool = False
    error: str = ""
    log: str = ""  # what it printed: its command's output; `solve_status.clipped`
    # By the daemon's clock; None if it did not report them, or has not ended.
    began: float | None = None  # its first start, in seconds since 1970
    ended: float | None = None  # its last end
    took: float | None = None  # seconds; a vertex may start several times

    @property
    def state(self) -> VertexState:
        """The state of a vertex."""
        if self.cached:
            return VertexState.CACHED
        if self.error:
            return VertexState.FAILED
        return VertexState.RAN if self.started else VertexState.PENDING


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheRecord:
    """One record of an exported cache config."""

    digest: str
    layers: tuple[str, ...] = ()  # blob digests of its chain, base first; empty: no result
    inputs: tuple[str, ...] = ()  # digests of the records it links to


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheConfig:
    """An exported ``application/vnd.buildkit.cacheconfig.v0``, parsed."""

    records: tuple[CacheRecord, ...]
    layers: tuple[str, ...]
    form: str  # "image" (v0.21+) or "index"


@dataclass(frozen=True, kw_only=True, slots=True)
class FileFacts:
    """One file, directory or link of an output."""

    path: str  # in the output, without a slash at its beginning
    kind: str  # "file" (also a hard link), "directory", "link" (symbolic) or "other"
    mode: int  # permission bits
    mtime: int  # in seconds since 1970
    size: int = 0  # bytes of a file
    sha256: str = ""  # of a file's bytes; "" if it was not read, and its size is not known
    # The first characters of a file, or what a link points to; None if it is not UTF-8 text, or
    # was not kept.
    text: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputFacts:
    """What one output of a build contains, as far as it was read."""

    name: str  # its `dest` or `name`, as the step has it
    kind: str  # its `type`
    files: tuple[FileFacts, ...] = ()  # of an image: of its root file system
    left_out: str = ""  # why `files` are not all of them; "" if they are
    documents: dict[str, Any] = field(default_factory=dict)  # of an image: "config" -> parsed JSON
    too_large: tuple[str, ...] = ()  # documents that were not kept


@dataclass(frozen=True, kw_only=True, slots=True)
class StepResult:
    """The result of one step of a trial."""

    id: str
    exit: int
    seconds: float
    stderr: str = ""  # messages without the progress JSON, or a list; the last 64 KiB
    timed_out: bool = False
    vertices: tuple[Vertex, ...] = ()
    export: CacheConfig | None = None
    outputs: tuple[OutputFacts, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)  # what a step counted, by name


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """The raw facts of one trial; outcomes are computed from it and never stored in it."""

    steps: tuple[StepResult, ...]
    seconds: float
    infra: str = ""  # which infrastructure failed; steps may then be incomplete
    no_daemon: str = ""  # why the daemon under test never served: its own fault, so skip
    unsupported: str = ""  # why its client cannot be used, or its reports not be read: also skip
    evidence: str = ""  # directory with logs, progress and cache config
    # Warnings and errors of the daemon's log, at most 16 KiB; `kept_text` finds where it is cut.
    daemon_log: str = ""
    facts: dict[str, Any] = field(default_factory=dict)  # runtime facts: snapshotter, image digests
    ended: str = ""  # ISO 8601, UTC: the order of trials is evidence too
    daemon: str = ""  # "running" or "died" by itself; "" if the trial did not record it

    def step(self, step_id: str) -> StepResult | None:
        """Return the step with that id, or None if the trial ended before it."""
        return next((s for s in self.steps if s.id == step_id), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The name and verdict of the first matching rule, and why it matched."""

    name: str
    verdict: Verdict
    reason: str = ""
