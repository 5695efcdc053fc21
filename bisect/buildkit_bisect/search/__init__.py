"""The search for a commit, pure: it asks for trials of a commit, takes results, and explains why.

Nothing here starts a process, reads a clock, or touches git, docker or the network. The
caller drives: ``step = session.next()``, build and run what it asks, ``session.tell(...)``.

Here are its words, and what builds and trials cost. Sessions are imported from their modules:
they load numpy, which takes a tenth of a second, and most commands do not search.
"""

from buildkit_bisect.search.cost import AsBefore, CostModel, FlatCost, NearestBuilt
from buildkit_bisect.search.vocabulary import (
    Answer,
    Ask,
    Candidate,
    Found,
    Inconclusive,
    ParentTested,
    Phase,
    Range,
    RefusalKind,
    Refused,
    SearchOptions,
    Skip,
    SkipKind,
    Step,
    Tested,
)

__all__ = [
    "Answer",
    "AsBefore",
    "Ask",
    "Candidate",
    "CostModel",
    "FlatCost",
    "Found",
    "Inconclusive",
    "NearestBuilt",
    "ParentTested",
    "Phase",
    "Range",
    "RefusalKind",
    "Refused",
    "SearchOptions",
    "Skip",
    "SkipKind",
    "Step",
    "Tested",
]
