"""A cell as a bash script that needs BuildKit but not this tool. Pure.

The script contains the Dockerfiles and the literal ``buildctl`` commands, made from the scenario by
the functions that make those of a trial.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from buildkit_bisect import buildctl
from buildkit_bisect.model import Axes
from buildkit_bisect.phrases import listed
from buildkit_bisect.scenario import (
    build_files,
    build_step,
    context_script,
    expected,
    image_context,
    mirrors,
    reproduced,
    script_step,
    server_script,
    shell,
    shown_outputs,
)
from buildkit_bisect.scenario.check import uses_registry
from buildkit_bisect.scenario.definition import Action, Image, Scenario, Step
from buildkit_bisect.scenario.made import Made
from buildkit_bisect.scenario.outputs import local_dests
from buildkit_bisect.scenario.placeholders import fill
from buildkit_bisect.system import tomltext

#: Snapshotters that buildkitd contains; any other one listens on a socket.
_BUILT_IN = ("auto", "fuse-overlayfs", "native", "overlayfs", "stargz")

#: Where the script expects registries: one for base images, one for what its steps push. They
#: differ as in a trial: within one registry BuildKit may mount a blob instead of fetching it.
IMAGES, PUSHED = "127.0.0.1:5000", "127.0.0.1:5001"

#: Declared files that the script names.
MOST_NAMES = 100

_SETUP = """\
set -u
umask 022
cd "$(mktemp -d)" && echo "files are in $PWD"
export BUILDKIT_HOST=unix://$PWD/buildkitd.sock
mkdir context dockerfiles"""

#: Where a user's own program is.
_HERE = "here=$PWD\n"

#: A daemon in its own namespaces: when it ends, the kernel ends and unmounts all that it left.
_DAEMON = """\
daemon=
start() {
  unshare --mount --pid --fork --kill-child --mount-proc \\
    buildkitd --root "$PWD/state" --addr "$BUILDKIT_HOST" --config buildkitd.toml "$@" \\
    >> buildkitd.log 2>&1 &
  daemon=$!
  until buildctl debug workers > workers.log 2>&1; do
    kill -0 "$daemon" || { tail buildkitd.log; exit 1; }
    sleep 0.2
  done
}
stop() {
  [ -n "$daemon" ] || return 0
  pkill -TERM -P "$daemon"
  wait "$daemon"
  daemon=
}
trap stop EXIT"""

#: What a daemon has, as text: buildctl's JSON is for programs.
_LISTS = {Action.DU: "buildctl du -v", Action.HISTORIES: "buildctl debug histories"}

#: A proxy snapshotter mounts layers later; they must be visible to the daemon.
_SERVED = ("--mount-proc", "--mount-proc --propagation slave")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cell:
    """A scenario at one value for each axis, with the addresses of the script's registries."""

    scenario: Scenario
    axes: Axes
    images: str
    pushed: str
    published: bool
    made: Mapping[str, str] = field(default_factory=dict)  # see `placeholders.fill`
    commits: Mapping[str, int] = field(default_factory=dict)  # step -> its number in a repository

    @property
    def steps(self) -> list[Step]:
        return [step for group in self.scenario.groups(self.axes) for step in group]

    @property
    def registries(self) -> list[str]:
        own = [self.pushed] if uses_registry(self.scenario) else []
        return [*([self.images] if self.builds_images else []), *own]

    @property
    def builds_images(self) -> bool:
        return bool(self.scenario.images) and not self.published

    @property
    def snapshotter(self) -> str:
        return self.text(self.scenario.daemon.snapshotter)

    def text(self, text: str) -> str:
        """Return *text* with its placeholders replaced."""
        return fill(
            text,
            scenario=self.scenario,
            axes=self.axes,
            images=self.refs,
            registry=self.pushed,
            made=self.made,
        )

    @property
    def refs(self) -> dict[str, str]:
        return {name: self.ref(name, image) for name, image in self.scenario.images.items()}

    def ref(self, name: str, image: Image) -> str:
        return image.public if self.published else f"{self.images}/{name}:{image.compression}"

    def entries(self, entries: Iterable[Mapping[str, str]]) -> tuple[dict[str, str], ...]:
        return tuple({k: self.text(v) for k, v in entry.items()} for entry in entries)


