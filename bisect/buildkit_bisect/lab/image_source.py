"""Images as builds write them: an OCI layout in a directory or an archive, or in a registry."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from buildkit_bisect.lab.cache_export import blob_path
from buildkit_bisect.runtime.registry import Registry
from buildkit_bisect.scenario.cache_config import text

#: Bytes of a document that a trial keeps, as JSON, and of one that is read.
DOCUMENT_LIMIT, _MOST = 256 * 1024, 4 * 2**20

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
        with (self._folder / "index.json").open("rb") as file:
            return _of_layout(_parsed(file), self)

    def blob(self, digest: str) -> IO[bytes]:
        """See `Image`."""
        return blob_path(self._folder, digest).open("rb")

    def close(self) -> None:
        """See `Image`."""


class Archive:
    """An OCI layout in a tar archive, which archives for Docker are too."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, mode="r:")  # noqa: SIM115 - `close` closes it

    def documents(self) -> Documents:
        """See `Image`."""
        with self._member("index.json") as file:
            return _of_layout(_parsed(file), self)

    def blob(self, digest: str) -> IO[bytes]:
        """See `Image`."""
        return self._member(str(blob_path(Path(), digest)))

    def _member(self, name: str) -> IO[bytes]:
        opened = self._tar.extractfile(name)
        if opened is None:
            raise ValueError(f"{name} is not a file")
        return opened

    def close(self) -> None:
        """See `Image`."""
        self._tar.close()


class Pushed:
    """An image in a registry."""

    def __init__(self, registry: Registry, ref: str) -> None:
        self._registry = registry
        self._name, _, self._tag = ref.removeprefix(f"{registry.address}/").rpartition(":")

    def documents(self) -> Documents:
        """See `Image`."""
        made = Documents()
        top = self._registry.manifest(self._name, self._tag)
        _add(top, made, lambda digest: self._registry.manifest(self._name, digest), self)
        return made

    def blob(self, digest: str) -> IO[bytes]:
        """See `Image`."""
        return self._registry.open_blob(self._name, digest)

    def close(self) -> None:
        """See `Image`."""


class _ReadsManifest(Protocol):
    def __call__(self, digest: str, /) -> Any: ...


def _parsed(file: IO[bytes]) -> Any:
    data = file.read(_MOST + 1)
    if len(data) > _MOST:
        raise ValueError(f"a document is larger than {_MOST} bytes")
    return json.loads(data)


def _of_layout(layout: Any, image: Image) -> Documents:
    """Return the documents of the first image that ``index.json`` names."""
    made = Documents()
    made.add("layout", layout)

    def manifest(digest: str) -> Any:
        with image.blob(digest) as file:
            return _parsed(file)

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
        config = _parsed(file)
    made.add("config", config)
    ids = (config.get("rootfs") or {}).get("diff_ids") or []
    padded = [*ids, *[""] * len(made.descriptors)]
    made.add(
        "layers", [{**d, "diff_id": i} for d, i in zip(made.descriptors, padded, strict=False)]
    )
    made.add("attestations", [a for e in attached for a in _attestations(e, manifest, image)])


def _attests(entry: Mapping[str, Any]) -> bool:
    return (entry.get("annotations") or {}).get(_REFERENCE) == _ATTESTATION


def _about(entry: Mapping[str, Any]) -> str:
    return text((entry.get("annotations") or {}).get(_OF, ""))


def _attestations(
    entry: Mapping[str, Any], manifest: _ReadsManifest, image: Image
) -> list[dict[str, Any]]:
    made = []
    for layer in manifest(text(entry["digest"]))["layers"]:
        with image.blob(text(layer["digest"])) as file:
            statement = _parsed(file)
        kind = (layer.get("annotations") or {}).get(_PREDICATE, "")
        made.append({"predicate_type": kind, "statement": statement})
    return made
