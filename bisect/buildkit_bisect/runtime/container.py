"""Code shared by the container runtimes: logs, why a container ended, removal."""

from __future__ import annotations

import contextlib
import io
import tarfile
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import docker
import docker.errors
from docker.models.containers import Container

from buildkit_bisect.engine import Engine
from buildkit_bisect.engine.client import engine_errors, within
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.system import pipes

_SIGKILLED = 137

#: Seconds between two attempts to remove what is in use.
_PAUSE = 0.2


def container_log(container: Container) -> bytes:
    """Return a container's output so far; of a very long one, its beginning and end."""
    kept = pipes.Kept()
    for chunk in container.logs(stdout=True, stderr=True, stream=True, follow=False):
        kept.add(chunk)
    return kept.text.encode()


def ended_by(state: dict[str, Any]) -> str:
    """Return what ended a container if its program did not exit by itself; or ""."""
    if state.get("OOMKilled"):
        return "the kernel killed the daemon's container: out of memory"
    if not state.get("Running") and state.get("ExitCode") == _SIGKILLED:
        return "something killed the daemon's container with SIGKILL"
    return ""


def last_words(log: str) -> str:
    """Return the line of a daemon's log that best explains why it ended."""
    lines = log.strip().splitlines()
    telling = [line for line in lines if "panic" in line or line.startswith("buildkitd:")]
    return (telling or lines or ["it printed nothing"])[-1][:500]


def remove(engine: Engine, what: str, container: str, volume: str, until: float) -> None:
    """Remove a container in any state, and its volume, by the time *until* (monotonic).

    A volume that takes longer is left to the Engine, which continues, and to the next sweep.
    Raises `InfraFailed` if the container still exists by then.
    """
    client = engine.client
    with engine_errors(f"removing {what}"):
        _gone(client, lambda: client.containers.get(container).remove(force=True, v=True), until)
    with contextlib.suppress(InfraFailed), engine_errors(f"removing {what}"):
        _gone(client, lambda: client.volumes.get(volume).remove(force=True), until)


def _gone(client: docker.DockerClient, remove_it: Callable[[], None], until: float) -> None:
    """Remove something that may not exist; again while the Engine reports a conflict.

    If someone else is removing a container, the Engine refuses to remove it a second time, and its
    volume is in use until that has ended.
    """
    while True:
        try:
            with within(client, until - time.monotonic()):
                return remove_it()
        except docker.errors.NotFound:
            return None
        except docker.errors.APIError as err:
            if err.status_code != HTTPStatus.CONFLICT or time.monotonic() + _PAUSE > until:
                raise
        time.sleep(_PAUSE)


def archive(name: str, data: bytes, mode: int) -> bytes:
    """Return a tar of one file and its parent directory, for ``put_archive``."""
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
