"""docs/result.schema.json describes the document exactly."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import jsonschema
import pytest

import results
from buildkit_bisect import render
from buildkit_bisect import result as document
from buildkit_bisect.result import schema
from buildkit_bisect.system import checkout

SCHEMA: dict[str, Any] = json.loads((checkout.PROJECT / "docs" / "result.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(
    SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)
TYPES = {
    name: kind
    for name, kind in vars(document).items()
    if dataclasses.is_dataclass(kind) and isinstance(kind, type)
}


def test_the_schema_is_a_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_published_schema_is_up_to_date() -> None:
    published = (checkout.PROJECT / "docs" / "result.schema.json").read_text()
    assert published == schema.text(), (
        "run: python -m buildkit_bisect.result.schema > docs/result.schema.json"
    )


@pytest.mark.parametrize("name", sorted(TYPES))
def test_every_field_is_in_the_schema(name: str) -> None:
    part = SCHEMA if name == "Result" else SCHEMA["$defs"][name]
    fields = {field.name for field in dataclasses.fields(TYPES[name])}
    assert set(part["properties"]) == fields
    added = {field for field in fields if f"{name}.{field}" in schema.ADDED}
    assert set(part["required"]) == fields - added
    assert part["additionalProperties"] is False


def test_no_part_of_a_cell_is_untyped() -> None:
    """Free text may be anything, but no object allows unknown keys, and everything has a type."""

    def walk(part: Any) -> None:
        if isinstance(part, dict):
            if part.get("type") == "object":
                assert "additionalProperties" in part
            assert part != {}
            for value in part.values():
                walk(value)

    walk(SCHEMA["$defs"]["CellInfo"])
    walk(SCHEMA["$defs"]["TrialInfo"])
    walk(SCHEMA["$defs"]["StepInfo"])


@pytest.mark.parametrize(
    "name", ["matrix", "two_scenarios", "bisect", "refused", "boundaries", "merged"]
)  # fmt: skip
def test_documents_are_valid(name: str) -> None:
    VALIDATOR.validate(json.loads(render.json(getattr(results, name)())))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("kind",), "guess"),
        (("extra",), 1),
        (("cells", 0, "verdict"), "maybe"),
        (("cells", 0, "rate"), [1]),
        (("cells", 0, "counts"), {"cached": 0}),
        (("cells", 0, "known"), {"counts": {"cached": 3}, "verdicts": {"maybe": 3}}),
        (("cells", 0, "known"), {"counts": {"cached": 3}}),
        (("cells", 0, "trials", 0, "steps", 0, "records", 0, "layers"), -1),
        (("scenarios", 0, "axes", "bases"), ["same"]),
        (("revisions", 0, "sha"), "abc"),
        (("bisect", "first_bad"), "138"),
        (("bisect", "status"), "refused"),  # and no reason
        (("bisect",), None),  # of a bisect that is done
    ],
)
def test_invalid_documents_are_rejected(path: tuple[Any, ...], value: Any) -> None:
    body = json.loads(render.json(results.bisect()))
    part = body
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    assert not VALIDATOR.is_valid(body)


def test_published_results_are_valid() -> None:
    published = list((checkout.PROJECT / "results").glob("issue-*/*/result.json"))
    assert published
    for path in published:
        VALIDATOR.validate(json.loads(path.read_text()))
