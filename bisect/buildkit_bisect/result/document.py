"""The result document: the only thing that renderers read. docs/result.schema.json is its schema.

Values are plain (strings, numbers, tuples, dicts of these), so that the JSON is the document.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cattrs

from buildkit_bisect.errors import BadInput, printable_line
from buildkit_bisect.options.command import inv
from buildkit_bisect.result import checks as resultcheck
from buildkit_bisect.result import jsontext
from buildkit_bisect.result.hunks import MinimizeInfo
from buildkit_bisect.result.parts import PartInfo, ShardInfo
from buildkit_bisect.result.words import CampaignStatus
from buildkit_bisect.system import strictjson

SCHEMA = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ScenarioInfo:
    """A scenario as it was when the campaign ran."""

    name: str
    title: str
    issue: str
    digest: str
    summary: str
    axes: dict[str, dict[str, tuple[str, ...]]]  # name -> {"values", "controls"}
    outcomes: tuple[dict[str, str], ...]  # {"name", "verdict", "means", "label"?}
    images: dict[str, dict[str, str]]  # name -> {"ref", "digest"}
    labels: dict[str, dict[str, str]] = field(default_factory=dict)  # axis -> value -> its name
    files: tuple[dict[str, str], ...] = ()  # {"name", "mode", "sha256"}: a script, what it declares


@dataclass(frozen=True, kw_only=True, slots=True)
class RevisionInfo:
    """A revision that was asked for, or that a search chose."""

    ref: str
    sha: str
    describe: str = ""
    date: str = ""
    subject: str = ""
    author: str = ""  # name; missing in results of earlier versions


@dataclass(frozen=True, kw_only=True, slots=True)
class PatchInfo:
    """A patch that some variant has.

    *digest* is the SHA-256 of its diffs' SHA-256 in hex, joined in order: it shows whether a
    result is about the diffs at hand.
    """

    name: str
    digest: str
    title: str
    diffs: dict[str, str] = field(default_factory=dict)  # file name -> text; empty for a revert
    source: str = ""  # URL of the pull request, commit or file
    credit: str = ""  # whose work it is based on
    commit: str = ""  # full id of the commit that it was made from
    sha256: str = ""  # of the file that it was made from, as given or downloaded


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildInfo:
    """What ran."""

    key: str
    go: str
    source: str
    binary_sha256: str
    seconds: float
    reused: bool
    pulled_from: str = ""  # the shared store that it was pulled from


@dataclass(frozen=True, kw_only=True, slots=True)
class StepInfo:
    """One step of a trial, as far as reports show it."""

    id: str
    exit: int
    seconds: float
    timed_out: bool = False
    error: str = ""  # the last lines of its messages, if it failed
    vertices: tuple[dict[str, str], ...] = ()  # {"name", "state", "error"?, "log"?}, none internal
    records: tuple[dict[str, Any], ...] = ()  # {"digest", "layers": n, "inputs": [digest]}
    kept: tuple[int, int] | None = None  # (here, of the control's) inner records with layers


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialInfo:
    """One execution of a cell."""

    outcome: str
    verdict: str
    reason: str
    seconds: float
    reused: bool  # run by an earlier campaign
    evidence: str  # folder below the result's own, "" if none was kept
    ended: str = ""  # ISO 8601, UTC; "" if unknown
    steps: tuple[StepInfo, ...] = ()
    daemon_log: str = ""
    worker: str = ""  # the worker of a scheduler that ran it, "" if this machine did


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownInfo:
    """Every trial that the machine knew of a cell at the end, those of this campaign among them.

    These are the trials of equal binaries, steps, axis values and base images in the same runtime,
    on the same kernel and runc, by any campaign.
    """

    counts: dict[str, int]  # outcome -> trials
    verdicts: dict[str, int]  # verdict -> trials


@dataclass(frozen=True, kw_only=True, slots=True)
class CellInfo:
    """One variant x one scenario x one value for each axis."""

    scenario: str
    ref: str
    revision: str  # full commit id, or the module version if the commit is unknown
    patches: tuple[str, ...]
    axes: dict[str, str]
    control: bool
    outcome: str
    verdict: str
    reason: str
    counts: dict[str, int] = field(default_factory=dict)  # outcome -> trials
    rate: tuple[int, int] = (0, 0)  # (trials with the commonest outcome, trials that count)
    trials: tuple[TrialInfo, ...] = ()
    build: BuildInfo | None = None
    log: str = ""  # kept compile output, below the result's folder
    known: KnownInfo | None = None  # missing in results of earlier versions, null if there is none
    machine: str = ""  # a key of `Result.machines`; "" if all cells ran on one kind of machine


@dataclass(frozen=True, kw_only=True, slots=True)
class CandidateInfo:
    """A commit that may be the one searched for."""

    sha: str
    reason: str = ""
    probability: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BisectStep:
    """One commit that a search (or its gate) examined, in order."""

    number: int
    phase: str  # `search.Phase`
    sha: str
    verdict: str  # good, bad, skip, weak, infra
    shown: str  # "layers-dropped 3 of 3", "build: undefined: foo"
    why: str = ""
    counts: dict[str, int] = field(default_factory=dict)  # outcome -> trials
    left: int = 0  # candidates before this step
    seconds: float = 0.0
    reused: bool = False
    patches: tuple[str, ...] = ()  # those of the overlay that are used at this commit
    position: int | None = None  # commits after the older end on the first-parent line, if on it


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeInfo:
    """A commit at which a cell's outcome changes, with the outcomes on both sides."""

    sha: str  # "" if untestable commits hide it
    before: str  # outcome
    after: str
    confidence: float = 0.0
    merge: str = (
        ""  # the merge on the first-parent line that introduced it, "" if it is on that line
    )
    reason: str = ""
    scenario: str = ""  # the cell that changed
    axes: dict[str, str] = field(default_factory=dict)
    last_before: str = ""  # the newest tested commit that shows *before*
    candidates: tuple[CandidateInfo, ...] = ()  # the possible commits if `sha` is ""
    release: str = ""  # the first release that contains it; missing in results of earlier versions


