"""What a result document says of a change's hunks: which of them are needed for its effect."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class MinimizeStatus(StrEnum):
    """How the search for the needed hunks ended."""

    MINIMAL = "minimal"  # without any one of them, the change of outcome was not seen
    STOPPED = "stopped"  # at the limit of builds: fewer hunks may be enough
    UNCONFIRMED = "unconfirmed"  # run again, those that were left did not change the outcome
    NOTHING = "nothing"  # there is no change of outcome, or no hunk


class HunkRole(StrEnum):
    """What a hunk is to the change of outcome."""

    OUTCOME = "outcome"  # needed: without it, the outcome is as without the change
    BUILD = "build"  # needed: without it, the others do not build
    OTHER = "other"  # needed: without it, another outcome is seen, or none
    KEPT = "kept"  # among those that are enough; whether it is needed was not tested
    NOT_NEEDED = "not-needed"
    TEST = "test"  # of a test or a document, which is in no program
    REFUSED = "refused"  # it does not apply where the others were tried


@dataclass(frozen=True, kw_only=True, slots=True)
class HunkInfo:
    """A run of changed lines."""

    file: str
    lines: str  # of the file without the change: "12-14 (3 removed, 1 added)"
    role: str  # outcome, build, other, kept, not-needed, test, refused
    heading: str = ""  # the start of the function that it is in
    without: str = ""  # what the needed hunks show without it: "layers-dropped 3 of 3"


@dataclass(frozen=True, kw_only=True, slots=True)
class HunksTried:
    """Some hunks that were built and run together."""

    hunks: tuple[int, ...]  # their numbers, from 1
    seen: str  # changed, unchanged, untestable
    shown: str  # "layers-dropped 3 of 3", "build: undefined: x"


@dataclass(frozen=True, kw_only=True, slots=True)
class MinimizeInfo:
    """Which hunks of a change are needed for its change of outcome."""

    status: str  # minimal, stopped, unconfirmed, nothing
    of: str  # "record-ctx-opts", "the revert of 051818cf383e"
    on: str = ""  # what it was applied to: a revision, with the patches that stay
    cells: tuple[str, ...] = ()  # whose outcome has to change
    before: str = ""  # what these show without the change
    after: str = ""  # with all of its hunks
    needed: str = ""  # with the needed hunks alone
    hunks: tuple[HunkInfo, ...] = ()
    tried: tuple[HunksTried, ...] = ()  # in order
    reason: str = ""  # always set unless minimal
    notes: tuple[str, ...] = ()
