"""What a worker says of itself when it registers, and what this machine says of itself."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import platform
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from buildkit_bisect import __version__
from buildkit_bisect.lab import machine_kind
from buildkit_bisect.lab.machine_kind import MachineKind
from buildkit_bisect.system import machine, typed

#: Under which name a worker's registration has its facts.
NAME = "bkbisect"


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """A machine as a scheduler's clients see it."""

    name: str
    tool: str  # version, and a digest of the code: another checkout may do other things
    python: str  # "3.11": what one pickles, another may not read
    dask: str  # version of distributed
    arch: str
    root: bool
    kind: MachineKind
    host: dict[str, str]  # `machine.facts`
    shares: bool = False  # whether others find in a store what it compiles

    def plain(self) -> dict[str, Any]:
        """Return a form that every version of the tool can carry."""
        return asdict(self)


def read(plain: object) -> Facts | None:
    """Return the reverse of `Facts.plain`; None for anything else."""
    if not isinstance(plain, dict):
        return None
    made, _ = typed.structure(plain, Facts)
    return made


def here(name: str = "", *, shares: bool = False) -> Facts:
    """Return the facts of this machine. Raises `Missing` without busybox or without Dask."""
    return Facts(
        name=name or socket.gethostname(),
        tool=tool(),
        python=".".join(platform.python_version_tuple()[:2]),
        dask=importlib.metadata.version("distributed"),
        arch=platform.machine(),
        root=os.geteuid() == 0,
        kind=machine_kind.here(),
        host=machine.facts(),
        shares=shares,
    )


@functools.cache
def tool() -> str:
    """Return the version of this tool with a digest of its code."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.suffix in (".py", ".txt")):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return f"{__version__} ({digest.hexdigest()[:12]})"
