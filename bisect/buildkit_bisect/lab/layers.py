"""Layers of images, made without BuildKit: the same bytes on every machine. Pure.

What is compressed is not made smaller: its blocks are stored as they are. The result of a
compression depends on the library and its version, and so would the digests of images.
"""

from __future__ import annotations

import hashlib
import json
import struct
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

#: The time of all files and images: 2025. A scenario's SOURCE_DATE_EPOCH is usually earlier.
MTIME = 1_735_689_600

_TAR = "application/vnd.oci.image.layer.v1.tar"
_END = bytes(2 * tarfile.BLOCKSIZE)

#: Bytes of a stored block.
_GZIP_BLOCK, _ZSTD_BLOCK = 0xFFFF, 1 << 17

#: The table of contents of an eStargz layer, and the bytes of a file that one entry of it is for.
_CONTENTS = "stargz.index.json"
_CHUNK = 4 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A file, a symbolic link or a folder."""

    path: str  # relative
    mode: int
    data: bytes | None = None  # of a file
    link: str = ""  # the target of a link; a folder has neither


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """A layer as it is in a registry."""

    media_type: str
    data: bytes
    diff_id: str  # the digest of what it is unpacked
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def descriptor(self) -> dict[str, object]:
        """What a manifest says of it."""
        notes = {"annotations": dict(self.annotations)} if self.annotations else {}
        return {**descriptor(self.media_type, self.data), **notes}


def descriptor(media_type: str, data: bytes) -> dict[str, object]:
    """Return what a manifest says of *data*."""
    return {"mediaType": media_type, "digest": digest(data), "size": len(data)}


def digest(data: bytes) -> str:
    """Return ``sha256:`` and the digest of *data*."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def time_text() -> str:
    """Return `MTIME` in the form of images."""
    return datetime.fromtimestamp(MTIME, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def layer(entries: Iterable[Entry], compression: str) -> Layer:
    """Return the layer with *entries*; folders that are not among them are added.

    *compression* is one of a scenario's: gzip, zstd, estargz or uncompressed.
    """
    whole = _with_parents(entries)
    if compression == "estargz":
        return _estargz(whole)
    data = b"".join(part for entry in whole for part in _archived(entry)) + _END
    match compression:
        case "gzip":
            return Layer(media_type=f"{_TAR}+gzip", data=_gzip(data), diff_id=digest(data))
        case "zstd":
            return Layer(media_type=f"{_TAR}+zstd", data=_zstd(data), diff_id=digest(data))
        case "uncompressed":
            return Layer(media_type=_TAR, data=data, diff_id=digest(data))
        case _:
            raise ValueError(f"{compression} is no compression")


def _with_parents(entries: Iterable[Entry]) -> list[Entry]:
    """Return *entries* and their parents, sorted."""
    found: dict[str, Entry] = {}
    for entry in entries:
        parts = entry.path.split("/")
        for end in range(1, len(parts)):
            parent = "/".join(parts[:end])
            found.setdefault(parent, Entry(path=parent, mode=0o755))
        found[entry.path] = entry
    return [found[path] for path in sorted(found)]


def _archived(entry: Entry) -> Iterator[bytes]:
    """Yield the header of *entry*, and then its bytes to the end of the last block if it has any.

    A header is 512 bytes. Raises ValueError for a path that has no place in it.
    """
    info = tarfile.TarInfo(entry.path)
    info.mode, info.mtime = entry.mode, MTIME
    if entry.link:
        info.type, info.linkname = tarfile.SYMTYPE, entry.link
    elif entry.data is None:
        info.type = tarfile.DIRTYPE
    else:
        info.size = len(entry.data)
    yield info.tobuf(tarfile.USTAR_FORMAT, "utf-8")
    if entry.data:
        yield entry.data + bytes(-len(entry.data) % tarfile.BLOCKSIZE)


def _gzip(data: bytes, extra: bytes = b"") -> bytes:
    """Return *data* as one gzip stream of stored blocks."""
    flags = 4 if extra else 0
    parts = [struct.pack("<4BLBB", 0x1F, 0x8B, 8, flags, 0, 0, 255)]
    parts += [struct.pack("<H", len(extra)), extra] if extra else []
    for start in range(0, max(len(data), 1), _GZIP_BLOCK):
        block = data[start : start + _GZIP_BLOCK]
        last = start + _GZIP_BLOCK >= len(data)
        parts += [struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF), block]
    parts.append(struct.pack("<LL", zlib.crc32(data), len(data) & 0xFFFFFFFF))
    return b"".join(parts)


def _zstd(data: bytes) -> bytes:
    """Return *data* as one zstd frame of raw blocks (RFC 8878)."""
    # The size is in four bytes, the window is 1 MiB, and there is no checksum.
    parts = [struct.pack("<LBBL", 0xFD2FB528, 0x80, 0x50, len(data))]
    for start in range(0, max(len(data), 1), _ZSTD_BLOCK):
        block = data[start : start + _ZSTD_BLOCK]
        last = start + _ZSTD_BLOCK >= len(data)
        parts += [struct.pack("<L", len(block) << 3 | last)[:3], block]
    return b"".join(parts)


def _estargz(entries: Iterable[Entry]) -> Layer:
    """Return an eStargz layer: a gzip stream begins at the bytes of each file.

    So a snapshotter can read one file without the ones before it. Where they are is in the table
    of contents at the end, and a last, empty stream says where that is. As with BuildKit, the
    archive that a layer stands for includes the table.
    """
    streams: list[bytes] = []
    unpacked: list[bytes] = []
    listed: list[dict[str, object]] = []
    open_ = b""

    def close(packed: bytes) -> None:
        unpacked.append(packed)
        streams.append(_gzip(packed))

    for entry in entries:
        header, *blocks = _archived(entry)
        open_ += header
        item = _listed(entry)
        data = entry.data or b""
        for start in range(0, len(data), _CHUNK):
            close(open_)
            open_ = data[start : start + _CHUNK]
            item |= {"offset": sum(map(len, streams)), "chunkDigest": digest(open_)}
            if start:
                item["chunkOffset"] = start
            if len(open_) == _CHUNK:
                item["chunkSize"] = _CHUNK
            listed.append(item)
            item = {"name": entry.path, "type": "chunk"}
        if blocks:
            open_ += blocks[0][len(data) :]  # what fills the last block
        else:
            listed.append(item)
    close(open_ + _END)
    contents = json.dumps({"version": 1, "entries": listed}, indent="\t").encode()
    offset = sum(map(len, streams))
    close(b"".join(_archived(Entry(path=_CONTENTS, mode=0o644, data=contents))) + _END)
    where = f"{offset:016x}STARGZ".encode()
    streams.append(_gzip(b"", b"SG" + struct.pack("<H", len(where)) + where))
    archive = b"".join(unpacked)
    return Layer(
        media_type=f"{_TAR}+gzip",
        data=b"".join(streams),
        diff_id=digest(archive),
        annotations={
            "containerd.io/snapshot/stargz/toc.digest": digest(contents),
            "io.containers.estargz.uncompressed-size": str(len(archive)),
        },
    )


def _listed(entry: Entry) -> dict[str, object]:
    """Return the item of *entry* in a table of contents, without where its bytes are."""
    item: dict[str, object] = {"name": entry.path, "type": "dir", "modtime": time_text()}
    if entry.link:
        item |= {"type": "symlink", "linkName": entry.link}
    elif entry.data is None:
        item["name"] = f"{entry.path}/"
    else:
        item |= {"type": "reg", "digest": digest(entry.data)}
        item |= {"size": len(entry.data)} if entry.data else {}
    return {**item, "mode": entry.mode}
