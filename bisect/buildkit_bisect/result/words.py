"""The closed choices in a result document, each defined once.

`render.symbols` has how they are shown; verdicts and the states of vertices are in `model`.
"""

from __future__ import annotations

from enum import StrEnum


class CampaignKind(StrEnum):
    """The kind of a campaign."""

    RUN = "run"
    MATRIX = "matrix"
    BISECT = "bisect"
    BOUNDARIES = "boundaries"
    VALIDATE = "validate"


class CampaignStatus(StrEnum):
    """How a campaign ended. Only its record, not its document, has the ones outside `ENDED`."""

    RUNNING = "running"
    DONE = "done"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    KILLED = "killed"  # recorded as running, but its process is gone
    RESUMED = "resumed"  # unfinished, and resumed by another campaign


#: Statuses that a document may have.
ENDED = (CampaignStatus.DONE, CampaignStatus.INTERRUPTED, CampaignStatus.FAILED)


class SearchStatus(StrEnum):
    """How a search ended."""

    FOUND = "found"
    RANGE = "range"  # one of several commits; the trials cannot tell which
    REFUSED = "refused"  # no search between these endpoints makes sense
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
    PRE_EXISTING = "pre-existing"  # fails without them too
    UNTESTED = "untested"


class FitState(StrEnum):
    """Whether patches apply to a revision."""

    APPLIES = "applies"
    LACKING = "lacking"  # they apply, but what they fix or require is missing
    THERE = "there"  # already applied
    PARTLY = "partly"  # some are already applied
    CONFLICTS = "conflicts"
    UNKNOWN = "unknown"  # the source has not all of the repository, or could not be read
