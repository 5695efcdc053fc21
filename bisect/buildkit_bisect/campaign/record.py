"""What a campaign leaves beside its result while it works: for ``status`` and ``resume``."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect.errors import BadInput
from buildkit_bisect.events import BuildProgress, Event, Finished, Said, StepDone, TrialDone

_FILE = "campaign.json"
_LOG = "events.log"


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
    last: str  # the last line of its log


def begin(folder: Path, kind: str, command: str) -> None:
    """Note that the campaign in *folder* has begun."""
    _write(folder, {"kind": kind, "command": command, "status": "running", "reason": ""})


def end(folder: Path, status: str, reason: str) -> None:
    """Note how it ended; the first reason stays."""
    data = json.loads((folder / _FILE).read_text())
    _write(folder, {**data, "status": status, "reason": reason or data["reason"]})


def _write(folder: Path, data: dict[str, str]) -> None:
    draft = folder / f".{_FILE}"
    draft.write_text(json.dumps({**data, "pid": os.getpid()}, indent=1))
    draft.replace(folder / _FILE)


def read(folder: Path) -> Record:
    """The record in *folder*. Raises `BadInput` where there is none."""
    try:
        data = json.loads((folder / _FILE).read_text())
    except (OSError, ValueError):
        raise BadInput(f"no campaign in {folder}", hint="./inv status") from None
    log = folder / _LOG
    lines = log.read_text().splitlines() if log.is_file() else []
    status = data["status"]
    if status == "running" and not Path(f"/proc/{data['pid']}").exists():
        status = "killed"
    return Record(
        id=folder.name,
        folder=folder,
        kind=data["kind"],
        command=data["command"],
        status=status,
        reason=data["reason"],
        pid=data["pid"],
        last=lines[-1] if lines else "",
    )


def campaigns(out: Path) -> list[Record]:
    """Every campaign below *out*, oldest first."""
    return [read(p.parent) for p in sorted(out.glob(f"*/{_FILE}"))]


class Recorder:
    """Receives a campaign's events and keeps a line of each that matters."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _LOG

    def emit(self, event: Event, /) -> None:
        """Append the event's line."""
        if isinstance(event, BuildProgress | Finished):
            return
        match event:
            case Said():
                text = event.text
            case TrialDone():
                axes = " ".join(v for _, v in event.column.axes)
                text = f"{event.row}: {event.column.scenario} {axes}: {event.outcome}"
            case StepDone():
                text = f"step {event.number}: {event.row}: {event.shown}"
            case _:
                row = getattr(event, "row", "")
                text = f"{type(event).__name__} {row}".strip()
        stamp = time.strftime("%H:%M:%S")
        with self._path.open("a") as log:
            log.write(f"{stamp} {' '.join(text.split())}\n")
