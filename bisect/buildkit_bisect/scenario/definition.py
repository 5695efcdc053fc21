"""The content of a ``scenario.toml`` as frozen values; docs/scenarios.md explains each key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import groupby, product
from pathlib import Path

from buildkit_bisect.model import Axes, Verdict

#: The axis that is added to a scenario if a campaign names several runtimes.
RUNTIME_AXIS = "runtime"


class Action(StrEnum):
    """What a step can do."""

    BUILD = "build"
    PRUNE = "prune"
    WRITE = "write"  # create or replace a file of the build context
    DELETE = "delete"  # from the build context
    RENAME = "rename"  # in the build context
    MKDIR = "mkdir"  # in the build context
    DAEMON = "daemon"  # restart, or start again from an empty state
    DELETE_BLOB = "delete-blob"  # from an exported local cache
    SERVE = "serve"  # a file from an http server
    COMMIT = "commit"  # to the repository of a git server
    REQUESTS = "requests"  # what a server was asked for
    DU = "du"  # what the daemon's cache has
    HISTORIES = "histories"  # the daemon's records of builds
    SCRIPT = "script"  # a program of the scenario's folder, or the one of --script


class VertexIs(StrEnum):
    """The state of a vertex, as a condition names it."""

    CACHED = "cached"
    RAN = "ran"
    FAILED = "failed"
    ABSENT = "absent"


class Kept(StrEnum):
    """How many of the inner records that have layers in the control's export have them here."""

    ALL = "all"
    SOME = "some"
    NONE = "none"


class DaemonIs(StrEnum):
    """The state of the daemon, as a condition names it."""

    DIED = "died"  # by itself, during the trial


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """A dimension that a scenario varies; the result must be good at a control value."""

    values: tuple[str, ...]
    controls: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)  # value -> its name in reports


@dataclass(frozen=True, kw_only=True, slots=True)
class Var:
    """A text that depends on the value of one axis: ``${var.NAME}``."""

    axis: str
    values: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """A base image, made once per machine and pushed: of files alone, or by one fixed BuildKit."""

    dockerfile: str
    compression: str = "gzip"
    public: str = ""  # a published image to use instead, if asked for


@dataclass(frozen=True, kw_only=True, slots=True)
class DaemonSpec:
    """How the daemon under test is started."""

    snapshotter: str = "overlayfs"
    config: str = ""  # added to buildkitd.toml
    mirrors: dict[str, str] = field(default_factory=dict)  # registry -> what to ask first


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextSpec:
    """What the build context has before the first step."""

    folder: str = ""  # a folder of the scenario, copied
    busybox: bool = False  # a static busybox as `busybox`


class ServerKind(StrEnum):
    """What a server on loopback has."""

    HTTP = "http"  # files
    GIT = "git"  # one repository, ``repo.git``


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """A server on loopback that a trial starts for itself: ``${server.NAME}`` is its address."""

    kind: ServerKind


