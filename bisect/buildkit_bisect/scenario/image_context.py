"""The build context of base images: ``busybox``, and the rest of a small root file system. Pure.

`lab.image_files` puts it on this machine, and the script of `reproduction` makes it too.
"""

from __future__ import annotations

from collections.abc import Iterator

#: The names in it that Dockerfiles copy from: a file, and a folder.
BUSYBOX, ROOTFS = "busybox", "rootfs"

#: What each link in ``/bin`` of `ROOTFS` points to.
TARGET = "/bin/busybox"

#: The folders of `ROOTFS`, parents first, with their permissions.
FOLDERS = {
    "bin": 0o755,
    "etc": 0o755,
    "home": 0o755,
    "opt": 0o755,
    "root": 0o700,
    "tmp": 0o1777,
    "usr": 0o755,
    "usr/bin": 0o755,
    "usr/local": 0o755,
    "usr/local/bin": 0o755,
    "var": 0o755,
}

#: The permissions of folders with umask 022.
_USUAL = 0o755

#: Its files, which anyone may read.
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
}


def commands(folder: str, *, rootfs: bool) -> Iterator[str]:
    """Yield bash commands that make the context in *folder*, with `ROOTFS` if asked for."""
    yield f'mkdir {folder} && cp "$(command -v busybox)" {folder}/{BUSYBOX}'
    if not rootfs:
        return
    top = f"{folder}/{ROOTFS}"
    yield f"mkdir -p {top}/{{{','.join(FOLDERS)}}}"
    for path, mode in FOLDERS.items():
        if mode != _USUAL:
            yield f"chmod {mode:o} {top}/{path}"
    for path, text in FILES.items():
        # A report takes /root for somebody's home, and would write another name.
        lines = " ".join(f"'{line}'" for line in text.replace("/root", "/''root").splitlines())
        yield f"printf '%s\\n' {lines} > {top}/{path}"
    yield (
        "for name in $(busybox --list); do"
        f' [ "$name" = {BUSYBOX} ] || ln -s {TARGET} "{top}/bin/$name"; done'
    )
