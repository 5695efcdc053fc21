"""What a killed run left on an Engine: found by our labels, and by nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import docker.errors

from buildkit_bisect.engine import labels
from buildkit_bisect.engine.client import told
from buildkit_bisect.engine.session import Engine


@dataclass(frozen=True, kw_only=True, slots=True)
class Leftover:
    """Something of ours on the Engine that nobody will remove any more."""

    kind: str  # "container", "volume" or "image"
    id: str
    name: str

    def __str__(self) -> str:
        """As `clean` lists it."""
        return f"{self.kind} {self.name}"


def find(engine: Engine, *, images: bool = False) -> list[Leftover]:
    """Containers and volumes of processes that no longer run; with *images*, every image.

    A builder's container cannot be labelled, but the volume it mounts is: a container that
    mounts a volume of ours is ours. Containers come first: they hold the volumes.
    Raises `InfraFailed` where the Engine fails.
    """
    now = time.time()
    ours: dict[str, str | list[str] | bool] = {"label": labels.OURS}
    client = engine.client
    with told("looking for what killed runs left"):
        volumes = [
            v
            for v in client.volumes.list(filters=ours)
            if labels.left_behind(v.attrs.get("Labels") or {}, now)
        ]
        containers = [
            c
            for c in client.containers.list(all=True, filters=ours, ignore_removed=True)
            if labels.left_behind(c.labels, now)
        ]
        for volume in volumes:
            containers += client.containers.list(
                all=True, filters={"volume": volume.name}, ignore_removed=True
            )
        found = [("container", str(c.id), str(c.name)) for c in containers]
        found += [("volume", str(v.name), str(v.name)) for v in volumes]
        if images:
            # A base goes last: the Engine keeps what another image is made on.
            listed = client.images.list(filters=ours)
            for image in sorted(listed, key=lambda i: i.labels.get(labels.OURS) == "base"):
                found.append(("image", str(image.id), ", ".join(image.tags) or image.short_id))
    return [Leftover(kind=k, id=i, name=n) for k, i, n in dict.fromkeys(found)]


def remove(engine: Engine, left: Leftover) -> None:
    """Remove one of what `find` found; gone already is as good. Raises `InfraFailed`."""
    client = engine.client
    with told(f"removing {left}"), suppress(docker.errors.NotFound):
        match left.kind:
            case "container":
                client.containers.get(left.id).remove(force=True, v=True)
            case "volume":
                client.volumes.get(left.id).remove(force=True)
            case _:
                client.images.remove(left.id, force=True)


def remove_all(engine: Engine, found: Iterable[Leftover]) -> None:
    """Remove all of them, containers first."""
    for left in found:
        remove(engine, left)
