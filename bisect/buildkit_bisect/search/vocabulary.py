"""What a search asks for, what it takes in, and how it ends: the types that its callers use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from buildkit_bisect.model import Verdict

#: In the reason of an answer and in a note, if there is no single change between the ends.
MORE_THAN_ONCE = "the outcome changed more than once"


class Phase(StrEnum):
    """Why a commit is asked for."""

    GATE = "gate"
    CALIBRATE = "calibrate"  # an end once more, for its rate
    DOUBT = "doubt"  # two commits that contradict each other, in turns
    FIRST_PARENT = "first-parent"
    DESCEND = "descend"  # inside the merge that turned
    SEARCH = "search"  # the whole DAG at once
    PROOF = "proof"
    GRID = "grid"  # boundaries: points along the line, before anything is narrowed
    NARROW = "narrow"  # boundaries: between two outcomes


class SkipKind(StrEnum):
    """What kept a commit from being tested."""

    BUILD = "build"
    PATCH = "patch"
    CONTROL = "control"
    INFRA = "infra"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True, slots=True)
class Skip:
    """A commit could not be tested: never evidence for either side."""

    kind: SkipKind
    reason: str  # one line


@dataclass(frozen=True, kw_only=True, slots=True)
class Tested:
    """What the caller saw at a commit: trials by outcome, or why there were none."""

    __test__: ClassVar[bool] = False  # the name makes pytest take it for a test class

    counts: Mapping[str, int] = field(default_factory=dict)  # outcome name -> trials
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)  # of each outcome in counts
    skip: Skip | None = None
    binary: str = ""  # identity of what ran; commits with equal binaries share their trials
    build_seconds: float | None = None  # None where nothing was built
    trial_seconds: float | None = None  # of one trial


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """Build this commit, run it *trials* times from a clean state each, and `tell`."""

    commit: str
    trials: int
    why: str
    phase: Phase
    candidates_left: int
    expected_steps: int  # asks still to come, this one included
    expected_seconds: float
    builds_left: tuple[float, ...] = ()  # expected seconds of each build still to come
    trials_left: float = 0.0  # expected trials still to come
    spares_newer: bool = False  # the newer end was not run, and is not part of what is to come
    until_bad: bool = False  # the first bad trial may end the rest
    together: tuple[Ask, ...] = ()  # what may be asked at once in its place; see `next_k`


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A commit that may be the one, and what is known of it."""

    commit: str
    reason: str
    probability: float | None = None  # where the search kept a posterior


@dataclass(frozen=True, kw_only=True, slots=True)
class ParentTested:
    """A parent of the commit found: it shows the old behaviour in *old* of *trials*."""

    commit: str
    old: int
    trials: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One commit: its parents show the old behaviour, it shows the new one, proven by re-runs.

    With ``find_fix`` the commit is the first good one; the field keeps its name.
    """

    first_bad: str
    merge: str | None  # the first-parent merge that brought it; None if it is on that line
    parents_tested: tuple[ParentTested, ...]
    confidence: float
    credible_set: tuple[Candidate, ...]  # likeliest first, together at least that confidence
    bad_without: tuple[int, int]  # (k, n): k of n trials of commits that do not contain it are bad
    bad_with: tuple[int, int]  # the same of the commits that contain it
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """The answer is one of these, and what could be tested does not say which."""

    candidates: tuple[Candidate, ...]
    reason: str
    hint: str = ""
    notes: tuple[str, ...] = ()


class RefusalKind(StrEnum):
    """Why a search between these ends would mean nothing."""

    SAME_COMMIT = "same-commit"
    SAME_BUILD = "same-build"
    ORDER = "order"
    UNRELATED = "unrelated"
    NOT_BAD = "not-bad"  # the bad end does not show what is looked for
    ALREADY_BAD = "already-bad"  # the good end shows it too
    OTHER_OUTCOME = "other-outcome"  # an end shows neither
    MERGE_BASE = "merge-base"
    UNTESTABLE = "untestable"
    CONTROL = "control"
    INFRA = "infra"
    ALIKE = "alike"  # both ends show it, at rates that do not differ
    NO_GOOD_END = "no-good-end"
    NO_CELL = "no-cell"  # the ends do not differ in any of several cells


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """A search between these ends is not possible: what they showed, and the next command."""

    kind: RefusalKind
    reason: str
    hint: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Inconclusive:
    """The evidence contradicts itself or ran out; with the likeliest commits, if any."""

    reason: str
    hint: str = ""
    candidates: tuple[Candidate, ...] = ()
    notes: tuple[str, ...] = ()


Answer = Found | Range | Refused | Inconclusive
Step = Ask | Answer


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchOptions:
    """How a search behaves; the defaults are those of the command line."""

    trials: int | None = None  # of each commit; None: as many as its results require
    confidence: float = 0.95
    first_parent: bool = True  # False: the whole DAG at once
    find_fix: bool = False  # the older end is bad, the newer one good
    bad_when: frozenset[str] = frozenset()  # outcome names; empty: what the bad end showed
    good_when: frozenset[str] = frozenset()  # empty: every outcome whose verdict is good
    proof_runs: int = 2  # times that each parent has to be old and the commit new
    max_skips: int = 16  # commits in a row that cannot be tested, before a range is reported
    calibration: int = 3  # trials of a release in find-good, where trials is None
    max_trials: int = 800  # of the whole search, before it is given up as undecided
