"""Makes base images of copied files, and pushes them to a registry: seconds less than a BuildKit.

Everything in them is fixed, so their digests are the same on every machine with the same busybox.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.golang.toolchain import host_arch
from buildkit_bisect.lab import image_files, layers
from buildkit_bisect.lab.layers import Entry, Layer
from buildkit_bisect.options.command import inv
from buildkit_bisect.runtime.registry import Registry
from buildkit_bisect.scenario.image_context import BUSYBOX, ROOTFS
from buildkit_bisect.scenario.plain_image import Copied, Placed, PlainImage
from buildkit_bisect.sharing.manifest import MANIFEST_TYPE, Blob
from buildkit_bisect.sharing.refused import Refused
from buildkit_bisect.sharing.remote import Remote, Unavailable

_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"

#: BuildKit gives it to an image from scratch.
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """An image: its manifest, and what that names."""

    manifest: bytes
    config: bytes
    layers: tuple[Layer, ...]

    @property
    def digest(self) -> str:
        """Its digest."""
        return layers.digest(self.manifest)


def make(image: PlainImage, compression: str) -> Made:
    """Return *image* with layers of that *compression*.

    Raises `Missing` without busybox, `ProcessError` if busybox does not list its programs.
    """
    made = tuple(layers.layer(_entries(copied), compression) for copied in image.copies)
    config = json.dumps(_config(image, made)).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": layers.descriptor(_CONFIG_TYPE, config),
        "layers": [one.descriptor for one in made],
    }
    return Made(manifest=json.dumps(manifest).encode(), config=config, layers=made)


def push(made: Made, registry: Registry, repository: str, tag: str) -> None:
    """Push an image. Raises `InfraFailed` if the registry does not take it."""
    remote = Remote(f"{registry.address}/{repository}")
    try:
        for data in (made.config, *(one.data for one in made.layers)):
            remote.put_blob(Blob(digest=layers.digest(data), size=len(data)), data)
        remote.put_manifest(tag, made.manifest)
    except (Unavailable, Refused) as error:
        raise InfraFailed(
            f"the registry at {registry.address} does not take {repository}: {error}",
            hint=f"{inv('doctor')}, then {inv('resume')}",
        ) from None


def _entries(copied: Copied) -> Iterator[Entry]:
    for part in copied.parts:
        yield from _placed(part)


def _placed(part: Placed) -> Iterator[Entry]:
    if part.source == BUSYBOX:
        yield image_files.program(part.path)
    elif part.source == ROOTFS:
        above = f"{part.path}/" if part.path else ""
        for entry in image_files.rootfs():
            yield Entry(path=above + entry.path, mode=entry.mode, data=entry.data, link=entry.link)
    else:
        yield image_files.text(part.path, part.text)


def _config(image: PlainImage, made: tuple[Layer, ...]) -> Mapping[str, object]:
    """Return the configuration, as BuildKit writes it, but for times."""
    created = layers.time_text()
    words = {"Cmd": image.cmd, "Entrypoint": image.entrypoint}
    said = [copied.said for copied in image.copies]
    extra = [f"{key.upper()} {json.dumps(found)}" for key, found in words.items() if found]
    return {
        "architecture": host_arch(),
        "config": {
            "Env": [_PATH],
            **{key: list(found) for key, found in words.items() if found},
            "WorkingDir": "/",
        },
        "created": created,
        "history": [
            *({"created": created, "created_by": text} for text in said),
            *({"created": created, "created_by": t, "empty_layer": True} for t in extra),
        ],
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [one.diff_id for one in made]},
    }
