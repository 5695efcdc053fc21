"""The files of an entry: read from a folder and packed, unpacked into one."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

from buildkit_bisect.sharing import packing
from buildkit_bisect.sharing.entry import Entry, StoredFile
from buildkit_bisect.sharing.manifest import Blob, Layer
from buildkit_bisect.sharing.refused import Refused
from buildkit_bisect.sharing.remote import Remote

#: Files below this size are not worth a delta, in bytes.
_SMALL = 1 << 16


def get(remote: Remote, file: StoredFile, layer: Layer, into: Path, base: Path | None) -> None:
    """Write *file* to the folder *into*; *base* is the folder that a delta is against.

    Raises `Refused` if it does not verify, `Unavailable`, and `OSError` if it cannot be written.
    """
    old = None
    if layer.delta:
        if base is None or not (base / file.name).is_file():
            raise Refused(f"the base has no {file.name}")
        old = (base / file.name).read_bytes()
    target = into / file.name
    with target.open("xb") as out:
        chunks = remote.blob(layer.blob)
        for part in packing.unpack(chunks, size=file.size, sha256=file.sha256, base=old):
            out.write(part)
        _drained(chunks)
    target.chmod(0o755 if file.executable else 0o644)


def _drained(chunks: Iterator[bytes]) -> None:
    for _ in chunks:  # its end is where the digest of the packed bytes is compared
        raise Refused("a file has bytes after its end")


def pack(
    file: StoredFile, folder: Path, base: Path | None, *, anew: bool = False
) -> tuple[Layer, bytes]:
    """Return *file* of *folder*, packed; with the folder *base* as a delta, where that may pay.

    *anew* packs it to other bytes each time: a registry keeps what it has of a digest, damaged too.

    Raises `Refused` if the file was changed since it was described, and `OSError`.
    """
    data = (folder / file.name).read_bytes()
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise Refused(f"{file.name} was changed meanwhile")
    # Only programs: the log of a build with the same key may be another one.
    old = base / file.name if base and file.executable and file.size >= _SMALL else None
    delta = old is not None and old.is_file()
    cut = secrets.randbelow(len(data)) + 1 if anew and data else 0
    packed = packing.pack(data, old.read_bytes() if old and delta else None, cut=cut)
    return Layer(name=file.name, blob=blob(packed), delta=delta), packed


def same(entry: Entry, folder: Path, names: Iterable[str]) -> bool:
    """Whether the files *names* in *folder* are those of *entry*."""
    stated = {file.name: file.sha256 for file in entry.files}
    return all(stated.get(name) == _sha256(folder / name) for name in names)


def described(path: Path) -> StoredFile:
    """Return what an entry says of the file *path*. Raises `OSError`."""
    digest = _sha256(path)
    status = path.stat()
    return StoredFile(
        name=path.name,
        size=status.st_size,
        sha256=digest,
        executable=bool(status.st_mode & 0o100),
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def blob(data: bytes) -> Blob:
    """Return how a manifest names *data*."""
    return Blob(digest=f"sha256:{hashlib.sha256(data).hexdigest()}", size=len(data))
