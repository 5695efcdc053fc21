"""Finds the campaign that a user means: by its ID or the beginning of one, or by a path."""

from __future__ import annotations

import os
import re
from pathlib import Path

from buildkit_bisect.campaign import record
from buildkit_bisect.errors import BadInput, printable_line
from buildkit_bisect.nearest import nearest
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Campaign

#: The name of the newest campaign.
LATEST = "latest"

#: Files of a campaign; a published one has only the last.
_FILES = (record.FILE, record.EVENTS, "result.json")

#: At most this many campaigns are named in a hint.
_SHOWN = 3

_ID = re.compile(r"\d{8}-\d{6}-")


def ids(out: Path) -> list[str]:
    """Return the names of all campaigns below *out*, oldest first."""
    try:
        found = [entry.name for entry in out.iterdir() if _is_campaign(entry)]
    except OSError:
        return []
    # IDs begin with the time; other names come from people.
    return sorted(found, key=lambda name: (bool(_ID.match(name)), name))


def find(name: str, out: Path) -> Path:
    """Return the folder of a campaign.

    *name* is its ID below *out*, the beginning of only one ID, its folder, a file in that folder
    such as ``result.json``, or ``latest`` or "" for the newest one. Raises `BadInput` if there is
    no such campaign, or more than one.
    """
    known = ids(out)
    if name in ("", LATEST):
        if not known:
            raise BadInput(
                f"no campaign in {printable_line(out)}",
                hint=f"{inv('matrix')}, or {words(Campaign, out='DIR')}",
            )
        return out / known[-1]
    if name in known:
        return out / name
    path = Path(name)
    if os.path.isfile(path):  # noqa: PTH113 - false, not an error, for a name that cannot exist
        path = path.parent
    if _is_campaign(path):
        return path
    begun = [one for one in known if one.startswith(name)]
    if len(begun) == 1:
        return out / begun[0]
    if begun:
        raise BadInput(
            f"{len(begun)} campaigns begin with {printable_line(name)}",
            hint=", or ".join(begun[-3:]),
        )
    if os.path.isdir(path):  # noqa: PTH112
        inside = [str(found) for found in _below(path)]
        raise BadInput(
            f"no campaign in {printable_line(path)}",
            hint=", or ".join([*map(printable_line, inside), inv("status")]),
        )
    beside = ids(path.parent) if path.parent.name else []
    there = out.parent / name  # a path within the checkout, from another directory
    near = (
        [str(there)]
        if _is_campaign(there)
        else nearest(name, known) or [str(path.parent / one) for one in nearest(path.name, beside)]
    )
    raise BadInput(
        f"no campaign {printable_line(name)} in {printable_line(out)}",
        hint=", or ".join([*map(printable_line, near), inv("status")]),
    )


def _below(folder: Path) -> list[Path]:
    """Return a few campaigns inside *folder*."""
    try:
        near = sorted(entry for entry in folder.iterdir() if entry.is_dir())
    except OSError:
        return []
    found = [entry for entry in near if _is_campaign(entry)]
    found += [entry / name for entry in near for name in ids(entry)]
    return found[-_SHOWN:]


def _is_campaign(folder: Path) -> bool:
    return any(os.path.isfile(folder / file) for file in _FILES)  # noqa: PTH113
