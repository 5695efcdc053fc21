"""What a campaign leaves beside its result while it works: for ``status`` and ``resume``."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from buildkit_bisect import owner
from buildkit_bisect.errors import BadInput

_FILE = "campaign.json"
_KEYS = {"kind": str, "command": str, "status": str, "reason": str, "pid": int}
#: The campaign's events, a JSON line each; see `live`.
EVENTS = "events.jsonl"

#: Seconds without an event after which one that cannot be seen from here, in another container
#: or before a reboot, counts as dead.
_QUIET = 600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A campaign as its folder tells it."""

    id: str
    folder: Path
    kind: str
    command: str
    status: str  # running, done, interrupted, failed, killed
    reason: str
    pid: int
    owner: str = ""  # its process, see `owner`; "" in a record of before
    resumed: tuple[str, ...] = ()  # the campaigns that it goes on with
    cwd: str = ""  # what relative paths in the command are relative to

    @property
    def gone(self) -> bool | None:
        """Whether its process has ended; None where it cannot be seen from here."""
        return owner.gone(self.owner) if self.owner else not owner.is_ours(self.pid)

    def alive(self) -> bool:
        """Whether its process still works, as far as it can be seen from here."""
        gone = self.gone
        return not self._is_quiet() if gone is None else not gone

    def _is_quiet(self) -> bool:
        files = [f for f in (self.folder / _FILE, self.folder / EVENTS) if f.exists()]
        return time.time() - max((f.stat().st_mtime for f in files), default=0) > _QUIET


def begin(folder: Path, kind: str, command: str, resumed: Sequence[str] = ()) -> None:
    """Note that the campaign in *folder* has begun."""
    facts = {"kind": kind, "command": command, "status": "running", "reason": ""}
    _write(folder, {**facts, "resumed": list(resumed), "cwd": str(Path.cwd())})


def end(folder: Path, status: str, reason: str) -> None:
    """Note how it ended; the first reason stays."""
    data = json.loads((folder / _FILE).read_text())
    _write(folder, {**data, "status": status, "reason": reason or data["reason"]})


def _write(folder: Path, data: dict[str, object]) -> None:
    draft = folder / f".{_FILE}"
    draft.write_text(json.dumps({**data, "pid": os.getpid(), "owner": owner.me()}, indent=1))
    draft.replace(folder / _FILE)


def read(folder: Path) -> Record:
    """The record in *folder*. Raises `BadInput` where there is none."""
    try:
        data = json.loads((folder / _FILE).read_text())
        kinds = {key: type(data[key]) for key in _KEYS}
    except (OSError, ValueError, LookupError, TypeError):
        kinds = {}
    if kinds != _KEYS:
        raise BadInput(f"no campaign in {folder}", hint="./inv status")
    found = Record(
        id=folder.name,
        folder=folder,
        kind=data["kind"],
        command=data["command"],
        status=data["status"],
        reason=data["reason"],
        pid=data["pid"],
        owner=str(data.get("owner", "")),
        resumed=tuple(data.get("resumed", ())),
        cwd=data.get("cwd", ""),
    )
    if found.status == "running" and not found.alive():
        found = replace(found, status="killed")
    return found


def campaigns(out: Path) -> list[Record]:
    """Every campaign below *out*, oldest first."""
    return [read(p.parent) for p in sorted(out.glob(f"*/{_FILE}"))]
