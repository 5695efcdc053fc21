"""Programs that a scenario or an option names: whether they can be started. Pure: reads files."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

#: Bytes in which the first line of a script ends.
_FIRST = 256

_ELF = b"\x7fELF"


def problem(path: str) -> tuple[str, str]:
    """Return why the file *path* cannot be started, and a hint; "" and "" if it can.

    Raises OSError if it cannot be read.
    """
    if not os.access(path, os.X_OK):
        return "is not an executable file", f"chmod +x {shlex.quote(path)}"
    with Path(path).open("rb") as file:
        first = file.read(_FIRST).partition(b"\n")[0]
    if first.startswith(_ELF):
        return "", ""
    if not first.startswith(b"#!"):
        why = "is neither a program nor a script that begins with #!"
        return why, "#!/bin/sh as its first line"
    if first.endswith(b"\r"):
        return "has CRLF line endings", f"sed -i 's/\\r$//' {shlex.quote(path)}"
    interpreter = next(iter(os.fsdecode(first[2:]).split()), "")
    if not os.access(interpreter, os.X_OK):
        why = f"begins with #!{interpreter}, which is not a program"
        return why, "#!/bin/sh as its first line"
    return "", ""
