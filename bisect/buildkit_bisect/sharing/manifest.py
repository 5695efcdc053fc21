"""The OCI manifest of an entry: where its files are, and as what. Pure.

Nothing in a manifest is signed or trusted: it only says how to get the bytes that the entry,
its config, describes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from buildkit_bisect.sharing.entry import KEY, LARGEST_FILE, LARGEST_TEXT, Entry, document
from buildkit_bisect.sharing.refused import Refused

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_ARTIFACT_TYPE = "application/vnd.buildkit-bisect.build.v1"
_ENTRY_TYPE = "application/vnd.buildkit-bisect.entry.v1+json"
_FILE_TYPE = "application/vnd.buildkit-bisect.file.v1+zstd"
_DELTA_TYPE = "application/vnd.buildkit-bisect.delta.v1+zstd"

_TITLE = "org.opencontainers.image.title"
_SIGNATURE = "buildkit-bisect.minisig"
_BASE = "buildkit-bisect.base"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

#: zstd makes data that it cannot compress a little larger, and a manifest may not promise more.
_SLACK = 1 << 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Blob:
    """Bytes in a store."""

    digest: str  # "sha256:..."
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """The packed form of a file; a *delta* is against the file of that name in the base."""

    name: str
    blob: Blob
    delta: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """Where the parts of an entry are; *base* is the key of the entry that deltas are against."""

    entry: Blob
    layers: tuple[Layer, ...]
    signature: str = ""
    base: str = ""

    @property
    def size(self) -> int:
        """Bytes of all layers."""
        return sum(layer.blob.size for layer in self.layers)


def write(manifest: Manifest) -> bytes:
    """Return *manifest* as an OCI image manifest."""
    notes = {_SIGNATURE: manifest.signature, _BASE: manifest.base}
    value = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": _ARTIFACT_TYPE,
        "config": {"mediaType": _ENTRY_TYPE, **_described(manifest.entry)},
        "layers": [
            {
                "mediaType": _DELTA_TYPE if layer.delta else _FILE_TYPE,
                **_described(layer.blob),
                "annotations": {_TITLE: layer.name},
            }
            for layer in manifest.layers
        ],
        "annotations": {name: text for name, text in notes.items() if text},
    }
    return json.dumps(value, indent=1).encode()


def read(data: bytes) -> Manifest:
    """Return the manifest in *data*. Raises `Refused` if it is not one of an entry."""
    value = document(data, "the manifest")
    if value.get("artifactType") != _ARTIFACT_TYPE:
        raise Refused(f"it is not a build of this tool: artifactType is not {_ARTIFACT_TYPE}")
    config, layers = value.get("config"), value.get("layers")
    if not isinstance(config, dict) or not isinstance(layers, list):
        raise Refused("the manifest has no config or layers")
    made = Manifest(
        entry=_blob(config, LARGEST_TEXT),
        layers=tuple(map(_layer, layers)),
        signature=_note(value, _SIGNATURE),
        base=_note(value, _BASE),
    )
    if made.base and not KEY.fullmatch(made.base):
        raise Refused("the manifest names a base that is not a key")
    if any(layer.delta for layer in made.layers) and not made.base:
        raise Refused("the manifest has a delta and names no base")
    return made


def check_layers(manifest: Manifest, entry: Entry) -> None:
    """Raise `Refused` unless *manifest* has one layer of a plausible size for each file."""
    layers = {layer.name: layer for layer in manifest.layers}
    if len(layers) != len(manifest.layers) or layers.keys() != {f.name for f in entry.files}:
        raise Refused("the files of the manifest and of the entry differ")
    for file in entry.files:
        if layers[file.name].blob.size > file.size + _SLACK:
            raise Refused(f"{file.name} is larger packed than unpacked")


def _described(blob: Blob) -> dict[str, str | int]:
    return {"digest": blob.digest, "size": blob.size}


def _layer(value: Any) -> Layer:
    kind = value.get("mediaType") if isinstance(value, dict) else None
    if kind not in (_FILE_TYPE, _DELTA_TYPE):
        raise Refused("the manifest has a layer of another type")
    return Layer(
        name=_note(value, _TITLE),
        blob=_blob(value, LARGEST_FILE + _SLACK),
        delta=kind == _DELTA_TYPE,
    )


def _blob(value: Mapping[str, Any], most: int) -> Blob:
    digest, size = value.get("digest"), value.get("size")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise Refused("the manifest has a digest that is not sha256")
    if type(size) is not int or not 0 <= size <= most:
        raise Refused(f"the manifest has a size that is not between 0 and {most}")
    return Blob(digest=digest, size=size)


def _note(value: Mapping[str, Any], name: str) -> str:
    notes = value.get("annotations")
    text = notes.get(name, "") if isinstance(notes, dict) else ""
    return text if isinstance(text, str) else ""
