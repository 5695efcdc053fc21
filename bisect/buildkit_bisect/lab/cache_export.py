"""Reads an exported cache from a local directory or a registry.

Up to v0.20 the cache config is one of the manifests in the index of ``index.json``; from v0.21
it is the config of an image manifest (moby/buildkit#5630; before that: image-manifest=true).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any

from buildkit_bisect.lab import opened
from buildkit_bisect.model import CacheConfig
from buildkit_bisect.runtime.registry import Registry
from buildkit_bisect.scenario.cache_config import MEDIA_TYPE, parse, text


def read_local(directory: Path) -> tuple[CacheConfig, dict[str, Any]] | None:
    """Return the parsed config and its raw JSON; None if *directory* holds no cache export."""
    try:
        index = opened.document(directory, "index.json")
        top = _blob(directory, index["manifests"][0]["digest"])
        return _found(top, partial(_blob, directory))
    except _NO_CACHE:
        return None


def read_registry(registry: Registry, ref: str) -> tuple[CacheConfig, dict[str, Any]] | None:
    """Return the same for the cache at *ref*, ``ADDRESS/NAME:TAG`` in *registry*."""
    name, _, tag = ref.removeprefix(f"{registry.address}/").rpartition(":")

    def blob(digest: str) -> Any:
        with registry.open_blob(name, digest) as file:
            return opened.parsed(file)[0]

    try:
        with registry.open_manifest(name, tag) as file:
            top = opened.parsed(file)[0]
        return _found(top, blob)
    except _NO_CACHE:
        return None


#: What reading an export may raise: the build under test wrote it and may write anything.
_NO_CACHE = (
    *(OSError, ValueError, KeyError, IndexError, StopIteration, TypeError, AttributeError),
    *(RecursionError, HTTPException),
)


def _found(top: Any, blob: Callable[[str], Any]) -> tuple[CacheConfig, dict[str, Any]]:
    """Return the config that the manifest *top* names, read with *blob*. Raises `_NO_CACHE`."""
    if top.get("config", {}).get("mediaType") == MEDIA_TYPE:
        raw = blob(top["config"]["digest"])
        form = "image"
    else:
        entry = next(m for m in top["manifests"] if m["mediaType"] == MEDIA_TYPE)
        raw = blob(entry["digest"])
        form = "index"
    return parse(raw, form), raw


def blob_path(digest: str) -> str:
    """Return the path of a blob in an OCI layout or an exported cache.

    Raises ValueError for an invalid digest: an export may name any path instead.
    """
    algorithm, _, encoded = text(digest).partition(":")
    if not (algorithm.isalnum() and encoded.isalnum()):
        raise ValueError(digest)
    return f"blobs/{algorithm}/{encoded}"


def _blob(directory: Path, digest: str) -> Any:
    return opened.document(directory, blob_path(digest))
