"""Explains a file that this user may not use: whose it is, and what to do instead."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from pathlib import Path

from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.option import options_of
from buildkit_bisect.options.requests import Campaign, Report, Request
from buildkit_bisect.system import checkout, paths


def explained(path: str, kind: type[Request]) -> tuple[str, str] | None:
    """Return what is wrong with *path*, to which the system denied access, and what to try.

    None if it does not belong to another user; root may use everybody's files.
    """
    me, owner = os.geteuid(), _owner(Path(path))
    if me in (0, owner):
        return None
    return f"{_name(me)} cannot use {path}, which belongs to {_name(owner)}", _instead(path, kind)


def _instead(path: str, kind: type[Request]) -> str:
    if Path(path).is_relative_to(paths.cache_place()):
        return "BKBISECT_CACHE_DIR=DIR of your own"
    if kind is Report:
        return inv("report", "ID", copy="DIR")
    if any(option.key == "out" for option in options_of(kind)):
        return f"{words(Campaign, out='DIR')} of your own"
    if Path(path).is_relative_to(checkout.PROJECT):
        return "a clone of your own"
    return "make it writable, or BKBISECT_CACHE_DIR=DIR"


def _owner(path: Path) -> int:
    """Return the user id of *path*, or of its nearest parent that can be looked at."""
    for place in (path, *path.parents):
        with suppress(OSError):
            return place.stat().st_uid
    return os.geteuid()


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # in a container, for example
        return f"user {uid}"
