"""One Engine that answers, with what is known about it."""

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
    """An Engine; made by `open_engine`, one for each process. Does not pickle."""

    client: docker.DockerClient
    where: Endpoint
    id: str  # differs between Engines, also between two on one machine
    arch: str  # as Go names it: amd64
    facts: dict[str, str] = field(default_factory=dict)

    def recall(self, key: str) -> object:
        """What `remember` kept of this Engine under *key*, also by earlier campaigns."""
        return memory.recall(self.id).get(key)

    def remember(self, key: str, value: object) -> None:
        """Keep what was found out by trying."""
        memory.remember(self.id, **{key: value})


def _identity(info: Mapping[str, Any]) -> str:
    # The Engine's own ID is of the machine's key file, which several Engines may share.
    parts = (info.get("ID"), info.get("DockerRootDir"), info.get("DefaultRuntime"))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


_OPEN: dict[tuple[Endpoint, int], Engine] = {}


def open_engine() -> Engine:
    """The Engine that the user means; connected once a process.

    Raises `Missing` where none answers, `BadInput` for a context that is not there.
    """
    where = endpoint(os.environ)
    known = _OPEN.get((where, os.getpid()))
    if known:
        return known
    connected = client.connect(where)
    with client.told("asking the Docker Engine what it is"):
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
