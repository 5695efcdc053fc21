"""The bytes that steps give to files, and the initial build context. Pure: reads files.

All of it is the same in every trial: no time of the clock, no name of a user.
"""

from __future__ import annotations

import base64
import gzip
import io
import stat
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect.scenario.definition import Scenario, Step, TarEntry

#: The modification time of what has no `mtime`, in the initial context and in archives: 2020.
MTIME = 1_577_836_800

#: Permissions of what has no `mode`.
FILE_MODE, EXECUTABLE, FOLDER_MODE = 0o644, 0o755, 0o755

#: Limits of an initial context: every trial copies it, and every report has it in its script.
MOST_FILES = 500
MOST_BYTES = 1_000_000

#: Names of archives that are compressed.
_GZIPPED = (".gz", ".tgz")


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A file, a symbolic link or a folder of the initial context."""

    path: str  # relative
    source: Path | None = None  # of a file
    symlink: str = ""  # the target of a link; a folder has neither
    mode: int = FOLDER_MODE


def tree(folder: Path, above: str = "") -> Iterator[Entry]:
    """Yield what is below *folder*, parents first, sorted by name.

    Permissions are those that git keeps: executable or not. Raises OSError, and ValueError for
    what is neither a file, a folder nor a symbolic link, and for names that cannot be printed.
    """
    for path in sorted(folder.iterdir()):
        name = f"{above}{path.name}"
        kind = path.lstat().st_mode
        link = str(path.readlink()) if stat.S_ISLNK(kind) else ""
        if not (name + link).isprintable():
            raise ValueError(f"{name!a} has characters that cannot be printed")
        if link:
            yield Entry(path=name, symlink=link)
        elif stat.S_ISREG(kind):
            mode = EXECUTABLE if kind & stat.S_IXUSR else FILE_MODE
            yield Entry(path=name, source=path, mode=mode)
        elif stat.S_ISDIR(kind):
            yield Entry(path=name)
            yield from tree(path, f"{name}/")
        else:
            raise ValueError(f"{name} is neither a file, a folder nor a symbolic link")


def identity(scenario: Scenario) -> Iterator[bytes]:
    """Yield what identifies the initial context and the files that steps use."""
    if scenario.context.folder:
        for entry in tree(scenario.folder(scenario.context.folder)):
            data = entry.source.read_bytes() if entry.source else b""
            yield f"{entry.path}\0{entry.symlink}\0{entry.mode:o}\0{len(data)}\0".encode()
            yield data
    for name in sorted({step.file for step in scenario.steps} - {""}):
        yield name.encode() + b"\0" + scenario.file(name).read_bytes() + b"\0"


def mode_of(given: str, usual: int) -> int:
    """Return *given* octal digits as permissions, or the *usual* ones if there are none."""
    return int(given, 8) if given else usual


def data(step: Step, scenario: Scenario, text: Callable[[str], str]) -> bytes:
    """Return the bytes of the file that *step* makes; *text* fills in placeholders."""
    if step.tar:
        return archive(step.tar, text, zipped=step.path.endswith(_GZIPPED))
    if step.file:
        return scenario.file(step.file).read_bytes()
    if step.base64:
        return decoded(step.base64)
    return text(step.content).encode()


def etag(given: str) -> str:
    """Return an ETag header: *given* in quotes, unless it has its own; "" for none."""
    return given if not given or given.endswith('"') else f'"{given}"'


def decoded(text: str) -> bytes:
    """Return what base64 *text* stands for; line breaks and spaces do not count.

    Raises ValueError.
    """
    return base64.b64decode("".join(text.split()), validate=True)


def archive(entries: Sequence[TarEntry], text: Callable[[str], str], *, zipped: bool) -> bytes:
    """Return a tar archive with *entries* in their order, compressed with gzip if *zipped*."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in entries:
            info = tarfile.TarInfo(entry.path.rstrip("/"))
            info.mtime = MTIME if entry.mtime is None else entry.mtime
            content = b""
            if entry.symlink:
                info.type, info.linkname, usual = tarfile.SYMTYPE, text(entry.symlink), 0o777
            elif entry.path.endswith("/"):
                info.type, usual = tarfile.DIRTYPE, FOLDER_MODE
            else:
                content = decoded(entry.base64) if entry.base64 else text(entry.content).encode()
                info.size, usual = len(content), FILE_MODE
            info.mode = mode_of(entry.mode, usual)
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(made.getvalue(), mtime=0) if zipped else made.getvalue()
