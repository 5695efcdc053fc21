"""A connected Engine, with what is known about it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import docker

from buildkit_bisect.engine import client, memory
from buildkit_bisect.engine.contexts import Endpoint, endpoint


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """An Engine; made by `open_engine`, one per process. Not picklable."""

    client: docker.DockerClient
    where: Endpoint
    id: str  # differs between Engines, even on one machine
    arch: str  # as Go names it: amd64
    facts: dict[str, str] = field(default_factory=dict)

    def recall(self, key: str) -> object:
        """What `remember` kept of this Engine under *key*, in this campaign or an earlier one."""
        return memory.recall(self.id).get(key)

    def remember(self, key: str, value: object) -> None:
        """Keep a fact about this Engine for later campaigns."""
        memory.remember(self.id, **{key: value})


def _identity(info: Mapping[str, Any]) -> str:
    # The Engine's own ID comes from the machine's key file, which several Engines may share.
    parts = (info.get("ID"), info.get("DockerRootDir"), info.get("DefaultRuntime"))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


_OPEN: dict[tuple[Endpoint, int], Engine] = {}


def open_engine() -> Engine:
    """The Engine that the user means; connected once per process.

    Raises `Missing` if it does not respond, `BadInput` if its context is not found or invalid.
    """
    where = endpoint(os.environ)
    known = _OPEN.get((where, os.getpid()))
    if known:
        return known
    connected = client.connect(where)
    with client.engine_errors("querying the Docker Engine"):
        version, info = connected.version(), connected.info()
    engine = Engine(
        client=connected,
        where=where,
        id=_identity(info),
        arch=str(version.get("Arch", "")),
        facts={
            "endpoint": where.shown,
            "version": str(version.get("Version", "")),
            "storage": str(info.get("Driver", "")),
            "runtime": str(info.get("DefaultRuntime", "")),
            "cgroups": f"v{info.get('CgroupVersion') or 1}",
        },
    )
    _OPEN[where, os.getpid()] = engine
    return engine
