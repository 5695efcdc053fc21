"""``report``, ``status``, ``resume``: campaigns that have a folder already."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from buildkit_bisect import paths, reports, result, settings
from buildkit_bisect.campaign import record
from buildkit_bisect.commands.guard import DONE
from buildkit_bisect.errors import BadInput
from buildkit_bisect.live import follow
from buildkit_bisect.settings import Raw


def report(raw: Mapping[str, Raw]) -> int:
    """Render a result again, from its document alone."""
    folder = _folder(raw)
    done = result.read(folder)
    for path in reports.write(done, folder):
        print(path)
    return DONE


def status(raw: Mapping[str, Raw]) -> int:
    """Every campaign in a line; with an id, one as its own terminal shows it."""
    if settings.option("id", raw.get("id", "")):
        events = _folder(raw) / record.EVENTS
        if not events.is_file():
            raise BadInput(f"no campaign in {events.parent}", hint="./inv status")
        follow(events, sys.stdout, watch=settings.flag("watch", raw.get("watch", False)))
        return DONE
    found = record.campaigns(_out(raw))
    for one in found:
        why = f": {one.reason}" if one.reason else ""
        print(f"{one.id}  {one.status}{why}\n    {one.command}")
    if not found:
        print(f"no campaigns in {_out(raw)}")
    return DONE


def resume(raw: Mapping[str, Raw]) -> int:
    """Run an unfinished campaign's command again; builds and trials it paid for are reused."""
    if settings.option("id", raw.get("id", "")):
        found = record.read(_folder(raw))
    else:
        unfinished = [
            r
            for r in record.campaigns(_out(raw))
            if r.status in ("interrupted", "killed", "failed")
        ]
        if not unfinished:
            raise BadInput(f"no unfinished campaign in {_out(raw)}", hint="./inv status")
        found = unfinished[-1]
    if found.status == "running":
        raise BadInput(f"{found.id} is running, as process {found.pid}", hint="./inv status")
    words = shlex.split(found.command)
    print(f"resuming {found.id}: {found.command}", file=sys.stderr, flush=True)
    argv = [sys.executable, "-m", "buildkit_bisect", "--search-root", str(paths.PROJECT)]
    os.execv(sys.executable, [*argv, *words[1:], "--out", str(found.folder.parent)])


def _out(raw: Mapping[str, Raw]) -> Path:
    return settings.read("status", {"out": raw.get("out", "")}).out


def _folder(raw: Mapping[str, Raw]) -> Path:
    name = settings.option("id", raw.get("id", ""))
    if not name:
        raise BadInput("which campaign?", hint="./inv status")
    direct = Path(name)
    below = _out(raw) / name
    return direct if direct.is_dir() and "/" in name else below
