"""One frozen request per task, and the table of them."""

from __future__ import annotations

from collections.abc import Mapping

from buildkit_bisect.options.campaign_requests import (
    Bisect,
    Boundaries,
    Build,
    Building,
    Campaign,
    Matrix,
    Run,
    Validate,
    Warm,
)
from buildkit_bisect.options.patch_requests import PatchCheck, PatchExport, PatchList, PatchNew
from buildkit_bisect.options.result_requests import Diff, Merge, Post, Report, Resume, Status
from buildkit_bisect.options.scenario_requests import ScenarioCheck, ScenarioLearn, ScenarioNew
from buildkit_bisect.options.shared import Request
from buildkit_bisect.options.upkeep_requests import (
    Check,
    Clean,
    Completion,
    Doctor,
    Plan,
    Test,
    Worker,
)

#: The request of every task, by the task's name on the command line.
TASKS: Mapping[str, type[Request]] = {
    kind.task: kind
    for kind in (
        *(Doctor, Build, Warm, Run, Matrix, Bisect, Boundaries, Validate),
        *(PatchNew, PatchList, PatchCheck, PatchExport),
        *(ScenarioNew, ScenarioLearn, ScenarioCheck),
        *(Report, Diff, Merge, Post, Resume, Status, Worker, Clean, Completion, Test, Check, Plan),
    )
}

__all__ = [
    "TASKS",
    "Bisect",
    "Boundaries",
    "Build",
    "Building",
    "Campaign",
    "Check",
    "Clean",
    "Completion",
    "Diff",
    "Doctor",
    "Matrix",
    "Merge",
    "PatchCheck",
    "PatchExport",
    "PatchList",
    "PatchNew",
    "Plan",
    "Post",
    "Report",
    "Request",
    "Resume",
    "Run",
    "ScenarioCheck",
    "ScenarioLearn",
    "ScenarioNew",
    "Status",
    "Test",
    "Validate",
    "Warm",
    "Worker",
]
