"""The record of a campaign in its folder, from which ``status`` and ``resume`` read its state."""

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

#: File with the record.
FILE = "campaign.json"
#: Process ids are below this.
_PIDS = 2**31
_KEYS = {"kind": str, "command": str, "status": str, "reason": str, "pid": int}
#: Statuses of campaigns that `resume` can run again.
UNFINISHED = (CampaignStatus.INTERRUPTED, CampaignStatus.KILLED, CampaignStatus.FAILED)

#: Set by `resume` for the command that it runs: campaigns whose trials count as its own.
RESUMED = "BKBISECT_RESUMED"

#: Set by `resume` as well: the folder with the patches of the campaign that is resumed.
KEPT = "BKBISECT_KEPT"

#: The folder of a campaign's patches, in its folder; see `patch.given.keep`.
PATCHES = "patches"

#: File with the campaign's events, one JSON object per line; see `live`.
EVENTS = "events.jsonl"

#: Bytes at the end of that file that contain its last event.
_LAST = 2**16

#: Seconds without an event after which a campaign counts as dead if its process is not visible
#: from here: it ran in another container, or before a reboot.
_QUIET = 600.0


def resumed(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the ids of the campaigns that this command resumes; empty unless `resume` runs it."""
    return tuple(filter(None, env.get(RESUMED, "").split(",")))


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """The state of a campaign, read from its folder."""

    id: str
    folder: Path
    kind: str
    command: str
    status: str  # a `CampaignStatus`, unless another program wrote it
    reason: str
    pid: int
    owner: str = ""  # its process, see `owner`; "" in records of earlier versions
    resumed: tuple[str, ...] = ()  # ids of the campaigns that it resumes
    cwd: str = ""  # what relative paths in the command are relative to
    store_key: str = ""  # path of the key whose signature pulled builds had to have
    executor: str = ""  # address of the scheduler whose workers build and run trials

    @property
    def gone(self) -> bool | None:
        """Whether its process has ended; None if it is not visible from here."""
        return owner.gone(self.owner) if self.owner else not owner.is_ours(self.pid)

    def alive(self) -> bool:
        """Whether its process runs; if it is not visible from here, whether events are recent."""
        gone = self.gone
        return not self._is_quiet() if gone is None else not gone

    def _is_quiet(self) -> bool:
        files = [f for f in (self.folder / FILE, self.folder / EVENTS) if f.exists()]
        return time.time() - max((f.stat().st_mtime for f in files), default=0) > _QUIET


#: The folder of the campaign that this process has begun; empty before.
_begun: list[Path] = []


def begun() -> Path | None:
    """Return the folder of the campaign that this process has begun, if any."""
    return _begun[-1] if _begun else None


def begin(
    folder: Path,
    kind: str,
    command: str,
    resumed: Sequence[str] = (),
    *,
    store_key: str = "",
    executor: str = "",
) -> None:
    """Record that the campaign in *folder* has started."""
    _begun[:] = [folder]
    facts = {"kind": kind, "command": command, "status": CampaignStatus.RUNNING, "reason": ""}
    beside = {
        "resumed": list(resumed),
        "cwd": str(Path.cwd()),
        "store_key": store_key,
        "executor": executor,
    }
    _write(folder, {**facts, **beside})


def end(folder: Path, status: str, reason: str) -> None:
    """Record how the campaign ended; an earlier reason stays unless *reason* is given."""
    data = json.loads((folder / FILE).read_text())
    _write(folder, {**data, "status": status, "reason": reason or data["reason"]})


def _write(folder: Path, data: dict[str, object]) -> None:
    draft = folder / f".{FILE}"
    with draft.open("w") as file:
        json.dump({**data, "pid": os.getpid(), "owner": owner.me()}, file, indent=1)
        # Without fsync, a power failure may leave an empty file under the new name.
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / FILE)


def read(folder: Path) -> Record:
    """Return the record in *folder*. Raises `BadInput` if it is missing or damaged."""
    path = folder / FILE
    try:
        data = strictjson.loads(path.read_text())
    except OSError:
        raise BadInput(f"no campaign in {folder}", hint=inv("status")) from None
    except ValueError:
        data = None
    if not _is_valid(data):
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
        store_key=data.get("store_key", ""),
        executor=data.get("executor", ""),
    )
    if found.status == CampaignStatus.RUNNING and not found.alive():
        found = replace(found, status=CampaignStatus.KILLED)
    return found


def headline(folder: Path) -> str:
    """Return the headline of the campaign in *folder*; "" if it has not finished."""
    try:
        with (folder / EVENTS).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _LAST))
            *_, last = file.read().splitlines() or [b""]
        found = strictjson.loads(last.decode())
    except (OSError, ValueError):
        return ""
    text = found.get("finding") if isinstance(found, dict) else None
    return text if isinstance(text, str) else ""


def _is_valid(data: Any) -> bool:
    """Whether *data* has the types and values that `begin` and `end` write."""
    if not isinstance(data, dict) or {key: type(data.get(key)) for key in _KEYS} != _KEYS:
        return False
    resumed = data.get("resumed", [])
    others = [data.get(name, "") for name in ("cwd", "owner", "store_key", "executor")]
    if not isinstance(resumed, list) or not 0 <= data["pid"] < _PIDS:
        return False
    return all(_is_os_text(text) for text in (data["command"], *others, *resumed)) and not (
        strictjson.problem([data["kind"], data["status"], data["reason"]])
    )


def _is_os_text(text: Any) -> bool:
    """Whether *text* can be a path or an argument of a command."""
    try:
        return isinstance(text, str) and b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:  # a lone surrogate that does not encode an invalid byte
        return False


def campaigns(out: Path, warn: Callable[[str], None] = lambda _: None) -> list[Record]:
    """Return every campaign below *out*, oldest first; call *warn* for each damaged record.

    The status of an unfinished campaign that another one resumed is ``resumed``: `resume` takes
    the later one.
    """
    found = []
    for file in sorted(out.glob(f"*/{FILE}")):
        try:
            found.append(read(file.parent))
        except BadInput as error:
            warn(f"{error.message}; ignoring it")
    superseded = {each for one in found for each in one.resumed}
    return [
        replace(one, status=CampaignStatus.RESUMED)
        if one.id in superseded and one.status in UNFINISHED
        else one
        for one in found
    ]
