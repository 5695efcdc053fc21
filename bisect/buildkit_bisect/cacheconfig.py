"""Parse an exported cache down to its ``vnd.buildkit.cacheconfig.v0`` records.

Up to v0.20 the cache config is one of the manifests of ``index.json``'s index; from v0.21
an image manifest has it as its config (moby/buildkit#5630 and before: image-manifest=true).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from buildkit_bisect.model import CacheConfig, CacheRecord
from buildkit_bisect.registry import Registry

MEDIA_TYPE = "application/vnd.buildkit.cacheconfig.v0"


def read_local(directory: Path) -> tuple[CacheConfig, dict[str, Any]] | None:
    """The parsed config and its raw JSON; None where *directory* holds no cache export."""
    try:
        index = json.loads((directory / "index.json").read_text())
        top = _blob(directory, index["manifests"][0]["digest"])
        return _found(top, partial(_blob, directory))
    except _NO_CACHE:
        return None


def read_registry(registry: Registry, ref: str) -> tuple[CacheConfig, dict[str, Any]] | None:
    """The same for the cache at *ref*, ``ADDRESS/NAME:TAG`` in *registry*."""
    name, _, tag = ref.removeprefix(f"{registry.address}/").rpartition(":")
    try:
        return _found(registry.manifest(name, tag), partial(registry.blob, name))
    except _NO_CACHE:
        return None


#: What reading an export may raise: the build under test wrote it, and may write anything.
_NO_CACHE = (
    *(OSError, ValueError, KeyError, IndexError, StopIteration, TypeError, AttributeError),
    RecursionError,
)


def _found(top: Any, blob: Callable[[str], Any]) -> tuple[CacheConfig, dict[str, Any]]:
    """The config that the manifest *top* names, read with *blob*. Raises `_NO_CACHE`."""
    if top.get("config", {}).get("mediaType") == MEDIA_TYPE:
        raw = blob(top["config"]["digest"])
        form = "image"
    else:
        entry = next(m for m in top["manifests"] if m["mediaType"] == MEDIA_TYPE)
        raw = blob(entry["digest"])
        form = "index"
    return parse(raw, form), raw


def blob_path(directory: Path, digest: str) -> Path:
    """Where the exported cache in *directory* has a blob.

    Raises ValueError for what is no digest: an export may name any path instead.
    """
    algorithm, _, encoded = _text(digest).partition(":")
    if not (algorithm.isalnum() and encoded.isalnum()):
        raise ValueError(digest)
    return directory / "blobs" / algorithm / encoded


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")  # noqa: TRY004 - as every other wrong content
    return value


def _blob(directory: Path, digest: str) -> Any:
    return json.loads(blob_path(directory, digest).read_text())


def parse(raw: dict[str, Any], form: str) -> CacheConfig:
    """*raw* with layer indices replaced by blob chains and links by record digests."""
    layers = raw.get("layers") or []
    records = raw.get("records") or []

    def chain(index: int) -> tuple[str, ...]:
        blobs: list[str] = []
        while 0 <= index < len(layers) and len(blobs) <= len(layers):
            blobs.append(_text(layers[index]["blob"]))
            index = layers[index].get("parent", 0)  # -1 none; a 0 is omitted by Go
        return tuple(reversed(blobs))

    def chains(record: dict[str, Any]) -> tuple[str, ...]:
        # `layers` names the last layer of a chain, `chains` lists each layer of one.
        for entry in record.get("layers") or []:
            return chain(entry.get("layer", 0))
        for entry in record.get("chains") or []:
            return tuple(_text(layers[i]["blob"]) for i in entry.get("layers") or [])
        return ()

    return CacheConfig(
        records=tuple(
            CacheRecord(
                digest=_text(record["digest"]),
                layers=chains(record),
                inputs=tuple(
                    dict.fromkeys(
                        _text(records[link.get("link", 0)]["digest"])
                        for group in record.get("inputs") or []
                        for link in group
                    )
                ),
            )
            for record in records
        ),
        layers=tuple(_text(layer["blob"]) for layer in layers),
        form=form,
    )


def inner_with_layers(config: CacheConfig) -> frozenset[str]:
    """Digests of records that have layers and that another record depends on.

    In a multi-stage build these are the steps of the earlier stages; the record that
    nothing depends on is the final result, whose handlers every exporter installs.
    """
    depended = {digest for record in config.records for digest in record.inputs}
    return frozenset(r.digest for r in config.records if r.layers and r.digest in depended)


def kept(config: CacheConfig, control: CacheConfig) -> tuple[int, int]:
    """How many of the control's inner records with layers have layers here, and of how many.

    Record digests are made of operations and base contents, not of the snapshotter or the
    registry's address, so the same build has the same records in both.
    """
    wanted = inner_with_layers(control)
    here = {r.digest for r in config.records if r.layers}
    return len(wanted & here), len(wanted)
