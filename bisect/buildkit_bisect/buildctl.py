"""buildctl's arguments and its progress output. Pure: nothing here runs a process."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buildkit_bisect.model import Vertex

#: Bytes of messages that an observation keeps: the last ones.
MESSAGES_LIMIT = 64 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildRequest:
    """One Dockerfile build that any runtime can run."""

    context: Path
    dockerfile: Path
    target: str = ""
    args: Mapping[str, str]
    exports: tuple[Mapping[str, str], ...] = ()
    imports: tuple[Mapping[str, str], ...] = ()
    outputs: tuple[Mapping[str, str], ...] = ()
    timeout: float = 120.0


def attributes(entry: Mapping[str, str]) -> str:
    """Return ``type=local,mode=max,...``, quoted like BuildKit's CSV attributes."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(f"{k}={v}" for k, v in entry.items())
    return line.getvalue()


def build(address: str, request: BuildRequest) -> list[str]:
    """Return the arguments that build *request*; progress is JSON lines on stderr (v0.13+)."""
    argv = ["--addr", address, "build", "--progress=rawjson", "--frontend=dockerfile.v0"]
    argv += [f"--local=context={request.context}"]
    argv += [f"--local=dockerfile={request.dockerfile.parent}"]
    argv += [f"--opt=filename={request.dockerfile.name}"]
    if request.target:
        argv.append(f"--opt=target={request.target}")
    argv += [f"--opt=build-arg:{name}={value}" for name, value in request.args.items()]
    for flag, entries in (
        ("--export-cache", request.exports),
        ("--import-cache", request.imports),
        ("--output", request.outputs),
    ):
        argv += [f"{flag}={attributes(entry)}" for entry in entries]
    return argv


def prune(address: str) -> list[str]:
    """Return the arguments that remove every cache record that is not in use."""
    return ["--addr", address, "prune", "--all"]


def prune_histories(address: str) -> list[str]:
    """Return the arguments that remove build histories, whose records hold references (v0.12+)."""
    return ["--addr", address, "prune-histories"]


def workers(address: str) -> list[str]:
    """Return the arguments of a command that succeeds once the daemon serves."""
    return ["--addr", address, "debug", "workers"]


def parse_progress(stderr: str) -> tuple[tuple[Vertex, ...], str]:
    """Return one vertex per digest, merged from the SolveStatus lines of *stderr*, and the rest.

    Later updates of a vertex omit ``cached`` and ``error``, so both are kept once seen.
    """
    merged: dict[str, dict[str, Any]] = {}
    messages: list[str] = []
    for line in stderr.splitlines():
        updates = _updates(line)
        if updates is None:
            messages.append(line)
            continue
        for update in updates:
            vertex = merged.setdefault(update["digest"], {})
            vertex.update({k: v for k, v in update.items() if v})
    vertices = tuple(
        Vertex(
            name=str(vertex.get("name", "")),
            digest=digest,
            cached=bool(vertex.get("cached")),
            started=bool(vertex.get("started")),
            completed=bool(vertex.get("completed")),
            error=str(vertex.get("error", "")),
        )
        for digest, vertex in merged.items()
    )
    return vertices, "\n".join(messages)[-MESSAGES_LIMIT:]


def _updates(line: str) -> list[dict[str, Any]] | None:
    """Return the vertex updates of a line; None if it is not a well-formed SolveStatus."""
    if not line.startswith("{"):
        return None
    try:
        status = json.loads(line)
    except (ValueError, RecursionError):
        return None
    known = ("vertexes", "statuses", "logs", "warnings")
    if not isinstance(status, dict) or not any(k in status for k in known):
        return None
    updates = status.get("vertexes") or []
    well_formed = isinstance(updates, list) and all(
        isinstance(u, dict) and isinstance(u.get("digest"), str) for u in updates
    )
    return updates if well_formed else None


def notable(log: Iterable[str], limit: int = 16 * 1024) -> str:
    """Return the warnings, errors and panics of a daemon's log, at most *limit* characters."""
    marks = ("level=warn", "level=error", "level=fatal", "panic", "goroutine ", "fatal error")
    lines = [line.rstrip("\n") for line in log if any(mark in line for mark in marks)]
    return "\n".join(lines)[:limit]
