"""The closed choices of a result document: each word once, whoever writes or shows it.

How each is shown is in `render.symbols`. Verdicts and the states of vertices are in `model`.
"""

from __future__ import annotations

from enum import StrEnum


class CampaignKind(StrEnum):
    """Which campaign it was."""

    RUN = "run"
    MATRIX = "matrix"
    BISECT = "bisect"
    BOUNDARIES = "boundaries"
    VALIDATE = "validate"


class CampaignStatus(StrEnum):
    """How a campaign ended. A document has one that ended; the others are of its record."""

    RUNNING = "running"
    DONE = "done"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    KILLED = "killed"  # it says that it is running, and its process is gone
    RESUMED = "resumed"  # it did not end, and another went on with it


#: What the document of a campaign may say.
ENDED = (CampaignStatus.DONE, CampaignStatus.INTERRUPTED, CampaignStatus.FAILED)


class SearchStatus(StrEnum):
    """How a search ended."""

    FOUND = "found"
    RANGE = "range"  # one of several commits, and nothing says which
    REFUSED = "refused"  # the ends do not bear a search
    INCONCLUSIVE = "inconclusive"


class CellEffect(StrEnum):
    """What patches did to a cell."""

    FIXED = "fixed"
    REGRESSED = "regressed"
    STILL_BAD = "still-bad"
    STILL_GOOD = "still-good"
    UNTESTED = "untested"


class ValidationStatus(StrEnum):
    """The answer of a validation."""

    FIXES = "fixes"
    PARTLY = "partly"
    NO = "no"
    REGRESSES = "regresses"
    INCONCLUSIVE = "inconclusive"
    REFUSED = "refused"


class CheckKind(StrEnum):
    """One of upstream's own checks."""

    TEST = "test"
    VET = "vet"
    BUILD = "build"  # a cross build


class CheckEffect(StrEnum):
    """What patches did to one of upstream's own checks."""

    SAME = "same"
    WORSE = "worse"
    BETTER = "better"
    PRE_EXISTING = "pre-existing"  # it fails as it does without them
    UNTESTED = "untested"


class FitState(StrEnum):
    """Whether patches apply to a revision."""

    APPLIES = "applies"
    LACKING = "lacking"  # they apply, and what they fix or require is not there
    THERE = "there"  # it has them already
    PARTLY = "partly"  # it has some of them
    CONFLICTS = "conflicts"
