"""What a scenario must satisfy beyond its types; above all, every rule can match."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Axes, ToolOutcome, Verdict
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.scenario import attributes, pattern
from buildkit_bisect.scenario.definition import (
    RUNTIME_AXIS,
    Action,
    Condition,
    Rule,
    Scenario,
    Step,
    VertexIs,
)
from buildkit_bisect.scenario.placeholders import fill, names_in
from buildkit_bisect.system import deadlines
from buildkit_bisect.system.addresses import is_image, is_link

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
_EXIT = re.compile(r"|ok|failed|late|\d{1,3}(-\d{1,3})?")
_VERDICTS = (Verdict.GOOD, Verdict.BAD, Verdict.WEAK)
_ARG = re.compile(r"[A-Za-z_][\w.-]{0,100}", re.ASCII)
#: Longest file name in bytes; the kernel's limit.
_LONGEST_NAME = 255
#: Longest label of an axis value or outcome, in characters: a headline names several.
_LONGEST_LABEL = 40
_COMPRESSIONS = ("gzip", "zstd", "estargz", "uncompressed")


def check(scenario: Scenario) -> None:
    """Raise `BadInput` for the first error found; its message names the key."""
    _require(
        bool(_ID.fullmatch(scenario.name)),
        "name",
        f"{scenario.name!r} is not a plain name (a-z, 0-9, -)",
    )
    _require(is_link(scenario.issue), "issue", "not an https:// address")
    _require(bool(scenario.steps), "steps", "must not be empty")
    _require(bool(scenario.outcomes), "outcomes", "must not be empty")
    _check_axes(scenario)
    for name, seconds in scenario.deadlines.items():
        where = f"deadlines.{name}"
        _require(
            name in deadlines.SCENARIO, where, f"must be one of {', '.join(deadlines.SCENARIO)}"
        )
        _require(
            0 < seconds <= deadlines.LONGEST, where, "must be a number of seconds, at most a day"
        )
    for name, image in scenario.images.items():
        where = f"images.{name}"
        _require(bool(_ID.fullmatch(name)), where, f"{name!r} is not a plain name (a-z, 0-9, -)")
        _check_file(scenario, image.dockerfile, f"{where}.dockerfile")
        _require(
            image.compression in _COMPRESSIONS,
            f"{where}.compression",
            f"{image.compression!r} is not one of {', '.join(_COMPRESSIONS)}",
        )
        _require(
            not image.public or is_image(image.public), f"{where}.public", "not an image reference"
        )
    seen: set[str] = set()
    for index, step in enumerate(scenario.steps):
        _require(
            bool(_ID.fullmatch(step.id)),
            f"steps[{index}].id",
            f"{step.id!r} is not a plain name (a-z, 0-9, -)",
        )
        _require(step.id not in seen, f"steps[{index}].id", f"{step.id!r} is used twice")
        seen.add(step.id)
        _check_step(scenario, step, f"steps[{index}]")
    for where, text in _texts(scenario):
        _check_names(scenario, text, where)
    _check_daemon(scenario)
    _check_rules(scenario)


def _require(holds: bool, where: str, message: str) -> None:
    if not holds:
        raise BadInput(f"{where}: {message}", hint="docs/scenarios.md")


def _check_axes(scenario: Scenario) -> None:
    for name, axis in scenario.axes.items():
        where = f"axes.{name}"
        _require(bool(_ID.fullmatch(name)), where, f"{name!r} is not a plain name (a-z, 0-9, -)")
        _require(name != RUNTIME_AXIS, where, "this name is reserved for --runtime")
        _require(bool(axis.values), f"{where}.values", "must not be empty")
        for value in axis.values:
            _require(
                bool(_ID.fullmatch(value)),
                f"{where}.values",
                f"{value!r} is not a plain name (a-z, 0-9, -)",
            )
        _require(len(set(axis.values)) == len(axis.values), f"{where}.values", "must not repeat")
        for value in axis.controls:
            _require(value in axis.values, f"{where}.controls", f"{value!r} is not in values")
        for value, label in axis.labels.items():
            _require(value in axis.values, f"{where}.labels", f"{value!r} is not in values")
            _check_label(label, f"{where}.labels.{value}")
        repeated = len(set(axis.labels.values())) < len(axis.labels)
        _require(not repeated, f"{where}.labels", "must not repeat")
    for name, var in scenario.vars.items():
        where = f"vars.{name}"
        _require(var.axis in scenario.axes, f"{where}.axis", f"unknown axis {var.axis!r}")
        wanted = set(scenario.axes[var.axis].values)
        _require(
            set(var.values) == wanted,
            f"{where}.values",
            f"must have exactly the values of {var.axis}: {', '.join(sorted(wanted))}",
        )


def _check_label(label: str, where: str) -> None:
    plain = label == " ".join(label.split()) and label.isprintable()
    _require(
        plain and 0 < len(label) <= _LONGEST_LABEL,
        where,
        f"must be one line of 1 to {_LONGEST_LABEL} characters, without spaces around it",
    )


def _check_file(scenario: Scenario, name: str, where: str) -> None:
    _check_relative(name, where)
    path = scenario.file(name)
    _require(path.is_file(), where, f"file {name!r} not found")
    inside = any(path.resolve().is_relative_to(folder) for folder in scenario.folders)
    _require(inside, where, f"{name!r} is outside the scenario")


def _check_relative(name: str, where: str) -> None:
    path = PurePosixPath(name)
    short = all(len(part.encode()) <= _LONGEST_NAME for part in path.parts)
    plain = bool(path.parts) and not path.is_absolute() and ".." not in path.parts and short
    _require(plain, where, f"{name!r} is not a path inside the scenario")


def _check_step(scenario: Scenario, step: Step, where: str) -> None:
    for axis, values in step.when.items():
        _require(axis in scenario.axes, f"{where}.when", f"unknown axis {axis!r}")
        for value in values:
            known = value in scenario.axes[axis].values
            _require(known, f"{where}.when.{axis}", f"{value!r} is not a value of the axis")
        _require(bool(values), f"{where}.when.{axis}", "must not be empty")
    _require(0 <= step.timeout <= 3600, f"{where}.timeout", "must be between 0 and 3600 seconds")  # noqa: PLR2004
    _require(1 <= step.repeat <= 100, f"{where}.repeat", "must be between 1 and 100")  # noqa: PLR2004
    _check_action(scenario, step, where)


def _check_action(scenario: Scenario, step: Step, where: str) -> None:
    match step.action:
        case Action.BUILD:
            _check_build(scenario, step, where)
        case Action.WRITE:
            _check_relative(step.path, f"{where}.path")
        case Action.DAEMON:
            _require(
                step.start in ("restart", "fresh"), f"{where}.start", "must be restart or fresh"
            )
        case Action.DELETE_BLOB:
            _check_relative(step.cache, f"{where}.cache")
            _require(step.layer >= 0, f"{where}.layer", "must be 0 or more")
        case Action.SCRIPT:
            _require(
                False,
                f"{where}.action",
                f"a script runs with {words(Campaign, script=True)}, not from a scenario file",
            )
        case Action.PRUNE:
            pass


def _check_build(scenario: Scenario, step: Step, where: str) -> None:
    _check_file(scenario, step.dockerfile, f"{where}.dockerfile")
    for key, entries in (
        ("exports", step.exports),
        ("imports", step.imports),
        ("outputs", step.outputs),
    ):
        for entry in entries:
            at, problem = attributes.problem(key, entry)
            _require(not problem, f"{where}.{key}{at}", problem)
            for name in ("dest", "src"):
                if name in entry:
                    _check_relative(entry[name], f"{where}.{key}.{name}")
    for name in step.args:
        _require(
            bool(_ARG.fullmatch(name)), f"{where}.args", f"{name!r} is not a valid build argument"
        )


def _check_daemon(scenario: Scenario) -> None:
    """Check the daemon's settings as they are filled in for each cell."""
    for axes in scenario.cells():

        def filled(text: str, axes: Axes = axes) -> str:
            images = dict.fromkeys(scenario.images, "image")
            return fill(text, scenario=scenario, axes=axes, images=images, registry="127.0.0.1:1")

        name = filled(scenario.daemon.snapshotter)
        _require(
            bool(_ID.fullmatch(name)),
            "daemon.snapshotter",
            f"{name!r} is not a plain name (a-z, 0-9, -)",
        )
        problem = attributes.config_problem(filled(scenario.daemon.config))
        _require(not problem, "daemon.config", problem)


