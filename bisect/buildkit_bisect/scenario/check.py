"""What a scenario must satisfy beyond its types; above all, every rule can match."""

from __future__ import annotations

import re
from collections.abc import Iterator

from buildkit_bisect.model import Axes
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.scenario import (
    attributes,
    build_files,
    build_step,
    context_steps,
    mirrors,
    places,
    script_step,
    server_steps,
)
from buildkit_bisect.scenario.definition import (
    RUNTIME_AXIS,
    Action,
    Scenario,
    Step,
)
from buildkit_bisect.scenario.placeholders import fill, names_in
from buildkit_bisect.scenario.require import (
    require,
    require_file,
    require_known,
    require_label,
    require_name,
    require_path,
    require_word,
)
from buildkit_bisect.scenario.rules import check_rules
from buildkit_bisect.system import deadlines
from buildkit_bisect.system.addresses import is_image, is_link
from buildkit_bisect.system.typed import below

_ARG = re.compile(r"[A-Za-z_][\w.-]{0,100}", re.ASCII)
_COMPRESSIONS = ("gzip", "zstd", "estargz", "uncompressed")


def check(scenario: Scenario) -> None:
    """Raise `BadInput` for the first error found; its message names the key."""
    require_name(scenario.name.removeprefix("library/"), "name")
    require(bool(scenario.title.strip()), "title", "must not be empty")
    require(is_link(scenario.issue), "issue", "not an https:// address")
    require(bool(scenario.steps), "steps", "must not be empty")
    require(bool(scenario.outcomes), "outcomes", "must not be empty")
    _check_axes(scenario)
    for name, seconds in scenario.deadlines.items():
        where = below("deadlines", name)
        require_word(name, deadlines.SCENARIO, "deadlines")
        require(
            0 < seconds <= deadlines.LONGEST, where, "must be a number of seconds, at most a day"
        )
    for name, image in scenario.images.items():
        where = below("images", name)
        require_name(name, where)
        require_file(scenario, image.dockerfile, f"{where}.dockerfile")
        build_files.check(scenario, image.dockerfile, f"{where}.dockerfile")
        require_word(image.compression, _COMPRESSIONS, f"{where}.compression")
        require(
            not image.public or is_image(image.public), f"{where}.public", "not an image reference"
        )
    context_steps.check_context(scenario)
    server_steps.check_servers(scenario)
    seen: set[str] = set()
    for index, step in enumerate(scenario.steps):
        require_name(step.id, f"steps[{index}].id")
        require(step.id not in seen, f"steps[{index}].id", f"{step.id!r} is used twice")
        seen.add(step.id)
        _check_step(scenario, step, f"steps[{index}]")
    _check_runs(scenario)
    for where, text in _texts(scenario):
        _check_names(scenario, text, where)
    for index, step in enumerate(scenario.steps):
        build_step.check(scenario, step, f"steps[{index}]")
    places.check(scenario)
    used = {n: list(_step_texts(step, f"steps[{n}]")) for n, step in enumerate(scenario.steps)}
    server_steps.check_order(scenario, used)
    _check_daemon(scenario)
    check_rules(scenario)


def _check_runs(scenario: Scenario) -> None:
    """Check that no two runs of steps have one name."""
    owners: dict[str, str] = {step.id: step.id for step in scenario.steps}
    for index, step in enumerate(scenario.steps):
        for run in step.runs[1:]:
            owner = owners.setdefault(run, step.id)
            require(
                owner == step.id,
                f"steps[{index}].repeat",
                f"a run is called {run!r}, but a step or a run of {owner!r} has this name",
            )


def _check_axes(scenario: Scenario) -> None:
    for name, axis in scenario.axes.items():
        where = below("axes", name)
        require_name(name, where)
        require(
            name != RUNTIME_AXIS,
            where,
            f"this name is reserved for {words(Campaign, runtime=True)}",
        )
        require(bool(axis.values), f"{where}.values", "must not be empty")
        for number, value in enumerate(axis.values):
            require_name(value, f"{where}.values[{number}]")
        require(len(set(axis.values)) == len(axis.values), f"{where}.values", "must not repeat")
        for number, value in enumerate(axis.controls):
            require_known(value, axis.values, f"{where}.controls[{number}]", "value")
        for value, label in axis.labels.items():
            require_known(value, axis.values, f"{where}.labels", "value")
            require_label(label, below(f"{where}.labels", value))
        repeated = len(set(axis.labels.values())) < len(axis.labels)
        require(not repeated, f"{where}.labels", "must not repeat")
    for name, var in scenario.vars.items():
        where = below("vars", name)
        require_known(var.axis, scenario.axes, f"{where}.axis", "axis")
        wanted = set(scenario.axes[var.axis].values)
        require(
            set(var.values) == wanted,
            f"{where}.values",
            f"must have exactly the values of {var.axis}: {', '.join(sorted(wanted))}",
        )


