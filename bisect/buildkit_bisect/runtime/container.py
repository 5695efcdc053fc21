"""Shared by the runtimes in containers: logs, why a container ended, removal."""

from __future__ import annotations

import contextlib
import io
import tarfile
import time
from typing import Any

import docker.errors
from docker.models.containers import Container

from buildkit_bisect.engine import Engine
from buildkit_bisect.engine.client import told, within
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.system import pipes

_SIGKILLED = 137


def container_log(container: Container) -> bytes:
    """What it printed so far; of very much, the first and the last."""
    kept = pipes.Kept()
    for chunk in container.logs(stdout=True, stderr=True, stream=True, follow=False):
        kept.add(chunk)
    return kept.text.encode()


def ended_by(state: dict[str, Any]) -> str:
    """What ended a container, where that was not its own program; "" otherwise."""
    if state.get("OOMKilled"):
        return "the kernel killed the daemon's container: out of memory"
    if not state.get("Running") and state.get("ExitCode") == _SIGKILLED:
        return "something killed the daemon's container with SIGKILL"
    return ""


def last_words(log: str) -> str:
    """The line of a daemon's log that says why it ended."""
    lines = log.strip().splitlines()
    telling = [line for line in lines if "panic" in line or line.startswith("buildkitd:")]
    return (telling or lines or ["it printed nothing"])[-1][:500]


def remove(engine: Engine, what: str, container: str, volume: str, until: float) -> None:
    """Remove a container, whatever state it is in, and its volume, by a time (monotonic).

    A volume that takes longer is left to the Engine, which goes on, and to the next sweep.
    Raises `InfraFailed` where the container is not gone by then.
    """
    client = engine.client

    def left() -> float:
        return until - time.monotonic()

    with told(f"removing {what}"), contextlib.suppress(docker.errors.NotFound):
        with within(client, left()):
            found = client.containers.get(container)
        with within(client, left()):
            found.remove(force=True, v=True)
    with (
        contextlib.suppress(InfraFailed),
        told(f"removing {what}"),
        contextlib.suppress(docker.errors.NotFound),
        within(client, left()),
    ):
        client.volumes.get(volume).remove(force=True)


def archive(name: str, data: bytes, mode: int) -> bytes:
    """A tar of one file, and of the folder that *name* puts it in, for ``put_archive``."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        above, _, _ = name.rpartition("/")
        if above:
            folder = tarfile.TarInfo(above)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(data), mode
        tar.addfile(entry, io.BytesIO(data))
    return made.getvalue()
