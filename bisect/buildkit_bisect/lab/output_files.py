"""Reads the files of an output: a directory, a tar archive, or the layers of an image."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Protocol, Self, cast

from buildkit_bisect.lab import opened
from buildkit_bisect.model import FileFacts
from buildkit_bisect.scenario.kept_text import FILE_LIMIT

#: Files, directories and links of one output that a trial keeps.
MOST_FILES = 2000

#: Bytes of one file whose text is kept, and of all texts of one output.
TEXT_LIMIT, MOST_TEXT = FILE_LIMIT, 256 * 1024

#: Bytes of one output that are read, decompressed.
MOST_BYTES = 256 * 2**20

_CHUNK = 2**16

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"

#: How a layer says that lower layers' files are not in the image (OCI image-spec, layer.md).
_GONE, _OPAQUE = ".wh.", ".wh..wh..opq"

#: What eStargz adds to a layer; snapshotters do not show it.
_ESTARGZ = (".no.prefetch.landmark", ".prefetch.landmark", "stargz.index.json")


class TooMuch(Exception):
    """An output is larger than what is kept of one."""


class Blobs(Protocol):
    """Opens the blobs of an image."""

    def blob(self, digest: str) -> IO[bytes]:
        """Open the blob *digest*."""
        ...


@dataclass(kw_only=True, slots=True)
class Found:
    """The files of an output that were read so far."""

    files: dict[str, FileFacts] = field(default_factory=dict)
    depths: dict[str, int] = field(default_factory=dict)  # path -> layer, 0 is the uppermost
    depth: int = 0  # of the layer that is read
    left_out: str = ""  # why they are not all
    read: int = 0  # bytes

    def add(self, file: FileFacts) -> None:
        """Add a file. Raises `TooMuch`."""
        if len(self.files) >= MOST_FILES and file.path not in self.files:
            raise TooMuch(f"it has more than {MOST_FILES} files")
        self.files[file.path] = file
        self.depths[file.path] = self.depth

    def count(self, number: int) -> None:
        """Count bytes that are read. Raises `TooMuch`."""
        self.read += number
        if self.read > MOST_BYTES:
            raise TooMuch(f"it has more than {MOST_BYTES // 2**20} MiB")

    def kept(self) -> tuple[FileFacts, ...]:
        """Return the files by path; texts are kept of the upper layers first, small ones first."""
        left = MOST_TEXT
        kept = dict(self.files)
        for path in sorted(kept, key=lambda path: (self.depths[path], kept[path].size, path)):
            file = kept[path]
            if file.kind == "file" and file.text is not None:
                size = len(file.text.encode())
                if size > left:
                    kept[path] = replace(file, text=None)
                else:
                    left -= size
        return tuple(kept[path] for path in sorted(kept))


def of_folder(folder: Path, found: Found) -> None:
    """Add the files below *folder* to *found*; links are not followed. Raises `TooMuch`."""
    with opened.directory(folder) as top:
        for directory, names, files, here in os.fwalk(".", dir_fd=top, onerror=_raise):
            names.sort()
            for name in sorted([*names, *files]):
                path = os.path.normpath(Path(directory, name))
                found.add(_on_disk(here, name, path, found))


def _raise(error: OSError) -> None:
    raise error


def _on_disk(here: int, name: str, path: str, found: Found) -> FileFacts:
    """Return the file *name* of the folder with the descriptor *here*, as *path*."""
    status = os.stat(name, dir_fd=here, follow_symlinks=False)
    shown = FileFacts(
        path=path, kind="other", mode=stat.S_IMODE(status.st_mode), mtime=int(status.st_mtime)
    )
    if stat.S_ISDIR(status.st_mode):
        return replace(shown, kind="directory")
    if stat.S_ISLNK(status.st_mode):
        return _link(shown, os.readlink(name, dir_fd=here))
    if not stat.S_ISREG(status.st_mode):
        return shown
    with opened.at(here, name) as file:
        return _content(shown, file, found, counted=False)


def _link(file: FileFacts, target: str) -> FileFacts:
    plain = target.encode(errors="replace").decode()
    return replace(file, kind="link", text=plain, size=len(plain.encode()))


def _content(file: FileFacts, data: IO[bytes], found: Found, *, counted: bool) -> FileFacts:
    """Return *file* with the digest and text of what *data* has."""
    digest, start, size = hashlib.sha256(), b"", 0
    while chunk := data.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
        if len(start) < TEXT_LIMIT:
            start += chunk[: TEXT_LIMIT - len(start)]
        if not counted:
            found.count(len(chunk))
    text = _text(start, whole=size == len(start))
    return replace(file, kind="file", size=size, sha256=digest.hexdigest(), text=text)


def _text(start: bytes, *, whole: bool) -> str | None:
    if b"\0" in start:
        return None
    try:
        return start.decode()
    except UnicodeDecodeError as error:
        # The limit may cut a character of up to four bytes.
        cut = not whole and error.start > len(start) - 4
        return start[: error.start].decode() if cut else None


def of_tar(file: IO[bytes], found: Found) -> None:
    """Add the files of a tar archive to *found*. Raises `TooMuch`, `tarfile.TarError`."""
    for entry in _entries(file, found):
        found.add(entry)


def of_layers(blobs: Blobs, descriptors: Sequence[Mapping[str, Any]], found: Found) -> None:
    """Add the files of an image whose layers are *descriptors*, lowest first, to *found*.

    The uppermost layer is read first: what is left out then changes nothing of what was read.
    Raises `TooMuch`, and whatever the blobs raise.

    A directory that an upper layer only has files below may have no entry there. If a lower layer
    has something else at its path, where these files are depends on who unpacks the image: that is
    reported as left out.
    """
    gone: set[str] = set()  # deleted by an upper layer
    covered: set[str] = set()  # what lower layers have below these is not in the image
    above: set[str] = set()  # directories in which upper layers have something
    for descriptor in reversed(descriptors):
        below: set[str] = set()
        deleted: set[str] = set()
        with blobs.blob(descriptor["digest"]) as layer:
            for entry in _entries(layer, found):
                folder, _, name = entry.path.rpartition("/")
                if name == _OPAQUE:
                    below.add(folder)
                elif name.startswith(_GONE):
                    deleted.add(f"{folder}/{name[len(_GONE) :]}".lstrip("/"))
                elif name not in _ESTARGZ:
                    if entry.kind != "directory":
                        below.add(entry.path)  # also if it is hidden itself
                    if _hidden(entry.path, found, gone, covered):
                        continue
                    if entry.kind != "directory" and entry.path in above:
                        found.left_out = (
                            f"a layer has files below {entry.path}, which is no directory in a"
                            " lower one"
                        )
                    found.add(entry)
        gone |= deleted
        covered |= below | deleted
        above |= {str(parent) for path in found.files for parent in Path(path).parents}
        found.depth += 1


def _hidden(path: str, found: Found, gone: set[str], covered: set[str]) -> bool:
    """Return whether an upper layer replaced or deleted *path*; a layer's last entry counts."""
    if found.depths.get(path, found.depth) < found.depth or path in gone or "" in covered:
        return True
    return any(str(parent) in covered for parent in Path(path).parents)


