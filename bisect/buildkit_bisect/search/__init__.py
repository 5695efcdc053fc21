"""The search for a commit, pure: it asks for trials of a commit, takes results, and explains why.

Nothing here starts a process, reads a clock, or touches git, docker or the network. The
caller drives: ``step = session.next()``, build and run what it asks, ``session.tell(...)``.
"""

from buildkit_bisect.search.boundary_search import BoundarySearch
from buildkit_bisect.search.changes import Boundaries, Change, Gap
from buildkit_bisect.search.choice import (
    CellChoice,
    Chosen,
    GoodEndOfCell,
    GoodEndOfCells,
    NoneDiffers,
    Try,
)
from buildkit_bisect.search.cost import AsBefore, CostModel, FlatCost, NearestBuilt
from buildkit_bisect.search.ends import EndsFound, GoodEndSearch
from buildkit_bisect.search.history import History
from buildkit_bisect.search.session import BisectSession
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
    "BisectSession",
    "Boundaries",
    "BoundarySearch",
    "Candidate",
    "CellChoice",
    "Change",
    "Chosen",
    "CostModel",
    "EndsFound",
    "FlatCost",
    "Found",
    "Gap",
    "GoodEndOfCell",
    "GoodEndOfCells",
    "GoodEndSearch",
    "History",
    "Inconclusive",
    "NearestBuilt",
    "NoneDiffers",
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
    "Try",
]
