"""Reproducers as folders: ``scenario.toml`` plus the files that its steps use."""

from buildkit_bisect.scenario.load import load, names
from buildkit_bisect.scenario.model import (
    Action,
    Axis,
    Condition,
    DaemonSpec,
    Image,
    Kept,
    Rule,
    Scenario,
    Step,
    VertexIs,
)

__all__ = [
    "Action",
    "Axis",
    "Condition",
    "DaemonSpec",
    "Image",
    "Kept",
    "Rule",
    "Scenario",
    "Step",
    "VertexIs",
    "load",
    "names",
]
