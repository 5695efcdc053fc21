"""What a campaign leaves beside its result while it works: for ``status`` and ``resume``."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from buildkit_bisect.errors import BadInput
from buildkit_bisect.options.command import inv
from buildkit_bisect.result import CampaignStatus
from buildkit_bisect.system import owner, strictjson

_FILE = "campaign.json"
#: Process ids are below it.
_PIDS = 2**31
_KEYS = {"kind": str, "command": str, "status": str, "reason": str, "pid": int}
#: What `resume` may go on with.
UNFINISHED = (CampaignStatus.INTERRUPTED, CampaignStatus.KILLED, CampaignStatus.FAILED)

#: Environment of a command that `resume` runs: the campaigns whose trials are its own.
RESUMED = "BKBISECT_RESUMED"

#: The campaign's events, a JSON line each; see `live`.
EVENTS = "events.jsonl"

#: Seconds without an event after which one that cannot be seen from here, in another container
#: or before a reboot, counts as dead.
_QUIET = 600.0


def resumed(env: Mapping[str, str]) -> tuple[str, ...]:
    """The campaigns that this command goes on with, where `resume` runs it."""
    return tuple(filter(None, env.get(RESUMED, "").split(",")))


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A campaign as its folder tells it."""

    id: str
    folder: Path
    kind: str
    command: str
    status: str  # a `CampaignStatus`, unless somebody else wrote it
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
    facts = {"kind": kind, "command": command, "status": CampaignStatus.RUNNING, "reason": ""}
    _write(folder, {**facts, "resumed": list(resumed), "cwd": str(Path.cwd())})


def end(folder: Path, status: str, reason: str) -> None:
    """Note how it ended; the first reason stays."""
    data = json.loads((folder / _FILE).read_text())
    _write(folder, {**data, "status": status, "reason": reason or data["reason"]})


def _write(folder: Path, data: dict[str, object]) -> None:
    draft = folder / f".{_FILE}"
    with draft.open("w") as file:
        json.dump({**data, "pid": os.getpid(), "owner": owner.me()}, file, indent=1)
        # Else a machine that loses power may have the new name and nothing in it.
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / _FILE)


def read(folder: Path) -> Record:
    """The record in *folder*. Raises `BadInput` where there is none, or it is damaged."""
    path = folder / _FILE
    try:
        data = strictjson.loads(path.read_text())
    except OSError:
        raise BadInput(f"no campaign in {folder}", hint=inv("status")) from None
    except ValueError:
        data = None
    if not _whole(data):
        raise BadInput(f"{path} is damaged", hint="run the campaign's command again")
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
    if found.status == CampaignStatus.RUNNING and not found.alive():
        found = replace(found, status=CampaignStatus.KILLED)
    return found


def _whole(data: Any) -> bool:
    """Whether *data* is what `begin` and `end` write, by its types and what they can hold."""
    if not isinstance(data, dict) or {key: type(data.get(key)) for key in _KEYS} != _KEYS:
        return False
    resumed, told = data.get("resumed", []), [data.get("cwd", ""), data.get("owner", "")]
    if not isinstance(resumed, list) or not 0 <= data["pid"] < _PIDS:
        return False
    return all(_passable(text) for text in (data["command"], *told, *resumed)) and not (
        strictjson.problem([data["kind"], data["status"], data["reason"]])
    )


def _passable(text: Any) -> bool:
    """Whether the system takes *text* as a path, or a word of a command line."""
    try:
        return isinstance(text, str) and b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:  # half of a character, and not for a byte that is none
        return False


def campaigns(out: Path, warn: Callable[[str], None] = lambda _: None) -> list[Record]:
    """Every campaign below *out*, oldest first; *warn* is told of those that are damaged.

    An unfinished one that another has gone on with is ``resumed``: that one is to be resumed now.
    """
    found = []
    for file in sorted(out.glob(f"*/{_FILE}")):
        try:
            found.append(read(file.parent))
        except BadInput as error:
            warn(f"{error.message}; it is left out")
    gone_on_with = {each for one in found for each in one.resumed}
    return [
        replace(one, status=CampaignStatus.RESUMED)
        if one.id in gone_on_with and one.status in UNFINISHED
        else one
        for one in found
    ]