@dataclass(frozen=True, kw_only=True, slots=True)
class CellTried:
    """What one cell showed at the ends of a bisection that several cells were open to."""

    axes: dict[str, str]
    good: str  # at the good end: "cached (1 of 1)"
    bad: str  # at the bad end
    good_verdict: str  # good, bad, weak (neither, or trials disagree), skip
    bad_verdict: str
    differ: float | None = None  # probability that the ends differ as they should; None: refused
    searched: bool = False  # whether the search was in this cell
    reason: str = ""  # why this cell cannot be searched; "" if it can


@dataclass(frozen=True, kw_only=True, slots=True)
class BisectInfo:
    """How a search went and ended. Subjects and dates of commits are in `Result.revisions`."""

    status: str  # found, range, refused, inconclusive
    good: str  # refs; the tag that `latest` was
    bad: str
    not_run: str = ""  # the good end, if a nearer commit was run in its place
    bad_not_run: str = ""  # the bad end, if another commit was run in its place
    bad_shown: str = ""  # what it shows, if it was run after the search and is not bad
    scenario: str
    axes: dict[str, str]  # of the one cell that was searched with; empty if none was
    tried: tuple[CellTried, ...] = ()  # the cells that were open to it, if there were several
    choice: str = ""  # why it searched in that one of them: a sentence without a full stop
    find_fix: bool = False  # if so, the commit found is the first good one
    patches: tuple[str, ...] = ()
    first_bad: str = ""  # full commit id
    merge: str = ""  # the first-parent merge that introduced it, "" if it is on that line
    parents: tuple[str, ...] = ()  # tested parents of it
    candidates: tuple[CandidateInfo, ...] = ()  # likeliest first
    confidence: float = 0.0
    picks: dict[str, str] = field(default_factory=dict)  # release branch -> the same change there
    contained: tuple[str, ...] = ()  # release tags that contain it, oldest first
    reverted: str = ""  # what the newer end shows without it: "confirmed: ...", "NOT ..."
    reason: str = ""  # always set if status is not found
    hint: str = ""
    gate: tuple[BisectStep, ...] = ()
    steps: tuple[BisectStep, ...] = ()
    changes: tuple[ChangeInfo, ...] = ()  # boundaries: all, oldest first, branch before merge
    total: int = 0  # commits between the ends
    tested: int = 0
    skipped: int = 0
    reproduce: str = ""  # the exact command that reproduces it
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class CellChange:
    """One cell without and with the patches."""

    scenario: str
    axes: dict[str, str]
    control: bool
    change: str  # fixed, regressed, still-bad, still-good, untested
    before: str  # "layers-dropped 3 of 3"
    after: str
    moved: bool = False  # whether the outcome changed, whatever its verdict
    snapshotter: str = ""  # of the daemon; "" for a script
    reason: str = ""  # why it could not be tested


@dataclass(frozen=True, kw_only=True, slots=True)
class SubsetInfo:
    """Some patches of a series, on the tested cells that are good or bad without any patch."""

    patches: tuple[str, ...]
    fixed: int  # of the cells that are bad without
    of: int
    reason: str = ""  # why none of the cells could be tested
    regressed: int = 0  # of the cells that are good without
    untested: int = 0  # of the cells that are bad without
    unbuilt: bool = False  # it does not apply or build


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckInfo:
    """Upstream's own tests, vet, or a cross build, without and with the patches."""

    kind: str  # test, vet, build
    subject: str  # "./solver", "linux/arm64 buildkitd buildctl"
    change: str  # same, worse, better, pre-existing, untested
    before: str  # "41 passed, 1 failed"
    after: str
    worse: tuple[str, ...] = ()  # what fails only with the patches: test names, messages
    known: tuple[str, ...] = ()  # what also fails without them, so is not their fault
    better: tuple[str, ...] = ()  # what fails only without them
    added: tuple[str, ...] = ()  # tests that the patches add, and that pass
    flaky: tuple[str, ...] = ()  # what fails intermittently, with the patches or without
    note: str = ""  # "with the race detector"
    log: tuple[str, ...] = ()  # last output lines of what is worse


