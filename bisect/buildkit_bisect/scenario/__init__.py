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
from buildkit_bisect.scenario.load import (
    LIBRARY,
    NOT_JUDGED,
    expanded,
    library,
    load,
    load_file,
    names,
)
from buildkit_bisect.scenario.script import from_script

__all__ = [
    "LIBRARY",
    "NOT_JUDGED",
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
    "expanded",
    "from_script",
    "library",
    "load",
    "load_file",
    "names",
    "uses_loopback",
    "uses_registry",
]
