"""Images of variants: the compiled binaries as one layer on a fixed base.

Made by committing a container that never runs. This works with any base on any Engine, and
needs neither a builder nor the network.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker.errors
from docker.models.images import Image

from buildkit_bisect.engine import labels
from buildkit_bisect.engine.base import Base
from buildkit_bisect.engine.client import engine_errors, transferred
from buildkit_bisect.engine.connection import Engine
from buildkit_bisect.errors import BadInput, InfraFailed
from buildkit_bisect.model import Build, Variant
from buildkit_bisect.options import requests
from buildkit_bisect.options.command import words
from buildkit_bisect.system import paths
from buildkit_bisect.system.announce import announce
from buildkit_bisect.system.locks import locked

REPOSITORY = f"{labels.NAMESPACE}/buildkit"

#: Directory of the binaries; they replace those of a published image.
FOLDER = "/usr/bin"

ENTRYPOINT = f"{FOLDER}/buildkitd"

#: Increment when images are made differently.
FORMAT = 1

_SOURCE = "https://github.com/moby/buildkit"
_TAG_LENGTH = 128

#: Seconds to push an image to a registry, or to save it to a file.
TRANSFER = 1800.0

#: Registries whose name the Engine leaves out of image names.
_HUB = ("docker.io", "index.docker.io")


@dataclass(frozen=True, kw_only=True, slots=True)
class VariantImage:
    """An image on the Engine."""

    id: str  # sha256:...
    ref: str  # bkbisect/buildkit:v0.26.3-9c2a4e1b3d5f-record-ctx-opts
    key: str
    reused: bool
    seconds: float
    digest: str = ""  # moby/buildkit@sha256:... if it was pulled


def tag(variant: Variant) -> str:
    """``DESCRIBE-SHORTSHA[-PATCHES]`` as a valid tag; one that is too long ends in a digest."""
    revision = variant.revision
    names = [p.name for p in variant.patches]
    parts = [revision.describe or revision.ref, revision.sha[:12], *names]
    full = _plain("-".join(p for p in parts if p))
    if len(full) <= _TAG_LENGTH:
        return full
    digest = hashlib.sha256(full.encode()).hexdigest()[:12]
    return f"{full[: _TAG_LENGTH - 13]}-{digest}"


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text).lstrip(".-") or "variant"


def key(build: Build, variant: Variant, base: Base) -> str:
    """Digest of all that determines an image; equal keys mean the same image."""
    parts = [
        *(FORMAT, build.buildkitd_sha256, build.buildctl_sha256, base.key),
        *(variant.revision.sha, variant.revision.describe),
        [(p.name, p.digest) for p in variant.patches],
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def oci_labels(build: Build, variant: Variant, base: Base) -> dict[str, str]:
    """The labels of the image."""
    revision = variant.revision
    oci = "org.opencontainers.image"
    return {
        f"{oci}.title": "BuildKit under test",
        f"{oci}.source": _SOURCE,
        f"{oci}.revision": revision.sha,
        f"{oci}.version": revision.describe or revision.ref,
        f"{oci}.base.name": base.ref,
        "bkbisect.ref": revision.ref,
        "bkbisect.patches": ",".join(p.name for p in variant.patches),
        "bkbisect.patch-digests": ",".join(p.digest for p in variant.patches),
        "bkbisect.build": build.key,
        "bkbisect.go": build.go,
        "bkbisect.source": build.source,
        labels.OURS: "image",
        labels.KEY: key(build, variant, base),
        # The image must not inherit the owner of the committed container.
        labels.OWNER: "",
        labels.CREATED: "",
    }


def ensure(
    engine: Engine,
    build: Build,
    variant: Variant,
    base: Base,
    *,
    campaign: str = "",
) -> VariantImage:
    """The image of *build*; made unless the Engine has one with the same key.

    Raises `InfraFailed` if the Engine fails.
    """
    started = time.monotonic()
    wanted, name = key(build, variant, base), tag(variant)
    ref = f"{REPOSITORY}:{name}"
    with locked(f"image-{wanted[:2]}.lock", "makes an image"):
        image = _existing(engine, wanted, base)
        made = image is None
        if image is None:
            marks = {**oci_labels(build, variant, base), labels.CAMPAIGN: campaign}
            with announce(f"making the image {ref}"):
                image = _make(engine, build, base, marks=marks, name=name, campaign=campaign)
        elif ref not in image.tags:
            with engine_errors(f"tagging the image {ref}"):
                image.tag(REPOSITORY, tag=name)
    return VariantImage(
        id=str(image.id),
        ref=ref,
        key=wanted,
        reused=not made,
        seconds=time.monotonic() - started,
    )


def _existing(engine: Engine, wanted: str, base: Base) -> Image | None:
    """The image with the key *wanted*, but not an image that was built on it."""
    client = engine.client
    with engine_errors("looking for an image"):
        found = client.images.list(filters={"label": f"{labels.KEY}={wanted}"})
        below = client.images.get(base.id) if found else None
        return next((i for i in found if below and is_one_commit(i, below)), None)


def is_one_commit(image: Image, base: Image) -> bool:
    """Whether *image* is *base* plus one commit that added a layer.

    An image built on such an image inherits its labels, and always has a longer history. It has
    no layer of its own if it only changes the command or a variable.
    """
    layers, below = image.attrs["RootFS"]["Layers"], base.attrs["RootFS"]["Layers"]
    longer = len(image.history()) - len(base.history())
    return bool(layers[:-1] == below and longer == 1)


def _make(
    engine: Engine, build: Build, base: Base, *, marks: dict[str, str], name: str, campaign: str
) -> Image:
    with (
        engine_errors(f"making the image {REPOSITORY}:{name}"),
        _container(engine, base, campaign) as container,
        paths.scratch("image") as folder,
    ):
        archive = folder / "layer.tar"
        _layer(Path(build.directory), archive)
        with archive.open("rb") as data:
            if not container.put_archive("/", data):
                raise InfraFailed(
                    f"cannot copy the binaries of {name} to the Engine",
                    hint="df -h on the Engine's machine",
                )
        conf = {"Entrypoint": [ENTRYPOINT], "Cmd": [], "Labels": marks}
        image: Image = container.commit(repository=REPOSITORY, tag=name, conf=conf)
        return image


@contextmanager
def _container(engine: Engine, base: Base, campaign: str) -> Iterator[Any]:
    container = engine.client.containers.create(
        base.id, entrypoint=["-"], command=[], labels=labels.of("making", campaign)
    )
    try:
        yield container
    finally:
        with suppress(docker.errors.NotFound):
            container.remove(force=True, v=True)


def _layer(binaries: Path, archive: Path) -> None:
    with tarfile.open(archive, "w") as tar:
        for program in ("buildkitd", "buildctl"):
            path = binaries / program
            entry = tarfile.TarInfo(f"{FOLDER.lstrip('/')}/{program}")
            entry.size, entry.mode = path.stat().st_size, 0o755
            with path.open("rb") as file:
                tar.addfile(entry, file)


def repository(registry: str) -> str:
    """The repository that `push` uses on *registry*. Raises `BadInput` for bare Docker Hub."""
    where = registry.rstrip("/")
    if where in _HUB:
        raise BadInput(
            f"{words(requests.Build, push=registry)}: you do not own {REPOSITORY} on Docker Hub",
            hint=f"{words(requests.Build, push='REGISTRY/NAME')}, such as ghcr.io/me",
        )
    return f"{where}/{REPOSITORY}"


def push(engine: Engine, image: VariantImage, registry: str) -> str:
    """Push to *registry* with the user's own credentials; return ``REF@DIGEST``.

    Raises `BadInput` as `repository` does, `InfraFailed` with the registry's error.
    """
    target = repository(registry)
    name = image.ref.rpartition(":")[2]
    with engine_errors(f"pushing {target}:{name}"), _named(engine, image.id, target, name):
        progress = engine.client.images.push(target, tag=name, stream=True, decode=True)
        try:
            digest = transferred(progress, TRANSFER).get("Digest")
        except InfraFailed as error:
            raise InfraFailed(
                f"pushing {target}:{name}: {error.message}",
                hint=f"docker login, or another {words(requests.Build, push=True)}",
            ) from error
    return f"{target}:{name}@{digest}" if digest else f"{target}:{name}"


@contextmanager
def _named(engine: Engine, image: str, target: str, name: str) -> Iterator[None]:
    """Tag the image with the id *image* as ``TARGET:NAME``; undo that after the block."""
    images = engine.client.images
    try:
        before = str(images.get(f"{target}:{name}").id)
    except docker.errors.ImageNotFound:
        before = ""
    if before == image:
        yield
        return
    images.get(image).tag(target, tag=name)
    try:
        yield
    finally:
        if before:
            images.get(before).tag(target, tag=name)
        else:
            images.remove(f"{target}:{name}")


def save(engine: Engine, image: VariantImage, path: Path) -> None:
    """Write a ``docker load`` archive to *path*, atomically."""
    draft = path.with_name(f".{path.name}.part")
    try:
        with engine_errors(f"saving {image.ref}"), draft.open("wb") as file:
            until = time.monotonic() + TRANSFER
            for chunk in engine.client.images.get(image.id).save(named=image.ref):
                file.write(chunk)
                if time.monotonic() > until:
                    raise InfraFailed(
                        f"saving {image.ref} did not finish within {TRANSFER:.0f} s",
                        hint=f"{words(requests.Build, push='REGISTRY')}, or a closer Engine",
                    )
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
