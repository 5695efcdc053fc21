"""Reads and checks a ``scenario.toml``: strictly, and each message names the key."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Verdict
from buildkit_bisect.nearest import did_you_mean, first
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.scenario import build_files, build_step, content, script_step
from buildkit_bisect.scenario.check import check
from buildkit_bisect.scenario.definition import Scenario
from buildkit_bisect.scenario.rules import VERDICTS
from buildkit_bisect.scenario.runs import needed
from buildkit_bisect.system import checkout, tomlfile, typed
from buildkit_bisect.system.deadlines import Deadlines

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

#: The folder of public reports; alone, it names all of them.
LIBRARY = "library"

_HELP = "docs/scenarios.md"

_NOT_IN_FILE = ("folders", "digest", "run_digest", "files", "programs", "beside")


def names(root: Path = checkout.SCENARIOS) -> list[str]:
    """Scenarios that ship with the tool; a leading underscore marks shared parts.

    Those of the library are not among them: `library`.
    """
    return sorted(p.parent.name for p in root.glob("[!_]*/scenario.toml"))


#: The rule of a scenario that has none yet: nothing that its trials show has a verdict.
NOT_JUDGED = "not-judged"
_UNJUDGED = {"name": NOT_JUDGED, "verdict": "weak", "means": "the scenario has no rules yet"}


def library(root: Path = checkout.SCENARIOS) -> list[str]:
    """The scenarios of the library, as ``library/NAME``."""
    found = (root / LIBRARY).glob("*/scenario.toml")
    return sorted(f"{LIBRARY}/{p.parent.name}" for p in found)


def expanded(asked: Iterable[str], root: Path = checkout.SCENARIOS) -> list[str]:
    """*asked* with ``library`` replaced by the names of all its scenarios, each name once."""
    every = (library(root) if name == LIBRARY else [name] for name in asked)
    return list(dict.fromkeys(chain.from_iterable(every)))


def load(name: str, root: Path = checkout.SCENARIOS, *, unjudged: bool = False) -> Scenario:
    """The scenario *name*, or the one in the folder *name*; if *unjudged*, it may have no outcomes.

    Raises `BadInput` for an unknown name, and for an invalid file with the path of the key at
    fault.
    """
    shipped = NAME.fullmatch(name) or name in library(root)
    folder = root / name if shipped else Path(name.removesuffix("/scenario.toml"))
    if not (folder / "scenario.toml").is_file():
        if not NAME.fullmatch(name) and Path(name).exists():
            raise BadInput(
                f"unknown scenario {name!r}; a scenario is a folder with scenario.toml in it",
                hint=_HELP,
            )
        known = [*names(root), *library(root)]
        # A name without a dot or slash may also be a folder here.
        here = NAME.fullmatch(name) and Path(name, "scenario.toml").is_file()
        wanted = f"./{name}" if here else first(name, known)
        raise BadInput(
            f"unknown scenario {name!r}; {did_you_mean(name, known)}",
            hint=words(Campaign, scenario=wanted) + ", or the path of a folder",
        )
    return load_file(folder / "scenario.toml", root, unjudged=unjudged)


def load_file(path: Path, root: Path = checkout.SCENARIOS, *, unjudged: bool = False) -> Scenario:
    """The scenario in the file *path*, whatever it is called; see `load`."""
    own = tomlfile.read(path, hint=_HELP)
    folders = [path.parent.resolve()]
    if (base := own.pop("extends", None)) is not None:
        if not isinstance(base, str) or not re.fullmatch(r"_[a-z0-9-]+", base):
            raise BadInput(
                f"{path}: extends: {base!r} is not the name of a shared part",
                hint=_HELP,
            )
        shared = root / base
        if not (shared / "scenario.toml").is_file():
            raise BadInput(f"{path}: extends: {base!r} not found", hint=_HELP)
        own = _merge(own, tomlfile.read(shared / "scenario.toml", hint=_HELP))
        folders.append(shared.resolve())
    if unjudged and "outcomes" not in own:
        own["outcomes"] = [{**_UNJUDGED, "all": [{"step": step, "exit": "ok"}]}
                           for step in _first_step(own)]  # fmt: skip
    scenario = replace(_structure(own, path), folders=tuple(folders))
    _check_library(scenario, path, root)
    usual = scenario.deadlines.get("step", Deadlines().step)
    try:
        check(scenario)
    except BadInput as error:
        raise BadInput(f"{path}: {error.message}", hint=error.hint) from None
    return replace(
        scenario,
        programs=script_step.programs(scenario),
        steps=tuple(replace(s, timeout=s.timeout or usual) for s in scenario.steps),
        digest=_digest(scenario, own | _judged(scenario)),
        run_digest=_digest(scenario, _executed(own)),
    )


def _check_library(scenario: Scenario, path: Path, root: Path) -> None:
    """Raise `BadInput` if a scenario of another folder has the name of one of the library."""
    own = scenario.folders[0].parent == (root / LIBRARY).resolve()
    if scenario.name.startswith(f"{LIBRARY}/") and not own:
        raise BadInput(
            f"{path}: name: {scenario.name!r} is for a scenario in the folder of the library",
            hint=f'name = "{scenario.name.removeprefix(f"{LIBRARY}/")}"',
        )


def _first_step(data: dict[str, Any]) -> list[str]:
    """Return the id of the first step, in a list; an empty one if *data* has no valid step."""
    steps = data.get("steps")
    first = steps[0] if isinstance(steps, list) and steps else None
    found = first.get("id") if isinstance(first, dict) else None
    return [found] if isinstance(found, str) else []


def _merge(own: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """Merge tables; own keys win, and own steps and outcomes come before the base's."""
    out = dict(base)
    for key, value in own.items():
        below = out.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            out[key] = _merge(value, below)
        elif isinstance(value, list) and isinstance(below, list) and key in ("steps", "outcomes"):
            out[key] = value + below
        else:
            out[key] = value
    return out


