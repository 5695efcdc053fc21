"""The result document's JSON Schema, generated from `result`'s dataclasses and their comments.

``python -m buildkit_bisect.result.schema`` prints it, for ``docs/result.schema.json``.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import types
import typing
from typing import Any

from buildkit_bisect import result
from buildkit_bisect.result import (
    CampaignKind,
    CampaignStatus,
    MinimizeStatus,
    SearchStatus,
    ValidationStatus,
    checks,
)
from buildkit_bisect.result.parts import MOST_SHARDS
from buildkit_bisect.system.addresses import LINK

_COUNT = {"type": "integer", "minimum": 0}
_TALLY = {"type": "object", "additionalProperties": {**_COUNT, "minimum": 1}}
_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_VERDICT = {"enum": list(checks.VERDICTS)}
_COMMIT = {"type": "string", "pattern": "^([0-9a-f]{40})?$"}


def _record(**properties: Any) -> dict[str, Any]:
    """An object with exactly these properties; those whose name ends in ``_`` may be missing."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [name for name in properties if not name.endswith("_")],
        "properties": {name.removesuffix("_"): value for name, value in properties.items()},
    }


def _pair(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "prefixItems": [items, items], "items": False, "minItems": 2}


#: What annotations do not express: closed choices, and the shape of plain dicts.
_TIGHTER: dict[str, dict[str, Any]] = {
    **{name: {"enum": list(words)} for name, words in checks.CHOICES.items()},
    "Result.schema": {"const": result.SCHEMA},
    "Result.comment": {"type": "string", "pattern": f"^({LINK})?$"},
    "Result.page": {"type": "string", "pattern": f"^({LINK})?$"},
    "Result.created": {"type": "string", "format": "date-time"},
    "ScenarioInfo.issue": {"type": "string", "pattern": f"^({LINK})?$"},
    "ScenarioInfo.axes": {
        "type": "object",
        "additionalProperties": _record(values={**_TEXTS, "minItems": 1}, controls=_TEXTS),
    },
    "ScenarioInfo.outcomes": {
        "type": "array",
        "items": _record(name=_TEXT, verdict=_VERDICT, means=_TEXT, label_=_TEXT),
    },
    "ScenarioInfo.images": {
        "type": "object",
        "additionalProperties": _record(ref=_TEXT, digest=_TEXT),
    },
    "ScenarioInfo.files": {
        "type": "array",
        "items": _record(name=_TEXT, mode=_TEXT, sha256=_TEXT),
    },
    "RevisionInfo.sha": _COMMIT,
    "StepInfo.vertices": {
        "type": "array",
        "items": _record(name=_TEXT, state={"enum": list(checks.STATES)}, error_=_TEXT, log_=_TEXT),
    },
    "StepInfo.records": {
        "type": "array",
        "items": _record(digest=_TEXT, layers=_COUNT, inputs=_TEXTS),
    },
    "CellInfo.counts": _TALLY,
    "KnownInfo.counts": _TALLY,
    "KnownInfo.verdicts": {**_TALLY, "propertyNames": _VERDICT},
    "CellInfo.rate": _pair(_COUNT),
    "BisectInfo.first_bad": _COMMIT,
    "BisectInfo.merge": _COMMIT,
    "BackportInfo.sha": _COMMIT,
    "PartInfo.created": {"type": "string", "format": "date-time"},
    "ShardInfo.number": {"type": "integer", "minimum": 1, "maximum": MOST_SHARDS},
    "ShardInfo.of": {"type": "integer", "minimum": 1, "maximum": MOST_SHARDS},
    "ShardInfo.plan": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    "ValidationInfo.sha": _COMMIT,
    "ValidationInfo.culprit": _COMMIT,
}

#: Fields that results of earlier versions lack.
ADDED = (
    "BisectInfo.bad_not_run",
    "BisectInfo.bad_shown",
    "BisectInfo.choice",
    "BisectInfo.not_run",
    "BisectInfo.tried",
    "BuildInfo.pulled_from",
    "CellInfo.known",
    "CellInfo.machine",
    "ChangeInfo.release",
    "PatchInfo.commit",
    "PatchInfo.credit",
    "PatchInfo.sha256",
    "PatchInfo.source",
    "Result.comment",
    "Result.machines",
    "Result.minimized",
    "Result.page",
    "Result.parts",
    "Result.reproduction",
    "Result.shard",
    "RevisionInfo.author",
    "ScenarioInfo.files",
    "ScenarioInfo.labels",
    "TrialInfo.worker",
)

#: Campaigns whose document has a search.
_SEARCHES = [CampaignKind.BISECT, CampaignKind.BOUNDARIES]

#: Validation statuses that need a reason.
_UNSURE = [ValidationStatus.INCONCLUSIVE, ValidationStatus.REFUSED]

_RULES: dict[str, dict[str, Any]] = {
    "Result": {
        "if": {
            "properties": {"kind": {"enum": _SEARCHES}, "status": {"const": CampaignStatus.DONE}}
        },
        "then": {"properties": {"bisect": {"type": "object"}}},
    },
    "ValidationInfo": {
        "if": {"properties": {"status": {"enum": _UNSURE}}},
        "then": {"properties": {"reason": {"minLength": 1}}},
    },
    "MinimizeInfo": {
        "if": {"properties": {"status": {"const": MinimizeStatus.MINIMAL}}},
        "else": {"properties": {"reason": {"minLength": 1}}},
    },
    "BisectInfo": {
        "if": {"properties": {"status": {"const": SearchStatus.FOUND}}},
        "else": {"properties": {"reason": {"minLength": 1}}},
    },
}


def schema() -> dict[str, Any]:
    """The whole schema. Strict: an unknown property is an error everywhere."""
    parts: dict[str, dict[str, Any]] = {}
    body = _class(result.Result, parts)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"buildkit-bisect result document, schema {result.SCHEMA}",
        **body,
        "$defs": dict(sorted(parts.items())),
    }


def text() -> str:
    """The content of ``docs/result.schema.json``."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def _class(kind: type[Any], parts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    properties = {}
    for field in dataclasses.fields(kind):
        tighter = _TIGHTER.get(f"{kind.__name__}.{field.name}")
        shape = tighter or _shape(hints[field.name], parts)
        note = re.search(rf"^    {field.name}: .*?  # (.*)$", inspect.getsource(kind), re.MULTILINE)
        properties[field.name] = {"description": note[1], **shape} if note else shape
    return {
        "description": (kind.__doc__ or "").splitlines()[0],
        "type": "object",
        "additionalProperties": False,
        "required": [name for name in properties if f"{kind.__name__}.{name}" not in ADDED],
        "properties": properties,
        **_RULES.get(kind.__name__, {}),
    }


def _shape(hint: Any, parts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    plain = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
    if hint in plain:
        return {"type": plain[hint]}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if hint.__name__ not in parts:
            parts[hint.__name__] = _class(hint, parts)
        return {"$ref": f"#/$defs/{hint.__name__}"}
    if hint is Any:
        return {}
    inner = [_shape(part, parts) for part in typing.get_args(hint) if part is not Ellipsis]
    return _generic(hint, inner)


def _generic(hint: Any, inner: list[dict[str, Any]]) -> dict[str, Any]:
    origin = typing.get_origin(hint)
    if origin is types.UnionType:
        return {"anyOf": inner}
    if origin is dict:
        return {"type": "object", "additionalProperties": inner[1]}
    assert origin is tuple, f"{hint} in a result document"
    several = typing.get_args(hint)[-1] is Ellipsis
    return {"type": "array", "items": inner[0]} if several else _pair(inner[0])


if __name__ == "__main__":
    print(text(), end="")