def _entries(file: IO[bytes], found: Found) -> Iterator[FileFacts]:
    """Yield the entries of a tar archive, plain or gzip; hard links are files.

    Raises `tarfile.ReadError` if it does not end as archives do.
    """
    here: dict[str, FileFacts] = {}
    counted = cast(IO[bytes], _Counted(_plain(file), found))
    with tarfile.open(fileobj=counted, mode="r|", tarinfo=_Header) as archive:
        for member in archive:
            path = "/".join(part for part in member.name.split("/") if part not in ("", "."))
            if path:
                here[path] = _entry(archive, member, path, here, found)
                yield here[path]


def _entry(
    archive: tarfile.TarFile,
    member: tarfile.TarInfo,
    path: str,
    here: Mapping[str, FileFacts],
    found: Found,
) -> FileFacts:
    shown = FileFacts(path=path, kind="other", mode=member.mode & 0o7777, mtime=int(member.mtime))
    if member.isdir():
        return replace(shown, kind="directory")
    if member.issym():
        return _link(shown, member.linkname)
    if member.islnk():
        target = "/".join(part for part in member.linkname.split("/") if part not in ("", "."))
        # The target may be in a lower layer: then its content is not known, but it is a file.
        return replace(here[target], path=path) if target in here else replace(shown, kind="file")
    data = archive.extractfile(member) if member.isreg() else None
    return _content(shown, data, found, counted=True) if data else shown


class _Header(tarfile.TarInfo):
    """A header of an archive; `tarfile` takes one that is damaged or cut for the end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        if len(buf) != tarfile.BLOCKSIZE:
            raise tarfile.ReadError("the archive is cut short")
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if any(buf):
                raise tarfile.ReadError(str(error)) from error
            raise  # a block of zeros is the end


def _plain(file: IO[bytes]) -> IO[bytes]:
    """Return *file* decompressed. Raises `TooMuch` for zstd."""
    start = file.read(len(_ZSTD))
    if start == _ZSTD:
        raise TooMuch("a layer is zstd, which is not read")
    whole = cast(IO[bytes], _Again(start, file))
    return cast(IO[bytes], gzip.GzipFile(fileobj=whole)) if start.startswith(_GZIP) else whole


class _Again:
    """A stream whose *start* was read already."""

    def __init__(self, start: bytes, rest: IO[bytes]) -> None:
        self._start, self._rest = start, rest

    def read(self, size: int = -1) -> bytes:
        if not self._start:
            return self._rest.read(size)
        given, self._start = self._start, b""
        if size < 0:
            return given + self._rest.read()
        self._start = given[size:]
        return given[:size]


class _Counted:
    """A stream that counts what is read of it."""

    def __init__(self, stream: IO[bytes], found: Found) -> None:
        self._stream, self._found = stream, found

    def read(self, size: int = -1) -> bytes:
        chunk = self._stream.read(size)
        self._found.count(len(chunk))
        return chunk
