"""Finds and removes what killed runs left on an Engine, by our labels alone."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

import docker
import docker.errors
from docker.models.images import Image

from buildkit_bisect.engine import buildx_plugin, labels
from buildkit_bisect.engine.client import engine_errors
from buildkit_bisect.engine.connection import Engine

_OURS: dict[str, str | list[str] | bool] = {"label": labels.OURS}

#: The Engine's status for an object that is in use: Conflict.
_IN_USE = 409


@dataclass(frozen=True, kw_only=True, slots=True)
class Leftover:
    """An object of ours on the Engine that nothing else will remove."""

    kind: str  # "container", "volume" or "image"
    id: str
    name: str
    kept: str = ""  # why it stays; "" if it can be removed

    def __str__(self) -> str:
        """As `clean` lists it."""
        return f"{self.kind} {self.name}"


def find(engine: Engine, *, images: bool = False) -> list[Leftover]:
    """Containers and volumes of processes that no longer run; with *images*, every image.

    A builder's container cannot be labelled, but the volume it mounts is, and both names derive
    from the builder's. Containers come first: they hold the volumes. A volume that someone else's
    container mounts is listed as well, and stays. Raises `InfraFailed` if the Engine fails.
    """
    now = time.time()
    client = engine.client
    with engine_errors("looking for leftovers of killed runs"):
        volumes = [
            v
            for v in client.volumes.list(filters=_OURS)
            if labels.left_behind(v.attrs.get("Labels") or {}, now)
        ]
        containers = {
            str(c.id): str(c.name)
            for c in client.containers.list(all=True, filters=_OURS, ignore_removed=True)
            if labels.left_behind(c.labels, now)
        }
        others: dict[str, str] = {}  # by volume
        for volume in volumes:
            for mounting in client.containers.list(
                all=True, filters={"volume": volume.name}, ignore_removed=True
            ):
                if mounting.name == buildx_plugin.container_of(str(volume.name)):
                    containers[str(mounting.id)] = str(mounting.name)
                elif mounting.id not in containers:
                    others[str(volume.name)] = f"container {mounting.name} mounts it"
        found = [Leftover(kind="container", id=i, name=n) for i, n in containers.items()]
        names = [str(v.name) for v in volumes]
        found += [Leftover(kind="volume", id=n, name=n, kept=others.get(n, "")) for n in names]
        return found + (_images(client) if images else [])


def _images(client: docker.DockerClient) -> list[Leftover]:
    """Our images. Images built on them have our labels too, but belong to the user."""
    listed = client.images.list(filters=_OURS)
    variants = {i.id for i in listed if i.labels.get(labels.OURS) == "image"}
    ours = [
        i
        for i in listed
        if any(map(labels.is_our_name, i.tags))
        or (not i.tags and i.attrs.get("Parent") not in variants)
    ]
    # A base goes last: the Engine keeps an image that another one is built on.
    ours.sort(key=lambda i: i.labels.get(labels.OURS) == "base")
    return [
        Leftover(kind="image", id=str(i.id), name=", ".join(_our_names(i)) or i.short_id)
        for i in ours
    ]


def _our_names(image: Image) -> list[str]:
    return [tag for tag in image.tags if labels.is_our_name(tag)]


def remove(engine: Engine, left: Leftover) -> str:
    """Remove *left*, which may already be gone; return why it stays, or "".

    Raises `InfraFailed` if the Engine fails.
    """
    client = engine.client
    if left.kept:
        return left.kept
    with engine_errors(f"removing {left}"), suppress(docker.errors.NotFound):
        try:
            match left.kind:
                case "container":
                    client.containers.get(left.id).remove(force=True, v=True)
                case "volume":
                    client.volumes.get(left.id).remove(force=True)
                case _:
                    _remove_image(client, left.id)
        except docker.errors.APIError as error:
            if error.status_code != _IN_USE:
                raise
            return str(error.explanation)
    return ""


def _remove_image(client: docker.DockerClient, which: str) -> None:
    """Remove our tags, and the image with its last tag; without force, as it may be in use."""
    image = client.images.get(which)
    for name in _our_names(image):
        client.images.remove(name, noprune=True)
    if not image.tags:
        client.images.remove(which, noprune=True)