@dataclass(frozen=True, kw_only=True, slots=True)
class BackportInfo:
    """Where the patches apply."""

    ref: str  # a release branch, the last release of a minor without one, or the main line
    sha: str
    state: str  # applies, lacking (what they require), there, partly, conflicts
    detail: str = ""  # git's reason


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationInfo:
    """What patches fix, what else they change, and where they apply."""

    status: str  # fixes, partly, no, regresses, inconclusive, refused
    verdict: str  # one plain sentence to quote
    base: str  # ref, as asked
    sha: str  # its commit
    patches: tuple[str, ...]
    cells: tuple[CellChange, ...] = ()
    subsets: tuple[SubsetInfo, ...] = ()
    needed: tuple[str, ...] = ()  # patches without which fewer cells are fixed
    culprit: str = ""  # full commit id of the commit reverted instead
    reverted: str = ""  # what the base shows without that commit
    checks: tuple[CheckInfo, ...] = ()
    backports: tuple[BackportInfo, ...] = ()
    trials: int = 0  # of the cells before and after
    reused: int = 0  # of these, from an earlier campaign that ran both sides
    resumed: int = 0  # of these, run before this campaign was interrupted
    reason: str = ""  # always set if refused or inconclusive
    hint: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ReproductionInfo:
    """The cell that the report is about, as a script that runs without this tool."""

    scenario: str
    ref: str
    revision: str  # full commit id, or the module version if the commit is unknown
    patches: tuple[str, ...]
    axes: dict[str, str]
    outcome: str
    verdict: str
    script: str  # bash: the Dockerfiles and the buildctl commands, and what to look for


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """The result of one campaign."""

    kind: str  # run, matrix, bisect, boundaries, validate
    id: str
    created: str  # ISO 8601, UTC
    command: str
    tool: str  # "buildkit-bisect 0.1.0"
    host: dict[str, str]  # facts of the machine; of several, those that are equal on all
    source: dict[str, str]  # {"kind": git|module, "repo", "note"}
    scenarios: tuple[ScenarioInfo, ...]
    revisions: tuple[RevisionInfo, ...]
    patches: tuple[PatchInfo, ...]
    cells: tuple[CellInfo, ...]
    schema: int = SCHEMA
    status: str = CampaignStatus.DONE.value  # or "interrupted", "failed"
    seconds: dict[str, float] = field(default_factory=dict)  # {"total", "builds", "trials"}
    bisect: BisectInfo | None = None  # bisect and boundaries
    validation: ValidationInfo | None = None  # validate
    minimized: MinimizeInfo | None = None  # bisect and validate, if asked for
    notes: tuple[str, ...] = ()
    page: str = ""  # https:// address of report.html, "" if it is not published
    comment: str = ""  # https:// address of the comment that `post` wrote, "" if there is none
    reproduction: ReproductionInfo | None = None  # missing in results of earlier versions
    machines: dict[str, dict[str, str]] = field(default_factory=dict)  # all facts, if several kinds
    shard: ShardInfo | None = None  # if it is a part of a matrix
    parts: tuple[PartInfo, ...] = ()  # the campaigns that were merged into it


_CONVERTER = cattrs.Converter(forbid_extra_keys=True, omit_if_default=False)


def unstructure(result: Result) -> dict[str, Any]:
    """The document as plain JSON values."""
    plain: dict[str, Any] = _CONVERTER.unstructure(result)
    return plain


def structure(data: dict[str, Any]) -> Result:
    """The reverse of `unstructure`. Raises `cattrs.BaseValidationError`."""
    return _CONVERTER.structure(data, Result)


def dump(result: Result) -> str:
    """The document as JSON text."""
    return f"{jsontext.indented(unstructure(result))}\n"


def write(result: Result, folder: Path) -> Path:
    """Write ``result.json`` into *folder*, atomically."""
    path = folder / "result.json"
    draft = folder / f".result.{os.getpid()}"
    draft.write_text(dump(result))
    draft.replace(path)
    return path


def read(folder: Path) -> Result:
    """The document in *folder*.

    Raises `BadInput` if there is none, if its schema differs, or if it contains what no campaign
    writes: a word that is not in `resultcheck.CHOICES`, an invalid link, a lone surrogate.
    """
    path = folder / "result.json"
    try:
        data = strictjson.loads(path.read_text())
    except OSError:
        raise BadInput(f"no result at {path}", hint=inv("status")) from None
    except ValueError as error:
        raise BadInput(
            f"{path} is not JSON: {error}", hint=f"{inv('report', 'ID')}, or {inv('status')}"
        ) from None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise BadInput(f"{path} is not a result of schema {SCHEMA}", hint="run the campaign again")
    try:
        found = structure(data)
        wrong = strictjson.problem(found) or resultcheck.wrong(found)
    except cattrs.BaseValidationError as error:
        wrong = cattrs.transform_error(error)[0]
    except RecursionError:
        wrong = "nested too deeply"
    if wrong:
        raise BadInput(f"{path}: {printable_line(wrong)}", hint="docs/result.schema.json")
    return found
