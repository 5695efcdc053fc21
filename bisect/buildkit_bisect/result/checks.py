"""What a result document may contain, beyond its types; it may be untrusted. Pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from buildkit_bisect.model import Verdict, VertexState
from buildkit_bisect.result.hunks import HunkRole, MinimizeStatus
from buildkit_bisect.result.parts import MOST_SHARDS, ShardInfo
from buildkit_bisect.result.words import (
    ENDED,
    CampaignKind,
    CellEffect,
    CheckEffect,
    CheckKind,
    FitState,
    SearchStatus,
    ValidationStatus,
)
from buildkit_bisect.system.addresses import is_link

VERDICTS: tuple[str, ...] = tuple(Verdict)

#: What a vertex can have come to.
STATES: tuple[str, ...] = tuple(VertexState)

#: Fields that hold plain dicts, and the keys of each of these.
SHAPES: dict[str, dict[str, type]] = {
    "ScenarioInfo.axes": {"values": tuple, "controls": tuple},
    "ScenarioInfo.outcomes": {"name": str, "verdict": str, "means": str},
    "ScenarioInfo.images": {"ref": str, "digest": str},
    "ScenarioInfo.files": {"name": str, "mode": str, "sha256": str},
    "StepInfo.vertices": {"name": str, "state": str},
    "StepInfo.records": {"digest": str, "layers": int, "inputs": list},
}

#: Fields that hold a link, or "": a script has no issue, an unpublished result no page.
LINKS = ("ScenarioInfo.issue", "Result.page", "Result.comment")

#: Fields that hold one of a few words, which reports show as they are.
CHOICES: dict[str, tuple[str, ...]] = {
    "Result.kind": tuple(CampaignKind),
    "Result.status": ENDED,
    "TrialInfo.verdict": VERDICTS,
    "CellInfo.verdict": VERDICTS,
    "ReproductionInfo.verdict": VERDICTS,
    "BisectStep.verdict": VERDICTS,
    "CellTried.good_verdict": VERDICTS,
    "CellTried.bad_verdict": VERDICTS,
    "BisectInfo.status": tuple(SearchStatus),
    "CellChange.change": tuple(CellEffect),
    "CheckInfo.kind": tuple(CheckKind),
    "CheckInfo.change": tuple(CheckEffect),
    "BackportInfo.state": tuple(FitState),
    "ValidationInfo.status": tuple(ValidationStatus),
    "MinimizeInfo.status": tuple(MinimizeStatus),
    "HunkInfo.role": tuple(HunkRole),
    "HunksTried.seen": ("changed", "unchanged", "untestable"),
}


def wrong(part: Any) -> str:
    """The first value below *part* that its field does not allow; "" if there is none."""
    if isinstance(part, tuple):
        return next(filter(None, map(wrong, part)), "")
    if not dataclasses.is_dataclass(part):
        return ""
    for each in dataclasses.fields(part):
        name, value = f"{type(part).__name__}.{each.name}", getattr(part, each.name)
        if found := _wrong_value(name, value) or wrong(value):
            return found
    if type(part).__name__ != "Result":
        return ""
    return _unknown_machine(part) or _other_axes(part)


def _unknown_machine(result: Any) -> str:
    """A machine that the document does not describe, or a cell that names none; "" if neither."""
    for each in (*result.cells, *result.parts):
        if each.machine and each.machine not in result.machines:
            return f"{type(each).__name__}.machine: no {each.machine!r} in the machines"
    if result.machines and any(cell.trials and not cell.machine for cell in result.cells):
        return "CellInfo.machine: trials of one of several machines, and not of which"
    return ""


def _other_axes(result: Any) -> str:
    """A cell whose axes are not those of its scenario; "" if there is none."""
    for scenario in result.scenarios:
        for cell in result.cells:
            if cell.scenario == scenario.name and cell.axes.keys() != scenario.axes.keys():
                own, its = (
                    ", ".join(sorted(axes)) or "none" for axes in (cell.axes, scenario.axes)
                )
                return f"CellInfo.axes: {own}; those of {scenario.name} are {its}"
    return ""


def _wrong_value(name: str, value: Any) -> str:
    if name in SHAPES and (lacking := _misshapen(SHAPES[name], value)):
        return f"{name}: {lacking}"
    match name:
        case name if name in LINKS and value and not is_link(value):
            return f"{name}: {value!r} is not an https:// address"
        case "Result.shard" | "PartInfo.shard" if value:
            return _misnumbered(value)
        case "ScenarioInfo.outcomes":
            words, choices = [outcome.get("verdict") for outcome in value], VERDICTS
        case "StepInfo.vertices":
            words, choices = [vertex.get("state") for vertex in value], STATES
        case "KnownInfo.counts" | "KnownInfo.verdicts" if min(value.values(), default=0) < 1:
            return f"{name}: fewer than one trial"
        case "KnownInfo.verdicts":
            words, choices = list(value), VERDICTS
        case _ if name in CHOICES:
            words, choices = [value], CHOICES[name]
        case _:
            return ""
    odd = [word for word in words if word not in choices]
    return f"{name}: {odd[0]!r} is not one of {', '.join(choices)}" if odd else ""


def _misnumbered(shard: ShardInfo) -> str:
    """What no campaign writes of a shard; "" if nothing."""
    if not 1 <= shard.number <= shard.of <= MOST_SHARDS:
        return f"ShardInfo: there is no shard {shard.number} of {shard.of}"
    return "" if re.fullmatch("[0-9a-f]{64}", shard.plan) else "ShardInfo.plan: not a SHA-256"


def _misshapen(shape: Mapping[str, type], value: Any) -> str:
    """What a plain dict in *value* (a tuple or dict of them) lacks; "" if nothing."""
    for each in value.values() if isinstance(value, dict) else value:
        for key, kind in shape.items():
            part = each.get(key)
            texts = part if isinstance(part, list) else []
            if not isinstance(part, kind) or not all(isinstance(text, str) for text in texts):
                return f"{key!r} is missing or has the wrong type"
    return ""
