"""Runs the actions of a scenario on a runtime."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

from buildkit_bisect import buildctl, solve_status
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.lab import (
    cache_export,
    context,
    daemon_state,
    layout,
    opened,
    outputs,
    private,
    program_step,
)
from buildkit_bisect.lab.serving import Stand
from buildkit_bisect.model import Axes, CacheConfig, StepResult
from buildkit_bisect.options.command import inv
from buildkit_bisect.runtime import Built, Runtime, UnsupportedClient
from buildkit_bisect.runtime.registry import Registry
from buildkit_bisect.scenario import (
    Action,
    Scenario,
    Step,
    build_files,
    build_step,
    script_files,
    script_step,
    uses_registry,
)
from buildkit_bisect.scenario.outputs import local_dests
from buildkit_bisect.scenario.placeholders import fill
from buildkit_bisect.system import process
from buildkit_bisect.system.process import Completed


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """A trial's scenario, the values for its placeholders, and its directories."""

    scenario: Scenario
    axes: Axes
    images: Mapping[str, str]
    registry: str  # address: the trial's own if the scenario pushes; "" for none
    work: Path  # exported caches
    context: Path  # the build context
    evidence: Path
    environment: Mapping[str, str] = field(default_factory=dict)  # describes the variant to scripts
    stand: Stand | None = None  # its servers and what steps made; None without servers

    def text(self, text: str) -> str:
        """Return *text* with its placeholders replaced."""
        return fill(
            text,
            scenario=self.scenario,
            axes=self.axes,
            images=self.images,
            registry=self.registry,
            made=self.stand.made.values if self.stand else {},
        )

    def own_environment(self) -> dict[str, str]:
        """Return what a program of the scenario's folder finds in its environment besides."""
        return script_step.environment(
            self.axes,
            self.images,
            context=str(self.context),
            work=str(self.work),
            registry=self.registry if uses_registry(self.scenario) else "",
        )


def run_all(bench: Bench, runtime: Runtime) -> Iterator[StepResult]:
    """Run the scenario's steps in order; neighbours of one parallel group run concurrently."""
    for step in bench.scenario.groups(bench.axes):
        if len(step) == 1:
            yield run(bench, runtime, step[0])
            continue
        with ThreadPoolExecutor(len(step)) as pool:
            yield from pool.map(lambda s: run(bench, runtime, s), step)


def run(bench: Bench, runtime: Runtime, step: Step) -> StepResult:
    """Run one step. A failure of its action is an observation, not an error."""
    match step.action:
        case Action.BUILD:
            return _build(bench, runtime, step)
        case Action.PRUNE:
            return _result(step, runtime.prune(step.timeout))
        case Action.SCRIPT:
            return _script(bench, runtime, step)
        case Action.DU | Action.HISTORIES:
            found, printed = daemon_state.look(runtime, step)
            (bench.evidence / f"{step.id}.json").write_text(printed)
            return found
        case Action.DAEMON:
            started = monotonic()
            runtime.restart(fresh=step.start == "fresh")
            return StepResult(id=step.id, exit=0, seconds=monotonic() - started)
        case _:
            return _apart(bench, step)


def _apart(bench: Bench, step: Step) -> StepResult:
    """Run a step that does not use the daemon."""
    match step.action:
        case Action.DELETE_BLOB:
            return _delete_blob(bench, step)
        case Action.SERVE | Action.COMMIT | Action.REQUESTS:
            assert bench.stand  # a scenario with such a step has a server
            return bench.stand.do(step, bench.text)
        case _:
            if bench.stand:
                bench.stand.made.note(step, bench.text)
            problem = context.change(bench.context, step, bench.scenario, bench.text)
            return StepResult(id=step.id, exit=int(bool(problem)), seconds=0.0, stderr=problem)