def _structure(data: dict[str, Any], path: Path) -> Scenario:
    if repr(data.pop("schema", None)) != "1":  # True and 1.0 are equal to 1
        raise BadInput(f"{path}: schema: only schema = 1 is supported", hint=_HELP)
    try:
        scenario, problems = typed.structure(
            data,
            Scenario,
            key=lambda name: name.removesuffix("_"),  # is_, not_
            omit=_NOT_IN_FILE,
            also=("schema", "extends"),
            words={Verdict: VERDICTS},
        )
    except RecursionError:  # keys with dots may be deeper than tomllib itself can read tables
        raise BadInput(f"{path}: nested too deeply", hint=_HELP) from None
    if scenario is None:
        raise BadInput(f"{path}: {'; '.join(problems[:4])}", hint=_HELP)
    return scenario


#: Keys that describe and judge but do not change what a trial executes.
_WORDS = ("name", "title", "issue", "summary", "outcomes", "extends")


def _executed(data: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in data.items() if k not in _WORDS}
    # A trial that exceeds another deadline is an infrastructure failure, and not kept.
    limits = {k: v for k, v in data.get("deadlines", {}).items() if k == "step"}
    kept = {k: v for k, v in kept.items() if k != "deadlines"} | (
        {"deadlines": limits} if limits else {}
    )
    kept["axes"] = sorted(data.get("axes", {}))  # a new value does not invalidate stored trials
    return kept


def _judged(scenario: Scenario) -> dict[str, Any]:
    """Return in how many runs of repeated steps each condition must hold, so that it is digested.

    The number may be a default, and results that another default gave must not compare as equal.
    """
    repeats = {step.id: step.repeat for step in scenario.steps}
    least = [
        needed(c, rule.verdict, repeats[c.step], negated)
        for rule in scenario.outcomes
        for c, negated in rule.leaves()
        if repeats.get(c.step, 1) > 1
    ]
    return {"needed": least} if least else {}


def _digest(scenario: Scenario, data: dict[str, Any]) -> str:
    """The digest of the data and of every file that steps and images use."""
    sha = hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode())
    used = {s.dockerfile for s in scenario.steps if build_step.of_scenario(s)}
    used |= {i.dockerfile for i in scenario.images.values()}
    for name in sorted(used - {""}):
        for path in build_files.of(scenario, name):
            called = name if path == scenario.file(name) else f"{name}{build_files.IGNORED}"
            sha.update(called.encode() + b"\0" + path.read_bytes() + b"\0")
    for file in script_step.programs(scenario):
        sha.update(f"{file.name}\0{file.mode:o} {file.sha256}\0".encode())
    for part in content.identity(scenario):
        sha.update(part)
    return sha.hexdigest()
