"""A root file system for buildkitd from this machine's own packages; needs no network.

runc, fusermount3, fuse-overlayfs and git with their shared libraries, busybox, CA certificates:
what build steps, git sources and the stargz and fuse-overlayfs snapshotters call.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from buildkit_bisect.errors import Missing
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Building
from buildkit_bisect.system import process

#: Increment when the layout changes.
FORMAT = 1

#: Program -> path in the image; only the optional ones may be missing.
PROGRAMS = {
    "runc": "usr/bin/runc",
    "fusermount3": "usr/bin/fusermount3",
    "busybox": "bin/busybox",
}
OPTIONAL = {
    "fuse-overlayfs": "usr/bin/fuse-overlayfs",
    "mount.fuse3": "usr/sbin/mount.fuse3",  # containerd mounts fuse-overlayfs with it
    "git": "usr/bin/git",  # without it, buildkitd has no git sources
}

#: What git runs to fetch over HTTP and for submodules, in a folder that is compiled into it.
_GIT_HELPERS = (
    *("git-remote-http", "git-remote-https"),
    *("git-submodule", "git-sh-setup", "git-sh-i18n", "git-sh-i18n--envsubst"),
)

#: What busybox is called as: git's scripts use those of the second line.
_APPLETS = (
    *("sh", "cat", "ls", "mount", "umount", "sleep", "ps"),
    *("basename", "dirname", "expr", "sed", "uname"),
)

_LINKS = {
    "usr/bin/fusermount": "fusermount3",
    **{f"bin/{name}": "busybox" for name in _APPLETS},
}
_FOLDERS = {
    **dict.fromkeys(("dev", "etc/buildkit", "proc", "root", "run", "sys", "var/lib"), 0o755),
    "tmp": 0o1777,
}
_TEXTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "etc/group": "root:x:0:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

_LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x")


@dataclass(frozen=True, kw_only=True, slots=True)
class RootFs:
    """The contents of the tar: path inside -> file of this machine."""

    files: dict[str, Path] = field(default_factory=dict)
    key: str = ""  # digest of all contents

    def write(self, to: IO[bytes]) -> None:
        """Write the tar; the output is reproducible."""
        with tarfile.open(fileobj=to, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, mode in sorted(_FOLDERS.items()):
                tar.addfile(_entry(name, tarfile.DIRTYPE, mode))
            for name, source in sorted(self.files.items()):
                entry = _entry(name, tarfile.REGTYPE, 0o755)
                entry.size = source.stat().st_size
                with source.open("rb") as file:
                    tar.addfile(entry, file)
            for name, target in sorted(_LINKS.items()):
                entry = _entry(name, tarfile.SYMTYPE, 0o777)
                entry.linkname = target
                tar.addfile(entry)
            for name, text in sorted(_TEXTS.items()):
                entry = _entry(name, tarfile.REGTYPE, 0o644)
                entry.size = len(text)
                tar.addfile(entry, io.BytesIO(text.encode()))


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, mode
    return entry


def assemble() -> RootFs:
    """Find the programs and their libraries. Raises `Missing` if a program is not installed."""
    files: dict[str, Path] = {}
    for program, place in (PROGRAMS | OPTIONAL).items():
        path = shutil.which(program)
        if path is None:
            if program in OPTIONAL:
                continue
            raise Missing(
                f"{program} is not installed; the base image needs it",
                hint=f"{inv('doctor')}, or {words(Building, base_image='IMAGE')}",
            )
        files |= _with_libraries(path, place)
    if OPTIONAL["git"] in files:
        for path in _git_helpers():
            files |= _with_libraries(path, path.lstrip("/"))
    if _CERTIFICATES.is_file():
        files["etc/ssl/certs/ca-certificates.crt"] = _CERTIFICATES
    return RootFs(files=files, key=_key(files.items()))


def _with_libraries(path: str, place: str) -> dict[str, Path]:
    """Return a program for *place* in the image, and the shared libraries that it needs."""
    needed = libraries(process.run(["ldd", path], timeout=30, check=False).stdout)
    found = {library.lstrip("/"): Path(library).resolve() for library in needed}
    return {place: Path(path).resolve(), **found}


def _git_helpers() -> list[str]:
    folder = process.run(["git", "--exec-path"], timeout=30, check=False).stdout.strip()
    paths = [f"{folder}/{name}" for name in _GIT_HELPERS]
    return [path for path in paths if Path(path).is_file()]


def libraries(output: str) -> list[str]:
    """The files in the output of ``ldd``; none for a static program."""
    return [m[1] for line in output.splitlines() if (m := _LIBRARY.search(line.strip()))]


def _key(files: Iterable[tuple[str, Path]]) -> str:
    sha = hashlib.sha256(
        json.dumps([FORMAT, sorted(_LINKS.items()), sorted(_FOLDERS), _TEXTS]).encode()
    )
    for name, path in sorted(files):
        with path.open("rb") as file:
            sha.update(f"{name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return sha.hexdigest()