def _check_step(scenario: Scenario, step: Step, where: str) -> None:
    for axis, values in step.when.items():
        require_known(axis, scenario.axes, f"{where}.when", "axis")
        at = below(f"{where}.when", axis)
        for number, value in enumerate(values):
            require_known(value, scenario.axes[axis].values, f"{at}[{number}]", "value")
        require(bool(values), at, "must not be empty")
    require(0 <= step.timeout <= 3600, f"{where}.timeout", "must be between 0 and 3600 seconds")  # noqa: PLR2004
    require(1 <= step.repeat <= 100, f"{where}.repeat", "must be between 1 and 100")  # noqa: PLR2004
    context_steps.check_keys(step, where)
    _check_action(scenario, step, where)


def _check_action(scenario: Scenario, step: Step, where: str) -> None:
    match step.action:
        case Action.BUILD:
            _check_build(scenario, step, where)
        case Action.WRITE | Action.DELETE | Action.RENAME | Action.MKDIR:
            context_steps.check_step(scenario, step, where)
        case Action.SERVE | Action.COMMIT | Action.REQUESTS:
            server_steps.check_step(scenario, step, where)
        case Action.DAEMON:
            require_word(step.start, ("restart", "fresh"), f"{where}.start")
        case Action.DELETE_BLOB:
            require_path(step.cache, f"{where}.cache")
            require(step.layer >= 0, f"{where}.layer", "must be 0 or more")
        case Action.SCRIPT | Action.PRUNE | Action.DU | Action.HISTORIES:
            pass
    script_step.check(scenario, step, where)


def _check_build(scenario: Scenario, step: Step, where: str) -> None:
    if step.context:
        server_steps.check_remote(step, where)
    elif path := build_step.in_context(step):
        require_path(path, f"{where}.dockerfile")
    else:
        require_file(scenario, step.dockerfile, f"{where}.dockerfile")
        build_files.check(scenario, step.dockerfile, f"{where}.dockerfile")
    for key, entries in (
        ("exports", step.exports),
        ("imports", step.imports),
        ("outputs", step.outputs),
    ):
        for number, entry in enumerate(entries):
            at, problem = attributes.problem(key, entry)
            require(not problem, f"{where}.{key}[{number}]{at}", problem)
            for name in ("dest", "src"):
                if name in entry:
                    require_path(entry[name], f"{where}.{key}[{number}].{name}")
    for name in step.args:
        require(
            bool(_ARG.fullmatch(name)), f"{where}.args", f"{name!r} is not a valid build argument"
        )


def _check_daemon(scenario: Scenario) -> None:
    """Check the daemon's settings as they are filled in for each cell."""
    mirrors.check(scenario)
    for axes in scenario.cells():

        def filled(text: str, axes: Axes = axes) -> str:
            images = dict.fromkeys(scenario.images, "image")
            made = {f"server.{name}": "http://127.0.0.1:1" for name in scenario.servers}
            return fill(
                text,
                scenario=scenario,
                axes=axes,
                images=images,
                registry="127.0.0.1:1",
                made=made,
            )

        name = filled(scenario.daemon.snapshotter)
        require_name(name, "daemon.snapshotter")
        problem = attributes.config_problem(filled(scenario.daemon.config))
        require(not problem, "daemon.config", problem)


def uses_registry(scenario: Scenario) -> bool:
    """Whether some text uses ``${registry}``, so that each trial needs its own registry."""
    return any(("registry", "") in names_in(text) for _, text in _texts(scenario))


def uses_loopback(scenario: Scenario) -> bool:
    """Whether daemons must reach servers on this machine's loopback, beside that of images."""
    return bool(scenario.servers) or uses_registry(scenario)


def _texts(scenario: Scenario) -> Iterator[tuple[str, str]]:
    yield "daemon.snapshotter", scenario.daemon.snapshotter
    yield "daemon.config", scenario.daemon.config
    for name, mirror in scenario.daemon.mirrors.items():
        yield below("daemon.mirrors", name), mirror
    for name, var in scenario.vars.items():
        for value, text in var.values.items():
            yield below(f"{below('vars', name)}.values", value), text
    for index, step in enumerate(scenario.steps):
        yield from _step_texts(step, f"steps[{index}]")


def _step_texts(step: Step, where: str) -> Iterator[tuple[str, str]]:
    yield f"{where}.target", step.target
    yield f"{where}.content", step.content
    yield from context_steps.texts(step, where)
    yield from server_steps.texts(step, where)
    for key, text in step.args.items():
        yield below(f"{where}.args", key), text
    for kind in ("exports", "imports", "outputs"):
        for number, entry in enumerate(getattr(step, kind)):
            for key, text in entry.items():
                yield below(f"{where}.{kind}[{number}]", key), text
    yield from build_step.texts(step, where)


def _check_names(scenario: Scenario, text: str, where: str) -> None:
    makes = [name for step in scenario.steps for name in server_steps.makes(step)]
    known = [
        *(f"${{image.{name}}}" for name in scenario.images),
        *(f"${{axis.{name}}}" for name in scenario.axes),
        *(f"${{var.{name}}}" for name in scenario.vars if not where.startswith("vars.")),
        "${registry}",
        *(f"${{server.{name}}}" for name in scenario.servers),
        *(f"${{{name}}}" for name in makes if where.startswith("steps")),
    ]
    for kind, name in names_in(text):
        require_known(f"${{{kind}{'.' if name else ''}{name}}}", known, where, "placeholder")
