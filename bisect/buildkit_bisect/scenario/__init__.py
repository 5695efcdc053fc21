"""Reproducers as folders: ``scenario.toml`` and the files that its steps use."""

from buildkit_bisect.scenario.check import uses_loopback, uses_registry
from buildkit_bisect.scenario.definition import (
    RUNTIME_AXIS,
    Action,
    Axis,
    Condition,
    DaemonSpec,
    Image,
    Kept,
    Rule,
    Scenario,
    ScriptFile,
    ServerKind,
    Step,
    VertexIs,
)
from buildkit_bisect.scenario.load import load, names
from buildkit_bisect.scenario.script import from_script

__all__ = [
    "RUNTIME_AXIS",
    "Action",
    "Axis",
    "Condition",
    "DaemonSpec",
    "Image",
    "Kept",
    "Rule",
    "Scenario",
    "ScriptFile",
    "ServerKind",
    "Step",
    "VertexIs",
    "from_script",
    "load",
    "names",
    "uses_loopback",
    "uses_registry",
]
