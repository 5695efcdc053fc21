"""Which outputs of a build a trial looks into. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from buildkit_bisect.scenario.definition import Action, Scenario, Step

#: What an output must have for a condition on a `file`, and for one on an `image`.
WANTED = {
    "file": "files (local, tar, oci, docker, or an image that is pushed)",
    "image": "an image (oci, docker, or an image that is pushed)",
}

_FILES = ("local", "tar")
_ARCHIVES = ("oci", "docker")

#: What BuildKit reads as true; an attribute without a value is true.
_TRUE = ("", "1", "t", "T", "true", "TRUE", "True")


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """An output that can be read when its build has ended."""

    name: str  # `dest`, or `name` of a pushed image, as the step has it
    kind: str  # `type`


def readable(step: Step, of: str = "file") -> list[Written]:
    """The outputs of *step* with files, or if *of* is ``image`` those with an image's documents."""
    if step.action is not Action.BUILD:
        return []
    found = [written(entry) for entry in step.outputs]
    return [one for one in found if one and (of == "file" or one.kind not in _FILES)]


def written(entry: Mapping[str, str]) -> Written | None:
    """What an entry of ``outputs`` writes; None if it cannot be read, such as an unpushed image."""
    kind = entry["type"]
    if kind in (*_FILES, *_ARCHIVES) and "dest" in entry:
        return Written(name=entry["dest"], kind=kind)
    pushed = entry.get("push", "false") in _TRUE and "push-by-digest" not in entry
    if kind == "image" and pushed and "name" in entry:
        return Written(name=entry["name"], kind=kind)
    return None


def local_dests(step: Step) -> list[str]:
    """The folders to which *step* writes files; each is empty before it runs."""
    return [e["dest"] for e in step.outputs if e["type"] == "local" and "dest" in e]


def any_readable(scenario: Scenario) -> bool:
    """Whether a trial of *scenario* reads an output."""
    return any(readable(step) for step in scenario.steps)