def uses_registry(scenario: Scenario) -> bool:
    """Whether some text uses ``${registry}``, so that each trial needs its own registry."""
    return any(("registry", "") in names_in(text) for _, text in _texts(scenario))


def _texts(scenario: Scenario) -> Iterator[tuple[str, str]]:
    yield "daemon.snapshotter", scenario.daemon.snapshotter
    yield "daemon.config", scenario.daemon.config
    for name, var in scenario.vars.items():
        for value, text in var.values.items():
            yield f"vars.{name}.values.{value}", text
    for index, step in enumerate(scenario.steps):
        yield f"steps[{index}].target", step.target
        yield f"steps[{index}].content", step.content
        for key, text in step.args.items():
            yield f"steps[{index}].args.{key}", text
        for entry in (*step.exports, *step.imports, *step.outputs):
            for key, text in entry.items():
                yield f"steps[{index}].{key}", text


def _check_names(scenario: Scenario, text: str, where: str) -> None:
    for kind, name in names_in(text):
        known = {
            "image": name in scenario.images,
            "axis": name in scenario.axes,
            "var": name in scenario.vars and not where.startswith("vars."),
            "registry": name == "",
        }.get(kind, False)
        _require(known, where, f"unknown placeholder ${{{kind}{'.' if name else ''}{name}}}")


