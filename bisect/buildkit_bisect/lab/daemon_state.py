"""What a daemon has: the records of its cache, and those of its builds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from buildkit_bisect import buildctl, solve_status
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.model import StepResult
from buildkit_bisect.options.command import inv
from buildkit_bisect.runtime import Runtime, UnsupportedClient
from buildkit_bisect.scenario import Action, Step
from buildkit_bisect.scenario.metrics import of_action as names
from buildkit_bisect.system.process import Completed

#: The oldest releases whose buildctl lists them as JSON.
_OLDEST = {Action.DU: "v0.11.0", Action.HISTORIES: "v0.13.0"}

#: What buildctl prints if it lacks a command or an option.
_LACKING = ("No help topic for", "flag provided but not defined")


def look(runtime: Runtime, step: Step) -> tuple[StepResult, str]:
    """Return what *step* found, and the JSON that buildctl printed.

    Raises `UnsupportedClient` for a buildctl without this command, `InfraFailed` if a part of its
    output is missing.
    """
    words = buildctl.DISK_USAGE if step.action is Action.DU else buildctl.HISTORIES
    done = runtime.ask(words, step.timeout)
    done.whole()
    if not done.ok:
        _check_supported(step, done)
        return _result(step, done, done.stderr, {}), done.stdout
    values = list(_values(step, done))
    if step.action is Action.DU:
        found = values[0] if values else None
        lines, metrics = usage([_keys(one) for one in found or []])
    else:
        lines, metrics = histories([_keys(one) for one in values])
    return _result(step, done, "".join(f"{line}\n" for line in lines), metrics), done.stdout


def _result(step: Step, done: Completed, messages: str, metrics: Mapping[str, float]) -> StepResult:
    return StepResult(
        id=step.id,
        exit=done.exit,
        seconds=done.seconds,
        stderr=messages[-solve_status.MESSAGES_LIMIT :],
        timed_out=done.timed_out,
        metrics=dict(metrics),
    )


def _check_supported(step: Step, done: Completed) -> None:
    if any(text in done.stdout + done.stderr for text in _LACKING):
        raise UnsupportedClient(
            f"step {step.id}: this buildctl cannot list {step.action} as JSON;"
            f" {_OLDEST[step.action]} is the oldest release that can"
        )


def _values(step: Step, done: Completed) -> Iterator[Any]:
    try:
        for line in done.stdout.splitlines():
            if line.strip():
                yield json.loads(line)
    except ValueError:
        _check_supported(step, done)  # an old one prints its help, and exits 0
        raise InfraFailed(
            f"what buildctl printed in step {step.id} is not JSON: {done.stdout[:200]!r}",
            hint=f"{inv('doctor')}, then {inv('resume')}",
        ) from None


def _keys(value: Any) -> dict[str, Any]:
    """Return a JSON object with its keys in lower case: releases differ in that."""
    return {k.lower(): v for k, v in value.items()} if isinstance(value, dict) else {}


def usage(records: Sequence[Mapping[str, Any]]) -> tuple[list[str], dict[str, float]]:
    """Return a line for each record of a cache, the biggest first, and what they add up to."""
    lines = []
    metrics: Counter[str] = Counter(dict.fromkeys(names(Action.DU), 0))
    for one in sorted(records, key=lambda r: (-max(0, _int(r, "size")), str(r.get("id")))):
        size, used = max(0, _int(one, "size")), bool(one.get("inuse"))
        kind = str(one.get("recordtype") or "regular")
        metrics.update({"records": 1, "bytes": size, f"records.{kind}": 1, f"bytes.{kind}": size})
        metrics.update({"in_use": 1} if used else {"reclaimable": size})
        state = "in use" if used else "reclaimable"
        lines.append(f"{size} bytes, {kind}, {state}: {one.get('description') or ''}")
    return lines, dict(metrics)


def histories(events: Sequence[Mapping[str, Any]]) -> tuple[list[str], dict[str, float]]:
    """Return a line for each record of a build, the oldest first, and how many have each status."""
    lines = []
    metrics: Counter[str] = Counter(dict.fromkeys(names(Action.HISTORIES), 0))
    records = [_keys(event.get("record")) for event in events]
    for one in sorted(records, key=_created):
        error = _keys(one.get("error"))
        running = not one.get("completedat")
        status = "running" if running else "failed" if error else "completed"
        metrics.update({"histories": 1, status: 1})
        steps, cached = _int(one, "numtotalsteps"), _int(one, "numcachedsteps")
        metrics.update({"steps": steps, "cached_steps": cached})
        message = f": {error.get('message')}" if error else ""
        lines.append(f"{status}, {steps} steps, {cached} cached{message}")
    return lines, dict(metrics)


def _created(record: Mapping[str, Any]) -> str:
    """Return when a record was made, as a text that can be sorted."""
    made = record.get("createdat")
    if isinstance(made, dict):
        return f"{_int(made, 'seconds'):020d}.{_int(made, 'nanos'):09d}"
    return str(made or "")


def _int(record: Mapping[str, Any], key: str) -> int:
    value = record.get(key)
    return value if isinstance(value, int) else 0
