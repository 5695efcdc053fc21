"""Images as builds write them: an OCI layout in a directory or an archive, or in a registry."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from buildkit_bisect.lab import opened
from buildkit_bisect.lab.cache_export import blob_path
from buildkit_bisect.runtime.registry import Registry
from buildkit_bisect.scenario.cache_config import text

#: Bytes of a document that a trial keeps, as JSON.
DOCUMENT_LIMIT = 256 * 1024

#: Bytes of all documents of an image that are read: an index may name one of them many times.
MOST_DOCUMENTS = 16 * 2**20

#: How an index marks the attestations of another manifest in it.
_REFERENCE, _ATTESTATION = "vnd.docker.reference.type", "attestation-manifest"
_OF = "vnd.docker.reference.digest"
_PREDICATE = "in-toto.io/predicate-type"


@dataclass(kw_only=True, slots=True)
class Documents:
    """The JSON documents of an image; `document_path.DOCUMENTS` lists their names."""

    found: dict[str, Any] = field(default_factory=dict)
    too_large: list[str] = field(default_factory=list)
    descriptors: Sequence[Mapping[str, Any]] = ()  # of the layers, lowest first
    left: int = MOST_DOCUMENTS  # bytes that may still be read

    def parsed(self, file: IO[bytes]) -> Any:
        """Return the document in *file*. Raises as `opened.parsed`."""
        document, size = opened.parsed(file, min(self.left, opened.MOST))
        self.left -= size
        return document

    def add(self, name: str, document: Any) -> None:
        """Keep *document*, unless it is too large."""
        if len(json.dumps(document)) > DOCUMENT_LIMIT:
            self.too_large.append(name)
        else:
            self.found[name] = document


class Image(Protocol):
    """An image that a build wrote. Methods raise what reading and parsing may."""

    def documents(self) -> Documents:
        """Return its documents."""
        ...

    def blob(self, digest: str) -> IO[bytes]:
        """Open a blob."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class Folder:
    """An OCI layout in a directory: ``tar=false``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def documents(self) -> Documents:
        """See `Image`."""
        with opened.file(self._folder, "index.json") as file:
            return _of_layout(file, self)

    def blob(self, digest: str) -> IO[bytes]:
        """See `Image`."""
        return opened.file(self._folder, blob_path(digest))

    def close(self) -> None:
        """See `Image`."""


class Archive:
    """An OCI layout in a tar archive, which archives for Docker are too."""

    def __init__(self, path: Path) -> None:
        self._file = opened.file(path.parent, path.name)
        try:
            self._tar = tarfile.open(fileobj=self._file, mode="r:")  # noqa: SIM115 - `close` closes it
        except BaseException:
            self._file.close()
            raise

    def documents(self) -> Documents:
        """See `Image`."""
        with self._member("index.json") as file:
            return _of_layout(file, self)

    def blob(self, digest: str) -> IO[bytes]:
        """See `Image`."""
        return self._member(blob_path(digest))

    def _member(self, name: str) -> IO[bytes]:
        member = self._tar.extractfile(name)
        if member is None:
            raise ValueError(f"{name} is not a file")
        return member

    def close(self) -> None:
        """See `Image`."""
        self._tar.close()
        self._file.close()


class Pushed:
    """An image in a registry."""

    def __init__(self, registry: Registry, ref: str) -> None:
        self._registry = registry
        self._name, _, self._tag = ref.removeprefix(f"{registry.address}/").rpartition(":")

    def documents(self) -> Documents:
        """See `Image`."""
        made = Documents()

        def manifest(tag: str) -> Any:
            with self._registry.open_manifest(self._name, tag) as file:
                return made.parsed(file)

        _add(manifest(self._tag), made, manifest, self)
        return made

    def blob(self, digest: str) -> IO[bytes]:
        """See `Image`."""
        return self._registry.open_blob(self._name, digest)

    def close(self) -> None:
        """See `Image`."""


class _ReadsManifest(Protocol):
    def __call__(self, digest: str, /) -> Any: ...


def _of_layout(index: IO[bytes], image: Image) -> Documents:
    """Return the documents of the first image that *index*, the file ``index.json``, names."""
    made = Documents()
    layout = made.parsed(index)
    made.add("layout", layout)

    def manifest(digest: str) -> Any:
        with image.blob(digest) as file:
            return made.parsed(file)

    top = manifest(layout["manifests"][0]["digest"])
    if "manifests" not in top:
        made.add("index", layout)
    _add(top, made, manifest, image)
    return made


def _add(top: Any, made: Documents, manifest: _ReadsManifest, image: Image) -> None:
    """Add the documents of *top*, an index or the manifest of one image."""
    own, attached = top, []
    if "manifests" in top:
        made.add("index", top)
        entries = top["manifests"]
        first = next(e for e in entries if not _attests(e))
        own = manifest(text(first["digest"]))
        attached = [e for e in entries if _attests(e) and _about(e) in ("", first["digest"])]
    made.add("manifest", own)
    made.descriptors = own["layers"]
    with image.blob(text(own["config"]["digest"])) as file:
        config = made.parsed(file)
    made.add("config", config)
    ids = (config.get("rootfs") or {}).get("diff_ids") or []
    padded = [*ids, *[""] * len(made.descriptors)]
    made.add(
        "layers", [{**d, "diff_id": i} for d, i in zip(made.descriptors, padded, strict=False)]
    )
    try:
        found = [a for e in attached for a in _attestations(e, manifest, image, made)]
    except opened.TooLarge:
        made.too_large.append("attestations")
    else:
        made.add("attestations", found)


def _attests(entry: Mapping[str, Any]) -> bool:
    return (entry.get("annotations") or {}).get(_REFERENCE) == _ATTESTATION


def _about(entry: Mapping[str, Any]) -> str:
    return text((entry.get("annotations") or {}).get(_OF, ""))


def _attestations(
    entry: Mapping[str, Any], manifest: _ReadsManifest, image: Image, made: Documents
) -> list[dict[str, Any]]:
    found = []
    for layer in manifest(text(entry["digest"]))["layers"]:
        with image.blob(text(layer["digest"])) as file:
            statement = made.parsed(file)
        kind = (layer.get("annotations") or {}).get(_PREDICATE, "")
        found.append({"predicate_type": kind, "statement": statement})
    return found