def _check_rules(scenario: Scenario) -> None:
    seen: dict[tuple[Condition, ...], str] = {}
    for index, rule in enumerate(scenario.outcomes):
        where = f"outcomes[{index}]"
        plain = bool(_ID.fullmatch(rule.name))
        _require(plain, f"{where}.name", f"{rule.name!r} is not a plain name (a-z, 0-9, -)")
        free = rule.name not in set(ToolOutcome)
        _require(free, f"{where}.name", f"{rule.name!r} is reserved")
        if rule.label is not None:
            _check_label(rule.label, f"{where}.label")
            _require(not _taken(scenario, rule), f"{where}.label", "must not repeat")
        _require(rule.verdict in _VERDICTS, f"{where}.verdict", "must be good, bad or weak")
        _require(bool(rule.all), f"{where}.all", "must not be empty")
        for number, condition in enumerate(rule.all):
            _check_condition(scenario, condition, f"{where}.all[{number}]")
        _check_contradiction(rule, where)
        for conditions, earlier in seen.items():
            # A rule that has all conditions of an earlier one only holds if that one does.
            if set(conditions) <= set(rule.all):
                raise BadInput(
                    f"{where}: can never match: {earlier!r} above always matches first",
                    hint="docs/scenarios.md",
                )
        seen[rule.all] = rule.name


def _taken(scenario: Scenario, rule: Rule) -> bool:
    """Whether reports would call another outcome like *rule*, or *rule* itself in two ways."""
    others = [r for r in scenario.outcomes if r.name != rule.name]
    names = {r.name.replace("-", " ") for r in others} | {r.label for r in others}
    reserved = {name.replace("-", " ") for name in ToolOutcome}
    twice = {r.label for r in scenario.outcomes if r.name == rule.name} != {rule.label}
    return rule.label in names | reserved or twice


def _check_condition(scenario: Scenario, condition: Condition, where: str) -> None:
    step = next((s for s in scenario.steps if s.id == condition.step), None)
    if step is None:
        known = ", ".join(s.id for s in scenario.steps)
        raise BadInput(
            f"{where}.step: unknown step {condition.step!r}; known: {known}",
            hint="docs/scenarios.md",
        )
    _require(
        bool(_EXIT.fullmatch(condition.exit)), f"{where}.exit", "must be late, ok, failed, N or N-M"
    )
    for key, text in (("stderr", condition.stderr), ("vertex", condition.vertex)):
        wrong = pattern.problem(text)
        _require(not wrong, f"{where}.{key}", f"not a valid RE2 regular expression: {wrong}")
    paired = bool(condition.vertex) == (condition.is_ is not None)
    _require(paired, where, "vertex and is must be used together")
    fact = condition.exit or condition.stderr or condition.vertex or condition.inner_layers
    _require(bool(fact), where, "needs exit, stderr, vertex or inner_layers")
    builds = step.action is Action.BUILD
    _require(builds or not condition.vertex, where, f"can never match: {step.id} is not a build")
    exports = any(e.get("type") in ("local", "registry") for e in step.exports)
    if condition.inner_layers is not None:
        _require(exports, where, f"can never match: {step.id} exports no cache")


def _check_contradiction(rule: Rule, where: str) -> None:
    exits: dict[str, str] = {}
    states: dict[tuple[str, str], VertexIs] = {}
    kept: dict[str, str] = {}
    for c in rule.all:
        clash = (
            (c.exit and exits.setdefault(c.step, c.exit) != c.exit)
            or (c.is_ and states.setdefault((c.step, c.vertex), c.is_) != c.is_)
            or (c.inner_layers and kept.setdefault(c.step, c.inner_layers) != c.inner_layers)
        )
        _require(not clash, where, f"can never match: contradictory conditions on step {c.step!r}")