def script(
    scenario: Scenario,
    axes: Axes,
    *,
    seen: Sequence[str] = (),
    published: bool = False,
    images: str = IMAGES,
    pushed: str = PUSHED,
) -> str:
    """Return the bash script for the cell *axes* of *scenario*.

    *seen* are lines about what was measured. If *published*, the base images are the scenario's
    public ones. *images* and *pushed* are the addresses of registries that serve plain HTTP.
    """
    cell = _Cell(
        scenario=scenario, axes=axes, images=images, pushed=pushed, published=published
    )  # fmt: skip
    cell = _after_steps(cell)
    parts = [
        "\n".join(["#!/usr/bin/env bash", *map(shell.comment, _head(cell, seen))]),
        f"{_HERE}{_SETUP}" if scenario.files else _SETUP,
        *_files(cell),
        "\n".join(context_script.begin(scenario)),
        context_script.functions(cell.steps),
        _daemon(cell),
        "\n".join(server_script.begin(scenario, cell.steps)),
        expected.functions(scenario, cell.steps),
        reproduced.functions(cell.steps),
        *_base_images(cell),
        f"start {_worker(cell)}",
        *_steps(cell),
        _end(cell),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _end(cell: _Cell) -> str:
    """Return commands that stop the daemon and show the facts."""
    shown = expected.facts(cell.scenario, cell.steps)
    return "\n".join([*expected.before_the_end(cell.scenario), "stop", "echo", *shown])


def _after_steps(cell: _Cell) -> _Cell:
    """Return *cell* with what its steps make: their commits are the same wherever they run."""
    made = Made(cell.scenario, server_script.hosts(cell.scenario))
    commits: dict[str, int] = {}
    for step in cell.steps:
        if step.action is Action.COMMIT:
            commits[step.id] = made.repositories[step.server].number
        made.note(step, replace(cell, made=made.values).text)
    return replace(cell, made=made.values, commits=commits)


def _head(cell: _Cell, seen: Sequence[str]) -> Iterator[str]:
    scenario = cell.scenario
    yield from filter(None, (scenario.issue, scenario.title))
    if cell.axes:
        yield f"Here with {listed([f'{name} {value}' for name, value in cell.axes])}."
    yield from ["", *seen] if seen else []
    yield ""
    yield "Run it as root: bash reproduce.sh. What it needs:"
    yield "- in PATH: buildkitd and buildctl of the version to test, and runc"
    if cell.builds_images or scenario.context.busybox:
        yield "- in PATH: a static busybox, for images (Debian: busybox-static)"
    yield from server_script.needs(scenario)
    if read := expected.read_with_jq(scenario, cell.steps):
        yield f"- in PATH: jq, to read {listed(read)}"
    if shown_outputs.reads_image(scenario, cell.steps):
        yield "- in PATH: jq and curl, to read the images that steps write"
    if scenario.files:
        yield f"- in the current directory: {scenario.title}, the reproducer itself"
        if names := [file.name for file in scenario.files[1:]]:
            yield f"- beside it, the files that it declares: {listed(names, limit=MOST_NAMES)}"
    yield from reproduced.needs(cell.steps)
    for address in cell.registries:
        yield f"- a registry at {address}: docker run -d -p {address}:5000 registry:2"
    yield from _control(cell)


def _control(cell: _Cell) -> Iterator[str]:
    """Yield how the control, which must be good, differs."""
    axes = cell.scenario.control_of(cell.axes)
    if axes is None:
        return
    control = replace(cell, axes=axes)
    changed = listed([f"{name} {value}" for name, value in axes if (name, value) not in cell.axes])
    ids = {step.id for step in control.steps}
    gone = [step.id for step in cell.steps if step.id not in ids]
    how = []
    if control.snapshotter != cell.snapshotter:
        how += [f"SNAPSHOTTER={control.snapshotter} bash reproduce.sh"]
    if gone:
        how += [f"this script without the step {listed(gone)}"]
    yield ""
    yield f"The control has {changed}, and must be good: {' and '.join(how) or 'see the scenario'}."


def _files(cell: _Cell) -> Iterator[str]:
    """Yield commands that write the Dockerfiles."""
    images = cell.scenario.images.values() if cell.builds_images else ()
    names = [image.dockerfile for image in images]
    names += [step.dockerfile for step in cell.steps if build_step.of_scenario(step)]
    parts = [path for name in names for path in build_files.of(cell.scenario, name)]
    for path in dict.fromkeys(parts):
        yield shell.file(f"dockerfiles/{path.name}", path.read_text())
    used = {name for step in cell.steps for name in script_step.names(step)}
    for file in cell.scenario.programs:
        if file.name in used:
            yield shell.exact_file(f"scripts/{file.name}", file.path.read_bytes(), file.mode)


def _daemon(cell: _Cell) -> str:
    """Return commands that write buildkitd.toml, and functions that start and stop buildkitd."""
    parts = ["[worker.containerd]\n  enabled = false\n"]
    parts += [f'[registry."{address}"]\n  http = true\n' for address in cell.registries]
    parts += [*mirrors.config(cell.scenario, cell.text), cell.text(cell.scenario.daemon.config)]
    made = shell.file("buildkitd.toml", tomltext.joined(*parts))
    served = cell.snapshotter not in _BUILT_IN
    name = cell.snapshotter.removesuffix("-proxy")
    socket = f': "${{SOCKET:?is the socket of a running {name} snapshotter}}"\n'
    return (
        f"{made}\n{socket if served else ''}SNAPSHOTTER=${{SNAPSHOTTER:-{name}}}\n"
        f"{_DAEMON.replace(*_SERVED) if served else _DAEMON}"
    )


def _worker(cell: _Cell) -> str:
    served = cell.snapshotter not in _BUILT_IN
    proxy = ' --oci-worker-proxy-snapshotter-path "$SOCKET"' if served else ""
    allowed = [f" --allow-insecure-entitlement={w}" for w in build_step.entitlements(cell.steps)]
    return f'--oci-worker-snapshotter "$SNAPSHOTTER"{proxy}{"".join(allowed)}'


def _base_images(cell: _Cell) -> Iterator[str]:
    """Yield commands that build and push the base images, all with one daemon."""
    images = cell.scenario.images
    if not cell.builds_images:
        return
    public = {n: i.public for n, i in images.items() if i.public}
    notes = ["The base images."]
    if public:
        named = listed([f"{name}: {ref}" for name, ref in public.items()])
        notes += [f"Published images of the same kind: {named}."]
    yield "\n".join([
        *map(shell.comment, notes),
        *image_context.commands("base", rootfs=_copies_rootfs(cell)),
        "start --oci-worker-snapshotter native",
    ])  # fmt: skip
    for name, image in images.items():
        output = {
            "type": "image",
            "name": cell.ref(name, image),
            "push": "true",
            "compression": image.compression,
            "force-compression": "true",
            "oci-mediatypes": "true",
        }
        request = buildctl.BuildRequest(
            context=Path("base"), dockerfile=_written(cell, image.dockerfile), args={},
            outputs=(output,),
        )  # fmt: skip
        yield f"{_buildctl(request)} || exit 1"
    yield "stop\nrm -rf state"


def _copies_rootfs(cell: _Cell) -> bool:
    """Whether a Dockerfile of a base image names the folder ``rootfs``."""
    files = {cell.scenario.file(image.dockerfile) for image in cell.scenario.images.values()}
    return any(image_context.ROOTFS in path.read_text() for path in files)


def _steps(cell: _Cell) -> Iterator[str]:
    """Yield each step; those of one parallel group run in the background together."""
    for group in cell.scenario.groups(cell.axes):
        if len(group) == 1:
            yield f"# step {group[0].id}\n{_timed(cell, group[0])}"
            continue
        together = [f"# step {step.id}\n( {_timed(cell, step)} ) & group+=($!)" for step in group]
        yield "\n".join(["group=()", *together, 'wait "${group[@]}"'])


def _timed(cell: _Cell, step: Step) -> str:
    written = shown_outputs.after(cell.scenario, step, cell.text)
    return "\n".join(
        part for part in (expected.timed(cell.scenario, step, _action(cell, step)), written) if part
    )


def _action(cell: _Cell, step: Step) -> str:
    match step.action:
        case Action.BUILD:
            build = _logged(step, _buildctl(_request(cell, step)))
            return "\n".join([*reproduced.private(step), *_emptied(step), build])
        case Action.PRUNE:
            return f"buildctl prune-histories\n{_logged(step, 'buildctl prune --all')}"
        case Action.DAEMON:
            fresh = "rm -rf state\n" if step.start == "fresh" else ""
            return f"stop\n{fresh}start {_worker(cell)}"
        case _:
            return _apart(cell, step)


def _emptied(step: Step) -> list[str]:
    """Return the commands that remove what earlier builds left where *step* writes files."""
    return [f"rm -rf -- {shlex.quote(dest)}" for dest in local_dests(step)]


def _apart(cell: _Cell, step: Step) -> str:
    """Return the commands of a step that does not change the daemon."""
    match step.action:
        case Action.DELETE_BLOB:
            folder = shlex.quote(step.cache)
            return (
                f'blob=$(config {folder} | jq -r \'.layers[{step.layer}].blob | sub(":"; "/")\')\n'
                f'[[ $blob =~ ^sha256/[0-9a-f]{{64}}$ ]] && rm {folder}/blobs/"$blob"'
            )
        case Action.SCRIPT:
            return _program(cell, step)
        case Action.SERVE | Action.COMMIT | Action.REQUESTS:
            made = server_script.action(step, cell.scenario, cell.text, cell.commits)
            return _logged(step, made) if step.action is Action.REQUESTS else made
        case Action.DU | Action.HISTORIES:
            return _logged(step, _LISTS[step.action])
        case _:
            return _logged(step, context_script.action(step, cell.scenario, cell.text))


def _program(cell: _Cell, step: Step) -> str:
    registry = cell.pushed if uses_registry(cell.scenario) else ""
    env = script_step.environment(cell.axes, cell.refs, context="", work="", registry=registry)
    exports, command = reproduced.program(step, env)
    return "\n".join([*exports, _logged(step, command)])


def _logged(step: Step, command: str) -> str:
    """Return *command* with its output on the screen and in a log, and its status in a file."""
    printed = f"{command} 2>&1{reproduced.hiding(step)} | tee {step.id}.log"
    return f'{printed}\necho "${{PIPESTATUS[0]}}" > {step.id}.exit'


def _request(cell: _Cell, step: Step) -> buildctl.BuildRequest:
    return buildctl.BuildRequest(
        context=Path("context"),
        dockerfile=_dockerfile(cell, step),
        remote=cell.text(step.context),
        target=cell.text(step.target),
        args={k: cell.text(v) for k, v in step.args.items()},
        exports=cell.entries(step.exports),
        imports=cell.entries(step.imports),
        outputs=cell.entries(step.outputs),
        options=build_step.options(cell.scenario, step, cell.text, reproduced.places(cell.text)),
    )


def _dockerfile(cell: _Cell, step: Step) -> Path:
    if step.context:
        return Path(step.dockerfile)
    path = build_step.in_context(step)
    return Path("context", path) if path else _written(cell, step.dockerfile)


def _written(cell: _Cell, dockerfile: str) -> Path:
    return Path("dockerfiles") / cell.scenario.file(dockerfile).name


def _buildctl(request: buildctl.BuildRequest) -> str:
    """Return buildctl's command; its address is in the environment."""
    words = [w for w in buildctl.build("", request)[2:] if w != "--progress=rawjson"]
    command = shell.command(["buildctl", words[0], "--progress=plain", *words[1:]])
    return reproduced.with_digests(command, request.options)