def _build(bench: Bench, runtime: Runtime, step: Step) -> StepResult:
    with private.Private(bench.work.parent) as own:
        try:
            request = _request(bench, step, own)
        except (OSError, ValueError) as error:
            return StepResult(id=step.id, exit=1, seconds=0.0, stderr=str(error))
        built = private.hidden(runtime.build(request), own.secrets)
    result = _with_outputs(bench, step, request, _built(bench, step, built), own.secrets)
    for entry in request.exports:
        found = _exported(bench, entry)
        if found:
            config, raw = found
            (bench.evidence / f"{step.id}.cacheconfig.json").write_text(json.dumps(raw, indent=1))
            return replace(result, export=config)
    return result


def _request(bench: Bench, step: Step, own: private.Private) -> buildctl.BuildRequest:
    """Return the build of *step*.

    Raises OSError or ValueError, which say it, if something that it names is not there.
    """
    for dest in local_dests(step):
        opened.renew(bench.work, dest)
    places = build_step.Places(
        output=lambda dest: bench.work / dest,
        context=bench.context,
        digest=layout.digest,
        secret=own.secret,
        key=own.key,
    )
    options = build_step.options(bench.scenario, step, bench.text, places)
    for name, named in options.contexts.items():
        if folder := named.folder or named.layout:
            layout.check_context(folder, (bench.work, bench.context), name)
    return buildctl.BuildRequest(
        context=bench.context,
        dockerfile=_dockerfile(bench, step),
        remote=bench.text(step.context),
        target=bench.text(step.target),
        args={k: bench.text(v) for k, v in step.args.items()},
        exports=tuple(_entry(bench, e) for e in step.exports),
        imports=tuple(_entry(bench, e) for e in step.imports),
        outputs=tuple(_entry(bench, e) for e in step.outputs),
        options=options,
        timeout=step.timeout,
    )


def _dockerfile(bench: Bench, step: Step) -> Path:
    """Return the path of a Dockerfile; below the remote context, if the step has one.

    Raises ValueError if it is in the build context and a link there leads out of it, `InfraFailed`
    if it cannot be copied.
    """
    if step.context:
        return Path(step.dockerfile)
    if written := build_step.in_context(step):
        path = bench.context / written
        layout.check_inside(path, (bench.context,), "the Dockerfile")
        return path
    folder = bench.work.parent / "dockerfiles" / step.id
    try:
        return build_files.alone(bench.scenario, step.dockerfile, folder)
    except OSError as error:
        raise InfraFailed(
            f"the Dockerfile of step {step.id} cannot be copied: {error.strerror}",
            hint=inv("doctor"),
        ) from None


def _with_outputs(
    bench: Bench,
    step: Step,
    request: buildctl.BuildRequest,
    result: StepResult,
    secrets: Mapping[str, str],
) -> StepResult:
    """Return *result* with what the build wrote, if it succeeded; also keep it as evidence."""
    if result.exit != 0 or result.timed_out:
        return result
    registry = Registry(address=bench.registry) if bench.registry else None
    pairs = zip(step.outputs, request.outputs, strict=True)
    read = [outputs.read(entry, filled, registry) for entry, filled in pairs]
    found = tuple(private.in_outputs(output, secrets) for output in read if output)
    if found:
        shown = json.dumps([asdict(output) for output in found], indent=1)
        (bench.evidence / f"{step.id}.outputs.json").write_text(shown)
    return replace(result, outputs=found)


def _built(bench: Bench, step: Step, built: Built) -> StepResult:
    """Return what a build did, and keep all of it as evidence.

    Raises `UnsupportedClient` if it reported nothing, `InfraFailed` if a part of its progress is
    missing: a vertex that ran may then look cached, or absent.
    """
    done, trace = built.done, built.trace
    progress = solve_status.read(done.stderr, trace, cut=done.timed_out)
    kept = {"progress.jsonl": done.stderr if trace is None else trace}
    kept |= {} if trace is None else {"stderr": done.stderr}
    kept |= {"vertices.log": printed} if (printed := solve_status.logs(progress.vertices)) else {}
    for name, text in kept.items():
        (bench.evidence / f"{step.id}.{name}").write_text(text)
    done.whole()
    if progress.trouble:
        raise InfraFailed(
            f"the progress of step {step.id} cannot be read: {progress.trouble}",
            hint=f"{inv('doctor')}, then {inv('resume')}",
        )
    if done.ok and not progress.vertices:
        raise UnsupportedClient(f"step {step.id} exited 0, but no vertex was found in its progress")
    return StepResult(
        id=step.id,
        exit=done.exit,
        seconds=done.seconds,
        stderr=progress.messages,
        timed_out=done.timed_out,
        vertices=tuple(replace(v, log=solve_status.clipped(v.log)) for v in progress.vertices),
        metrics={"bytes": float(progress.transferred)},
    )


