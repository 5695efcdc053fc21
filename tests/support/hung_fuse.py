"""A file system that accepts every request and never responds; a thread of ours waits forever.

Run as ``hung_fuse.py MOUNTPOINT READY``: the file READY is created once the thread waits. Until the
connection is aborted, no signal ends such a thread.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import threading
from pathlib import Path


def main(point: Path, ready: Path) -> None:
    point.mkdir(parents=True, exist_ok=True)
    fd = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"hung", bytes(point), b"fuse.hung", 0, options):
        raise OSError(ctypes.get_errno(), "mount")
    # struct fuse_in_header: length, opcode, unique; the first request is FUSE_INIT.
    unique = struct.unpack_from("<IIQ", os.read(fd, 1 << 20))[2]
    reply = struct.pack("<IIIIHHIIHH7I", 7, 31, 65536, 0, 12, 9, 65536, 1, 1, 0, *[0] * 7)
    os.write(fd, struct.pack("<IiQ", 16 + len(reply), 0, unique) + reply)
    threading.Thread(target=(point / "x").stat, daemon=True).start()
    os.read(fd, 1 << 20)  # the thread's lookup; from now on it cannot be killed
    ready.touch()
    while True:
        os.read(fd, 1 << 20)


main(*map(Path, sys.argv[1:3]))