@dataclass(frozen=True, kw_only=True, slots=True)
class TarEntry:
    """A file, a symbolic link, or a folder (its path ends in a slash) of a tar archive."""

    path: str
    content: str = ""
    base64: str = ""
    symlink: str = ""  # its target
    mode: str = ""  # octal digits
    mtime: int | None = None  # seconds since 1970


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step of a trial. Which keys apply depends on the action."""

    id: str
    action: Action
    when: dict[str, tuple[str, ...]] = field(default_factory=dict)  # axis -> values
    timeout: float = 0.0  # seconds; 0: the scenario's deadline for a step
    repeat: int = 1
    parallel: str = ""  # neighbours with the same name run concurrently
    # build
    context: str = ""  # of a server, with the Dockerfile in it; "" for the files of this trial
    dockerfile: str = ""
    target: str = ""
    args: dict[str, str] = field(default_factory=dict)
    exports: tuple[dict[str, str], ...] = ()
    imports: tuple[dict[str, str], ...] = ()
    outputs: tuple[dict[str, str], ...] = ()
    # build: options, see `build_step`
    contexts: dict[str, str] = field(default_factory=dict)  # name -> "image:REF", "step:ID", ...
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()  # stages
    platform: str = ""
    attests: dict[str, str] = field(default_factory=dict)  # "provenance" -> "mode=max"
    labels: dict[str, str] = field(default_factory=dict)
    epoch: int | None = None  # SOURCE_DATE_EPOCH
    secrets: dict[str, str] = field(default_factory=dict)  # id -> text
    ssh: tuple[str, ...] = ()  # ids of agents, each with a key of its own
    allow: tuple[str, ...] = ()  # entitlements
    frontend: str = ""  # an image
    # write, delete, rename, mkdir: in the build context; script: the program
    path: str = ""
    # write: one of these
    content: str = ""
    base64: str = ""
    file: str = ""  # a file of the scenario's folder
    symlink: str = ""  # its target
    tar: tuple[TarEntry, ...] = ()
    mode: str = ""  # octal digits
    mtime: int | None = None  # seconds since 1970
    # rename
    to: str = ""
    # serve, commit, requests
    server: str = ""
    # serve; the rest as write
    etag: str = ""
    status: int = 200
    # commit
    tree: dict[str, str] = field(default_factory=dict)  # path -> content
    branch: str = "main"
    tag: str = ""
    annotated: bool = False  # the tag is an object of its own
    delete_branch: str = ""  # another one, deleted first
    # script: what the program needs, in the scenario's folder
    needs: tuple[str, ...] = ()
    # daemon
    start: str = "restart"  # or "fresh"
    # delete-blob
    cache: str = ""
    layer: int = 0

    @property
    def runs(self) -> tuple[str, ...]:
        """The ids of its runs: ``push``, ``push-2``, ``push-3`` for ``repeat = 3``."""
        return (self.id, *(f"{self.id}-{n}" for n in range(2, self.repeat + 1)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """Facts about one step that must all hold, if it is repeated in the same run of it.

    Or facts about the daemon; or other conditions, one of which must hold or which must not.
    """

    step: str = ""  # "" only for `daemon`, `daemon_log`, `any` and `not_`
    runs: str = ""  # of a repeated step: "any", "every" or "at least 2"; `runs.needed`
    # "ok", "failed" (or timed out), "late" (timed out), a status "125" or a range "1-124"
    exit: str = ""
    stderr: str = ""  # a regular expression, searched
    vertex: str = ""  # a regular expression over vertex names
    is_: VertexIs | None = None
    log: str = ""  # a regular expression, searched in what these vertices printed
    took: str = ""  # "> 5": seconds that one of these vertices took; "< 5": that each did
    before: str = ""  # a regular expression over the names of vertices that started later
    inner_layers: Kept | None = None
    output: str = ""  # which output of the step: its `dest` or `name`, as the step has it
    file: str = ""  # a path in that output
    content: str = ""  # a regular expression, searched in that file
    mode: str = ""  # its permission bits: "0755"
    mtime: int | None = None  # in seconds since 1970
    exists: bool | None = None  # that file, or what `image` names
    same_as: str = ""  # the step whose first run has the same file, or value of `image`
    image: str = ""  # a path into the documents of an image; `document_path`
    matches: str = ""  # a regular expression, searched in what `image` names
    metric: str = ""  # a number of the step; `metrics.names`
    over: str = ""  # "10", or "2 x control": over trials, by a rank test
    under: str = ""
    daemon: DaemonIs | None = None
    daemon_log: str = ""  # a regular expression, searched in the daemon's warnings and errors
    any: tuple[Condition, ...] = ()
    not_: Condition | None = None

    def leaves(self, *, negated: bool = False) -> Iterator[tuple[Condition, bool]]:
        """Yield the innermost conditions, those without `any` and `not_`.

        Each with whether it must not hold for the outer one to hold, which itself is *negated* or
        not.
        """
        if not self.any and self.not_ is None:
            yield self, negated
        for one in self.any:
            yield from one.leaves(negated=negated)
        if self.not_ is not None:
            yield from self.not_.leaves(negated=not negated)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """An outcome: its name and verdict, and the conditions that must all hold."""

    name: str
    verdict: Verdict
    means: str
    all: tuple[Condition, ...]
    label: str | None = None  # its name in reports

    def leaves(self) -> Iterator[tuple[Condition, bool]]:
        """Yield the innermost conditions of all, each with whether it must not hold."""
        for one in self.all:
            yield from one.leaves()


@dataclass(frozen=True, kw_only=True, slots=True)
class ScriptFile:
    """A program that steps run, or a file that it needs, as it was when the campaign began."""

    name: str  # relative to the folder of --script's program, or to the scenario's
    path: Path
    mode: int  # permission bits
    sha256: str
    link: str = ""  # what it points to, if it is a symbolic link; the rest is of the file there


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """One reproducer."""

    name: str
    title: str
    issue: str
    steps: tuple[Step, ...]
    outcomes: tuple[Rule, ...]
    axes: dict[str, Axis] = field(default_factory=dict)
    vars: dict[str, Var] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    daemon: DaemonSpec = field(default_factory=DaemonSpec)
    context: ContextSpec = field(default_factory=ContextSpec)
    servers: dict[str, Server] = field(default_factory=dict)
    deadlines: dict[str, float] = field(default_factory=dict)  # of deadlines.SCENARIO
    summary: str = ""
    # not from the file:
    folders: tuple[Path, ...] = ()  # own folder, then the one it extends
    digest: str = ""  # of everything
    run_digest: str = ""  # of what a trial executes: rules may change without a new trial
    files: tuple[ScriptFile, ...] = ()  # the program of --script, then the files that it declares
    programs: tuple[ScriptFile, ...] = ()  # of script steps, and the files that they need
    beside: tuple[str, ...] = ()  # files beside that program that it names and does not declare

    def file(self, name: str) -> Path:
        """The path of a file, first in its own folder, then in the one it extends."""
        for folder in self.folders:
            if (folder / name).is_file():
                return folder / name
        return self.folders[0] / name

    def folder(self, name: str) -> Path:
        """The path of a folder, first in its own folder, then in the one it extends."""
        for folder in self.folders:
            if (folder / name).is_dir():
                return folder / name
        return self.folders[0] / name

    def within(self, seconds: float | None) -> Scenario:
        """The scenario with *seconds* as every step's deadline; unchanged if None.

        Trials with another deadline are other trials: one may have been cut short.
        """
        if seconds is None:
            return self
        return replace(
            self,
            steps=tuple(replace(s, timeout=seconds) for s in self.steps),
            run_digest=f"{self.run_digest} step={seconds:g}",
        )

    def cells(self, narrow: Mapping[str, tuple[str, ...]] | None = None) -> list[Axes]:
        """Every combination of axis values, narrowed, in the order of the file."""
        chosen = {
            name: [v for v in axis.values if v in (narrow or {}).get(name, axis.values)]
            for name, axis in self.axes.items()
        }
        return [
            tuple(sorted(zip(chosen, values, strict=True))) for values in product(*chosen.values())
        ]

    def groups(self, axes: Axes) -> list[tuple[Step, ...]]:
        """The steps that run at *axes*, in groups that run concurrently, one for each run.

        Rules refer to all runs of a step by its own id.
        """
        chosen = dict(axes)
        wanted = [
            replace(step, id=run, repeat=1)
            for step in self.steps
            if all(chosen[axis] in values for axis, values in step.when.items())
            for run in step.runs
        ]
        groups: list[tuple[Step, ...]] = []
        for name, neighbours in groupby(wanted, key=lambda s: s.parallel):
            members = tuple(neighbours)
            groups += [members] if name else [(member,) for member in members]
        return groups

    def is_control(self, axes: Axes) -> bool:
        """Whether some axis has a control value here."""
        return any(value in self.axes[name].controls for name, value in axes)

    def control_of(self, axes: Axes) -> Axes | None:
        """The cell that must be good for *axes* to prove anything; None if there is none."""
        if self.is_control(axes):
            return None
        eager = {n: (a.controls[0] if a.controls else dict(axes)[n]) for n, a in self.axes.items()}
        return tuple(sorted(eager.items())) if any(a.controls for a in self.axes.values()) else None