def _exported(bench: Bench, entry: Mapping[str, str]) -> tuple[CacheConfig, dict[str, Any]] | None:
    match entry["type"]:
        case "local":
            return cache_export.read_local(Path(entry["dest"]))
        case "registry":
            return cache_export.read_registry(Registry(address=bench.registry), entry["ref"])
    return None


def _entry(bench: Bench, entry: Mapping[str, str]) -> dict[str, str]:
    """Return attributes with texts and paths filled in. Raises ValueError if one leads out."""
    filled = {k: bench.text(v) for k, v in entry.items()}
    for key in ("dest", "src"):
        if key in filled:
            path = bench.work / entry[key]
            layout.check_inside(path, (bench.work,), key)
            filled[key] = str(path)
    return filled


def _result(step: Step, done: Completed) -> StepResult:
    return StepResult(
        id=step.id,
        exit=done.exit,
        seconds=done.seconds,
        stderr=done.stderr[-solve_status.MESSAGES_LIMIT :],
        timed_out=done.timed_out,
    )


def _script(bench: Bench, runtime: Runtime, step: Step) -> StepResult:
    """Run a user's program against the daemon, in an empty directory.

    Raises `InfraFailed` if it or a file that it declares is not what the trial is known by.
    """
    env = {**runtime.environment(), **bench.environment}
    if script_step.own(step):
        return program_step.run(
            step,
            bench.scenario.programs,
            work=bench.work,
            evidence=bench.evidence,
            env={**env, **bench.own_environment()},
        )
    files = bench.scenario.files
    if name := script_files.changed(files):
        raise InfraFailed(
            f"{name} changed since the campaign began: the same command again takes it as it is",
            hint=inv("status"),
        )
    done = process.run([step.path], timeout=step.timeout, cwd=bench.work, env=env, check=False)
    if name := script_files.changed(files):
        raise InfraFailed(
            f"{name} changed while the script ran: a declared file must stay as it is",
            hint=inv("status"),
        )
    (bench.evidence / f"{step.id}.stdout").write_text(done.stdout)
    (bench.evidence / f"{step.id}.stderr").write_text(done.stderr)
    return StepResult(
        id=step.id,
        exit=done.exit,
        seconds=done.seconds,
        stderr=(done.stderr or done.stdout)[-solve_status.MESSAGES_LIMIT :],
        timed_out=done.timed_out,
    )


def _delete_blob(bench: Bench, step: Step) -> StepResult:
    """Delete one layer's blob from an exported local cache, as in moby/buildkit#6261."""
    cache = bench.work / step.cache
    found = cache_export.read_local(cache)
    layers = found[0].layers if found else ()
    if step.layer >= len(layers):
        problem = f"the cache {step.cache!r} has no layer {step.layer}"
        return StepResult(id=step.id, exit=1, seconds=0.0, stderr=problem)
    try:
        blob = cache_export.blob_path(layers[step.layer])
    except ValueError:
        problem = f"layer {step.layer} of the cache {step.cache!r} has no valid digest"
        return StepResult(id=step.id, exit=1, seconds=0.0, stderr=problem)
    try:
        with suppress(FileNotFoundError):
            opened.unlink(cache, blob)
    except OSError as error:  # the build under test wrote it: a link, or a folder
        return StepResult(id=step.id, exit=1, seconds=0.0, stderr=f"cannot delete {blob}: {error}")
    return StepResult(id=step.id, exit=0, seconds=0.0)
